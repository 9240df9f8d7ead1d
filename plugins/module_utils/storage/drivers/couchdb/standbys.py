# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What the service on the master does for the standbys: replications to them, and nothing else in their databases."""

from __future__ import annotations

import typing as t

from ...._errors import GanetiError
from ..documents import ARCHIVE, DATABASES
from . import conflicts, replication
from .client import Client, Server, brief


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
                with brief(self._servers[name]) as standby:
                    standby.get("/")  # whether it is there at all
                with Client(self._servers[name]) as standby:
                    replication.arrange(standby, {})
                    conflicts.adopt(self._client, standby, self._prefix + ARCHIVE)
                    for database in DATABASES:
                        conflicts.settle(self._client, standby, self._prefix + database)
                self._unsettled.discard(name)
            except GanetiError as error:
                yield error.message

    def _arrange(self) -> t.Iterator[str]:
        """Only replications to a standby that answers are made anew: the others would fail again, and each time leave revisions behind."""
        try:
            wanted = {name: replication.wanted((self._name, self._client.server), {name: server}, self._prefix) for name, server in self._servers.items()}
            replication.arrange(self._client, {name: each for documents in wanted.values() for name, each in documents.items()})
            waiting = {each.name for each in replication.states(self._client) if each.state not in replication.WORKING}
            for standby, documents in wanted.items():
                stuck = {name: each for name, each in documents.items() if name in waiting}
                if stuck and standby not in self._unsettled:
                    replication.kick(self._client, stuck)
                if stuck:
                    self._unsettled.add(standby)
        except GanetiError as error:
            yield error.message
