# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Measures the storage in CouchDB on the lab's real Ganeti: job submission, instance creation, and the death of a master.

Run it with ``COUCHDB_RELEASE=DIRECTORY make bench-storage-lab``; the directory is a release of real CouchDB. It writes
docs/bench-storage-lab.{json,md,svg}. The lab's five nodes become one cluster: afterwards ``make lab-destroy lab`` makes the lab anew.
What is measured first is what takes part in every figure; what time is left is for more runs of the batches.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
import time
import typing as t
from pathlib import Path

import lab_creation
import lab_failover
import lab_submission
import storage_lab_plot
import storage_lab_tables
from lab_cluster import Cluster
from nodes import ROOT, alone, machine
from storage_lab_report import PARTS, Found, Head, read_json, write_json
from storage_lab_targets import verdicts

SIZES = [10, 25, 50, 100, 150, 200]
LEFT_OUT = 150
"""A size that `disk` with candidates is not measured at, whose rate hardly depends on the size: it takes a minute."""
COPIES = [0, 1, 2, 4]
CREATIONS = [1, 10, 25, 50, 100]
FAILOVER = 60.0
"""Seconds for each failover that creations leave."""
RUNS = 3
"""Of short batches in a row, before storage is switched."""


class Bench:
    """The measuring itself."""

    def __init__(self, cluster: Cluster, asked: argparse.Namespace, begin: Found, keep: t.Callable[[Found, dict[str, list[str]]], None]) -> None:
        self._cluster = cluster
        self._asked = asked
        self._keep = keep
        """Writes the results so far, so that a run that is ended early has not been for nothing."""
        self._ends = time.monotonic() + asked.minutes * 60
        self._took: dict[tuple[str, int], float] = {}
        self.found = begin
        self.notes: dict[str, list[str]] = {}
        self.failures: list[str] = []

    def run(self) -> None:
        """Measure each part once, then batches again while there is time."""
        parts = {"submission": self._submission, "creation": self._creation, "failover": self._failover}
        for name in self._asked.only:
            try:
                parts[name]()
            except Exception as error:  # noqa: BLE001  # the other parts are to be measured all the same; told at the end
                self.failures.append(f"{name}: {type(error).__name__}: {error}")
                self._note(name, f"What came after an error in the part {name}: {type(error).__name__}")
                self._say("FAILED", self.failures[-1])
            self._keep(self.found, self.notes)
        if "submission" in self._asked.only and not self.failures:
            for _each in range(1, self._asked.runs):
                self._passes(False)
                self._keep(self.found, self.notes)

    def _submission(self) -> None:
        self._passes(True)

    def _passes(self, first: bool) -> None:
        """A run of both storages for each number of copies; one for which no time is left is left out, unless it is the first."""
        for copies in self._asked.copies:
            for storage in ("disk", "couchdb"):
                began = time.monotonic()
                sizes = [each for each in self._asked.sizes if each != LEFT_OUT or storage != "disk" or not copies]
                if not first and began + self._took[storage, copies] > self._ends:
                    continue
                (self._cluster.disk if storage == "disk" else self._cluster.couchdb)(copies)
                self.found.batches.extend(lab_submission.measure(self._cluster, storage, copies, sizes, RUNS))
                if first and storage == "couchdb" and copies:
                    self.found.behind.append(lab_submission.behind(self._cluster, copies, self._asked.sizes[-1]))
                    self._say(self.found.behind[-1])
                if first and (storage == "couchdb" or not copies):
                    self.found.processors.append(lab_submission.processors(self._cluster, storage, copies, self._asked.sizes[-1]))
                    self._say(self.found.processors[-1])
                self._took[storage, copies] = time.monotonic() - began
                done = self.found.batches[-len(sizes) :]  # of the last run
                self._say(storage, copies, " ".join(f"{each.jobs}:{each.jobs / each.seconds:.1f}/s" for each in done), f"took {time.monotonic() - began:.0f} s")

    def _creation(self) -> None:
        """Both storages with two copies."""
        for storage in ("disk", "couchdb"):
            (self._cluster.disk if storage == "disk" else self._cluster.couchdb)(2)
            slowest = 0.0
            kept = FAILOVER * self._asked.failovers if "failover" in self._asked.only else 0.0
            for count in self._asked.creations:
                if time.monotonic() + slowest > self._ends - kept:
                    self._note("creation", f"{count} creations on {storage}: no time was left.")
                    continue
                began = time.monotonic()
                self.found.creations.append(lab_creation.measure(self._cluster, storage, 2, count))
                slowest = time.monotonic() - began
                self._say(self.found.creations[-1])
                self._keep(self.found, self.notes)

    def _failover(self) -> None:
        """All nodes stand by; jobs run, two at a time, or the new master would be busy with those of the old one alone."""
        self._cluster.couchdb(len(self._cluster.standbys()))
        self._cluster.run("gnt-cluster", "modify", "--max-running-jobs=2")
        took = 0.0
        for number in range(self._asked.failovers):
            if time.monotonic() + took > self._ends:
                self._note("failover", f"Failover {number + 1}: no time was left.")
                continue
            began = time.monotonic()
            self.found.failovers.append(lab_failover.measure(self._cluster, number, self._asked.load, self._asked.seconds))
            self._say(self.found.failovers[-1])
            self._keep(self.found, self.notes)
            lab_failover.restore(self._cluster, self.found.failovers[-1].old)
            took = time.monotonic() - began
        self._cluster.run("gnt-cluster", "modify", "--max-running-jobs=20")

    def _note(self, part: str, words: str) -> None:
        self.notes.setdefault(part, []).append(words)

    @staticmethod
    def _say(*what: object) -> None:
        print(time.strftime("%H:%M:%S"), *what, flush=True)


def arguments() -> argparse.Namespace:
    """What the user asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=40, help="when to begin nothing more that can be left out (40)")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS), help="parts to measure")
    parser.add_argument("--add", action="store_true", help="keep the results that there are of the other parts")
    parser.add_argument("--copies", nargs="+", type=int, choices=COPIES, default=COPIES, help="numbers of candidates and of standbys")
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES, help="of batches of jobs")
    parser.add_argument("--runs", type=int, default=5, help="passes of the batches, if there is time (5); short ones have 3 runs in each")
    parser.add_argument("--creations", nargs="+", type=int, default=CREATIONS, help="sizes of batches of creations")
    parser.add_argument("--failovers", type=int, default=3, help="how many (3)")
    parser.add_argument("--load", type=float, default=20, help="jobs a second before a failover (20)")
    parser.add_argument("--seconds", type=float, default=8, help="how long before a failover (8)")
    parser.add_argument("--equipped", action="store_true", help="the nodes have CouchDB already, from a run before on the same lab")
    parser.add_argument("--output", type=Path, default=ROOT / "docs", help="where results go")
    return parser.parse_args()


def main() -> int:
    """Measure and write."""
    asked = arguments()
    asked.sizes.sort()
    release = os.environ.get("COUCHDB_RELEASE", "")
    if not Path(release, "releases").is_dir():
        raise SystemExit("COUCHDB_RELEASE names no release of real CouchDB: figures are not made with the tests' stand-in.")
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(143))
    command = shlex.join(["make", "bench-storage-lab", *(["BENCH=" + shlex.join(sys.argv[1:])] if sys.argv[1:] else [])])
    begun = time.monotonic()
    with alone():
        load = machine("").load
        cluster = Cluster()
        try:
            cluster.enlarge()
            cluster.tidy()
            if not asked.equipped:
                cluster.equip()
            where = machine(cluster.versions())._replace(load=load)
            print(f"The cluster is ready after {time.monotonic() - begun:.0f} s.", flush=True)

            before, old = read_json(asked.output, asked.only) if asked.add else (Found([], [], [], [], []), Head("", 0.0, where, {}))
            commands = "`, `".join(filter(None, [old.command, command]))

            def keep(found: Found, notes: dict[str, list[str]]) -> None:
                head, words = Head(commands, old.seconds + time.monotonic() - begun, where, {**old.notes, **notes}), verdicts(found)
                asked.output.mkdir(parents=True, exist_ok=True)
                write_json(asked.output, found, head, words)
                (asked.output / "bench-storage-lab.md").write_text(storage_lab_tables.markdown(found, head, words))
                storage_lab_plot.plot(found, asked.output / "bench-storage-lab.svg")

            asked.minutes -= (time.monotonic() - begun) / 60
            bench = Bench(cluster, asked, before, keep)
            bench.run()
        finally:
            cluster.close()
    print(f"Results are in {asked.output}/bench-storage-lab.*; alpha has all of the lab's nodes now: `make lab-destroy lab` makes the lab anew.")
    for failure in bench.failures:
        print(f"FAILED: {failure}", file=sys.stderr)
    return 1 if bench.failures else 0


if __name__ == "__main__":
    sys.exit(main())
