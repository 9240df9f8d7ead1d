# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What bench_storage_lab.py found: as rows, and as JSON."""

from __future__ import annotations

import json
import statistics
import typing as t
from pathlib import Path

from nodes import report

PARTS = {"submission": ("batches", "behind", "processors"), "creation": ("creations",), "failover": ("failovers",)}
"""The parts of the measurement, and what each of them finds."""
FILE = "bench-storage-lab.json"


class Batch(t.NamedTuple):
    """One batch of jobs: where they are stored, how many candidates or standbys there are, and the seconds of submitting."""

    storage: str
    copies: int
    jobs: int
    seconds: float


class Behind(t.NamedTuple):
    """How long after its acknowledgement a job was on a standby, in seconds; how many never were."""

    standbys: int
    jobs: int
    rate: float
    missing: int
    median: float
    most99: float
    most: float


class Processors(t.NamedTuple):
    """The processors' time that submitting a batch took, until all was on the standbys: seconds by program."""

    storage: str
    copies: int
    jobs: int
    programs: dict[str, float]

    def each(self) -> float:
        """Milliseconds a job, in all."""
        return 1000 * sum(self.programs.values()) / self.jobs


class Creation(t.NamedTuple):
    """A batch of instance creations: means of the phases of a job, and the whole; all in seconds."""

    storage: str
    copies: int
    jobs: int
    queued: float
    waiting: float
    running: float
    whole: float
    submitted: float


class Lost(t.NamedTuple):
    """A job that was acknowledged and is not there any more: how many seconds before the kill that was."""

    token: str
    before: float


class Failover(t.NamedTuple):
    """The master died: seconds until the new one accepted a job, what the module says of itself, and what became of jobs."""

    old: str
    new: str
    seconds: float
    module: float
    steps: dict[str, float]
    acknowledged: int
    lost: list[Lost]


class Head(t.NamedTuple):
    """How the results came to be."""

    command: str
    seconds: float
    machine: report.Machine
    notes: dict[str, list[str]]
    """What was left out, by part."""


class Found(t.NamedTuple):
    """All that was measured so far."""

    batches: list[Batch]
    behind: list[Behind]
    processors: list[Processors]
    creations: list[Creation]
    failovers: list[Failover]

    def rates(self, storage: str, copies: int, jobs: int) -> list[float]:
        """Jobs a second, of each run of these batches."""
        return [each.jobs / each.seconds for each in self.batches if (each.storage, each.copies, each.jobs) == (storage, copies, jobs)]

    def rate(self, storage: str, copies: int, jobs: int) -> float | None:
        """The median of these."""
        rates = self.rates(storage, copies, jobs)
        return statistics.median(rates) if rates else None

    def sizes(self) -> list[int]:
        """Of batches of jobs."""
        return sorted({each.jobs for each in self.batches})

    def contenders(self) -> list[tuple[str, int]]:
        """Storage and copies, disk first."""
        return sorted({(each.storage, each.copies) for each in self.batches}, key=lambda each: (each[0] != "disk", each[1]))


def write_json(directory: Path, found: Found, head: Head, verdicts: list[str]) -> None:
    """The raw results."""
    data = {
        **head._asdict(),
        "machine": head.machine._asdict(),
        "targets": verdicts,
        "batches": [each._asdict() for each in found.batches],
        "behind": [each._asdict() for each in found.behind],
        "processors": [each._asdict() for each in found.processors],
        "creations": [each._asdict() for each in found.creations],
        "failovers": [{**each._asdict(), "lost": [lost._asdict() for lost in each.lost]} for each in found.failovers],
    }
    (directory / FILE).write_text(json.dumps(data, indent=1) + "\n")


def read_json(directory: Path, without: t.Collection[str]) -> tuple[Found, Head]:
    """Results of before, without those of some parts."""
    data = json.loads((directory / FILE).read_text())
    rows = {kind: [] if part in without else data[kind] for part, kinds in PARTS.items() for kind in kinds}
    failovers = [Failover(**{**each, "lost": [Lost(**lost) for lost in each["lost"]]}) for each in rows["failovers"]]
    found = Found(
        [Batch(**each) for each in rows["batches"]],
        [Behind(**each) for each in rows["behind"]],
        [Processors(**each) for each in rows["processors"]],
        [Creation(**each) for each in rows["creations"]],
        failovers,
    )
    notes = {part: lines for part, lines in data["notes"].items() if part not in without}
    return found, Head(data["command"], data["seconds"], report.Machine(**data["machine"]), notes)
