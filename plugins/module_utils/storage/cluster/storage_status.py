# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""How a cluster's storage is: who has which serial number, what lags, what conflicts, how large it is."""

from __future__ import annotations

import os
import typing as t

from ..._errors import GanetiError, StorageIncomplete
from ..._here import check_cluster
from ...api import extended
from ...api.master import LocalRunner
from ..drivers.couchdb import conflicts, replication, whole_configuration
from ..drivers.couchdb.client import Client, Server, path
from ..drivers.disk import DiskStorage
from ..drivers.documents import DATABASES, Json
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
    servers = {chosen.name: chosen.server, **chosen.standbys}
    result.update(serial=serial, check=line, healthy=status == 0, master=chosen.name)
    result["servers"] = {name: _server(server, chosen.prefix, serial) for name, server in servers.items()}
    result["replications"] = _states(chosen.server)
    return result


def _server(server: Server, prefix: str, serial: int) -> Json:
    """What a server has, or why that is not known."""
    try:
        with Client(server) as client:
            found = replication.serial(client, prefix)
            databases = {name: _database(client, prefix + name) for name in DATABASES}
            several = {name: ids for name in DATABASES for ids in [sorted(conflicts.find(client, prefix + name))] if ids}
            complete, problem = _whole(client, prefix)
    except GanetiError as error:
        return {"url": server.url, "serial": None, "whole": None, "lag": None, "databases": {}, "conflicts": {}, "problem": error.message}
    lag = None if found is None else serial - found
    return {"url": server.url, "serial": found, "whole": complete, "lag": lag, "databases": databases, "conflicts": several, "problem": problem}


def _whole(client: Client, prefix: str) -> t.Tuple[t.Optional[int], t.Optional[str]]:
    """The serial number of the newest configuration that is whole there; or why there is none."""
    try:
        found = whole_configuration.newest(client, prefix)
    except StorageIncomplete as error:
        return None, error.message
    return (None if found is None else found.serial), None


def _states(server: Server) -> t.List[Json]:
    try:
        with Client(server) as client:
            return [each._asdict() for each in replication.states(client)]
    except GanetiError:  # that the server does not answer is told where the servers are
        return []


def _database(client: Client, name: str) -> Json:
    about = client.get(path(name))
    return {"documents": about["doc_count"], "bytes": about["sizes"]["file"]}
