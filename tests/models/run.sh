#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# run.sh [NAME...]
#
# Has Spin search all interleavings of the models tests/models/NAME.pml; without NAME of all. The
# head of a model says what is to be searched, one search a line, with the flags to make it with:
#   // accepted: -DVARIANT_X   the search must find nothing, and must be complete
#   // rejected: -DFAULT_X     the search must find the fault, so that the model proves something
# A new model is one more file. Each search counts as a test of the suite "models".
#
# MODEL_LIMIT  seconds that one search may take (300)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source .ci/results.sh

readonly MEMORY_MB=4000 DEPTH=1000000

# search MODEL FLAG...: leaves what the search says in ./log
search() {
    local model=$1
    shift
    spin "$@" -a "$model" >log 2>&1 || return 1
    # The compiler takes a good part of the time, and nearly all where a fault is found early.
    local optimize=-O1
    [[ "$*" != *-DFAULT* ]] || optimize=-O0
    "${CC:-cc}" "$optimize" -w -DSAFETY -DMEMLIM="$MEMORY_MB" -o pan pan.c >>log 2>&1 || return 1
    timeout --kill-after=10 "${MODEL_LIMIT:-300}" ./pan "-m$DEPTH" -n -w22 >>log 2>&1
}

# With too little depth or memory the search would be incomplete.
is_accepted() {
    grep -q 'errors: 0$' log && ! grep -q 'not completed\|too small\|out of memory' log
}

is_rejected() {
    grep -q 'errors: 1$' log && grep -q '^pan:1: \(assertion violated\|invalid end state\)' log
}

# What the search found, in one line.
findings() {
    sed -n 's/^ *\([0-9]*\) states, stored.*/\1 states/p; s/^pan:1: //p' log | paste -sd' '
}

# try MODEL VERDICT FLAG...
try() {
    local model=$PWD/$1 verdict=${2%:} label status=0
    label="${1#tests/models/} $verdict${3:+ ${*:3}}"
    shift 2
    rm -rf build/models/search
    mkdir -p build/models/search
    cd build/models/search
    search "$model" "$@" || true
    "is_$verdict" || status=1
    printf '%-56s %s\n' "$label" "$(findings)"
    if [[ $status != 0 ]]; then cat log; fi
    cd ../../..
    if [[ $status == 0 ]]; then record "$label" 1 0; else record "$label" 0 1; fi
}

# Whether each fault and each variant in a model is tried.
is_complete() {
    local name missing=0
    while read -r name; do
        grep -q "^// [a-z]*: .*-D$name\b" "$1" && continue
        echo "$1: $name is not tried"
        missing=1
    done < <(grep -v '^//' "$1" | grep -o '\(FAULT\|VARIANT\)_[A-Z_]*' | sort -u)
    grep -q '^// accepted:' "$1" && grep -q '^// rejected:' "$1" && return "$missing"
}

begin_suite models
shopt -s nullglob
models=("${@/#/tests/models/}")
models=("${models[@]/%/.pml}")
[[ $# -gt 0 ]] || models=(tests/models/*.pml)
for model in "${models[@]}"; do
    check "${model#tests/models/}: all of it is tried" is_complete "$model"
    while read -r _ verdict flags; do
        # shellcheck disable=SC2086 # flags are words
        try "$model" "$verdict" $flags
    done < <(grep '^// \(accepted\|rejected\):' "$model")
done
end_suite
