"""Runs the targets named, each with make, goes on when one fails, and tells at the end what each took and how it ended.

`run_all.py DIRECTORY TARGET...`. The last line is "N passed, N failed", summed over what pytest wrote to DIRECTORY/*.xml for
the targets test-unit, test-couchdb and test-integration. Fails unless every target ran and succeeded, and every test passed;
a test that was skipped has not passed.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

WITH_PYTEST = {"test-unit": "unit.xml", "test-couchdb": "couchdb.xml", "test-integration": "integration.xml"}


def count(path: Path, ok: bool) -> tuple[int, int]:
    """How many tests passed and did not; a suite that wrote nothing, ran no test or did not come to its end counts as one that did not."""
    try:
        suites = list(ElementTree.parse(path).getroot().iter("testsuite"))
    except (FileNotFoundError, ElementTree.ParseError):
        return 0, 1
    tests = sum(int(suite.attrib["tests"]) for suite in suites)
    bad = sum(int(suite.attrib[kind]) for suite in suites for kind in ("failures", "errors", "skipped"))
    return tests - bad, bad or int(not ok or not tests)


def main() -> int:
    """Run the targets and print the summary."""
    results = Path(sys.argv[1])
    targets = sys.argv[2:]
    for name in WITH_PYTEST.values():  # what an earlier run left says nothing about this one
        (results / name).unlink(missing_ok=True)

    lines = []
    counts = []
    ok = bool(targets)
    for target in targets:
        print(f"\n=== {target}", flush=True)
        start = time.monotonic()
        status = subprocess.run(["make", "--no-print-directory", target], check=False).returncode
        ok = ok and status == 0
        if target in WITH_PYTEST:
            counts.append(count(results / WITH_PYTEST[target], status == 0))
        lines.append(f"{target:18} {time.monotonic() - start:6.0f} s  {'FAILED' if status else 'ok'}")

    passed, failed = (sum(column) for column in zip(*counts)) if counts else (0, 0)
    print("\n=== summary", *lines, sep="\n")
    print(f"{passed} passed, {failed} failed", flush=True)
    return 0 if ok and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
