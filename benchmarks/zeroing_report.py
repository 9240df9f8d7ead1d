# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What bench_zeroing.py found: as JSON, as tables in Markdown, as a plot."""

from __future__ import annotations

import dataclasses
import json
import statistics
import typing as t
from pathlib import Path

from ..plugins.module_utils.zeroing import choose
from .report import Machine, made

PLAIN, SKIPPED = "as it is", "skip_free_space"
DISCARDED, WRITTEN = "zero_free_space, by discarding", "zero_free_space, by writing"
MIB = 1024 * 1024
GIGABIT = 125_000_000
"""Bytes a second."""
MOST = 1.02
"""How many times the used blocks a move that skips what is free may send."""
COLOURS = {"zeroing": "#ff7f0e", "copy": "#1f77b4", "all else": "#c7c7c7"}
SHARED = "**Other work ran on the machine meanwhile**: seconds are longer than they need be, and compare two ways only roughly. Bytes are not touched by that."


@dataclasses.dataclass
class Run:
    """One move: seconds and bytes, and MiB that disks take."""

    seconds: float
    copy: float
    zeroing: float
    down_before: float
    """Seconds in which the instance's own system did not run for the zeroing."""
    down: float
    """For the copy."""
    payload: int
    wire: int
    allocated: float
    """At the destination; *left* is at the source afterwards."""
    left: float

    @property
    def around(self) -> float:
        """Seconds without the copy; the zeroing is among them."""
        return self.seconds - self.copy

    @property
    def down_in_all(self) -> float:
        """Seconds in which the instance's own system did not run."""
        return self.down_before + self.down

    @property
    def copy_at_gigabit(self) -> float:
        """Seconds that what was sent takes at 1 Gbit/s."""
        return self.wire / GIGABIT

    @property
    def at_gigabit(self) -> float:
        """Seconds in all, computed."""
        return self.around + self.copy_at_gigabit

    @property
    def down_at_gigabit(self) -> float:
        """Seconds of downtime, computed."""
        return self.down_in_all - self.copy + self.copy_at_gigabit


@dataclasses.dataclass
class Row:
    """The moves in one way."""

    way: str
    runs: list[Run] = dataclasses.field(default_factory=list)

    def median(self, field: str) -> float:
        """The median of something that a run has."""
        return float(statistics.median(getattr(run, field) for run in self.runs))


class Head(t.NamedTuple):
    """What was measured, on what: MiB of the disk, bytes in used blocks, MiB that were allocated, and how many files there were."""

    command: str
    took: int
    shared: bool
    machine: Machine
    size: int
    used: int
    allocated: float
    files: int


def markdown(rows: t.Sequence[Row], head: Head) -> str:
    """All tables."""
    lines = [
        "# Free space: moved as it is, given back before, or left out", "",
        made(head.command, head.took),
        head.machine.line("All nodes are containers on it"), *[SHARED] * head.shared, "",
        *subject(len(rows[0].runs), head), "",
        "![What is sent and how long it takes, as a plot](bench-zeroing.svg)", "",
        *sent(rows, head), "", *measured(rows), "", *computed(rows), "", "## What was aimed at", "", *targets(rows, head), "",
    ]  # fmt: skip
    return "\n".join(lines)


def subject(count: int, head: Head) -> list[str]:
    """What is moved, and how often."""
    moves = "one move" if count == 1 else f"medians of {count} moves"
    used = f"{head.used / MIB:.0f} MiB, {head.used / MIB / head.size:.0%} of the disk"
    return [
        f"A running KVM instance, under software emulation, with one disk of {head.size} MiB in a file, is moved from Ganeti 3.0 to 3.1. On the disk is",
        "an aged ext4: files of 4 KiB to 4 MiB filled it to 85 %, most were removed by chance, and others were written into the gaps, so that free",
        f"blocks are scattered and hold what was deleted. {head.files} files are left; used blocks are {used}, and {head.allocated:.0f} MiB",
        f"were allocated for it. Always the same bytes; {moves} in each way. After each, `e2fsck` has found the file system at the destination",
        "whole, and a digest of all files was the source's.",
    ]


def sent(rows: t.Sequence[Row], head: Head) -> list[str]:
    """The table of bytes."""
    lines = [
        "## What is sent", "",
        "| way | MiB sent | times the used blocks | MiB taken at the destination | at the source afterwards |", "|---|---:|---:|---:|---:|",
    ]  # fmt: skip
    for row in rows:
        wire = row.median("wire")
        lines.append(f"| {row.way} | {wire / MIB:.0f} | {wire / head.used:.3f} | {row.median('allocated'):.0f} | {row.median('left'):.0f} |")
    return lines


def seconds(rows: t.Sequence[Row], *fields: str) -> list[str]:
    """The lines of a table of such fields."""
    return [f"| {row.way} | {' | '.join(f'{row.median(field):.1f}' for field in fields)} |" for row in rows]


def measured(rows: t.Sequence[Row]) -> list[str]:
    """The table of seconds."""
    lines = [
        "## Seconds, as measured", "",
        "*In all* is the whole command. *Down* is what the nodes see: how long the instance's own system was not running, for the zeroing (in which the",
        "helper runs in its place) and for the copy. Both nodes are on one machine, with no limit to what goes between them.", "",
        "| way | in all | zeroing | copy | down for the zeroing | down for the copy |", "|---|---:|---:|---:|---:|---:|",
    ]  # fmt: skip
    return lines + seconds(rows, "seconds", "zeroing", "copy", "down_before", "down")


def computed(rows: t.Sequence[Row]) -> list[str]:
    """The table of seconds at 1 Gbit/s."""
    lines = [
        "## Seconds at 1 Gbit/s, computed", "",
        "What was measured, with the copy's seconds replaced by the bytes sent over 125 MB a second. So nothing but the network limits the copy here,",
        "and what TCP adds to the bytes is left out, both to the advantage of the move as it is.", "",
        "| way | in all | copy | down |", "|---|---:|---:|---:|",
    ]  # fmt: skip
    return lines + seconds(rows, "at_gigabit", "copy_at_gigabit", "down_at_gigabit")


def targets(rows: t.Sequence[Row], head: Head) -> list[str]:
    """What was aimed at, whether it was reached, and what decides that."""
    found = {row.way: row for row in rows}
    lines, reasons = ["| aim | figure | |", "|---|---|---|"], []
    if SKIPPED in found:
        ratio = found[SKIPPED].median("wire") / head.used
        lines.append(f"| `skip_free_space` sends at most {MOST} times the used blocks | {ratio:.3f} | {judged(ratio <= MOST)} |")
    for way in (DISCARDED, WRITTEN):
        aim, row, plain = f"{way}, with the move, is sooner than the move as it is, at 1 Gbit/s", found.get(way), found.get(PLAIN)
        if row and plain:
            times = [each.median("at_gigabit") for each in (row, plain)]
            lines.append(f"| {aim} | {times[0]:.1f} s, {times[1]:.1f} s | {judged(times[0] < times[1])} |")
            reasons += ["", why(plain, row)]
        else:
            lines.append(f"| {aim} | | not measured: there was no move in this way that came to its end |")
    return lines + reasons


def judged(reached: bool) -> str:
    """Whether a target was reached."""
    return "met" if reached else "missed"


def why(plain: Row, row: Row) -> str:
    """What decides whether a zeroing pays."""
    spent, less = row.median("zeroing"), plain.median("copy_at_gigabit") - row.median("copy_at_gigabit")
    more, spared = row.median("around") - plain.median("around"), round(less * GIGABIT)
    lines = [
        f"*{row.way}*: the zeroing takes {spent:.1f} s, and takes {less:.1f} s from the copy at 1 Gbit/s. All that is around the copy took",
        f"{more:.1f} s more than in the move as it is. A zeroing of {spent:.1f} s pays at 1 Gbit/s where it spares the copy more than",
        f"{spent * GIGABIT / MIB:.0f} MiB; here it was {spared / MIB:.0f} MiB.",
    ]
    if row.way == DISCARDED:
        reckoned = choose.seconds(spared)
        compared = "more" if reckoned > less else "less"
        lines.append(f"`zero_free_space: auto` reckons with {reckoned:.0f} s for as much, which is {compared} than it spares at 1 Gbit/s.")
    return "\n".join(lines)


def plot(rows: t.Sequence[Row], head: Head, path: Path) -> None:
    """What is sent, and where the seconds go, as measured and at 1 Gbit/s."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "bench-zeroing"
    from matplotlib import pyplot

    figure, (bytes_sent, seconds, gigabit) = pyplot.subplots(1, 3, figsize=(13, 3.4), sharey=True)
    bars = bytes_sent.barh(range(len(rows)), [row.median("wire") / MIB for row in rows], 0.6, color=COLOURS["copy"])
    bytes_sent.bar_label(bars, [f"{row.median('wire') / MIB:.0f}" for row in rows], padding=3, fontsize=8)
    bytes_sent.axvline(head.used / MIB, color="#000000", linewidth=0.8, linestyle=":", label="used blocks")
    bytes_sent.legend(frameon=False, fontsize=8, loc="lower right")
    bytes_sent.set_title("MiB sent", fontsize=10)
    stacked(seconds, rows, "copy", "down_in_all")
    seconds.set_title("seconds, as measured", fontsize=10)
    stacked(gigabit, rows, "copy_at_gigabit", "down_at_gigabit")
    gigabit.set_title("seconds at 1 Gbit/s, computed", fontsize=10)
    bytes_sent.set_yticks(range(len(rows)), [row.way.replace(", ", ",\n") for row in rows], fontsize=8)
    bytes_sent.invert_yaxis()
    for axis, room in ((bytes_sent, 0.2), (seconds, 0.45), (gigabit, 0.45)):
        axis.margins(x=room)
        axis.spines[["top", "right"]].set_visible(False)
    handles, names = seconds.get_legend_handles_labels()
    handles, names = zip(*dict(zip(names, zip(handles, names))).values())
    figure.legend(handles, names, frameon=False, fontsize=8, ncols=4, loc="lower center")
    figure.tight_layout(rect=(0, 0.08, 1, 1))
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    pyplot.close(figure)


def stacked(axis: t.Any, rows: t.Sequence[Row], copy: str, down: str) -> None:
    """A bar for each way, of what its seconds are for, and a line below for those in which the instance is down."""
    for place, row in enumerate(rows):
        parts = {"zeroing": row.median("zeroing"), "copy": row.median(copy), "all else": row.median("around") - row.median("zeroing")}
        left = 0.0
        for name, value in parts.items():
            axis.barh(place, value, 0.6, left, color=COLOURS[name], label=name)
            left += value
        axis.barh(place + 0.38, row.median(down), 0.08, color="#000000", label="down")
        axis.text(left, place, f" {left:.1f}, down {row.median(down):.1f}", va="center", fontsize=8)


def redraw(directory: Path) -> None:
    """Draw the plot anew from the results that are there."""
    data = json.loads((directory / "bench-zeroing.json").read_text())
    rows = [Row(row["way"], [Run(**run) for run in row["runs"]]) for row in data.pop("results") if row["runs"]]
    plot(rows, Head(**{**data, "machine": Machine(**data["machine"])}), directory / "bench-zeroing.svg")


def write(directory: Path, rows: t.Sequence[Row], head: Head) -> None:
    """Write the three files; tables and plot have the ways that were measured."""
    directory.mkdir(parents=True, exist_ok=True)
    data = {**head._asdict(), "machine": head.machine._asdict(), "results": [dataclasses.asdict(row) for row in rows]}
    (directory / "bench-zeroing.json").write_text(json.dumps(data, indent=1) + "\n")
    if shown := [row for row in rows if row.runs]:
        (directory / "bench-zeroing.md").write_text(markdown(shown, head))
        plot(shown, head, directory / "bench-zeroing.svg")
