#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# find-python.sh [CACHE]
#
# Prints the usable CPythons, newest first: one line each of version, tab, path of the interpreter.
# Usable: 3.11 to 3.14, able to make a virtual environment, with the C headers. A build without the GIL
# is a version of its own, such as 3.13t; one under ThreadSanitizer is too, 3.13t-tsan, and those come
# after all others.
# Looks on PATH, among the versions of pyenv where there is such a command, and in the folders that
# FORKLESS_PYTHONS names, separated by colons: installed interpreters (FOLDER/bin/python3*), folders of
# those, and archives of those (cpython-*.tar.xz), which are unpacked into .venv/pythons.d. Starting
# interpreters is slow, so the answer is kept in the file CACHE for as long as the places to look are
# the same.
set -euo pipefail

readonly unpacked=.venv/pythons.d

readonly probe='
import sys, sysconfig
import ensurepip, venv
usable = (
    sys.implementation.name == "cpython"
    and (3, 11) <= sys.version_info[:2] <= (3, 14)
    and sys.version_info.releaselevel == "final"
)
if usable:
    import os
    open(os.path.join(sysconfig.get_path("include"), "Python.h")).close()
    version = "%d.%d" % sys.version_info[:2]
    version += "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
    sanitized = "thread-sanitizer" in (sysconfig.get_config_var("CONFIG_ARGS") or "")
    version += "-tsan" if sanitized else ""
    print(version, os.path.realpath(sys.executable), sep="\t")
'

# Interpreters in the folders of FORKLESS_PYTHONS. Nothing is unpacked twice.
given() {
    local folder archive name
    local -a folders
    IFS=: read -ra folders <<<"${FORKLESS_PYTHONS:-}"
    for folder in "${folders[@]}"; do
        for archive in "$folder"/cpython-*.tar.xz; do
            [[ -f $archive ]] || continue
            name=$unpacked/$(basename "$archive" .tar.xz)
            if [[ ! -d $name ]]; then
                mkdir -p "$name.partial"
                if tar -xJf "$archive" -C "$name.partial"; then mv "$name.partial" "$name"; fi
            fi
            interpreters "$name"
        done
        interpreters "$folder"
    done
}

interpreters() {
    find "$1" -maxdepth 3 -path '*/bin/python3.1[1-4]*' ! -name '*-config' 2>/dev/null | sort || true
}

candidates() {
    local minor version
    for minor in 14 13 12 11; do
        type -aP "python3.$minor" || true
        type -aP "python3.${minor}t" || true
    done
    type -aP python3 || true
    if command -v pyenv >/dev/null; then
        for version in $(pyenv versions --bare 2>/dev/null | grep -E '^3\.1[1-4]\.[0-9]+t?$' | sort -Vr); do
            echo "$(pyenv prefix "$version")/bin/python"
        done
    fi
    given
}

# A candidate may be a shim that does not run, so each is asked; the first of a version wins.
usable() {
    local python
    awk '!seen[$0]++' | while read -r python; do
        "$python" -Ic "$probe" 2>/dev/null </dev/null || true
    done | awk -F'\t' '{print ($1 ~ /tsan/) + 0, $1 ~ /t/, $0}' | sort -s -k1,1n -k2,2n -k3,3Vr |
        cut -d' ' -f3- | awk -F'\t' '!seen[$1]++'
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
