"""Runs targets of the Makefile in lanes that go on side by side, tells what each took and how it ended, and counts the tests.

`run_all.py DIRECTORY LANE...`, a lane being targets with commas between them, run one after the other: `lab,test-integration test-lint,test-unit`.
A target's output is shown as a whole when it has ended; until then it is in DIRECTORY/log. What comes after a `lab` that failed does not run.

The last line is "N passed, N failed", summed over what pytest wrote to DIRECTORY/*.xml for the targets in WITH_PYTEST.
Fails unless every target ran and succeeded, and every test passed; a test that was skipped has not passed.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
import typing as t
from pathlib import Path
from xml.etree import ElementTree

WITH_PYTEST = {f"test-{name}": f"{name}.xml" for name in ("unit", "functional", "couchdb", "etcd", "zeroing", "dist", "integration")}
NEEDED = {"lab"}
"""What fails in vain for those that come after it in the same lane."""


class Outcome(t.NamedTuple):
    """How a target ended, after how many seconds; None where it did not run."""

    status: t.Optional[int]
    seconds: float


def count(path: Path, ok: bool) -> tuple[int, int]:
    """How many tests passed and did not; a suite that wrote nothing, ran no test or did not come to its end counts as one that did not."""
    try:
        suites = list(ElementTree.parse(path).getroot().iter("testsuite"))
    except (FileNotFoundError, ElementTree.ParseError):
        return 0, 1
    tests = sum(int(suite.attrib["tests"]) for suite in suites)
    bad = sum(int(suite.attrib[kind]) for suite in suites for kind in ("failures", "errors", "skipped"))
    return tests - bad, bad or int(not ok or not tests)


class Run:
    """All lanes, and what has come of their targets."""

    def __init__(self, logs: Path) -> None:
        self.outcomes: dict[str, Outcome] = {}
        self._logs = logs
        self._screen = threading.Lock()
        self._begun = time.monotonic()

    def lane(self, targets: t.Sequence[str]) -> None:
        """Run targets one after the other; go on when one fails, unless the others need it."""
        for position, target in enumerate(targets):
            self.outcomes[target] = self._target(target)
            if target in NEEDED and self.outcomes[target].status:
                self.outcomes.update({each: Outcome(None, 0.0) for each in targets[position + 1 :]})
                return

    def _target(self, target: str) -> Outcome:
        log = self._logs / f"{target}.log"
        with self._screen:
            print(f"--- {self._clock()} {target} begins, see {log}", flush=True)
        start = time.monotonic()
        with log.open("wb") as stream:
            status = subprocess.run(["make", "--no-print-directory", target], stdout=stream, stderr=subprocess.STDOUT, check=False).returncode
        seconds = time.monotonic() - start
        with self._screen:
            print(f"\n=== {self._clock()} {target}: {'FAILED' if status else 'ok'} after {seconds:.0f} s", flush=True)
            sys.stdout.buffer.write(log.read_bytes())
            print(flush=True)
        return Outcome(status, seconds)

    def _clock(self) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self._begun), 60)
        return f"{minutes:02}:{seconds:02}"


def main() -> int:
    """Run the lanes and print the summary."""
    results = Path(sys.argv[1])
    lanes = [lane.split(",") for lane in sys.argv[2:]]
    targets = [target for lane in lanes for target in lane]
    for name in WITH_PYTEST.values():  # what an earlier run left says nothing about this one
        (results / name).unlink(missing_ok=True)
    logs = results / "log"
    logs.mkdir(parents=True, exist_ok=True)

    run = Run(logs)
    threads = [threading.Thread(target=run.lane, args=(lane,)) for lane in lanes]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    outcomes = {target: run.outcomes.get(target, Outcome(None, 0.0)) for target in targets}
    counts = [count(results / WITH_PYTEST[target], outcomes[target].status == 0) for target in targets if target in WITH_PYTEST]
    passed, failed = (sum(column) for column in zip(*counts)) if counts else (0, 0)
    words = {None: "DID NOT RUN", 0: "ok"}
    print("=== summary")
    for target, outcome in outcomes.items():
        print(f"{target:18} {outcome.seconds:6.0f} s  {words.get(outcome.status, 'FAILED')}")
    print(f"{'all':18} {time.monotonic() - begun:6.0f} s")
    print(f"{passed} passed, {failed} failed", flush=True)
    return 0 if targets and not failed and all(outcome.status == 0 for outcome in outcomes.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
