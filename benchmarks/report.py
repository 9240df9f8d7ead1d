# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What bench_move.py found: as JSON, as tables in Markdown, as a plot."""

from __future__ import annotations

import dataclasses
import json
import statistics
import time
import typing as t
from pathlib import Path

DISKS = {"sparse": "8 GiB with 1 GiB of files", "full": "2 GiB full of files", "random": "2 GiB of random bytes"}
COLOURS = {"stream": "#1f77b4", "ganeti": "#d62728", "nbdcopy": "#2ca02c", "cp": "#7f7f7f"}
FAMILIES = {"stream": "this collection's stream", "ganeti": "Ganeti's pipeline", "nbdcopy": "nbdcopy", "cp": "cp on one node, without a network"}
"""What the legend says of each colour."""


@dataclasses.dataclass
class Row:
    """The runs of one contender on one disk."""

    place: str
    network: str
    disk: str
    contender: str
    family: str
    tool: str
    source_allocated: float
    """MiB, as *allocated* is for the copy."""
    seconds: list[float] = dataclasses.field(default_factory=list)
    allocated: float | None = None
    verified: bool = False
    failure: str | None = None
    commands: list[str] = dataclasses.field(default_factory=list)

    @property
    def median(self) -> float | None:
        """The median of all runs, in seconds."""
        return statistics.median(self.seconds) if self.seconds else None

    def title(self) -> str:
        """All that tells it from others."""
        return f"{self.place}, {self.network}, {self.disk}, {self.contender}"


class Machine(t.NamedTuple):
    """What was measured on; memory in MiB."""

    cores: int
    model: str
    memory: int
    kernel: str
    versions: str
    load: float

    def line(self, what: str = "Both nodes are containers on it") -> str:
        """For the head of a table; *what* it is that shares the machine."""
        return (
            f"{self.cores} cores of {self.model}, {self.memory / 1024:.0f} GiB of memory, {self.kernel}, load {self.load:.1f} at the beginning. "
            f"{what} and share its cores. {self.versions}."
        )


Group = t.Tuple[str, str, str]


def groups(rows: t.Iterable[Row]) -> dict[Group, list[Row]]:
    """Rows by place, network and disk."""
    found: dict[Group, list[Row]] = {}
    for row in rows:
        found.setdefault((row.place, row.network, row.disk), []).append(row)
    return found


def heading(place: str, network: str) -> str:
    """What a place and a network are called."""
    return ("tmpfs" if place == "tmpfs" else "the nodes' disk, with fsync") + f", network {network}"


def references(rows: list[Row]) -> tuple[float | None, float | None]:
    """Ganeti's medians: without a tool, and the best of all tools."""
    ganeti = {row.tool: row.median for row in rows if row.family == "ganeti" and row.median}
    return ganeti.get("none"), min(ganeti.values(), default=None)


def table(rows: list[Row]) -> list[str]:
    """The table of a group, the fastest first."""
    lines = [
        "| | median s | least to most s (runs) | times as fast as Ganeti without a tool | times as fast as Ganeti's best | allocated MiB |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    bases = references(rows)
    for row in sorted(rows, key=lambda each: each.median or float("inf")):
        if row.median is None:
            lines.append(f"| {row.contender} | failed | | | | |")
            continue
        ratios = " | ".join(f"{base / row.median:.2f}" if base else "" for base in bases)
        spread = f"{min(row.seconds):.2f} to {max(row.seconds):.2f} ({len(row.seconds)})"
        failed = " (failed once)" if row.failure else ""
        lines.append(f"| {row.contender}{failed} | {row.median:.2f} | {spread} | {ratios} | {row.allocated:.0f} |")
    return lines


def made(command: str, seconds: float) -> str:
    """The sentence that says by what results were made, when, and how long it took."""
    minutes = max(1, round(seconds / 60))
    return f"Made by `{command}` on {time.strftime('%d %B %Y', time.gmtime())} in {minutes} minute{'s' if minutes > 1 else ''}."


def markdown(rows: list[Row], machine: Machine, command: str, quick: bool, seconds: float) -> str:
    """All tables."""
    lines = ["# Moving a disk: this stream, Ganeti's pipeline, nbdcopy and cp", ""]
    if quick:
        lines += ["**Made with --quick: the disks are a small part of what is said here, and the figures mean nothing.**", ""]
    lines += [
        made(command, seconds),
        machine.line(), "",
        "Seconds from the start of the first process, over SSH, to the copy on stable storage. Contenders took turns; copies were compared",
        "with their sources. `stream` is this collection's, with mutual TLS 1.3 and checksums. `ganeti` is the pipeline that the installed",
        "Ganeti builds, its magic and dd included, with a certificate of the name that it wrongly expects; its daemons' polling is not counted.",
        "`nbdcopy` sends to nbdkit over mutual TLS and 4 connections, to a disk known to be empty. `cp` is the floor: one node, no network.",
        "", "![The medians as a plot](bench-move.svg)", "",
    ]  # fmt: skip
    for (place, network, disk), group in groups(rows).items():
        lines += [f"## {DISKS[disk]}, {heading(place, network)}", "", f"The source takes {group[0].source_allocated:.0f} MiB.", "", *table(group), ""]
    return "\n".join([*lines, *commands(rows)])


def commands(rows: list[Row]) -> list[str]:
    """What each contender ran, on the first disk that it had."""
    lines = ["## Commands", ""]
    seen = set()
    for row in rows:
        if row.contender not in seen:
            seen.add(row.contender)
            lines += [f"`{row.contender}`", "", "```", *row.commands, "```", ""]
    return lines


def plot(rows: list[Row], path: Path, quick: bool) -> None:
    """Bars: a row of panels for each place and network, a column for each disk."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "bench-move"
    from matplotlib import pyplot

    lines = list(dict.fromkeys((row.place, row.network) for row in rows))
    disks = [disk for disk in DISKS if any(row.disk == disk for row in rows)]
    # Each line is as high as it has contenders, so that all bars are of one thickness.
    names = [sorted({row.contender for row in rows if (row.place, row.network) == line}, key=order) for line in lines]
    heights = [len(each) + 2.5 for each in names]
    figure, axes = pyplot.subplots(
        len(lines), len(disks), figsize=(1.5 + 4.3 * len(disks), 0.27 * sum(heights) + 0.6), squeeze=False, gridspec_kw={"height_ratios": heights}
    )
    found = groups(rows)
    for across, line, shown in zip(axes, lines, names):
        for axis, disk in zip(across, disks):
            panel(axis, found.get((*line, disk), []), shown)
            axis.set_title(f"{DISKS[disk]}\n{heading(*line)}", fontsize=9)
            if axis is not across[0]:
                axis.set_yticklabels([])
    figure.suptitle("Seconds to copy a disk, medians; shorter is better" + (" (--quick: means nothing)" if quick else ""), fontsize=11, y=0.997)
    for axis in axes[-1]:
        axis.set_xlabel("seconds", fontsize=8)
    keys = [pyplot.Rectangle((0, 0), 1, 1, color=colour) for colour in COLOURS.values()]
    keys.append(pyplot.Line2D([], [], color=COLOURS["ganeti"], linewidth=0.8, linestyle=":"))
    figure.legend(keys, [*FAMILIES.values(), "Ganeti's best"], loc="upper center", bbox_to_anchor=(0.5, 0.98), ncols=5, fontsize=8, frameon=False)
    figure.tight_layout(rect=(0, 0, 1, 0.965))
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def order(contender: str) -> tuple[int, str]:
    """Where a contender stands in all panels: by family, without a tool first."""
    family, _space, tool = contender.partition(" ")
    return list(COLOURS).index(family), "" if tool == "none" else tool


def panel(axis: t.Any, rows: list[Row], names: list[str]) -> None:
    """The bars of one group, and a line where Ganeti's best is."""
    medians = {row.contender: row.median for row in rows}
    values = [medians.get(name) or 0.0 for name in names]
    bars = axis.barh(names, values, color=[COLOURS[name.split()[0]] for name in names])
    axis.bar_label(bars, [f"{value:.1f}" if value else "-" for value in values], padding=3, fontsize=8)
    best = references(rows)[1]
    if best:
        axis.axvline(best, color=COLOURS["ganeti"], linewidth=0.8, linestyle=":")
    axis.invert_yaxis()
    axis.margins(x=0.14)
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)


def redraw(directory: Path) -> None:
    """Draw the plot anew from the results that are there."""
    data = json.loads((directory / "bench-move.json").read_text())
    rows = [Row(**{name: value for name, value in row.items() if name != "median"}) for row in data["results"]]
    plot(rows, directory / "bench-move.svg", data["quick"])


def write(directory: Path, rows: list[Row], machine: Machine, command: str, quick: bool, seconds: float) -> None:
    """Write the three files."""
    directory.mkdir(parents=True, exist_ok=True)
    data = {"command": command, "quick": quick, "took": round(seconds), "machine": machine._asdict()}
    results = [{**dataclasses.asdict(row), "median": row.median} for row in rows]
    (directory / "bench-move.json").write_text(json.dumps({**data, "results": results}, indent=1) + "\n")
    (directory / "bench-move.md").write_text(markdown(rows, machine, command, quick, seconds))
    if rows:
        plot(rows, directory / "bench-move.svg", quick)
