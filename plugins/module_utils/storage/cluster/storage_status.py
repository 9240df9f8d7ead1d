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
from ..service import health, settings


def describe(params: t.Mapping[str, t.Any]) -> Json:
    """What there is to tell; on a cluster that stores in files alone that is little. Raises GanetiError."""
    check_cluster(params["cluster_name"])
    settings_file = params["settings_file"]
    result: Json = {"storage": extended.read(LocalRunner())["backend_storage"], "servers": {}, "replications": [], "check": None, "healthy": None}
    if not os.path.exists(settings_file):
        return result
    chosen = settings.read(settings_file)
    serial = DiskStorage(chosen.directory).configuration()["serial_no"]
    status, line = health.check(chosen)
    with chosen.open() as storage:
        result.update(storage.describe(serial), serial=serial, check=line, healthy=status == 0, master=chosen.name)
    return result
