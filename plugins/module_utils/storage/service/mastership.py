# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Whether this node is to write to the storage: it is the master, has claimed the storage, and nobody has replaced it."""

from __future__ import annotations

import typing as t

from ..._errors import AuthenticationFailed, GanetiError, StorageFenced
from ..drivers import epochs
from ..drivers.disk import DiskStorage
from ..drivers.epochs import Claim
from ..drivers.interface import Storage
from . import begun_epoch, shared_epoch
from .follow import Status
from .settings import Settings


def begin(chosen: Settings, storage: Storage) -> t.Union[Claim, Status]:
    """Claim the storage where this node is the master; the claim that stands then, or how a service is that is not to write."""
    status = resting(chosen)
    if status is not None:
        return _rest(chosen, status)
    try:
        configuration = DiskStorage(chosen.directory).configuration()
        storage.refuse_other_cluster(configuration["cluster"].get("uuid"))
        found = storage.claims()
        shared_epoch.look(chosen.directory, configuration, found)
        wanted, anew = begun_epoch.claim_of(chosen.directory, configuration, found), begun_epoch.is_over(chosen.directory)
        try:
            mine = storage.claim(wanted, anew)
            if anew:
                begun_epoch.forget(chosen.directory)
        except StorageFenced as error:
            return Status("replaced", problem=epochs.usurped(configuration, storage.claims(), wanted) or error.message)
    except AuthenticationFailed as error:
        return Status("refused", problem=error.message)
    except GanetiError as error:
        return Status("waiting", problem=error.message)
    return replaced(chosen, storage, mine) or mine


def _rest(chosen: Settings, status: Status) -> Status:
    """Look meanwhile whether another master has gone on since this node was one."""
    try:
        begun_epoch.look(chosen.directory)
    except GanetiError as error:
        return status._replace(problem="; ".join([*filter(None, [status.problem]), error.message]))
    return status


def resting(chosen: Settings) -> t.Optional[Status]:
    """How a service is on a node that Ganeti does not take for the master; None where it does."""
    master = DiskStorage(chosen.directory).master()
    if master is None:
        return Status("resting", problem="this node knows of no master: see what became of Ganeti here")
    return None if master == chosen.name else Status("resting")


def replaced(chosen: Settings, storage: Storage, mine: Claim) -> t.Optional[Status]:
    """How a service is whose claim was outdone, on whatever server; None where none is known to be. One that is away tells nothing."""
    found = storage.claims()
    if not epochs.newer(found, mine):
        return None
    try:
        problem = epochs.usurped(DiskStorage(chosen.directory).configuration(), found, mine)
    except GanetiError:
        problem = f"another master has claimed the storage since serial number {max(found).serial}"
    return Status("replaced", problem=problem)
