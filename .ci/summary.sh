#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# summary.sh SUITE...
#
# Prints what each of these suites counts when they are several, then what failed, and last the line "N passed, N failed". A suite that did not
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
    !($1 in seen) { seen[$1]; suites[++count] = $1 }
    { passed += $3; failed += $4; skipped += $5 }
    { passed_in[$1] += $3; failed_in[$1] += $4; skipped_in[$1] += $5 }
    $4 > 0 { failures = failures sprintf("FAILED  %s: %s (%d)\n", $1, $2, $4) }
    END {
        for (i = 1; count > 1 && i <= count; i++)
            printf "%-12s %6d passed %4d failed %5d skipped\n", suites[i],
                passed_in[suites[i]], failed_in[suites[i]], skipped_in[suites[i]]
        printf "%s", failures
        printf "%d passed, %d failed", passed, failed
        if (skipped) printf ", %d skipped", skipped
        print ""
        exit failed > 0 || passed == 0
    }'
