#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# test-c.sh SUITE VARIANT
#
# Runs the C programs built in build/VARIANT: unit tests, stress programs, documentation examples; for
# the variants plain and asan the simulations of build/sim and build/sim-asan as well, and for sim
# those only, SEEDS seeds of each scenario beginning with FROM.
# Under a sanitizer any report fails the program that caused it, whatever its exit status says:
# Criterion, for one, prints a leak and still passes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source .ci/results.sh

variant=$2
out=build/$variant
logs=$PWD/$out/logs
wrap=()
case $variant in
asan)
    export ASAN_OPTIONS=log_path=$logs/report:detect_stack_use_after_return=1:strict_string_checks=1
    export UBSAN_OPTIONS=log_path=$logs/report:print_stacktrace=1
    ;;
tsan)
    export TSAN_OPTIONS=log_path=$logs/report:second_deadlock_stack=1:history_size=4
    # Older kernels and runtimes disagree on address randomisation.
    if setarch -R true 2>/dev/null; then wrap=(setarch -R); fi
    ;;
esac

# run PROGRAM ARGUMENT...: with a time limit; fails, and shows why, if a sanitizer reported.
run() {
    local status=0
    rm -rf "$logs"
    mkdir -p "$logs"
    timeout --kill-after=10 "${TEST_TIMEOUT:-300}" "${wrap[@]}" "$@" </dev/null || status=$?
    if compgen -G "$logs/*" >/dev/null; then
        cat "$logs"/*
        [[ $status != 0 ]] || status=99
    fi
    [[ $status == 0 ]] || echo "    $1: exit status $status"
    return "$status"
}

unit_tests() {
    local source name tap status planned passed failed skipped
    for source in tests/runtime/test_*.c tests/faults/*.c; do
        name=${source%.c}
        tap=$PWD/$out/$name.tap
        rm -f "$tap"
        echo "== $name ($variant)"
        status=0
        run "$out/$name" --tap="$tap" --timeout 60 || status=$?
        [[ -f $tap ]] || echo '1..1' >"$tap"
        planned=$(sed -n 's/^1\.\.//p' "$tap")
        passed=$(grep -c '^ok ' "$tap" || true)
        failed=$(grep -c '^not ok ' "$tap" || true)
        skipped=$(grep -ci '^ok .*# SKIP' "$tap" || true)
        # A program that died before its last test, or a sanitizer's report, is a failure too.
        if [[ $((passed + failed)) != "$planned" || ($status != 0 && $failed == 0) ]]; then
            failed=$((failed + 1))
        fi
        record "$name" $((passed - skipped)) "$failed" "$skipped"
    done
}

# simulations VARIANT: a scenario is a test.
simulations() {
    local source name status passed failed seeds=("--seeds" "${SEEDS:-500}" "--from" "${FROM:-1}")
    for source in tests/sim/*.c; do
        name=${source%.c}
        echo "== $name ($1)"
        status=0
        # shellcheck disable=SC2086 # names of scenarios
        run "build/$1/$name" "${seeds[@]}" ${2:-} >"build/$1/$name.tap" || status=$?
        grep -v -e '^ok ' -e '^1\.\.' "build/$1/$name.tap" || true
        passed=$(grep -c '^ok ' "build/$1/$name.tap" || true)
        failed=$(grep -c '^not ok ' "build/$1/$name.tap" || true)
        [[ $status == 0 || $failed != 0 ]] || failed=1
        record "$name" "$passed" "$failed"
    done
}

# Sixteen threads for each core, which makes preemption in bad moments common; as many as each
# program thinks fit under a sanitizer, where they take long enough.
stress_programs() {
    local source name threads=()
    [[ $variant != plain ]] || threads=($((16 * $(nproc))))
    for source in tests/stress/*.c; do
        name=${source%.c}
        echo "== $name ($variant)"
        if run "$out/$name" "${threads[@]}"; then record "$name" 1 0; else record "$name" 0 1; fi
    done
}

examples() {
    local source name
    for source in docs/examples/*.c; do
        name=${source%.c}
        echo "== $name ($variant)"
        mkdir -p "$out/docs/examples"
        if run "$out/$name" >"$out/$name.out" && same_output "$name"; then
            record "$name" 1 0
        else
            cat "$out/$name.out"
            record "$name" 0 1
        fi
    done
}

benchmarks() {
    local python
    python=$(bash .ci/find-python.sh .venv/pythons | awk -F'\t' '{print $2; exit}')
    echo "== bench/runtime ($variant)"
    if run "$python" bench/runtime/run.py --smoke --with "$1" --variant "$variant"; then
        record bench/runtime 1 0
    else
        record bench/runtime 0 1
    fi
}

same_output() { [[ ! -f $1.expected ]] || diff -u "$1.expected" "$out/$1.out"; }

shopt -s nullglob
begin_suite "$1"
case $variant in
sim) simulations sim "${ARGS:-}" ;;
plain) simulations sim ;;
asan) simulations sim-asan ;;
esac
if [[ $variant != sim ]]; then
    unit_tests
    stress_programs
    examples
    benchmarks thread,pooled
fi
end_suite
