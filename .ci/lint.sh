#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# lint.sh [--fix]
#
# Everything that can be checked without running the program. With --fix, formats the sources and
# repairs what ruff can repair instead. Needs .venv/lint (deps.sh lint) and a built library.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source .ci/results.sh

tools=$PWD/.venv/lint/bin
files() { git ls-files --cached --others --exclude-standard "$@" | sort -u; }
mapfile -t c_files < <(files '*.c' '*.h')
mapfile -t shell_files < <(files .ci/run '*.sh')

if [[ ${1:-} == --fix ]]; then
    "$tools/clang-format" -i "${c_files[@]}"
    "$tools/ruff" check --quiet --fix . || true
    "$tools/ruff" format --quiet .
    exit
fi

# Names other programs can see: all ours.
exported_symbols() {
    local foreign
    foreign=$(nm -D --defined-only build/plain/libforkless.so | awk '$3 !~ /^fkl_/ {print $3}')
    [[ -z $foreign ]] || { echo "not fkl_: $foreign" && return 1; }
}

# Each public header alone, in C and in C++.
public_headers() {
    local header include failed=0 strict=(-Iinclude -pedantic-errors -Wall -Wextra -Werror)
    for header in include/forkless/*.h; do
        include="#include <forkless/${header##*/}>"
        echo "$include" | gcc "${strict[@]}" -std=c11 -x c -fsyntax-only - || failed=1
        if command -v g++ >/dev/null; then
            echo "$include" | g++ "${strict[@]}" -std=c++17 -x c++ -fsyntax-only - || failed=1
        fi
    done
    return "$failed"
}

# A page for every public function, and none that the formatter has to guess about.
manual_pages() {
    local name missing=0
    make --no-print-directory man
    for name in $(nm -D --defined-only build/plain/libforkless.so | awk '{print $3}'); do
        [[ -f build/man/man3/$name.3 ]] || { echo "no manual page: $name" && missing=1; }
    done
    [[ -z $(groff -k -man -ww -Tutf8 build/man/man3/forkless*.3 2>&1 >/dev/null | tee /dev/stderr) ]] || missing=1
    return "$missing"
}

types() { (cd bindings/python && "$tools/mypy"); }

begin_suite lint
check 'files and layers' "$tools/python" .ci/lint_source.py
check 'C format (make format)' "$tools/clang-format" --dry-run -Werror "${c_files[@]}"
check 'exported symbols' exported_symbols
check 'public headers' public_headers
check 'manual pages' manual_pages
check 'Python rules' "$tools/ruff" check --quiet .
check 'Python format (make format)' "$tools/ruff" format --quiet --check .
check 'Python types' types
check 'shell scripts' "$tools/shellcheck" --external-sources "${shell_files[@]}"
end_suite
