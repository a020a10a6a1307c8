#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Installs the library into an empty folder, and builds the documentation's examples as somebody
# else's programs: with the shared library, with the archive; the headers in C++ too.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source .ci/results.sh

root=$PWD/build/installed
prefix=/opt/forkless

flags() { PKG_CONFIG_PATH=$root$prefix/lib/pkgconfig pkg-config "$@" forkless; }
in_root() { PKG_CONFIG_SYSROOT_DIR=$root flags "$@"; }
run() { LD_LIBRARY_PATH=$root$prefix/lib timeout 60 "$@" >"$root/output"; }

# shellcheck disable=SC2046 # flags are several words
shared() {
    gcc $(in_root --cflags) "$1" -o "$root/shared" $(in_root --libs) -pthread && run "$root/shared" &&
        readelf -d "$root/shared" | grep -q 'libforkless\.so\.0'
}

# shellcheck disable=SC2046
archive() {
    gcc $(in_root --cflags) "$1" -o "$root/archive" "$root$prefix/lib/libforkless.a" \
        $(flags --static --libs-only-l --libs-only-other | sed 's/-lforkless//') && run "$root/archive"
}

# shellcheck disable=SC2046
cplusplus() {
    echo '#include <forkless/forkless.h>' |
        g++ -Wall -Wextra -Werror $(in_root --cflags) -x c++ -fsyntax-only -
}

manual() { man -M "$root$prefix/share/man" "$1" | grep -q "$2"; }

begin_suite install
rm -rf "$root"
mkdir -p "$root"
check 'make install' make --no-print-directory install PREFIX="$prefix" DESTDIR="$root"
for example in docs/examples/*.c; do
    check "$example, shared" shared "$example"
    check "$example, archive" archive "$example"
done
check 'C++' cplusplus
check 'man fkl_spawn' manual fkl_spawn 'fkl_actor_fn fn'
check 'man forkless' manual forkless Glossary
end_suite
