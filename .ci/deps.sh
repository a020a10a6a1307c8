#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# deps.sh WHAT...
#
# Makes sure that what a build or a test needs is there, and is quick when it is. WHAT is any of
#   packages       compilers and libraries from the system's package manager
#   models         Spin, which searches the models of the protocols
#   clang          clang and its sanitizer runtime, for the second compiler that CI builds with
#   newest, 2.14   .venv/newest: the newest CPython found and the newest ansible-core for it;
#                  .venv/2.14: CPython 3.11 and ansible-core 2.14; both with forkless installed
#   asan           .venv/asan: the newest CPython, forkless built with the address sanitizer
#   tsan           .venv/tsan: a free-threaded CPython that was built with the thread sanitizer, if
#                  one is found, and forkless built so
#   peers          .venv/peers: the newest CPython with forkless and the libraries of make bench-python
#   bench          Erlang, CAF and Go, and .venv/bench, for make bench-runtime
#   lint           .venv/lint: formatters and checkers; groff and man
#   fetched        CPython 3.14 where there is none and Debian has it (.ci/fetch-python.sh); it gets its
#                  environment from `all`, as long as it is there
#   all            newest, 2.14, and .venv/py3.X for every other CPython found, also .venv/py3.Xt
# .ci/find-python.sh says where CPythons are looked for.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { echo "deps: $*"; }
die() {
    echo "deps: $*" >&2
    exit 1
}

# -- System packages ----------------------------------------------------------------------------

# Debian names; a|b means that either will do and that the first one known is installed.
readonly DEBIAN=(gcc libc6-dev make 'pkgconf|pkg-config' libck-dev 'libmsgpack-c-dev|libmsgpack-dev'
    libcriterion-dev python3 python3-dev python3-venv)
readonly DEBIAN_CLANG=('clang-14|clang' 'libclang-rt-14-dev|libclang-rt-dev' g++)
readonly DEBIAN_MODELS=(gcc libc6-dev spin)
readonly DEBIAN_BENCH=(g++ erlang-base libcaf-dev)

apt() {
    local command=(apt-get "$@")
    [[ $(id -u) == 0 ]] || command=(sudo "${command[@]}")
    say "${command[*]}"
    DEBIAN_FRONTEND=noninteractive "${command[@]}" -qq -o Dpkg::Use-Pty=0 </dev/null >/dev/null
}

debian_packages() {
    local installed package alternative missing=() names=()
    installed=" $(dpkg-query -W -f '${db:Status-Status} ${Package}\n' | sed -n 's/^installed //p' |
        tr '\n' ' ')"
    for package; do
        for alternative in ${package//|/ }; do
            [[ $installed == *" $alternative "* ]] && continue 2
        done
        missing+=("$package")
    done
    [[ ${#missing[@]} -gt 0 ]] || return 0
    say "missing packages: ${missing[*]}"
    [[ $(id -u) == 0 ]] || command -v sudo >/dev/null ||
        die 'not root, and there is no sudo: install them with apt-get as root'
    apt update
    for package in "${missing[@]}"; do
        for alternative in ${package//|/ }; do
            apt-cache show "$alternative" >/dev/null 2>&1 && break
        done
        names+=("$alternative")
    done
    apt install --no-install-recommends -y "${names[@]}"
}

compiles() { echo "$1" | "${CC:-cc}" -x c -fsyntax-only - 2>/dev/null; }

other_packages() {
    local missing=()
    compiles '#include <stdio.h>' || missing+=('a C compiler')
    command -v pkg-config >/dev/null || missing+=(pkg-config)
    pkg-config --exists ck 2>/dev/null || missing+=('Concurrency Kit')
    pkg-config --exists msgpack-c 2>/dev/null || pkg-config --exists msgpack 2>/dev/null ||
        missing+=(msgpack-c)
    [[ -n $(bash .ci/find-python.sh .venv/pythons) ]] || missing+=('CPython 3.11 or later')
    pkg-config --exists criterion 2>/dev/null ||
        say 'Criterion is not there: all but the C unit tests will work without it'
    [[ ${#missing[@]} -gt 0 ]] || return 0
    cat >&2 <<'NAMES'
deps: only Debian and Ubuntu packages are installed for you. Elsewhere install these first:
  Fedora    gcc make pkgconf-pkg-config ck-devel msgpack-devel libcriterion-devel python3-devel
  Arch      gcc make pkgconf python msgpack-c, and from the AUR: concurrencykit criterion
  Alpine    gcc musl-dev make pkgconf bash concurrencykit-dev msgpack-c-dev criterion-dev python3-dev
  Homebrew  pkgconf concurrencykit msgpack criterion python
(the names may differ from release to release)
NAMES
    printf 'deps: not found: %s\n' "${missing[@]}" >&2
    exit 1
}

packages() {
    if command -v dpkg-query >/dev/null && command -v apt-get >/dev/null; then
        debian_packages "${DEBIAN[@]}"
    else
        other_packages
    fi
}

models() {
    if command -v apt-get >/dev/null; then debian_packages "${DEBIAN_MODELS[@]}"; fi
    command -v spin >/dev/null || die 'install Spin'
}

clang() {
    if command -v apt-get >/dev/null; then debian_packages "${DEBIAN_CLANG[@]}"; fi
    command -v clang-14 >/dev/null || command -v clang >/dev/null || die 'install clang'
}

# -- Python environments -------------------------------------------------------------------------

# The interpreter of a version, or of any of several, or nothing.
python_of() {
    bash .ci/find-python.sh .venv/pythons | awk -F'\t' -v v="${1:-}" 'v == "" || $1 == v {print $2; exit}'
}

# Makes .venv/NAME, anew when what it is made of has changed.
# environment NAME PYTHON REQUIREMENTS-FILE [PACKAGE...]
environment() {
    local name=$1 python=$2 file=$3 key
    shift 3
    key="$python $(cksum <"$file") $*"
    [[ -x .venv/$name/bin/python && -f .venv/$name/made-of && $(<".venv/$name/made-of") == "$key" ]] &&
        return
    say ".venv/$name: $("$python" --version), $file $*"
    rm -rf ".venv/$name"
    "$python" -m venv ".venv/$name"
    ".venv/$name/bin/python" -m pip install --quiet --disable-pip-version-check -r "$file" "$@"
    echo "$key" >".venv/$name/made-of"
}

# Files and links of which the binding is built; hidden ones are caches of tools.
sources() {
    find include runtime bindings/python "$@" -not -path '*/.*' -not -path '*/build/*' \
        -not -path '*.egg-info/*' -not -path '*/__pycache__/*' -not -name '*.so'
}

# Installs forkless, where the sources are not those that were installed last. It is built from a
# copy: environments must not share setuptools' build folder, since their compiler flags differ.
# binding NAME
binding() {
    local name=$1 copy=build/python/$1 key
    key=$(sources -type f | sort | tr '\n' '\0' | xargs -0 cat | cksum)
    [[ -f .venv/$name/forkless && $(<".venv/$name/forkless") == "$key" ]] && return
    say ".venv/$name: installing forkless"
    rm -rf "$copy"
    mkdir -p "$copy"
    sources ! -type d | tar -cf - -T - | tar -xf - -C "$copy"
    ".venv/$name/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
        --force-reinstall "./$copy/bindings/python"
    echo "$key" >".venv/$name/forkless"
}

newest() {
    local python
    python=$(python_of)
    [[ -n $python ]] || die 'no usable CPython 3.11 to 3.14 (with venv, pip and headers) was found'
    environment newest "$python" tests/python/requirements.txt ansible-core
    binding newest
}

ansible_2_14() {
    local python
    python=$(python_of 3.11)
    [[ -n $python ]] || die 'ansible-core 2.14 needs CPython 3.11, which was not found'
    environment 2.14 "$python" tests/python/requirements.txt 'ansible-core==2.14.*'
    binding 2.14
}

asan() {
    environment asan "$(python_of)" tests/python/requirements.txt
    CFLAGS='-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined' \
        LDFLAGS='-fsanitize=address,undefined' binding asan
}

# Made without running pip on that interpreter, which takes many minutes.
tsan() {
    local python compiler key site copy=build/python/tsan
    local flags="-O1 -g -fno-omit-frame-pointer -fsanitize=thread"
    python=$(bash .ci/find-python.sh .venv/pythons | awk -F'\t' '$1 ~ /t-tsan$/ {print $2; exit}')
    if [[ -z $python ]]; then
        say 'no free-threaded CPython under ThreadSanitizer was found (see FORKLESS_PYTHONS in' \
            '.ci/find-python.sh): what needs it is left out'
        rm -rf .venv/tsan
        return
    fi
    clang
    newest
    compiler=$(command -v clang-14 || command -v clang)
    key="$python $(sources -type f | sort | tr '\n' '\0' | xargs -0 cat | cksum)"
    [[ -f .venv/tsan/forkless && $(<.venv/tsan/forkless) == "$key" ]] && return
    say ".venv/tsan: $python, installing forkless"
    rm -rf .venv/tsan "$copy"
    mkdir -p "$copy"
    sources ! -type d | tar -cf - -T - | tar -xf - -C "$copy"
    export TSAN_OPTIONS=report_bugs=0 # not what happens while the environment is made
    "$python" -m venv --without-pip .venv/tsan
    site=$(.venv/tsan/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    .venv/newest/bin/python -m pip install --quiet --disable-pip-version-check --target "$site" \
        setuptools
    (cd "$copy/bindings/python" && CC=$compiler LDSHARED="$compiler -shared" \
        LDFLAGS=-fsanitize=thread CFLAGS="$flags -include $OLDPWD/tests/support/tsan/ck_md_shim.h" \
        "$site/../../../bin/python" setup.py --quiet build_ext --parallel 2 --build-lib "$site" \
        build_py --build-lib "$site") >"$copy/log" 2>&1 || { cat "$copy/log" && die 'tsan'; }
    unset TSAN_OPTIONS
    echo "$key" >.venv/tsan/forkless
}

# Peers that cannot be installed are left out of the comparison.
bench() {
    if command -v apt-get >/dev/null; then
        debian_packages "${DEBIAN_BENCH[@]}"
        command -v go >/dev/null || debian_packages golang-go
    fi
    environment bench "$(python_of)" bench/runtime/requirements.txt
}

peers() {
    environment peers "$(python_of)" bench/python/requirements.txt
    binding peers
}

lint() {
    if command -v apt-get >/dev/null; then debian_packages groff-base man-db; fi
    environment lint "$(python_of)" tests/python/requirements-lint.txt
}

readonly FETCHED=3.14

fetched() {
    [[ -z $(python_of "$FETCHED") ]] || return 0
    if command -v apt-get >/dev/null; then debian_packages patchelf; fi
    bash .ci/fetch-python.sh "$FETCHED" || say "tests go on without CPython $FETCHED"
}

all() {
    local version python others
    newest
    others=$(bash .ci/find-python.sh .venv/pythons | sed 1d)
    while IFS=$'\t' read -r version python; do
        [[ -n $version && $version != 3.11 && $version != *-tsan ]] || continue
        environment "py$version" "$python" tests/python/requirements.txt
        binding "py$version"
    done <<<"$others"
    python=.venv/pythons.d/debian-$FETCHED/usr/bin/python$FETCHED
    if [[ -x $python && -z $(python_of "$FETCHED") ]]; then
        environment "py$FETCHED" "$PWD/$python" tests/python/requirements.txt
        binding "py$FETCHED"
    fi
    if [[ -n $(python_of 3.11) ]]; then
        ansible_2_14
    else
        say 'no CPython 3.11: what needs ansible-core 2.14 is left out'
    fi
}

mkdir -p .venv build
if command -v flock >/dev/null; then
    exec 9>.venv/lock
    flock 9
fi
for what; do
    case $what in
    packages | models | clang | newest | asan | tsan | peers | bench | lint | fetched | all) "$what" ;;
    2.14) ansible_2_14 ;;
    *) die "what is '$what'?" ;;
    esac
done
