# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What bench_storage_lab.py found, as plots like the thesis's figures 5.2, 5.5, 5.10 and 5.11."""

from __future__ import annotations

import typing as t
from pathlib import Path

from storage_lab_report import Found

COLOURS = {0: "#7f7f7f", 1: "#2ca02c", 2: "#1f77b4", 4: "#d62728"}
STYLES = {"disk": "s--", "couchdb": "o-"}
COPIES = {"disk": "candidate", "couchdb": "standby"}
PHASES = (("waiting", "#ff7f0e"), ("running", "#1f77b4"))
"""Without the time in the queue: `disk` keeps the client waiting instead, before its job is received, so that time compares nothing."""


def plot(found: Found, path: Path) -> None:
    """The four panels."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "bench-storage-lab"
    from matplotlib import pyplot

    figure, ((candidates, compared), (phases, whole)) = pyplot.subplots(2, 2, figsize=(11, 8))
    rates(candidates, found, [each for each in found.contenders() if each[0] == "disk"])
    candidates.set_title("disk: jobs submitted a second, by candidates (figure 5.2)", fontsize=10)
    rates(compared, found, [each for each in found.contenders() if each[0] == "couchdb" or each in (("disk", 0), ("disk", 2))])
    compared.set_title("jobs submitted a second, by storage and copies (figure 5.5)", fontsize=10)
    stacked(phases, found)
    phases.set_title("a creation: waiting for locks, and running (figure 5.10, without the queue)", fontsize=10)
    phases.set_xlabel("storage, and instances created at once")
    phases.set_ylabel("seconds, mean; shorter is better")
    for storage, marker in STYLES.items():
        rows = [each for each in found.creations if each.storage == storage]
        if rows:
            whole.plot([each.jobs for each in rows], [each.whole for each in rows], marker, color=COLOURS[2], label=told(storage, rows[0].copies))
    whole.set_title("until all instances are created (figure 5.11)", fontsize=10)
    whole.set_xlabel("instances created at once")
    whole.set_ylabel("seconds; lower is better")
    whole.set_ylim(bottom=0)
    for axis, place in ((candidates, (0.66, 0.4)), (compared, (0.66, 0.2)), (phases, "upper left"), (whole, "best")):
        axis.spines[["top", "right"]].set_visible(False)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(frameon=False, fontsize=8, loc=place)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    pyplot.close(figure)


def told(storage: str, copies: int) -> str:
    """What the legend calls it."""
    return f"{storage}, {copies} {COPIES[storage]}{'' if copies == 1 else 's'}"


def rates(axis: t.Any, found: Found, contenders: list[tuple[str, int]]) -> None:
    """A line for each."""
    for storage, copies in contenders:
        values = [(size, rate) for size in found.sizes() if (rate := found.rate(storage, copies, size))]
        axis.plot(*zip(*values), STYLES[storage], color=COLOURS.get(copies, "#000000"), label=told(storage, copies))
    axis.set_xlabel("jobs in a batch")
    axis.set_ylabel("jobs a second; higher is better")
    if found.batches:
        axis.set_yscale("log")
        axis.set_ylim(1, 1000)


def stacked(axis: t.Any, found: Found) -> None:
    """A pair of bars for each batch, of which the left one is disk's."""
    rows = sorted(found.creations, key=lambda each: (each.jobs, each.storage != "disk"))
    names = [f"{each.storage}\n{each.jobs}" for each in rows]
    floor = [0.0] * len(rows)
    for phase, colour in PHASES:
        values = [float(getattr(each, phase)) for each in rows]
        axis.bar(names, values, bottom=floor, color=colour, label=phase)
        floor = [below + value for below, value in zip(floor, values)]
    axis.tick_params(axis="x", labelsize=7)
    axis.margins(y=0.25)
