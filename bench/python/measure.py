# SPDX-License-Identifier: Apache-2.0
"""Measure one workload with one contender, in an interpreter of its own: measure.py CONTENDER WORKLOAD COUNT.

Prints the figure of one operation as JSON.
"""

import json
import sys

from workloads import WORKLOADS

from contenders import CONTENDERS


def main() -> None:
    contender, workload, count = sys.argv[1:]
    print(json.dumps(WORKLOADS[workload].measure(CONTENDERS[contender], int(count))))


if __name__ == "__main__":
    main()
