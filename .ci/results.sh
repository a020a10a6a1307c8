# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Sourced by what runs tests. A suite's results are lines of "label passed failed skipped",
# separated by tabs, in build/results/SUITE. Until the suite has finished the file is called
# SUITE.partial, so that a runner that dies is noticed.

begin_suite() {
    suite=$1
    mkdir -p build/results
    rm -f "build/results/$suite"
    : >"build/results/$suite.partial"
}

# record LABEL PASSED FAILED [SKIPPED]
record() {
    printf '%s\t%d\t%d\t%d\n' "$1" "$2" "$3" "${4:-0}" >>"build/results/$suite.partial"
}

# check LABEL COMMAND...: records whether the command succeeds.
check() {
    local label=$1
    shift
    if "$@"; then record "$label" 1 0; else record "$label" 0 1; fi
}

# Prints the suite's summary and fails when anything in it failed.
end_suite() {
    mv "build/results/$suite.partial" "build/results/$suite"
    bash .ci/summary.sh "$suite"
}
