# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What bench_ciphers.py found: as JSON, as tables in Markdown beside the figures of Ganeti's design document, as a plot."""

from __future__ import annotations

import dataclasses
import json
import statistics
import typing as t
from pathlib import Path

from nodes import report

DEFAULT = "TLS_AES_256_GCM_SHA384"
CHACHA = "TLS_CHACHA20_POLY1305_SHA256"
AES_256, AES_128, NULL = "ECDHE-ECDSA-AES256-SHA", "ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-NULL-SHA"
COLOURS = {"none": "#1f77b4", "lz4": "#ff7f0e", "lzop": "#2ca02c", "zstd": "#9467bd", "gzip-fast": "#8c564b", "gzip-slow": "#7f7f7f"}


@dataclasses.dataclass
class Row:
    """The runs of one cipher with one tool, in MiB of disk a second; the part of the disk's size that was sent."""

    hardware: bool
    cipher: str
    tool: str
    rates: list[float] = dataclasses.field(default_factory=list)
    wire: float | None = None
    failure: str | None = None

    @property
    def median(self) -> float | None:
        """The median of all runs."""
        return statistics.median(self.rates) if self.rates else None

    def title(self) -> str:
        """All that tells it from others."""
        return f"{self.cipher}{'' if self.hardware else ', no AES instructions'}, {self.tool}"


@dataclasses.dataclass
class Alone:
    """A tool or a cipher by itself, in MiB a second: into the tool, out of its reverse, how many times smaller; through the cipher."""

    kind: str
    hardware: bool
    name: str
    rate: float
    back: float | None = None
    ratio: float | None = None


class Head(t.NamedTuple):
    """How the results came to be."""

    command: str
    seconds: float
    quick: bool
    machine: report.Machine


class Comparison(t.NamedTuple):
    """A ratio that the design document reports, and the same here."""

    what: str
    document: float
    here: float | None


def comparisons(rows: list[Row], alone: list[Alone]) -> list[Comparison]:
    """What can be compared: ratios, as the document's machine was another one."""
    tool = {each.name: each for each in alone if each.kind == "tool"}
    line = {(each.name, each.hardware): each.rate for each in alone if each.kind == "cipher"}
    copied = {(row.cipher, row.hardware, row.tool): row.median for row in rows}
    pressed = {name: each.ratio for name, each in tool.items()}

    def speed(name: str) -> float | None:
        return ratio(tool[name].rate, tool["gzip-slow"].rate) if name in tool and "gzip-slow" in tool else None

    def with_tool(name: str) -> float | None:
        return ratio(copied.get((*old, name)), copied.get((*old, "none")))

    old = (AES_256, False)
    return [
        Comparison("AES-128 to AES-256, no AES instructions", 1.46, ratio(line.get((AES_128, False)), line.get(old))),
        Comparison("AES instructions to none, AES-256", 2.0, ratio(line.get((AES_256, True)), line.get(old))),
        Comparison("gzip -1 to gzip -6, speed", 44.1 / 22.3, speed("gzip-fast")),
        Comparison("lzop to gzip -6, speed", 71.9 / 22.3, speed("lzop")),
        Comparison("gzip -6, times smaller", 22.3 / 7.1, pressed.get("gzip-slow")),
        Comparison("gzip -1, times smaller", 44.1 / 15.1, pressed.get("gzip-fast")),
        Comparison("lzop, times smaller", 71.9 / 28.1, pressed.get("lzop")),
        Comparison("gzip -6 to no tool, stream with AES-256, no AES instructions", 22.3 / 40, with_tool("gzip-slow")),
        Comparison("gzip -1 to no tool, the same", 44.1 / 40, with_tool("gzip-fast")),
        Comparison("lzop to no tool, the same", 71.9 / 40, with_tool("lzop")),
    ]


def ratio(one: float | None, other: float | None) -> float | None:
    """One to the other, where both are known."""
    return one / other if one and other else None


def matrix(rows: list[Row], alone: list[Alone], hardware: bool) -> list[str]:
    """Ciphers down, tools across."""
    chosen = [row for row in rows if row.hardware == hardware]
    tools = [tool for tool in COLOURS if any(row.tool == tool for row in chosen)]
    medians = {(row.cipher, row.tool): row for row in chosen}
    line = {each.name: each.rate for each in alone if each.kind == "cipher" and each.hardware == hardware}
    base = next((row.median for row in chosen if (row.cipher, row.tool) == (DEFAULT, "none")), None)
    lines = [f"| cipher | alone, 1 connection | {' | '.join(tools)} |", "|---|---:|" + "---:|" * len(tools)]
    for cipher in dict.fromkeys(row.cipher for row in chosen):
        cells = [cell(medians.get((cipher, tool)), base) for tool in tools]
        lines.append(f"| {cipher} | {line.get(cipher, 0):.0f} | {' | '.join(cells)} |")
    return lines


def cell(row: Row | None, base: float | None) -> str:
    """A median, and how many times the default's it is."""
    if row is None:
        return ""
    if row.failure or row.median is None:
        return "failed"
    return f"{row.median:.0f} ({row.median / base:.2f})" if base else f"{row.median:.0f}"


def markdown(rows: list[Row], alone: list[Alone], head: Head) -> str:
    """All tables."""
    lines = ["# Ciphers and compression tools", ""]
    if head.quick:
        lines += ["**Made with --quick: the disk is small, and the figures mean nothing.**", ""]
    lines += [
        report.made(head.command, head.seconds),
        head.machine.line(), "",
        "MiB of disk a second that the stream of `instance_move` copies, from the start of the first process, over SSH, to the copy in memory: medians of",
        "up to three runs, all combinations in turns, on a disk of 1 GiB that is full of files, over a network that is not limited. In brackets: times the",
        f"default, {DEFAULT} without a tool. \"alone\" is what one connection carries of random bytes, with nothing else to do.",
        "", "![The medians that decide, as a plot](bench-ciphers.svg)", "",
        "## With the processor's instructions for AES", "", *matrix(rows, alone, True), "",
        "## With OpenSSL told that there are none", "", *matrix(rows, alone, False), "",
        "## The tools alone", "",
        "One process, a sample of the same disk.", "",
        "| tool | MiB/s in | MiB/s back | times smaller |", "|---|---:|---:|---:|",
        *(f"| {each.name} | {each.rate:.0f} | {each.back:.0f} | {each.ratio:.2f} |" for each in alone if each.kind == "tool"), "",
        "## Beside the design document", "",
        "Ganeti's design for faster instance moves reports figures of its time's machine: 40 MB/s of AES-256; AES-128 faster by 46 %, RC4 by 208 % (gone from",
        "OpenSSL since); gzip -6 with 22.3 MB/s in and 7.1 out, gzip -1 with 44.1 and 15.1, lzop with 71.9 and 28.1. Ratios can be compared. For AES-256 and",
        f"AES-128 this takes {AES_256} and {AES_128}; their SHA-1, which the document does not mention, narrows the gap between them.", "",
        "| | document | here |", "|---|---:|---:|",
        *(f"| {each.what} | {each.document:.2f} | {'' if each.here is None else format(each.here, '.2f')} |" for each in comparisons(rows, alone)), "",
    ]  # fmt: skip
    return "\n".join(lines)


def plot(rows: list[Row], alone: list[Alone], path: Path, quick: bool) -> None:
    """What decides, small enough for a screen: ciphers without a tool, tools with the default cipher, ratios beside the document's. The tables have all."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "bench-ciphers"
    from matplotlib import pyplot

    figure = pyplot.figure(figsize=(11.5, 6.8), layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=(1.1, 1), height_ratios=(1, 1.9))
    ciphers, tools, compared = figure.add_subplot(grid[:, 0]), figure.add_subplot(grid[0, 1]), figure.add_subplot(grid[1, 1])
    by_cipher(ciphers, [row for row in rows if row.tool == "none"])
    by_tool(tools, [row for row in rows if row.hardware and row.cipher == DEFAULT])
    ratios(compared, [each for each in comparisons(rows, alone) if each.here is not None])
    for axis in (ciphers, tools, compared):
        axis.invert_yaxis()
        axis.margins(x=0.12)
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    figure.suptitle("The stream by cipher and by compression tool" + (" (--quick: means nothing)" if quick else ""), fontsize=11)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    pyplot.close(figure)


def by_cipher(axis: t.Any, rows: list[Row]) -> None:
    """A pair of bars for each cipher, TLS 1.3 above TLS 1.2, the strongest first."""
    names = list(dict.fromkeys(row.cipher for row in rows))
    sides = ((True, -0.2, "#1f77b4", "with the processor's AES instructions"), (False, 0.2, "#ff7f0e", "without them, where measured"))
    for hardware, shift, colour, label in sides:
        chosen = [row for row in rows if row.hardware == hardware]
        places = [names.index(row.cipher) + shift for row in chosen]
        bars = axis.barh(places, [row.median or 0 for row in chosen], height=0.38, color=colour, label=label)
        axis.bar_label(bars, [f"{row.median:.0f}" if row.median else "failed" for row in chosen], padding=3, fontsize=7)
    axis.set_yticks(range(len(names)), [f"{name}\n{strength(name)}" for name in names])
    axis.set_xlabel("MiB of disk a second; longer is better", fontsize=8)
    axis.set_title("Ciphers, without a compression tool", fontsize=9)
    axis.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.3, -0.08), ncols=2, frameon=False)


def strength(cipher: str) -> str:
    """What people choose a cipher by."""
    version = "TLS 1.3" if cipher.startswith("TLS_") else "TLS 1.2"
    bits = "no encryption" if cipher == NULL else "128 bits" if "128" in cipher else "256 bits"
    return f"{version}, {bits}" + (", default" if cipher == DEFAULT else "")


def by_tool(axis: t.Any, rows: list[Row]) -> None:
    """A bar for each tool."""
    names = ["no tool" if row.tool == "none" else row.tool for row in rows]
    bars = axis.barh(names, [row.median or 0 for row in rows], color="#1f77b4")
    axis.bar_label(bars, [f"{row.median:.0f}" if row.median else "failed" for row in rows], padding=3, fontsize=7)
    axis.set_xlabel("MiB of disk a second; longer is better", fontsize=8)
    axis.set_title("Compression tools, with the default cipher", fontsize=9)


def ratios(axis: t.Any, compared: list[Comparison]) -> None:
    """Pairs of bars."""
    places = range(len(compared))
    for shift, colour, label, values in (
        (-0.2, "#bbbbbb", "design document", [each.document for each in compared]),
        (0.2, "#1f77b4", "here", [each.here for each in compared]),
    ):
        bars = axis.barh([place + shift for place in places], values, height=0.38, color=colour, label=label)
        axis.bar_label(bars, [f"{value:.2f}" for value in values], padding=3, fontsize=7)
    axis.set_yticks(list(places), [each.what.replace(", ", ",\n", 1) for each in compared])
    axis.legend(fontsize=8, loc="lower right", frameon=False)
    axis.set_xlabel("times as much", fontsize=8)
    axis.set_title("Ratios beside those of Ganeti's design document", fontsize=9)


def redraw(directory: Path) -> None:
    """Draw the plot anew from the results that are there."""
    data = json.loads((directory / "bench-ciphers.json").read_text())
    rows = [Row(**{name: value for name, value in row.items() if name != "median"}) for row in data["copies"]]
    plot(rows, [Alone(**each) for each in data["alone"]], directory / "bench-ciphers.svg", data["quick"])


def write(directory: Path, rows: list[Row], alone: list[Alone], head: Head) -> None:
    """Write the three files."""
    directory.mkdir(parents=True, exist_ok=True)
    data = {"command": head.command, "quick": head.quick, "took": round(head.seconds), "machine": head.machine._asdict()}
    results = {
        "copies": [{**dataclasses.asdict(row), "median": row.median} for row in rows],
        "alone": [dataclasses.asdict(each) for each in alone],
        "design_document": [each._asdict() for each in comparisons(rows, alone)],
    }
    (directory / "bench-ciphers.json").write_text(json.dumps({**data, **results}, indent=1) + "\n")
    (directory / "bench-ciphers.md").write_text(markdown(rows, alone, head))
    plot(rows, alone, directory / "bench-ciphers.svg", head.quick)
