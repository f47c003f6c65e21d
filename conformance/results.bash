# What conformance/run does with results; sourced by it, with OUT, RESULTS and DEADLINE set before the
# first call. One line a test in $RESULTS: verdict, part, name, reason, separated by tabs.

record() { # VERDICT PART NAME [REASON]
    printf '%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "${4:-}" >>"$RESULTS"
}

count() { # VERDICT
    awk -F '\t' -v verdict="$1" '$1 == verdict { n++ } END { print n + 0 }' "$RESULTS"
}

# How many tests of a part have run.
count_part() { # PART
    awk -F '\t' -v part="$1" '$1 != "skipped" && $2 == part { n++ } END { print n + 0 }' "$RESULTS"
}

# Runs a command with a time limit into the part's log. Status 124 and 137 mean that it took too long.
limited() { # SECONDS LOG COMMAND...
    local seconds=$1 log=$2 left=$((DEADLINE - SECONDS))
    shift 2
    if ((left < 5)); then
        echo "no time left: $DEADLINE seconds are over" >>"$log"
        return 124
    fi
    timeout --kill-after=10 "$((seconds < left ? seconds : left))" "$@" >>"$log" 2>&1
}

why_status() { # STATUS
    case $1 in
        124 | 137) echo "took too long" ;;
        *) echo "exit status $1" ;;
    esac
}

# A part that is one command and one test.
one() { # PART NAME SECONDS COMMAND...
    local part=$1 name=$2 seconds=$3 log="$OUT/$1.log" status
    shift 3
    echo "\$ $*" >>"$log"
    limited "$seconds" "$log" "$@"
    status=$?
    if ((status == 0)); then
        record passed "$part" "$name"
    else
        record failed "$part" "$name" "$(why_status "$status")"
        show_failures "$log"
    fi
    return "$status"
}

# Reads a log of libtest or libtest-mimic: a line a test, and a line of totals per test program. A test
# that finds at run time that it can't be run prints `skipped: REASON` and passes: it counts as
# skipped. A test that writes past libtest can spoil its own line: then the totals rule. What tests
# print comes after the list of their names, up to the next program, and may hold another such log.
read_tests() { # PART LOG STATUS COUNT-IGNORED
    local part=$1 log=$2 status=$3 ignored=$4 parsed="$OUT/parsed.tsv" all=$RESULTS
    awk -v part="$part" -v ignored="$ignored" '
        BEGIN { listing = 1 }
        function entry(verdict, name, reason) { print verdict "\t" part "\t" name "\t" reason }
        function unnamed(verdict, total,    i) {
            for (i = 1; i <= total; i++) entry(verdict, "unnamed test " i, "")
        }
        function add_last(    i, words, n) {
            n = split(last, words)
            for (i = 2; i <= n; i++) totals[words[i]] += words[i - 1]
            last = ""
        }
        /^ +Running |^ +Doc-tests / {
            add_last()
            listing = 1
            shown = ""
            program = $NF
            sub(/.*\//, "", program)
            sub(/-[0-9a-f]+\)$/, "", program)
            program = program ":"
        }
        /^(successes|failures):$/ { listing = 0; shown = "" }
        listing && /^test .* \.\.\. / {
            name = verdict = $0
            sub(/^test +/, "", name)
            sub(/ +\.\.\. .*/, "", name)
            sub(/.* \.\.\. /, "", verdict)
            names[++count] = program name
            verdicts[count] = verdict
        }
        /^---- .* stdout ----$/ {
            shown = $0
            sub(/^---- /, "", shown)
            sub(/ stdout ----$/, "", shown)
            shown = program shown
        }
        /^skipped: / && shown != "" { reasons[shown] = substr($0, 10) }
        /^test result: / { last = $0 }
        END {
            add_last()
            for (i = 1; i <= count; i++) {
                if (verdicts[i] ~ /^ok/ && names[i] in reasons) {
                    entry("skipped", names[i], reasons[names[i]])
                    totals["passed;"]--
                } else if (verdicts[i] ~ /^ok/) {
                    entry("passed", names[i], "")
                    totals["passed;"]--
                } else if (verdicts[i] ~ /^FAILED/) {
                    entry("failed", names[i], "see above")
                    totals["failed;"]--
                } else if (verdicts[i] ~ /^ignored/) {
                    sub(/^ignored,? ?/, "", verdicts[i])
                    if (ignored) entry("skipped", names[i], verdicts[i])
                    totals["ignored;"]--
                }
            }
            unnamed("passed", totals["passed;"])
            unnamed("failed", totals["failed;"])
            if (ignored) unnamed("skipped", totals["ignored;"])
        }' "$log" >"$parsed"
    RESULTS=$parsed
    if ((status != 0)) && (($(count failed) == 0)); then
        record failed "$part" "the run itself" "$(why_status "$status")"
    fi
    if (($(count failed) > 0)); then
        show_failures "$log"
    fi
    RESULTS=$all
    cat "$parsed" >>"$RESULTS"
}

# A test program that ends well without a test is no success.
require_some() { # PART
    if (($(count_part "$1") == 0)); then
        record failed "$1" "the run itself" "no test ran"
    fi
}

# Prints the end of a log that says most, and keeps it for the end of the run.
show_failures() { # LOG
    local lines
    lines=$(telling_lines "$1" | sed 's/^/    /')
    printf '%s\n' "$lines"
    head -n 50 <<<"$lines" >>"$OUT/failures.log"
}

# The failures that libtest or bats lists, else compiler errors, else the tail.
telling_lines() { # LOG
    if grep -q '^failures:' "$1"; then
        sed -n '/^failures:/,/^test result:/p' "$1" | head -n 200
    elif grep -q '^not ok' "$1"; then
        grep -A 12 '^not ok' "$1" | head -n 120
    elif grep -q '^error' "$1"; then
        grep -A 12 '^error' "$1" | head -n 120
    else
        tail -n 60 "$1"
    fi
}

is_root() { ((EUID == 0)); }

# Reads a log of bats in TAP: `ok N NAME`, `not ok N NAME`, `ok N NAME # skip REASON`.
read_tap() { # PART LOG STATUS
    local part=$1 log=$2 status=$3 before
    before=$(count failed)
    sed -nE 's/^ok [0-9]+ (.*) # skip ?(.*)$/skipped\t\1\t\2/p; t
             s/^ok [0-9]+ (.*)$/passed\t\1\t/p
             s/^not ok [0-9]+ (.*)$/failed\t\1\tsee above/p' "$log" |
        awk -F '\t' -v part="$part" '{ print $1 "\t" part "\t" $2 "\t" $3 }' >>"$RESULTS"
    if (($(count failed) > before)); then
        show_failures "$log"
    elif ((status != 0)); then
        record failed "$part" "the run itself" "$(why_status "$status")"
        show_failures "$log"
    fi
}
