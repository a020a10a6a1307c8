#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# test-upstream.sh [ENVIRONMENT...]
#
# Runs the standard library's own tests of multiprocessing on actors, in these environments of .venv or
# in all, and compares with real processes (tests/python/conformance/run.py). MODES says which ways
# to start actors are tested (all on the newest CPython and on 3.11, and 'fork' on others), ARGS what
# else run.py shall be told, and REPEAT how many times.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source .ci/results.sh

environments=("$@")
if [[ $# == 0 ]]; then
    for folder in .venv/newest .venv/2.14 .venv/py3.*; do
        [[ -f $folder/forkless ]] && environments+=("${folder#.venv/}")
    done
fi

modes_for() {
    case $1 in
    newest) echo fork actor interpreter futures no-processes no-processes-futures ;;
    2.14) echo fork actor futures no-processes no-processes-futures ;;
    *) echo fork ;;
    esac
}

begin_suite upstream
lines=$PWD/build/results/upstream.lines
for environment in "${environments[@]}"; do
    for ((i = 0; i < ${REPEAT:-1}; i++)); do
        rm -f "$lines"
        status=0
        # shellcheck disable=SC2086  # both are lists of words
        timeout --kill-after=10 900 ".venv/$environment/bin/python" tests/python/conformance/run.py \
            ${MODES:-$(modes_for "$environment")} --results "$lines" ${ARGS:-} </dev/null || status=$?
        [[ $status -le 1 ]] || record "$environment: died with status $status" 0 1
        [[ ! -f $lines ]] || while IFS=$'\t' read -r mode passed failed skipped; do
            record "$environment, $mode" "$passed" "$failed" "$skipped"
        done <"$lines"
    done
done
rm -f "$lines"
end_suite
