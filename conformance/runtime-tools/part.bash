# shellcheck shell=bash
#
# The part runtime-tools of conformance/run, which sources this.

# The validation suite of opencontainers/runtime-tools: built once, and kept.
part_runtime-tools() {
    local log="$OUT/runtime-tools.log" dir="${OUT%/conformance}/kan-runtime-tools" kan status
    if ! is_root || ! command -v apt-get >/dev/null; then
        record skipped runtime-tools "all" "needs root on Debian"
        return
    fi
    kan=$(program kan kan) || {
        record failed runtime-tools "all" "kan was not built"
        return
    }
    limited 300 "$log" conformance/runtime-tools/build "$dir" || {
        record skipped runtime-tools "all" "it cannot be built: $(tail -n 1 "$log") ($log)"
        return
    }
    limited 240 "$log" env CHECKS="$OUT/runtime-tools.tsv" \
        conformance/runtime-tools/run "$dir/suite" "$kan"
    status=$?
    read_checks runtime-tools "$OUT/runtime-tools.tsv" "$status"
    require_some runtime-tools
}

# Reads what conformance/runtime-tools/run writes: `failed`, `expected` or `skipped` with a program, its
# check and the reason, and `program` with a name and how many of its checks passed and failed.
read_checks() { # PART FILE STATUS
    local part=$1 file=$2 status=$3 before
    before=$(count failed)
    [[ ! -e $file ]] || awk -F '\t' -v OFS='\t' -v part="$part" '
        $1 == "program" { if ($3 > 0 && $4 == 0) print "passed", part, $2, "" }
        $1 == "failed" { print "failed", part, $2 ": " $3, "" }
        $1 == "expected" { print "skipped", part, $2 ": " $3, "expected to fail: " $4 }
        $1 == "skipped" { print "skipped", part, $2, $4 }' "$file" >>"$RESULTS"
    if ((status != 0)) && (($(count failed) == before)); then
        record failed "$part" "the run itself" "$(why_status "$status")"
    fi
}
