# SPDX-License-Identifier: Apache-2.0
"""A JUnit report as lines for .ci/results.sh: junit_lines.py LABEL STATUS REPORT.

One line counts what passed and was skipped, and one line names each test that did not pass. A run
that ended with a status other than zero counts as a failure even if its report names none.
"""

import sys
import xml.etree.ElementTree as ElementTree


def main(label: str, status: str, report: str) -> None:
    """Print "label passed failed skipped" for the whole and for each failure, separated by tabs."""
    passed = skipped = 0
    failures = []
    for case in ElementTree.parse(report).iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            failures.append(f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name')}")
        elif case.find("skipped") is not None:
            skipped += 1
        else:
            passed += 1
    if status != "0" and not failures:
        failures.append(f"ended with status {status}")
    print(label, passed, 0, skipped, sep="\t")
    for name in dict.fromkeys(failures):  # a test may fail twice: itself, and when it cleans up
        print(f"{label}: {name}", 0, 1, 0, sep="\t")


if __name__ == "__main__":
    main(*sys.argv[1:])
