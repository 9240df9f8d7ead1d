# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What bench_storage.py found: as JSON, as tables in Markdown, as a plot."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

from nodes import report


class Recorded(t.NamedTuple):
    """What it took to record the change of one instance: bytes written, medians of seconds, and of those in the server; the file's size in bytes."""

    way: str
    size: int
    written: int
    seconds: float
    server: float | None


WAYS = ("replication", "push")
"""How jobs come to the standbys: by CouchDB's replicator alone, or by the service, with the replicator beside it."""


class Lag(t.NamedTuple):
    """How long jobs took from their file to both standbys, in seconds; jobs a second asked for and reached, and how many never arrived.

    And what a job took of the processors, in milliseconds: in the master's server, and in a standby's.
    """

    way: str
    asked: int
    reached: float
    jobs: int
    missing: int
    median: float
    most99: float
    most: float
    own: float
    standby: float


class Head(t.NamedTuple):
    """How the results came to be."""

    command: str
    seconds: float
    machine: report.Machine


def markdown(recorded: list[Recorded], lags: list[Lag], head: Head) -> str:
    """All tables."""
    pairs = [(one, next(each for each in recorded if each.way == "couchdb" and each.size == one.size)) for one in recorded if one.way == "disk"]
    lines = [
        "# Configuration and jobs in CouchDB", "",
        report.made(head.command, head.seconds),
        head.machine.line("Three servers, the service and what writes the files are on it"), "",
        "![The figures as a plot](bench-storage.svg)", "",
        "## Recording the change of one instance", "",
        "Medians of 20 changes. `disk` writes the whole file, compact, to stable storage, as Ganeti does; copies to master candidates are not in it.",
        "`couchdb` is the service's part, as the user of its claim: it reads of the file what differs from the last text, and has that in the database, two",
        "documents on stable storage. The thesis (figures 5.7 to 5.9) has the same of its own Ganeti, which wrote documents instead of the file, and CouchDB",
        "1: the file's cost grows with its size, that of documents does not; at 2 MB it is 5 times as fast. Here Ganeti writes its file in any case, and what",
        "grows with the size of the service's part is comparing the texts; what the database is told, and how long it takes, does not.", "",
        "| size of the file | disk: bytes | disk: ms | couchdb: bytes | couchdb: ms | of that, in the server: ms | bytes, disk to couchdb |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]  # fmt: skip
    lines += [
        f"| {disk.size / 1e6:.1f} MB | {disk.written} | {disk.seconds * 1000:.1f} | {couch.written} | {couch.seconds * 1000:.1f} "
        f"| {(couch.server or 0) * 1000:.1f} | {disk.written / couch.written:.0f} |"
        for disk, couch in pairs
    ]
    lines += [
        "", "## How far standbys are behind", "",
        "Job files written at a rate for 10 seconds; a Ganeti without other master candidates takes 200 jobs a second at most. Milliseconds from the file on",
        "the master to the document on both of two standbys, and of processor time that a job takes in the master's CouchDB and in a standby's.",
        "`replication` is CouchDB's continuous replication alone. `push` is the service, which writes to all servers itself, with the same replications",
        "beside it. Each rate was measured in both ways, one after the other.", "",
        "| jobs a second | way | jobs | never arrived | median | 99th percentile | most | processor: master's | processor: a standby's |",
        "|---:|:---|---:|---:|---:|---:|---:|---:|---:|",
    ]  # fmt: skip
    for each in lags:
        times = " | ".join(f"{1000 * value:.0f}" for value in (each.median, each.most99, each.most))
        lines.append(f"| {each.reached:.0f} | {each.way} | {each.jobs} | {each.missing} | {times} | {each.own:.1f} | {each.standby:.1f} |")
    lines += ["", _verdict(lags), ""]
    return "\n".join(lines)


def _verdict(lags: list[Lag]) -> str:
    """How much earlier jobs are there with the one way than with the other, by the rate."""
    by = {(each.way, each.asked): each.median for each in lags}
    rates = sorted({each.asked for each in lags})
    ratios = ", ".join(f"{by['replication', rate] / by['push', rate]:.1f} times at {rate}" for rate in rates)
    return f"With `push` the median job is there in a fraction of the time, at these jobs a second: {ratios}."


def plot(recorded: list[Recorded], lags: list[Lag], path: Path) -> None:
    """Time and bytes by size; lag by rate."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "bench-storage"
    from matplotlib import pyplot

    figure, (times, sizes, late) = pyplot.subplots(1, 3, figsize=(12, 3.6))
    for way, colour in (("disk", "#d62728"), ("couchdb", "#1f77b4")):
        rows = [each for each in recorded if each.way == way]
        megabytes = [each.size / 1e6 for each in rows]
        times.plot(megabytes, [each.seconds * 1000 for each in rows], "o-", color=colour, label=way)
        if way == "couchdb":
            times.plot(megabytes, [(each.server or 0) * 1000 for each in rows], "s--", color=colour, label="couchdb, in the server")
        sizes.plot(megabytes, [each.written / 1000 for each in rows], "o-", color=colour, label=way)
    sizes.set_yscale("log")
    times.set_ylim(bottom=0)
    for axis, title, unit in ((times, "time to record one change", "ms"), (sizes, "written for one change", "KB")):
        axis.set_xlabel("size of the configuration, MB")
        axis.set_ylabel(f"{unit}; lower is better")
        axis.set_title(title, fontsize=10)
        axis.legend(frameon=False)
    for way, colour in zip(WAYS, ("#7f7f7f", "#1f77b4")):
        found = [each for each in lags if each.way == way]
        reached = [each.reached for each in found]
        late.plot(reached, [1000 * each.median for each in found], "o-", color=colour, label=f"{way}: median")
        late.plot(reached, [1000 * each.most99 for each in found], "s--", color=colour, label=f"{way}: 99th percentile")
    late.set_ylim(0, 1500 * max(each.most99 for each in lags))  # with room for the legend
    late.set_xlabel("jobs a second")
    late.set_ylabel("ms; lower is better")
    late.set_title("until a job is on two standbys", fontsize=10)
    late.legend(frameon=False, loc="upper left")
    for axis in (times, sizes, late):
        axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    pyplot.close(figure)


def redraw(directory: Path) -> None:
    """Draw the plot anew from the results that are there."""
    data = json.loads((directory / "bench-storage.json").read_text())
    plot([Recorded(**each) for each in data["recorded"]], [Lag(**each) for each in data["lags"]], directory / "bench-storage.svg")


def write(directory: Path, recorded: list[Recorded], lags: list[Lag], head: Head) -> None:
    """Write the three files."""
    data = {**head._asdict(), "machine": head.machine._asdict(), "recorded": [each._asdict() for each in recorded], "lags": [each._asdict() for each in lags]}
    (directory / "bench-storage.json").write_text(json.dumps(data, indent=1) + "\n")
    (directory / "bench-storage.md").write_text(markdown(recorded, lags, head))
    plot(recorded, lags, directory / "bench-storage.svg")
