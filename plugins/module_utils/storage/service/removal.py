# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Which jobs a database may lose because Ganeti's files do not have them. Decisions alone; the files are the truth, but their absence proves little.

A file is missing where Ganeti has cleaned up, and also where a failover has not written it yet, a file system is not mounted, a directory
was restored from an old backup or removed by mistake. What is deleted in one database is deleted in all of them within a second. So:

1. Nothing is removed while a promotion of this node is unfinished, or where the directory of the queue is not Ganeti's: it has its ``serial`` always.
2. An archived job is removed only when its file was seen to vanish, out of a directory that is there still. That is how Ganeti cleans up
   (ganeti-cleaner: ``find ARCHIVE -mindepth 2 -type f -mtime +21 | xargs rm``); whoever removes or unmounts all takes directories too.
3. A job of the queue that is in the archive here has only moved. Any other was taken away by somebody: Ganeti removes none.
4. More than half of a hundred jobs and more are not removed unless somebody asks for it by name (``--prune``), which 1 still holds for.
"""

from __future__ import annotations

import typing as t

from ..drivers.interface import Queue

MASS = 100
"""Fewer stored jobs than this have no mass: half of a handful is soon gone where all is well."""
COMMAND = "python3 /usr/local/lib/ganeti-couchdb/service.pyz --config /etc/ganeti/couchdb.json --prune"

_UNFINISHED = "this node's promotion to the master is unfinished: archived jobs are being written to its files, and none is removed from its database before"
_ABSENT = "Ganeti's queue has no file serial: see whether its directory is mounted and whole; no job is removed from the database before"
_MANY = "the files of {} are gone here, and stay in the database as that is more than half: bring them back, or let them go with {}"

NONE: t.FrozenSet[int] = frozenset()


class Verdict(t.NamedTuple):
    """The jobs that the database's queue and archive may lose; and why others are kept that the files lack, in words, where somebody has to know."""

    queue: t.FrozenSet[int] = NONE
    archive: t.FrozenSet[int] = NONE
    held: t.Optional[str] = None


def judge(files: t.Optional[Queue], stored: Queue, vanished: t.FrozenSet[int], unfinished: bool) -> Verdict:
    """What may go of what is *stored*; *vanished* are archived jobs whose files were seen to vanish as 2 says. *files* is None where 1 finds no queue."""
    why = forbidden(files, unfinished)
    if why or files is None:
        return Verdict(held=why)
    missing = stored.jobs - files.jobs
    moved, gone = missing & files.archived, missing - files.archived
    cleaned = (vanished & stored.archived) - files.archived
    held = [*_mass(gone, stored.jobs, "jobs of the queue"), *_mass(cleaned, stored.archived, "archived jobs")]
    queue = moved if _too_many(gone, stored.jobs) else missing
    return Verdict(queue, NONE if _too_many(cleaned, stored.archived) else cleaned, "; ".join(held) or None)


def asked_for(files: t.Optional[Queue], stored: Queue, unfinished: bool) -> Verdict:
    """What goes where somebody asks for it: all that the files lack, in whatever number; unless 1 forbids it."""
    why = forbidden(files, unfinished)
    if why or files is None:
        return Verdict(held=why)
    return Verdict(stored.jobs - files.jobs, stored.archived - files.archived)


def forbidden(files: t.Optional[Queue], unfinished: bool) -> t.Optional[str]:
    """Why nothing may go at all, in words."""
    if unfinished:
        return _UNFINISHED
    return _ABSENT if files is None else None


def _too_many(numbers: t.FrozenSet[int], stored: t.FrozenSet[int]) -> bool:
    return len(stored) >= MASS and 2 * len(numbers) > len(stored)


def _mass(numbers: t.FrozenSet[int], stored: t.FrozenSet[int], what: str) -> t.Iterator[str]:
    if _too_many(numbers, stored):
        yield _MANY.format(f"{len(numbers)} of {len(stored)} {what}", COMMAND)
