#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# fetch-python.sh VERSION
#
# For continuous integration: a CPython that Debian has, but not the release that this machine runs.
# Unpacks it below .venv/pythons.d and prints the path of the interpreter. Where it cannot be had, says
# why and exits with 3. Quick when it is there already.
#
# Its packages come from unstable, of the mirror that this machine's own apt uses, by apt-get with
# folders of its own: nothing is installed, no root, no chroot and no mount is needed, and a container
# will do. The interpreter is made to run with the C library that came with it (patchelf sets its
# loader and its search path), because it is newer than the machine's. Everything else of the machine is
# used as it is: programs that it starts, /dev/shm, and the compiler and libraries of an extension.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly version=$1 limit=150 # seconds
readonly folder=$PWD/.venv/pythons.d/debian-$version
readonly work=$folder.partial python=$folder/usr/bin/python$version

leave_out() {
    echo "CPython $version is left out: $*" >&2
    rm -rf "$work"
    exit 3
}

# Where this machine's apt gets the release that it runs from, in sources of either format.
mirror() {
    local release
    # shellcheck source=/dev/null
    release=$(source /etc/os-release && echo "${VERSION_CODENAME:-}")
    cat /etc/apt/sources.list.d/*.sources 2>/dev/null | awk -v release="$release" '
        BEGIN {RS = ""; FS = "\n"}
        {
            delete field
            for (i = 1; i <= NF; i++) {
                name = substr($i, 1, index($i, ":"))
                field[name] = substr($i, length(name) + 1) " "
            }
            if (field["Types:"] ~ /deb / && index(field["Suites:"], " " release " ")) {
                split(field["URIs:"], uris, " ")
                print uris[1]
            }
        }' || true
    sed -En "s|^deb +(\[[^]]*\] *)?([^ ]+) +$release +.*|\2|p" /etc/apt/sources.list \
        /etc/apt/sources.list.d/*.list 2>/dev/null || true
}

apt() {
    local key=/usr/share/keyrings/debian-archive-keyring.gpg
    local uri
    grep -q '^ID=debian$' /etc/os-release || leave_out 'this is not Debian'
    uri=$(mirror | head -n 1)
    [[ -n $uri ]] || leave_out "the sources of this machine's apt do not name a mirror"
    [[ -f $key ]] || leave_out "no $key"
    mkdir -p "$work"/apt/{lists,archives}/partial
    : >"$work/apt/status"
    echo "deb [signed-by=$key] $uri sid main" >"$work/apt/sources.list"
    DEBIAN_FRONTEND=noninteractive timeout "$limit" apt-get -qq \
        -o Dir::State::Lists="$work/apt/lists" -o Dir::State::status="$work/apt/status" \
        -o Dir::Cache="$work/apt" -o Dir::Cache::Archives="$work/apt/archives" \
        -o Dir::Etc::SourceList="$work/apt/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null \
        -o APT::Sandbox::User= -o Acquire::Languages=none -o Acquire::Retries=2 \
        -o Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false \
        -o Dpkg::Use-Pty=0 "$@" </dev/null >"$work/log" 2>&1 || {
        tail -n 5 "$work/log" >&2
        leave_out "apt-get $1 failed"
    }
}

# Moves what was unpacked to where it stays, and lets it find its parts there.
settle() {
    local loader
    loader=$("$patchelf" --print-interpreter "$work/usr/bin/python$version")
    "$patchelf" --set-interpreter "$folder/usr$loader" --force-rpath \
        --set-rpath "$folder/usr/lib/$(gcc -print-multiarch)" "$work/usr/bin/python$version"
    # Headers that a compiler finds by one path, and the wheel of pip.
    cp "$work/usr/include/"*-linux-gnu*/"python$version/pyconfig.h" "$work/usr/include/python$version/"
    sed -i "s|'/usr/share/python-wheels/*'|'$folder/usr/share/python-wheels/'|" \
        "$work/usr/lib/python$version"/_sysconfigdata_*.py
    rm -rf "$work/apt" "$work/log" "$folder"
    mv "$work" "$folder"
}

if ! "$python" -Ic '' 2>/dev/null; then
    patchelf=/usr/bin/patchelf # not one that a version manager puts in front
    for command in apt-get dpkg-deb "$patchelf" gcc; do
        command -v "$command" >/dev/null || leave_out "no $command"
    done
    rm -rf "$work"
    apt update
    apt install -y --download-only --no-install-recommends \
        "python$version" "libpython$version-testsuite" python3-pip-whl
    # Not what these depend on: compilers, for example.
    (cd "$work/apt/archives" && apt download "libpython$version-dev" "python$version-venv")
    for package in "$work"/apt/archives/*.deb; do dpkg-deb -x "$package" "$work"; done
    settle
    "$python" -Ic '' || leave_out 'it does not run'
fi
echo "$python"
