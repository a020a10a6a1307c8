#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Writes docs/errors.md from the table in include/forkless/error.h; tests/runtime/test_error.c fails
# when the two differ. Run it after changing the table.
set -eu
cd "$(dirname "$0")/.."
{
    cat <<'TEXT'
# Errors

Functions that can fail return an `fkl_err`; results come out through their last parameters. `errno`
is neither set nor read. Which of these a function can return, and when, stands above its declaration.
The texts are those of `fkl_strerror()` and complete the sentence "the call failed because …".

| error | number | text |
|---|---|---|
TEXT
    sed -n 's/^ *X(\([A-Z]*\), "\(.*\)").*/\1	\2/p' include/forkless/error.h |
        awk -F '\t' '{ printf "| `FKL_%s` | %d | %s |\n", $1, NR - 1, $2 }'
} >docs/errors.md
