# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What the service on the master does for the standbys: replications to them, and nothing else in their databases."""

from __future__ import annotations

import typing as t

from .._errors import GanetiError
from . import conflicts, replication
from .client import Client, Server
from .documents import DATABASES

_WORKING = ("running", "initializing", "pending")


class Standbys:
    """The standbys of a master; *name* and *client* are the master's."""

    def __init__(self, name: str, client: Client, servers: t.Mapping[str, Server], prefix: str) -> None:
        self._name = name
        self._client = client
        self._servers = servers
        self._prefix = prefix
        self._unsettled = set(servers)
        """Those that may hold what another master wrote: all, until they were looked through, and whoever was away."""

    def tend(self) -> t.Optional[str]:
        """Have everything as it should be, try again what waits after an outage; what is wrong, in words."""
        problems = [*self._settle(), *self._arrange()]
        return "; ".join(problems) or None

    def _settle(self) -> t.Iterator[str]:
        """A standby that was a master keeps its own replications, which would write into our database, and what nobody else has seen."""
        for name in sorted(self._unsettled):
            try:
                with Client(self._servers[name]) as standby:
                    replication.arrange(standby, {})
                    for database in DATABASES:
                        conflicts.settle(self._client, standby, self._prefix + database)
                self._unsettled.discard(name)
            except GanetiError as error:
                yield error.message

    def _arrange(self) -> t.Iterator[str]:
        try:
            replication.arrange(self._client, replication.wanted((self._name, self._client.server), self._servers, self._prefix))
            waiting = [each.name for each in replication.states(self._client) if each.state not in _WORKING]
            replication.kick(self._client, waiting)
            self._unsettled |= {name for name in self._servers for each in waiting if each.startswith(f"from_{self._name}_to_{name}_")}
        except GanetiError as error:
            yield error.message
