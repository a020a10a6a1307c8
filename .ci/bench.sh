#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs every program among bench/*.py (some are helpers) on the newest CPython. Figures mean
# something only beside others from the same machine and run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

grep -l '__main__' bench/*.py | while read -r program; do
    echo "== $program"
    .venv/newest/bin/python "$program" </dev/null
done
