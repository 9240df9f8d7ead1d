# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The service on the master: follows Ganeti's files, keeps the replications going, and tells how it is.

``service.pyz --config FILE`` runs until it is told to end. ``service.pyz --config FILE --check`` looks at all from outside, prints a line, and
ends with 0, 1 or 2, as monitoring systems want it: all is well, a standby lags, or something does not work.
``service.pyz --config FILE --snapshot DIRECTORY --keep N`` writes a dated archive of what is in the database, and removes the oldest.
``service.pyz --config FILE --restore ARCHIVE`` makes the database hold what an archive does; not while the service runs, as it would undo that. A
snapshot of another cluster is refused without ``--another-cluster``.
``service.pyz --config FILE --prune`` makes the database forget jobs whose files are gone here, however many; the service itself refuses that.
``service.pyz --config FILE --reclaim`` says that this node is the master, whoever has claimed the storage since, as a failover that nobody went on with.
``--watch FILE`` runs the watchdog of this node, with the options that the file has, and ``--take-over FILE`` makes this node the master where a majority sees
the old one gone. ``--arm`` arms this node for the master that it knows, ``--disarm`` for nobody (watchdog/decision.py).
``--survey``, ``--compare``, ``--files``, ``--reserve``, ``--promote`` and ``--archive`` are steps of a failover (ganeti.cluster.master_failover), which
speaks JSON with them, and so do the modules with ``--acknowledged`` that wait until enough servers have a job.
"""

from __future__ import annotations

import argparse
import sys
import time
import typing as t

from ..._errors import GanetiError
from ..drivers.disk import DiskStorage
from ..drivers.epochs import Claim
from ..drivers.interface import Storage
from . import commands, settings
from .ending import end_soon
from .follow import LOCKED, Follower, Status
from .health import CRITICAL, OK, check_all
from .mastership import begin
from .one_writer import alone
from .settings import Settings
from .signs_of_life import Signs
from .tend import STEP, Tender
from .watchdog import deeds, options, watcher

_OTHER = "another process of this node writes to the storage, as one that restores a snapshot does: this one goes on when that has ended"


def run(chosen: Settings) -> None:
    """Follow where this node is the master, and rest where it is not, until SIGTERM or SIGINT."""
    ended, signs = end_soon(), Signs(chosen.status)
    signs.ready()
    with chosen.open() as storage:
        while not ended:
            found = begin(chosen, storage)
            if not isinstance(found, Claim):
                _rest(storage, chosen, found, signs, ended)
                continue
            with alone(chosen.directory) as free:
                if free:
                    _follow(storage, chosen, found, signs, ended)
                else:
                    _wait(chosen, Status("waiting", problem=_OTHER), signs, 0.0, ended)


def _follow(storage: Storage, chosen: Settings, mine: Claim, signs: Signs, ended: t.Sequence[int]) -> None:
    """Follow until this node is the master no more, or until the end."""

    def say(status: Status) -> None:
        signs.give(status._replace(problem=status.problem or tender.problem))

    files = DiskStorage(chosen.directory)
    follower = Follower(chosen.directory, storage, say)
    tender = Tender(chosen, follower, mine)
    tender.start()
    try:
        while not ended and tender.is_alive() and not tender.replaced and files.master() == chosen.name:
            follower.step(1.0)
            say(follower.status)
    finally:
        tender.end()
        follower.close()


def _rest(storage: Storage, chosen: Settings, status: Status, signs: Signs, ended: t.Sequence[int]) -> None:
    """Write nothing, as another node's files are the truth, and take our replications away, which would fight with its own."""
    if storage.copies and status.state in ("resting", "replaced"):
        try:
            storage.copies.rest()
        except GanetiError as error:
            status = status._replace(problem="; ".join([*filter(None, [status.problem]), f"replications from here could not be removed: {error.message}"]))
    _wait(chosen, status, signs, LOCKED if status.state == "refused" else STEP, ended)


def _wait(chosen: Settings, status: Status, signs: Signs, seconds: float, ended: t.Sequence[int]) -> None:
    """Do nothing for a while, be it for less as another node becomes the master."""
    files = DiskStorage(chosen.directory)
    master, until = files.master(), time.monotonic() + seconds
    while not ended:
        signs.give(status)
        time.sleep(0.5)
        if time.monotonic() > until or files.master() != master:
            return


def main() -> int:
    """Run, or check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", required=True, help="the file with the settings")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--check", action="store_true", help="look at all, print a line and end")
    instead.add_argument("--snapshot", metavar="DIRECTORY", help="write a snapshot of the database into a directory")
    instead.add_argument("--restore", metavar="ARCHIVE", help="make the database hold what a snapshot does")
    instead.add_argument("--prune", action="store_true", help="have the database forget jobs whose files are gone here, however many")
    instead.add_argument("--reclaim", action="store_true", help="this is the master, as all nodes know: claim the storage anew, whoever else has")
    instead.add_argument("--watch", metavar="FILE", help="watch the master, with the options of the watchdog that this file has")
    instead.add_argument("--take-over", metavar="FILE", help="become the master, where most nodes see it gone and the command in this file proves it")
    instead.add_argument("--arm", action="store_true", help="have the watchdog of this node act, should the master that it knows now be gone")
    instead.add_argument("--disarm", action="store_true", help="have it not act")
    parser.add_argument("--another-cluster", action="store_true", help="with --restore: the snapshot may be one of another cluster")
    parser.add_argument("--keep", type=int, default=30, help="how many snapshots to keep, 30 if it is not given")
    for name, words in commands.STEPS.items():
        instead.add_argument(f"--{name}", action="store_true", help=words)
    asked = parser.parse_args()
    try:
        chosen = settings.read(asked.config)
        status, line = _do(chosen, asked)
    except GanetiError as error:
        status, line = CRITICAL, f"CRITICAL: {error.message}"
    if line:
        sys.stdout.write(line + "\n")
    return status


def _do(chosen: Settings, asked: argparse.Namespace) -> t.Tuple[int, str]:
    """What is asked for; an exit status and a line, none where it runs until its end."""
    step = next((name for name in commands.STEPS if getattr(asked, name)), None)
    if asked.check:
        return check_all(chosen)
    if asked.take_over:
        return deeds.take_over(chosen, options.read(asked.take_over))
    if asked.watch:
        watcher.run(asked.config, asked.watch)
        return OK, ""
    if step or any((asked.snapshot, asked.restore, asked.prune, asked.reclaim, asked.arm, asked.disarm)):
        return OK, commands.carry_out(chosen, asked, step)
    run(chosen)
    return OK, ""


if __name__ == "__main__":
    raise SystemExit(main())
