#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# run.sh [NAME...]
#
# Runs the fuzzers tests/fuzz/NAME.c, built in build/fuzz; without NAME all. Each first runs over its
# corpus, each input of which counts as a test of the suite "fuzz", and then looks for new inputs for
# a while, which counts as one. Inputs that reach something new are kept in build/fuzz/found/NAME for
# the next time; one that fails is build/fuzz/failed-NAME-*, and is repeated by giving it to
# build/fuzz/tests/fuzz/NAME.
#
# FUZZ_SECONDS  how long each looks for new inputs (60)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source .ci/results.sh

out=build/fuzz
export ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1
export UBSAN_OPTIONS=print_stacktrace=1

# over_corpus NAME: one process for all inputs, or one for each where there is a fault.
over_corpus() {
    local inputs=(tests/fuzz/corpus/"$1"/*) input failed=0
    if ! timeout --kill-after=10 120 "$out/tests/fuzz/$1" "${inputs[@]}" >"$out/log" 2>&1; then
        for input in "${inputs[@]}"; do
            timeout --kill-after=10 60 "$out/tests/fuzz/$1" "$input" >"$out/log" 2>&1 && continue
            cat "$out/log"
            failed=$((failed + 1))
        done
        failed=$((failed ? failed : 1))
    fi
    record "$1: corpus" $((${#inputs[@]} - failed)) "$failed"
    echo "$1: ${#inputs[@]} inputs of the corpus, $failed failed"
}

# look NAME
look() {
    local seconds=${FUZZ_SECONDS:-60} status=0
    mkdir -p "$out/found/$1"
    timeout --kill-after=10 $((seconds + 120)) "$out/tests/fuzz/$1" -max_total_time="$seconds" \
        -max_len=4096 -timeout=10 -artifact_prefix="$out/failed-$1-" "$out/found/$1" \
        "tests/fuzz/corpus/$1" >"$out/log" 2>&1 || status=$?
    sed -n "s/^Done /$1: /p" "$out/log"
    if [[ $status == 0 ]]; then
        record "$1: new inputs" 1 0
    else
        grep -v '^#[0-9]' "$out/log" | tail -60
        record "$1: new inputs" 0 1
    fi
}

begin_suite fuzz
names=("$@")
if [[ $# == 0 ]]; then
    for source in tests/fuzz/*.c; do names+=("$(basename "$source" .c)"); done
fi
for name in "${names[@]}"; do
    over_corpus "$name"
    look "$name"
done
end_suite
