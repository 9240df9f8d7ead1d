# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Measures whole moves on the lab: from the command's start to its end, and how long the instance was down meanwhile.

Run it with ``make bench-whole-move``. It writes docs/bench-whole-move.{json,md,svg}. The contenders take turns. The downtime is what the
nodes see: from the moment at which the instance does not run on the one any more to the moment at which it runs on the other.
``--before DIRECTORY`` lets an earlier version of the collection, staged there as ansible_collections/ganeti/cluster, take part.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import typing as t
from pathlib import Path

from lab_moves import NAME, STORAGE, Lab, full, timed
from nodes import ROOT, alone, machine, must, shell

from ansible_collections.ganeti.cluster.benchmarks import whole_move_plot
from ansible_collections.ganeti.cluster.benchmarks import whole_move_report as report

DISK = 1024
"""MiB."""
FILL = 'dd if=/dev/urandom of="$(ls "$1"/"$2"/*.disk0)" bs=1M seek=7 count="$3" conv=notrunc,fsync status=none'


class Way(t.NamedTuple):
    """Who moves, and from which node to which."""

    name: str
    source: str
    target: str
    how: str
    """now, before or ganeti."""


WAYS = (
    Way("this collection, 3.0 to 3.1", "a2", "b1", "now"),
    Way("this collection, 3.0 to 3.0", "a2", "d2", "now"),
    Way("as it was before, 3.0 to 3.0", "a2", "d2", "before"),
    Way("this collection, within 3.0", "a2", "a3", "now"),
    Way("Ganeti's own gnt-instance move, within 3.0", "a2", "a3", "ganeti"),
)
DATA = (1, 923)
"""MiB of random bytes on the disk."""


def command(lab: Lab, way: Way, journal: str) -> list[str]:
    """What is timed."""
    if way.how == "ganeti":
        return ["ssh", "-F", lab.options["config_file"], lab.address(way.source), f"gnt-instance move -f -n {full(way.target)} {NAME}"]
    return lab.move(way.source, way.target, journal_directory=journal)


def downtime(said: dict[str, list[str]], way: Way) -> float:
    """Seconds during which the instance ran nowhere."""
    down = [float(line.split()[1]) for line in said[way.source] if line.startswith("down")]
    up = [float(line.split()[1]) for line in said[way.target] if line.startswith("up")]
    if len(down) != 1 or len(up) != 1:
        raise RuntimeError(f"The instance did not stop once and start once: {said}")
    return up[0] - down[0]


def run_once(lab: Lab, way: Way, mebibytes: int, collections: str) -> report.Run:
    """One move of a new instance."""
    lab.make(way.source, DISK, "-H", "fake", "-B", "memory=64")
    shell(lab.host(way.source), FILL, STORAGE, NAME, str(mebibytes))
    lab.start(way.source)
    with tempfile.TemporaryDirectory() as journal:
        with lab.watched(way.source, way.target) as said:
            moved = timed(command(lab, way, journal), collections)
        noted = [json.loads(path.read_text()) for path in Path(journal).glob("*.json")]
    steps = report.steps(noted[0], moved.begun, moved.seconds) if noted and way.how == "now" else {}
    return report.Run(round(moved.seconds, 2), round(downtime(said, way), 2), steps)


def main() -> int:
    """Measure all; 1 where a move failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="how often each moves each instance (5)")
    parser.add_argument("--before", help="the directory with an earlier version of the collection")
    parser.add_argument("--only", default="", help="ways whose names hold this")
    parser.add_argument("--output", type=Path, default=ROOT / "docs", help="where the results go (docs)")
    asked = parser.parse_args()
    ways = [way for way in WAYS if asked.only in way.name and (way.how != "before" or asked.before)]
    rows = [report.Row(way.name, way.how, mebibytes) for mebibytes in DATA for way in ways]
    begun, lab, failures = time.monotonic(), Lab(), []
    with alone():
        about = machine(must(lab.host("a2"), "dpkg-query", "--show", "--showformat=${Package} ${Version}", "ganeti").decode())
        for number in range(asked.runs):
            for row in rows:
                way = next(each for each in ways if each.name == row.way)
                collections = asked.before if way.how == "before" else os.environ["BUILD"]
                lab.clean(way.source, way.target)
                try:
                    row.runs.append(run_once(lab, way, row.mebibytes, collections))
                    print(f"{number}: {row.way}, {row.mebibytes} MiB: {row.runs[-1].seconds:.1f} s, down {row.runs[-1].downtime:.1f} s", flush=True)
                except (RuntimeError, subprocess.TimeoutExpired) as error:
                    failures.append(f"{row.way}, {row.mebibytes} MiB: {error}")
                    print(failures[-1], flush=True)
                finally:
                    lab.clean(way.source, way.target)
    told = "make bench-whole-move" + (f" BENCH='{' '.join(sys.argv[1:])}'" if sys.argv[1:] else "")
    report.write(asked.output, rows, about, told, time.monotonic() - begun)
    whole_move_plot.redraw(asked.output)
    print(*failures, sep="\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
