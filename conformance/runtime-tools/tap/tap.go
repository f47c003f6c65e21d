// Package tap writes results in the Test Anything Protocol, with the functions that the validation
// suite of runtime-tools calls of a library that Debian does not have.
package tap

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// T is one program's list of results, written to standard output.
type T struct {
	count *int
	todo  bool
}

// New starts a list.
func New() *T { return &T{count: new(int)} }

// Header begins the output; the plan is left out where the number of results is not known yet.
func (t *T) Header(results int) {
	fmt.Println("TAP version 13")
	if results > 0 {
		fmt.Printf("1..%d\n", results)
	}
}

// AutoPlan writes the plan after the last result.
func (t *T) AutoPlan() { fmt.Printf("1..%d\n", *t.count) }

// Todo gives a list whose results are expected to fail.
func (t *T) Todo() *T { return &T{count: t.count, todo: true} }

// Ok writes one result.
func (t *T) Ok(passed bool, description string) {
	verdict, directive := "ok", ""
	if !passed {
		verdict = "not ok"
	}
	if t.todo {
		directive = " # TODO"
	}
	t.write(verdict, " - "+oneLine(description)+directive)
}

// Pass writes a result that passed.
func (t *T) Pass(description string) { t.Ok(true, description) }

// Fail writes a result that failed.
func (t *T) Fail(description string) { t.Ok(false, description) }

// Skip writes results that there are none of.
func (t *T) Skip(results int, reason string) {
	for ; results > 0; results-- {
		t.write("ok", " # SKIP "+oneLine(reason))
	}
}

// Diagnostic writes a comment.
func (t *T) Diagnostic(message string) {
	fmt.Println("# " + strings.ReplaceAll(strings.TrimRight(message, "\n"), "\n", "\n# "))
}

// Diagnosticf writes a comment as fmt.Printf does.
func (t *T) Diagnosticf(format string, values ...interface{}) {
	t.Diagnostic(fmt.Sprintf(format, values...))
}

// YAML writes what belongs to the last result; JSON is YAML.
func (t *T) YAML(value interface{}) error {
	text, err := json.MarshalIndent(value, "  ", "  ")
	if err == nil {
		fmt.Printf("  ---\n  %s\n  ...\n", text)
	}
	return err
}

func (t *T) write(verdict, rest string) {
	*t.count++
	fmt.Fprintf(os.Stdout, "%s %d%s\n", verdict, *t.count, rest)
}

func oneLine(text string) string { return strings.ReplaceAll(text, "\n", " ") }
