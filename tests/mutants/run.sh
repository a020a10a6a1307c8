#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# run.sh [NAME...]
#
# Proves that the concurrency tests test: builds the library with one fault of tests/mutants/list at a
# time, in copies of the sources, and demands that the test named there fails or hangs. Without NAME
# all are tried. Ends with "N caught, N survived, N stale"; the exit status is 1 unless all were
# caught. A stale fault no longer fits the sources, or does not compile.
#
# MUTANT_TIMEOUT  seconds after which a test hangs (20; the sound tests take 5 at most)
# MUTANT_JOBS     faults tried at the same time (4; most of them sleep)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

seconds=${MUTANT_TIMEOUT:-20}
jobs=${MUTANT_JOBS:-4}
top=$(mktemp -d)
trap 'rm -rf "$top"' EXIT
export TSAN_OPTIONS="halt_on_error=1:exitcode=66" ASAN_OPTIONS="detect_leaks=0"
export FKL_STRESS_TIMEOUT=$((seconds - 3))

# Where the functions below work: a copy of the sources with its own build.
copy=$top/sound

# build VARIANT TEST
build() {
    make -s -C "$copy" "VARIANT=$1" CFLAGS="-O1 -g -w" "build/$1/tests/$2" >"$copy/log" 2>&1
}

# passes VARIANT TEST ARGUMENT...
passes() {
    local wrap=() variant=$1 test=$2
    shift 2
    if [[ $variant == tsan ]] && setarch -R true 2>/dev/null; then wrap=(setarch -R); fi
    (cd "$copy" && timeout --kill-after=2 "$seconds" "${wrap[@]}" "build/$variant/tests/$test" "$@") \
        >"$copy/log" 2>&1 </dev/null
}

# replace FILE OLD NEW: OLD must be there exactly once.
replace() {
    python3 - "$copy/$1" "$2" "$3" <<'PYTHON'
import sys

path, old, new = sys.argv[1:]
with open(path) as file:
    text = file.read()
if text.count(old) != 1:
    sys.exit(f"{path}: {text.count(old)} times: {old}")
with open(path, "w") as file:
    file.write(text.replace(old, new))
PYTHON
}

# try NAME EDITS FILE OLD NEW... VARIANT TEST ARGUMENT...
try() {
    local name=$1 edits=$2 files=() how=''
    shift 2
    for (( ; edits > 0; edits--)); do
        files+=("$1")
        replace "$1" "$2" "$3" 2>/dev/null || how='stale: the source has changed'
        shift 3
    done
    if [[ -n $how ]]; then
        :
    elif ! build "$1" "$2"; then
        how="stale: $(grep -m1 error "$copy/log" || true)"
    elif passes "$@"; then
        how=SURVIVED
    else
        how=caught
    fi
    printf '%-44s %-9s by %s\n' "$name" "$how" "$*" | tee -a "$top/results"
    local file
    for file in "${files[@]}"; do # newer than their objects, so they are built again
        cp "$top/sources/$file" "$copy/$file"
    done
}

# each COMMAND [NAME...]: calls COMMAND NAME EDITS FILE OLD NEW... VARIANT TEST ARGUMENT... for those
# wanted.
each() {
    local command=$1 line name='' file='' old='' new='' edits=()
    shift
    local wanted=" $* "
    while IFS= read -r line; do
        case $line in
        '#'* | '') ;;
        name:*) name=${line#name: } file='' edits=() ;;
        file:*)
            [[ -z $file ]] || edits+=("$file" "$old" "$new")
            file=${line#file: } old='' new=''
            ;;
        old:*) old+=${old:+$'\n'}${line#old: } ;;
        new:*) new+=${new:+$'\n'}${line#new: } ;;
        test:*)
            [[ $wanted == "  " || $wanted == *" $name "* ]] || continue
            edits+=("$file" "$old" "$new")
            # shellcheck disable=SC2086 # variant, test and arguments are words
            "$command" "$name" $((${#edits[@]} / 3)) "${edits[@]}" ${line#test: }
            ;;
        *) echo "tests/mutants/list: what is '$line'?" && exit 1 ;;
        esac
    done <"$top/sources/tests/mutants/list"
}

declare -A sound # tests that pass without a fault; one that fails anyhow proves nothing
check_sound() {
    shift $((2 + 3 * $2))
    [[ -z ${sound["$*"]:-} ]] || return 0
    if ! build "$1" "$2" || ! passes "$@"; then
        echo "$* fails without a fault:"
        tail -20 "$copy/log"
        exit 1
    fi
    sound["$*"]=1
}

turn=0
take_turn() {
    if ((turn++ % jobs == job)); then try "$@"; fi
}

mkdir "$top/sources" # what is edited meanwhile does not disturb
cp -r Makefile include runtime tests "$top/sources"
cp -r "$top/sources" "$copy"
each check_sound "$@"
echo "${#sound[@]} tests pass without a fault"
: >"$top/results"
for ((job = 0; job < jobs; job++)); do
    cp -a "$copy" "$top/$job"
    (copy=$top/$job && each take_turn "$@") &
done
wait
caught=$(grep -c ' caught ' "$top/results" || true)
survived=$(grep -c ' SURVIVED ' "$top/results" || true)
stale=$(grep -c ' stale: ' "$top/results" || true)
echo "$caught caught, $survived survived, $stale stale"
[[ $survived == 0 && $stale == 0 ]]
