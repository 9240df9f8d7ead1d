# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Whether this node is to write to the storage: it is the master, and nobody has replaced it."""

from __future__ import annotations

import typing as t

from ..._errors import GanetiError
from ..drivers import epochs
from ..drivers.couchdb import fence
from ..drivers.disk import DiskStorage
from .follow import Status
from .settings import Settings


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
    found = fence.claims([chosen.server, *chosen.standbys.values()], chosen.prefix)
    if serial is not None and all(claim.serial <= serial for claim in found):
        return None
    try:
        return epochs.usurped(files.configuration(), found)
    except GanetiError:  # whoever follows tells of it, and waits
        return None
