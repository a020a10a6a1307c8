#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# summary.sh SUITE...
#
# Prints what failed in these suites, and last the line "N passed, N failed". A suite that did not
# finish counts as a failure. Fails when there is a failure, and when nothing passed at all.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

for suite; do
    file=build/results/$suite
    if [[ -f $file ]]; then
        sed "s/^/$suite\t/" "$file"
    else
        [[ ! -f $file.partial ]] || sed "s/^/$suite\t/" "$file.partial"
        printf '%s\tdid not finish\t0\t1\t0\n' "$suite"
    fi
done | awk -F'\t' '
    { passed += $3; failed += $4; skipped += $5 }
    $4 > 0 { printf "FAILED  %s: %s (%d)\n", $1, $2, $4 }
    END {
        printf "%d passed, %d failed", passed, failed
        if (skipped) printf ", %d skipped", skipped
        print ""
        exit failed > 0 || passed == 0
    }'
