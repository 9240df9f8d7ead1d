# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the soak has done, as JSON that grows with each run, and as a page that is made of it."""

from __future__ import annotations

import collections
import fcntl
import json
import os
import typing as t
from pathlib import Path

Run = t.Dict[str, t.Any]
NAME = "soak-storage"
_TOPICS = {
    "faults": "Faults while a master worked",
    "promotions": "Promotions",
    "old masters": "The old master, at a promotion",
    "old masters came back": "When it came back",
    "clocks": "The wall clocks, from before a promotion until all had come together again",
    "jobs": "Jobs",
}
_HEAD = """\
# The storage under faults

Made by `make soak-storage`; the figures of each run are in `soak-storage.json` beside it. What is done to nodes and servers, and what has to hold
after it, is said in `tests/soak/faults.py`, `promotions.py` and `checker.py`. A run is a cluster of three nodes that is made anew, with the rounds that its
seed draws. In each round a master works, one thing goes wrong, a standby is promoted while the old master is dead, stopped, cut off or writes on, the old
one comes back, and all of it is compared. Ganeti takes no part: its files are written as it writes them. The seed draws the faults and not their moments, so
a run that failed may pass with the same seed.
"""
_NOT = """\
## What it does not cover

* Power that fails: processes are killed, the machine goes on, so what was written and not synced is there still. That the order of our own writes, renames
  and syncs is right, a unit test shows (`test_power_loss.py`); what CouchDB and etcd promise of theirs is taken for true.
* The clock of servers: services and the steps of a failover see their wall clock jump, by up to two days, servers do not. Everything of ours that waits or
  times out does so by the monotonic clock, which a unit test demands (`test_clocks.py`).
* Disks of etcd that are full.
* Ganeti's daemons. Real Ganeti on real nodes is the business of the lab's tests.
"""


def add(directory: Path, run: Run) -> None:
    """Add a run to the report in a directory, and write its page anew."""
    file = directory / f"{NAME}.json"
    directory.mkdir(exist_ok=True)
    held = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)  # another soak may add to it too
        runs: t.List[Run] = json.loads(file.read_text())["runs"] if file.exists() else []
        runs.append(run)
        file.write_text('{"runs": [\n' + ",\n".join(json.dumps(each, sort_keys=True) for each in runs) + "\n]}\n")
        (directory / f"{NAME}.md").write_text(page(runs))
    finally:
        os.close(held)


def page(runs: t.Sequence[Run]) -> str:
    """The page."""
    by_database: t.Dict[str, t.List[Run]] = {}
    for run in runs:
        by_database.setdefault(run["database"], []).append(run)
    return "\n".join([_HEAD, *(part for database, those in sorted(by_database.items()) for part in _of_database(database, those)), _NOT])


def _of_database(database: str, runs: t.Sequence[Run]) -> t.Iterator[str]:
    failed = [run for run in runs if run["failure"]]
    rounds = sum(run["rounds"] for run in runs)
    seconds = sorted(second for run in runs for second in run["seconds"])
    yield f"## With {database}\n"
    middle = f", {seconds[len(seconds) // 2]:.0f} seconds each in the median, {seconds[-1]:.0f} at most" if seconds else ""
    yield f"{len(runs)} runs with {rounds} rounds that held{middle}; {len(failed)} runs failed. From {runs[0]['begun']} to {runs[-1]['begun']}.\n"
    commands = sorted({run["command"] for run in runs})
    yield "```sh\n" + "\n".join(commands) + "\n```\n"
    if failed:
        yield "| Seed | Round | Sources | What did not hold | The same seed later |\n|---|---|---|---|---|"
        yield "".join(f"| {run['seed']} | {run['rounds'] + 1} | `{run['source']}` | {_cell(run['failure'])} | {_later(run, runs)} |\n" for run in failed)
    sources = collections.Counter(run["source"] for run in runs)
    yield f"Sources, and how many runs each had: {', '.join(f'`{name}` {count}' for name, count in sources.items())}.\n"
    for topic, words in _TOPICS.items():
        counts: t.Counter[str] = collections.Counter()
        for run in runs:
            counts.update(run["counts"].get(topic, {}))
        if counts:
            yield f"| {words} | |\n|---|---|"
            yield "".join(f"| {name} | {count} |\n" for name, count in sorted(counts.items()))
    skipped = {name: why for run in runs for name, why in run["skipped"].items()}
    if skipped:
        yield "".join(f"* Never done: {name}, as {why}.\n" for name, why in sorted(skipped.items()))


def _later(failed: Run, runs: t.Sequence[Run]) -> str:
    """What became of the same seed after a run that failed."""
    later = [run for run in runs[runs.index(failed) + 1 :] if run["seed"] == failed["seed"]]
    return "; ".join(f"{'failed' if run['failure'] else 'held'} with `{run['source']}`" for run in later) or "was not run"


def _cell(words: str) -> str:
    """The beginning of a text, as a table takes it."""
    return " ".join(words.split()).replace("|", "\\|")[:300]
