# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What bench_whole_move.py found, as a plot: where each second goes, and how many of them the instance is down."""

from __future__ import annotations

import statistics
import typing as t
from pathlib import Path

from .whole_move_report import Row, read

COLOURS = ("#7f7f7f", "#c7c7c7", "#dbdb8d", "#ff7f0e", "#1f77b4", "#d62728", "#2ca02c", "#98df8a", "#000000")
"""By step, in their order."""
UNKNOWN = "#e0e0e0"
"""Where the steps are not known."""


def plot(rows: t.Sequence[Row], path: Path) -> None:
    """A bar for each way of moving, for each amount of data."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "bench-whole-move"
    from matplotlib import pyplot

    sizes = sorted({row.mebibytes for row in rows})
    figure, axes = pyplot.subplots(len(sizes), 1, figsize=(10, 1.2 + 2.6 * len(sizes)), sharex=True, squeeze=False)
    for (axis,), size in zip(axes, sizes):
        bars(axis, [row for row in rows if row.mebibytes == size and row.runs])
        axis.set_title(f"{size} MiB of data", fontsize=10)
    axes[-1][0].set_xlabel("seconds, median; shorter is better. The black line below a bar: seconds in which the instance is down.")
    handles = {label: handle for (axis,) in axes for handle, label in zip(*axis.get_legend_handles_labels())}
    figure.legend(handles.values(), handles.keys(), frameon=False, fontsize=8, ncols=3, loc="lower center")
    figure.tight_layout(rect=(0, 0.13, 1, 1))
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    pyplot.close(figure)


def bars(axis: t.Any, rows: t.Sequence[Row]) -> None:
    """One panel."""
    for place, row in enumerate(rows):
        names = list(dict.fromkeys(name for run in row.runs for name in run.steps))
        left = 0.0
        for name, colour in zip(names, COLOURS):
            seconds = statistics.median(run.steps.get(name, 0.0) for run in row.runs)
            axis.barh(place, seconds, 0.6, left, color=colour, label=name)
            left += seconds
        if not names:
            axis.barh(place, row.median("seconds"), 0.6, color=UNKNOWN)
        axis.barh(place + 0.38, row.median("downtime"), 0.08, color="#000000")
        axis.text(max(left, row.median("seconds")) + 0.2, place, f"{row.median('seconds'):.1f}, down {row.median('downtime'):.1f}", va="center", fontsize=8)
    axis.set_yticks(range(len(rows)), [row.way for row in rows], fontsize=8)
    axis.set_xlim(0, max(row.median("seconds") for row in rows) * 1.15)
    axis.invert_yaxis()
    axis.spines[["top", "right"]].set_visible(False)


def redraw(directory: Path) -> None:
    """Draw the plot anew from the results that are there."""
    plot(read(directory), directory / "bench-whole-move.svg")
