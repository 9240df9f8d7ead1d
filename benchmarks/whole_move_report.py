# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What bench_whole_move.py found, as JSON and as tables in Markdown."""

from __future__ import annotations

import dataclasses
import json
import statistics
import typing as t
from pathlib import Path

from .report import Machine, made

BEGINNING, END = "Ansible's start, connections, lease, first look", "Ansible's end"
TARGETS = {1: (10.0, 2.5), 923: (13.0, None)}
"""Seconds in all and of downtime that are aimed at with so many MiB; the second one's downtime is the copy and 2.5 seconds."""
AROUND = 2.5
REASONS = (
    "What is around the copy are jobs of Ganeti's, each of which has to have ended before the next one may be sent, as what it found decides: create and",
    "fence the copy; stop and fence the source; release and start the copy; commit; tidy. Within a cluster, a name and addresses change hands as well.",
    "Ganeti starts a process for each job and distributes its configuration for each change, on two cores that all nodes of the lab share. What belongs",
    "together is one job already, and what may go on at the same time does. A way with fewer jobs that keeps the guarantees was not found, so the targets",
    "are missed.",
)


@dataclasses.dataclass
class Run:
    """One move."""

    seconds: float
    downtime: float
    steps: dict[str, float]
    """Seconds by step, where that is known."""


@dataclasses.dataclass
class Row:
    """The moves of one kind."""

    way: str
    how: str
    mebibytes: int
    runs: list[Run] = dataclasses.field(default_factory=list)

    def median(self, field: str) -> float:
        """The median of *seconds* or *downtime*."""
        return statistics.median(getattr(run, field) for run in self.runs)


def steps(journal: t.Sequence[t.Mapping[str, t.Any]], begun: float, seconds: float) -> dict[str, float]:
    """Where each second went, by the times in a move's journal; what was before its first step and after its last is Ansible's and ours to begin with."""
    marks = [(entry["step"], entry["time"]) for entry in journal if entry["step"] not in ("begin", "verified")]
    found = {BEGINNING: marks[0][1] - begun}
    for (name, since), (_next, until) in zip(marks, [*marks[1:], ("", 0.0)]):
        if until:
            found[name] = found.get(name, 0.0) + until - since
    found[END] = begun + seconds - marks[-1][1]
    return {name: round(value, 2) for name, value in found.items()}


def markdown(rows: t.Sequence[Row], machine: Machine, command: str, seconds: float) -> str:
    """All tables."""
    lines = [
        "# A whole move, from the command to its end", "",
        made(command, seconds),
        machine.line("All nodes are containers on it"), "",
        f"An instance of the hypervisor `fake` with one disk of 1 GiB in a file, with random bytes on it. Medians of {len(rows[0].runs)} moves; the ways",
        "took turns. *Seconds* are those of the whole command: `ansible localhost -m ganeti.cluster.instance_move`, or `gnt-instance move` through",
        "SSH. *Down* is what the nodes see: from the end of the instance on the one node to its start on the other.", "",
        "![Where each second goes, as a plot](bench-whole-move.svg)", "",
        "| data | way | seconds | least to most | down | least to most |", "|---:|---|---:|---:|---:|---:|",
    ]  # fmt: skip
    for row in rows:
        if row.runs:
            shown = [f"{row.median(field):.1f} | {spread(row, field)}" for field in ("seconds", "downtime")]
            lines.append(f"| {row.mebibytes} MiB | {row.way} | {' | '.join(shown)} |")
    lines += ["", *targets(rows), "", *REASONS]
    for row in rows:
        if any(run.steps for run in row.runs):
            lines += ["", f"## Where each second goes: {row.way}, {row.mebibytes} MiB", "", *where(row)]
    return "\n".join([*lines, ""])


def spread(row: Row, field: str) -> str:
    """The least and the most."""
    values = [getattr(run, field) for run in row.runs]
    return f"{min(values):.1f} to {max(values):.1f}"


def targets(rows: t.Sequence[Row]) -> list[str]:
    """What was aimed at, and whether it was reached."""
    lines = ["| data | way | aim: seconds | median | aim: down | median |", "|---:|---|---:|---:|---:|---:|"]
    for row in rows:
        if row.how != "now" or not row.runs:
            continue
        whole, down = TARGETS[row.mebibytes]
        copy = statistics.median(run.steps.get("copy the disks", 0.0) for run in row.runs)
        limit = AROUND + copy if down is None else down
        told = f"{limit:.1f} (copy {copy:.1f} + {AROUND})" if down is None else f"{limit:.1f}"
        seen = judged(row.median("seconds"), whole), told, judged(row.median("downtime"), limit)
        lines.append(f"| {row.mebibytes} MiB | {row.way} | {whole:.0f} | {' | '.join(seen)} |")
    return lines


def judged(value: float, limit: float) -> str:
    """A figure, and whether it is within its limit."""
    return f"{value:.1f}, {'met' if value <= limit else 'missed'}"


def where(row: Row) -> list[str]:
    """The table of a way's steps, in their order."""
    names = list(dict.fromkeys(name for run in row.runs for name in run.steps))
    names = [name for name in names if name != END] + [END]
    lines = ["| step | median s |", "|---|---:|"]
    return lines + [f"| {name} | {statistics.median(run.steps.get(name, 0.0) for run in row.runs):.2f} |" for name in names]


def read(directory: Path) -> list[Row]:
    """The rows that were written."""
    data = json.loads((directory / "bench-whole-move.json").read_text())
    return [Row(**{**row, "runs": [Run(**run) for run in row["runs"]]}) for row in data["results"]]


def write(directory: Path, rows: t.Sequence[Row], machine: Machine, command: str, seconds: float) -> None:
    """Write both files."""
    data = {"command": command, "took": round(seconds), "machine": machine._asdict(), "results": [dataclasses.asdict(row) for row in rows]}
    (directory / "bench-whole-move.json").write_text(json.dumps(data, indent=1) + "\n")
    (directory / "bench-whole-move.md").write_text(markdown(rows, machine, command, seconds))
