# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What the service's program does instead of running: steps of a failover, snapshots, and forgetting jobs."""

from __future__ import annotations

import argparse
import json
import sys
import time
import typing as t

from ..._errors import InvalidInput, StorageFailed
from ..drivers import epochs
from ..drivers.conversion import Copied, remove
from ..drivers.disk import DiskStorage
from ..drivers.interface import Storage
from . import acknowledged, promote, promotion_mark, removal, snapshot
from .candidate_survey import of_files, survey
from .follow import Status
from .health import said
from .mastership import begin, resting
from .one_writer import alone
from .settings import Settings
from .watchdog import arming


def carry_out(chosen: Settings, asked: argparse.Namespace, step: t.Optional[str]) -> str:
    """Whatever is asked for that is neither to run nor to check; a line about it."""
    if step:
        return fail_over(chosen, step)
    if asked.reclaim:
        return reclaim(chosen)
    if asked.arm or asked.disarm:
        return arm(chosen) if asked.arm else arming.disarm(chosen.directory)
    return prune(chosen) if asked.prune else copy(chosen, asked)


STEPS = {
    "survey": "tell what is here, for a failover",
    "compare": "the same, with each job in the database",
    "files": "tell what Ganeti's files hold, for a failover",
    "reserve": "begin a new epoch in the files that are here, and give out no job id that the request on standard input names, nor a lower one",
    "promote": "make the files of a master out of the database, as the request on standard input says",
    "archive": "make the files of archived jobs too",
    "acknowledged": "tell which servers have the job that the request on standard input names, in its state or a later one",
}
"""Steps of a failover, and what modules ask, which `fail_over` does, and what each is."""


def fail_over(chosen: Settings, step: str) -> str:
    """A step; what came of it, as JSON."""
    if step == "acknowledged":
        return json.dumps(acknowledged.answer(chosen, json.load(sys.stdin)))
    if step == "files":
        return json.dumps(of_files(chosen.directory))
    if step == "reserve":
        promote.reserve(chosen.directory, promote.Request(**json.load(sys.stdin)))
        return json.dumps({})
    with chosen.open() as storage:
        if step in ("survey", "compare"):
            return json.dumps(survey(chosen.name, storage, chosen.directory, step == "compare", chosen.acknowledge))
        if step == "archive":
            found = begin(chosen, storage)  # it may have to write
            if isinstance(found, Status):
                raise StorageFailed(f"Archived jobs are not written from here: {found.problem or found.state}. The service does it once it can.")
            return json.dumps({"jobs": promote.archive(storage, chosen.directory) or 0})
        return json.dumps(promote.promote(storage, chosen.directory, promote.Request(**json.load(sys.stdin))))


def copy(chosen: Settings, asked: argparse.Namespace) -> str:
    """Take a snapshot, or restore one; a line about it."""
    with chosen.open() as storage:
        if asked.snapshot:
            return snapshot.take(storage, asked.snapshot, asked.keep, time.time())
        copied = _restore(chosen, storage, asked)
        return f"The database holds serial number {copied.serial}; {copied.jobs} jobs were written or removed"


def _restore(chosen: Settings, storage: Storage, asked: argparse.Namespace) -> Copied:
    """Restore as the master that this node is; where it is none, or has no files any more, as the one whose configuration the snapshot holds.

    Either way the storage is claimed, so that nothing is written where another has become the master since.
    """
    with alone(chosen.directory) as mine:
        if not mine or said(chosen) is not None:
            raise InvalidInput("The service runs and would undo a restore at once: stop it first.")
        found = begin(chosen, storage)
        if isinstance(found, Status) and found.state in ("replaced", "refused"):
            raise InvalidInput(f"{asked.restore} is not restored: {found.problem}.")
        return snapshot.restore(asked.restore, storage, DiskStorage(chosen.directory), asked.another_cluster, claim=isinstance(found, Status))


def prune(chosen: Settings) -> str:
    """Make the database forget jobs whose files are gone, because somebody asks for it; a line about it. Raises InvalidInput where it must not be."""
    files = DiskStorage(chosen.directory)
    with chosen.open() as storage:
        found = begin(chosen, storage)
        if isinstance(found, Status):
            why = found.problem or f"run this on {files.master()}"
            raise InvalidInput(f"{chosen.name} is not the master, so its files say nothing of what the database may forget: {why}.")
        stored = storage.queue()  # first: what comes meanwhile stays
        here = files.queue() if files.has_queue() else None
        verdict = removal.asked_for(here, stored, promotion_mark.unfinished(chosen.directory))
        if verdict.held:
            raise InvalidInput(f"Nothing was removed: {verdict.held}.")
        remove(storage, verdict.queue, verdict.archive)
    return f"The database has forgotten {len(verdict.queue)} jobs of the queue and {len(verdict.archive)} archived ones, whose files are gone"


def reclaim(chosen: Settings) -> str:
    """Claim the storage for this node above all claims that are known, because somebody says that it is the master; a line about it."""
    if resting(chosen) is not None:
        raise InvalidInput(f"{chosen.name} is not the master as Ganeti knows it here: run this on the master, or make this node the master first.")
    configuration = DiskStorage(chosen.directory).configuration()
    with chosen.open() as storage:
        storage.refuse_other_cluster(configuration["cluster"].get("uuid"))
        wanted = epochs.claim_of(configuration)
        seen = max(claim.serial for claim in [wanted, *storage.begun()])
        claim = storage.claim(wanted._replace(serial=epochs.raised(seen)))
    goes_on = f"{chosen.name} has claimed the storage with serial number {claim.serial}; its service goes on within seconds"
    return f"{goes_on}. Run ganeti.cluster.backend_storage here, which begins an epoch: no watchdog takes over before that"


def arm(chosen: Settings) -> str:
    """Arm this node, where that is worth anything; a line about it. Raises InvalidInput where it is not, and the storage's error where nobody knows."""
    with chosen.open() as storage:
        problem = arming.problem(storage.newest().serial, storage.begun())
    if problem:
        raise InvalidInput(f"This node is not armed: {problem}, and arm all nodes then.")
    return arming.arm(chosen.directory)
