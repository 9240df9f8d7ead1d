# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Which failover it is to be, by where the cluster stores: out of a database, or out of Ganeti's own files."""

from __future__ import annotations

import typing as t

from ...api import extended
from ..drivers.documents import Json
from .by_files import FilesFailover
from .hosts import Hosts
from .run import Failover


def fail_over(params: t.Mapping[str, t.Any], check_mode: bool) -> Json:
    """Do what the module's parameters say; the module's result. Raises GanetiError."""
    hosts = Hosts(params["ssh"])
    try:
        storage = extended.read(hosts.host(params["new_master"]))["backend_storage"]
        kind = FilesFailover if storage == "disk" else Failover
        return kind(hosts, params).run(check_mode)
    finally:
        hosts.close()
