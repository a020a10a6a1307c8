#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# test-python.sh python|ansible|asan-python
#
# Runs the Python tests: the binding on each CPython of .venv, Ansible on each ansible-core, or the
# unit tests on a binding that is built with the address and undefined-behaviour sanitizers.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source .ci/results.sh

# run ENVIRONMENT TEST-FOLDER...
# EMULATING=none: in the emulation of a platform without processes.
run() {
    local environment=$1 limit=${TEST_TIMEOUT:-120} label=$1 command
    local report
    command=(".venv/$1/bin/python")
    if [[ -n ${EMULATING:-} ]]; then
        label="$1, without processes ($EMULATING)"
        command+=(tests/python/support/no_processes.py --variant "$EMULATING")
    fi
    report="$PWD/build/results/pytest-$1${EMULATING:-}.xml"
    local verbosity=-q
    [[ ${CI:-} != true ]] || verbosity=-v # if the run dies, its log names the test
    local status=0
    shift
    rm -f "$report"
    echo "== $* ($label: $(".venv/$environment/bin/python" --version))"
    # A test that hangs first shows where its threads are, then is failed, then all is ended.
    timeout --kill-after=10 900 "${command[@]}" -m pytest "$verbosity" -rfE \
        -o faulthandler_timeout="$((limit - 10))" --timeout="$limit" --junit-xml="$report" "$@" \
        </dev/null || status=$?
    if [[ ! -f $report ]]; then
        record "pytest $label: died with status $status" 0 1
        return
    fi
    python3 .ci/junit_lines.py "pytest $label" "$status" "$report" >>"build/results/$suite.partial"
}

# One more than there are processors run side by side, for tests wait more than they compute. What
# each prints comes in one piece.
suite_python() {
    local environment others=()
    mapfile -t others < <(compgen -G '.venv/py3.*')
    for environment in newest 2.14 "${others[@]#.venv/}"; do
        [[ -d .venv/$environment ]] || continue
        beside run "$environment" tests/python/{unit,compatibility,conformance}
    done
    EMULATING=none beside run newest tests/python/unit
    wait
}

beside() {
    local log
    while [[ $(jobs -pr | wc -l) -gt $(nproc) ]]; do wait -n; done
    log=$(mktemp build/results/log.XXXXXX)
    {
        "$@" &>"$log" || true
        cat "$log"
        rm -f "$log"
    } &
}

suite_ansible() {
    local environment
    for environment in newest 2.14; do
        [[ -d .venv/$environment ]] || continue
        run "$environment" tests/python/ansible
    done
}

# The interpreter itself is not instrumented, so the sanitizer's runtime is loaded ahead of it, and
# objects come from malloc one by one so that each has its red zones. Leaks are not looked for: an
# interpreter leaves thousands of live objects at its end, and ours cannot be told from those. Little
# memory is kept in quarantine, since tests that watch the size of the process run here too.
suite_asan() {
    local logs=$PWD/build/asan/python-logs
    rm -rf "$logs"
    mkdir -p "$logs"
    PYTHONMALLOC=malloc \
        LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)" \
        ASAN_OPTIONS="detect_leaks=0:quarantine_size_mb=8:log_path=$logs/report" \
        UBSAN_OPTIONS="print_stacktrace=1:log_path=$logs/report" \
        TEST_TIMEOUT=300 run asan tests/python/unit
    if compgen -G "$logs/*" >/dev/null; then
        cat "$logs"/*
        record 'sanitizer reports' 0 1
    fi
}

begin_suite "$1"
case $1 in
python) suite_python ;;
ansible) suite_ansible ;;
asan-python) suite_asan ;;
esac
end_suite
