# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""How a cluster's storage is: who has which serial number, what lags, what conflicts, how large it is."""

from __future__ import annotations

import os
import typing as t

from ..._here import check_cluster
from ...api import extended
from ...api.master import LocalRunner
from ..drivers.disk import DiskStorage
from ..drivers.documents import Json
from ..drivers.interface import Storage
from ..service import health, settings
from ..service.watchdog import messages

_SECONDS = 5.0
"""How long a node's server may take to tell what its watchdog has said."""


def describe(params: t.Mapping[str, t.Any]) -> Json:
    """What there is to tell; on a cluster that stores in files alone that is little. Raises GanetiError."""
    check_cluster(params["cluster_name"])
    settings_file = params["settings_file"]
    result: Json = {"storage": extended.read(LocalRunner())["backend_storage"], "servers": {}, "replications": [], "check": None, "healthy": None}
    result["watchdog"] = {}
    if not os.path.exists(settings_file):
        return result
    chosen = settings.read(settings_file)
    serial = DiskStorage(chosen.directory).configuration()["serial_no"]
    status, line = health.check(chosen)
    with chosen.open() as storage:
        result.update(storage.describe(serial), serial=serial, check=line, healthy=status == 0, master=chosen.name, watchdog=_watchdog(storage, chosen))
    return result


def _watchdog(storage: Storage, chosen: settings.Settings) -> Json:
    """What each node's watchdog has said last; nothing where no node has one."""
    notes = storage.notes(chosen.nodes, _SECONDS)
    try:
        heard = notes.read()
    finally:
        notes.close()
    if not any(messages.WATCHER in each.parts for each in heard.values()):
        return {}
    return {name: {**messages.told(each.parts.get(messages.WATCHER)), "problem": each.problem} for name, each in heard.items()}
