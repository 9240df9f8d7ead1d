# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What there is to tell of servers: who has which serial number, what lags, what conflicts, how large it is."""

from __future__ import annotations

import typing as t

from ...._errors import GanetiError, StorageIncomplete
from ..documents import DATABASES, Json
from . import conflicts, replication, whole_configuration
from .client import Client, Server, path


def describe(own: str, servers: t.Mapping[str, Server], prefix: str, serial: int) -> Json:
    """Each server, and the replications of the one that is *own*; *serial* is the master's."""
    return {"servers": {name: _server(server, prefix, serial) for name, server in servers.items()}, "replications": _states(servers[own])}


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
