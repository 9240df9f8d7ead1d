# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""How new a configuration is in which an epoch was begun that no master has used yet.

Its number was raised for Ganeti's failover, and says nothing of what it was made of. If the failover does not come to that, the old master goes on, and others
have what is newer with a lower number. So what it was made of is kept beside it, until the node is the master.
"""

from __future__ import annotations

import os
import shutil

from ..drivers.disk import DiskStorage
from ..drivers.documents import Json
from ..drivers.epochs import EPOCH

_KEPT = "failover-source"
"""The directory, in Ganeti's, for what a master's files are made of. For root alone, as the configuration holds secrets."""


def place(directory: str) -> str:
    """Where it is kept."""
    return os.path.join(directory, _KEPT)


def made_of(directory: str, present: Json) -> Json:
    """The configuration by which a node is compared, whose own is *present*."""
    if present["serial_no"] % EPOCH or not os.path.exists(os.path.join(place(directory), "config.data")):
        return present
    return DiskStorage(place(directory)).configuration()


def keep(directory: str, configuration: Json) -> None:
    """Keep what an epoch is about to be begun of, on stable storage."""
    os.makedirs(place(directory), 0o700, exist_ok=True)
    DiskStorage(place(directory)).write_configuration(configuration)


def forget(directory: str) -> None:
    """The node is the master, and its numbers say how new its files are."""
    shutil.rmtree(place(directory), ignore_errors=True)
