"""Adds up the results that pytest wrote: `passed FILE...` prints "N passed, N failed" and fails unless all passed."""

from __future__ import annotations

import sys
from xml.etree import ElementTree


def main() -> int:
    """Print the sum; a file that is missing, or without a test, is a failure."""
    total = failed = 0
    for path in sys.argv[1:]:
        suites = list(ElementTree.parse(path).getroot().iter("testsuite"))
        tests = sum(int(suite.attrib["tests"]) for suite in suites)
        if not tests:
            print(f"{path} holds no test")
            return 1
        total += tests
        failed += sum(int(suite.attrib[kind]) for suite in suites for kind in ("failures", "errors", "skipped"))
    print(f"{total - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
