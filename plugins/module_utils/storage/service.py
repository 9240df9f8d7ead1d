# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The service on the master: follows Ganeti's files, keeps the replications going, and tells how it is.

``service.py --config FILE`` runs until it is told to end. ``service.py --config FILE --check`` looks at all from outside, prints a line, and
ends with 0, 1 or 2, as monitoring systems want it: all is well, a standby lags, or something does not work.
``service.py --config FILE --snapshot DIRECTORY --keep N`` writes a dated archive of what is in the database, and removes the oldest.
``service.py --config FILE --restore ARCHIVE`` makes the database hold what an archive does; not while the service runs, as it would undo that. A
snapshot of another cluster is refused without ``--another-cluster``.
``service.py --config FILE --prune`` makes the database forget jobs whose files are gone here, be they many; the service itself refuses that.
``--survey``, ``--compare``, ``--files``, ``--reserve``, ``--promote`` and ``--archive`` are steps of a failover (ganeti.cluster.master_failover), which
speaks JSON with them.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
import time
import typing as t

from .._errors import GanetiError, InvalidInput
from . import claims, promote, promotion, removal, replication, settings, snapshot
from .base import remove
from .client import Client
from .couchdb import CouchStorage
from .disk import DiskStorage
from .follow import Follower, Status
from .health import CRITICAL, OK, check, said, tell
from .settings import Settings
from .standbys import Standbys
from .survey import of_files, survey

_STEP = 5.0
"""Seconds between two looks at the replications."""


def run(chosen: Settings) -> None:
    """Follow where this node is the master, and rest where it is not, until SIGTERM or SIGINT."""
    ended: t.List[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: ended.append(received))
    with Client(chosen.server) as client:
        while not ended:
            status = idle(chosen, None)
            if status is None:
                _follow(client, chosen, ended)
            else:
                _rest(client, chosen, status, ended)


def idle(chosen: Settings, serial: t.Optional[int]) -> t.Optional[Status]:
    """How a service is that is not to write; None where this node is the master. *serial* is what it has written last."""
    files = DiskStorage(chosen.directory)
    master = files.master()
    if master is None:
        return Status("resting", problem="this node knows of no master: see what became of Ganeti here")
    if master != chosen.name:
        return Status("resting")
    problem = _usurped(chosen, files, serial)
    return Status("replaced", problem=problem) if problem else None


def _usurped(chosen: Settings, files: DiskStorage, serial: t.Optional[int]) -> t.Optional[str]:
    found = claims.claims([chosen.server, *chosen.standbys.values()], chosen.prefix)
    if serial is not None and all(claim.serial <= serial for claim in found):
        return None
    try:
        return claims.usurped(files.configuration(), found)
    except GanetiError:  # whoever follows tells of it, and waits
        return None


class _Tender(threading.Thread):
    """Looks after the standbys, and whether this is the master still; a thread, as a server that is away must not hold up the follower."""

    def __init__(self, chosen: Settings, follower: Follower) -> None:
        super().__init__(daemon=True)
        self._chosen = chosen
        self._follower = follower
        self._end = threading.Event()
        self.problem: t.Optional[str] = None
        self.replaced = False

    def run(self) -> None:
        with Client(self._chosen.server) as client:
            standbys = Standbys(self._chosen.name, client, self._chosen.standbys, self._chosen.prefix)
            pause = 0.1
            while not self._end.wait(pause):
                status = self._follower.status
                if status.state == "following":
                    self.replaced = idle(self._chosen, status.serial) is not None
                    self.problem = None if self.replaced else "; ".join([*self._finish(client), *filter(None, [standbys.tend()])]) or None
                    pause = _STEP

    def _finish(self, client: Client) -> t.Iterator[str]:
        """Write the archived jobs where the failover has not; what is wrong with that, in words. Whoever else is at it is let be."""
        try:
            promote.archive(CouchStorage(client, self._chosen.prefix), self._chosen.directory, wait=False)
        except (GanetiError, OSError) as error:
            yield f"archived jobs could not be written to this new master's files: {error}"

    def end(self) -> None:
        """End soon; what it does is let be finished."""
        self._end.set()
        self.join(_STEP)


def _follow(client: Client, chosen: Settings, ended: t.Sequence[int]) -> None:
    """Follow until this node is the master no more, or until the end."""

    def say(status: Status) -> None:
        tell(chosen.status, status._replace(problem=status.problem or tender.problem))

    files = DiskStorage(chosen.directory)
    follower = Follower(chosen.directory, CouchStorage(client, chosen.prefix), say)
    tender = _Tender(chosen, follower)
    tender.start()
    try:
        while not ended and tender.is_alive() and not tender.replaced and files.master() == chosen.name:
            follower.step(1.0)
            say(follower.status)
    finally:
        tender.end()
        follower.close()


def _rest(client: Client, chosen: Settings, status: Status, ended: t.Sequence[int]) -> None:
    """Write nothing, as another node's files are the truth, and take our replications away, which would fight with its own."""
    try:
        replication.arrange(client, {})
    except GanetiError as error:
        status = status._replace(problem="; ".join([*filter(None, [status.problem]), f"replications from here could not be removed: {error.message}"]))
    tell(chosen.status, status)
    files = DiskStorage(chosen.directory)
    master, until = files.master(), time.monotonic() + _STEP
    while not ended and time.monotonic() < until and files.master() == master:
        time.sleep(0.5)


def main() -> int:
    """Run, or check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", required=True, help="the file with the settings")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--check", action="store_true", help="look at all, print a line and end")
    instead.add_argument("--snapshot", metavar="DIRECTORY", help="write a snapshot of the database into a directory")
    instead.add_argument("--restore", metavar="ARCHIVE", help="make the database hold what a snapshot does")
    instead.add_argument("--prune", action="store_true", help="have the database forget jobs whose files are gone here, be they many")
    parser.add_argument("--another-cluster", action="store_true", help="with --restore: the snapshot may be one of another cluster")
    parser.add_argument("--keep", type=int, default=30, help="how many snapshots to keep, 30 if it is not given")
    for name, words in _FAILOVER.items():
        instead.add_argument(f"--{name}", action="store_true", help=words)
    asked = parser.parse_args()
    try:
        chosen = settings.read(asked.config)
        step = next((name for name in _FAILOVER if getattr(asked, name)), None)
        if not (asked.check or asked.snapshot or asked.restore or asked.prune or step):
            run(chosen)
            return 0
        status, line = check(chosen) if asked.check else (OK, _carry_out(chosen, asked, step))
    except GanetiError as error:
        status, line = CRITICAL, f"CRITICAL: {error.message}"
    sys.stdout.write(line + "\n")
    return status


def _carry_out(chosen: Settings, asked: argparse.Namespace, step: t.Optional[str]) -> str:
    """Whatever is asked for that is neither to run nor to check; a line about it."""
    if step:
        return fail_over(chosen, step)
    return prune(chosen) if asked.prune else copy(chosen, asked)


_FAILOVER = {
    "survey": "tell what is here, for a failover",
    "compare": "the same, with each job in the database",
    "files": "tell what Ganeti's files hold, for a failover",
    "reserve": "begin a new epoch in the files that are here, and give out no job id that the request on standard input names, nor a lower one",
    "promote": "make the files of a master out of the database, as the request on standard input says",
    "archive": "make the files of archived jobs too",
}


def fail_over(chosen: Settings, step: str) -> str:
    """A step of a failover; what came of it, as JSON."""
    if step in ("survey", "compare"):
        return json.dumps(survey(chosen.name, chosen.server, chosen.standbys, chosen.prefix, chosen.directory, each_job=step == "compare"))
    if step == "files":
        return json.dumps(of_files(chosen.directory))
    if step == "reserve":
        promote.reserve(chosen.directory, promote.Request(**json.load(sys.stdin)))
        return json.dumps({})
    with Client(chosen.server) as client:
        storage = CouchStorage(client, chosen.prefix)
        if step == "archive":
            return json.dumps({"jobs": promote.archive(storage, chosen.directory) or 0})
        return json.dumps(promote.promote(storage, chosen.directory, promote.Request(**json.load(sys.stdin))))


def copy(chosen: Settings, asked: argparse.Namespace) -> str:
    """Take a snapshot, or restore one; a line about it."""
    with Client(chosen.server) as client:
        storage = CouchStorage(client, chosen.prefix)
        if asked.snapshot:
            return snapshot.take(storage, asked.snapshot, asked.keep, time.time())
        if said(chosen) is not None:
            raise InvalidInput("The service runs and would undo a restore at once: stop it first.")
        copied = snapshot.restore(asked.restore, storage, DiskStorage(chosen.directory), asked.another_cluster)
        return f"The database holds serial number {copied.serial}; {copied.jobs} jobs were written or removed"


def prune(chosen: Settings) -> str:
    """Make the database forget jobs whose files are gone, because somebody asks for it; a line about it. Raises InvalidInput where it must not be."""
    files = DiskStorage(chosen.directory)
    if idle(chosen, None) is not None:
        raise InvalidInput(f"{chosen.name} is not the master, so its files say nothing of what the database may forget: run this on {files.master()}.")
    with Client(chosen.server) as client:
        storage = CouchStorage(client, chosen.prefix)
        stored = storage.queue()  # first: what comes meanwhile stays
        here = files.queue() if files.has_queue() else None
        verdict = removal.asked_for(here, stored, promotion.unfinished(chosen.directory))
        if verdict.held:
            raise InvalidInput(f"Nothing was removed: {verdict.held}.")
        remove(storage, verdict.queue, verdict.archive)
    return f"The database has forgotten {len(verdict.queue)} jobs of the queue and {len(verdict.archive)} archived ones, whose files are gone"


if __name__ == "__main__":
    raise SystemExit(main())
