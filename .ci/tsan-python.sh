#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# tsan-python.sh
#
# Runs the stress programs of the Python binding (those with a seed) under ThreadSanitizer on a free-threaded CPython
# (.venv/tsan, made by deps.sh tsan). A report fails the program that caused it. STRESS_SEED=n makes
# all of them begin with that seed, STRESS_SECONDS says how long each runs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source .ci/results.sh

logs=$PWD/build/tsan/python-logs

# What the interpreter brings with it, and what we found it to race about.
suppressions() {
    local own
    own=$(TSAN_OPTIONS=report_bugs=0 .venv/tsan/bin/python -c 'import sys; print(sys.base_prefix)')
    cat "$own"/suppressions*.txt 2>/dev/null || true
    cat tests/support/tsan/python.supp
}

begin_suite tsan-python
if [[ ! -x .venv/tsan/bin/python ]]; then
    echo 'tsan-python: skipped, for want of a free-threaded CPython under ThreadSanitizer'
    record 'no such interpreter' 0 0 1
    end_suite
    exit
fi
mkdir -p build/tsan
suppressions >build/tsan/python.supp
mapfile -t programs < <(grep -l "stress.main(run)" tests/python/stress/*.py)
for program in "${programs[@]}"; do
    echo "== ${program%.py}"
    rm -rf "$logs"
    mkdir -p "$logs"
    status=0
    TSAN_OPTIONS="log_path=$logs/report:suppressions=$PWD/build/tsan/python.supp" \
        timeout --kill-after=10 "${TEST_TIMEOUT:-400}" .venv/tsan/bin/python "$program" \
        "${STRESS_SEED:-$RANDOM}" "${STRESS_SECONDS:-8}" </dev/null || status=$?
    if compgen -G "$logs/*" >/dev/null; then cat "$logs"/*; fi
    if [[ $status == 0 ]]; then
        record "${program%.py}" 1 0
    else
        echo "    $program: exit status $status"
        record "${program%.py}" 0 1
    fi
done
end_suite
