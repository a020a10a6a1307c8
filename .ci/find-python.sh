#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# find-python.sh [CACHE]
#
# Prints the usable CPythons, newest first: one line each of version, tab, path of the interpreter.
# Usable: 3.11 to 3.14, with the GIL, able to make a virtual environment, with the C headers.
# Looks on PATH and, where there is a pyenv command, among its versions. Starting interpreters is
# slow, so the answer is kept in the file CACHE for as long as the places to look are the same.
set -euo pipefail

readonly probe='
import sys, sysconfig
import ensurepip, venv
usable = (
    sys.implementation.name == "cpython"
    and (3, 11) <= sys.version_info[:2] <= (3, 14)
    and sys.version_info.releaselevel == "final"
    and not sysconfig.get_config_var("Py_GIL_DISABLED")
)
if usable:
    import os
    open(os.path.join(sysconfig.get_path("include"), "Python.h")).close()
    print("%d.%d" % sys.version_info[:2], os.path.realpath(sys.executable), sep="\t")
'

candidates() {
    local minor version
    for minor in 14 13 12 11; do
        type -aP "python3.$minor" || true
    done
    type -aP python3 || true
    if command -v pyenv >/dev/null; then
        for version in $(pyenv versions --bare 2>/dev/null | grep -E '^3\.1[1-4]\.[0-9]+$' | sort -Vr); do
            echo "$(pyenv prefix "$version")/bin/python"
        done
    fi
}

# A candidate may be a shim that does not run, so each is asked; the first of a version wins.
usable() {
    local python
    awk '!seen[$0]++' | while read -r python; do
        "$python" -Ic "$probe" 2>/dev/null </dev/null || true
    done | sort -t. -k2,2nr -s | awk -F'\t' '!seen[$1]++'
}

places=$(candidates)
cache=${1:-}
if [[ -z $cache ]]; then
    usable <<<"$places"
    exit
fi
key=$(cksum <<<"$places")
if [[ ! -f $cache || $(head -n 1 "$cache") != "# $key" ]]; then
    found=$(usable <<<"$places")
    mkdir -p "$(dirname "$cache")"
    printf '# %s\n%s\n' "$key" "$found" >"$cache"
fi
sed -e 1d -e '/^$/d' "$cache"
