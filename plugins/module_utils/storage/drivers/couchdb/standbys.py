# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The standbys of a master: claimed for it, looked through for what another one wrote, and replicated to.

A standby is claimed before anything is carried to it (fence.py); a replication that comes with a user that is not there yet would lock that user out.
"""

from __future__ import annotations

import concurrent.futures
import hashlib
import json
import typing as t

from ...._errors import ConnectionFailed, GanetiError, StorageFailed
from ..documents import ARCHIVE, DATABASES, QUEUE, Json
from ..interface import Answer, Copies, Keep, Strays
from . import conflicts, fence, other_cluster, replication, whole_configuration
from .client import Client, Server, brief, path
from .server_comparison import last_job


class Standbys(Copies):
    """The standbys of the node *own*, whose server *admin* is a client of. *held* is the claim there, where this is the master."""

    def __init__(self, own: str, admin: Client, servers: t.Mapping[str, Server], prefix: str, held: t.Optional[fence.Held] = None) -> None:
        self._own = own
        self._admin = admin
        self._servers = servers
        self._prefix = prefix
        self._held = held
        self._claimed: t.Dict[str, fence.Held] = {}
        """Those that are claimed, and their users."""
        self._unsettled = set(servers)
        """Those that may hold what another master wrote: all, until they were looked through, and whoever was away."""

    def tend(self, keep: Keep) -> t.Optional[str]:
        if self._held is None:
            raise StorageFailed(f"{self._own} has not claimed its own server, so it must not write to others.")
        problems = [*self._settle(self._held, keep), *self._arrange(self._held)]
        return "; ".join(problems) or None

    def _settle(self, mine: fence.Held, keep: Keep) -> t.Iterator[str]:
        """A standby that was a master keeps its own replications, which would write into our database, and what nobody else has seen."""
        uuid = self._cluster() if self._unsettled else None
        for name in sorted(self._unsettled):
            try:
                with brief(self._servers[name]) as standby:  # whether it is there at all, and not another cluster's
                    other_cluster.refuse(name, standby, self._prefix, uuid)
                    standby.get("/")
                with Client(self._servers[name]) as standby:
                    self._claimed[name] = fence.claim(standby, self._prefix, mine.claim)
                    replication.arrange(standby, {})
                self._look_through(mine, fence.as_writer(self._servers[name], self._claimed[name]), keep)
                self._unsettled.discard(name)
            except GanetiError as error:
                yield error.message

    def _cluster(self) -> t.Optional[str]:
        """Whose configuration the own server holds: whoever follows has written it there."""
        return other_cluster.owner(other_cluster.head(self._admin, self._prefix))

    def _look_through(self, mine: fence.Held, server: Server, keep: Keep) -> None:
        with Client(fence.as_writer(self._admin.server, mine)) as master, Client(server) as standby:
            # A job that is in the master's queue is not lost: it is archived as the master has it, and not as another one once had.
            waiting = [row["id"] for row in master.get(path(self._prefix + QUEUE, "_all_docs"))["rows"]]
            conflicts.adopt(master, standby, self._prefix + ARCHIVE, waiting, keep, mine.user)
            for database in DATABASES:
                conflicts.settle(master, standby, self._prefix + database, mine.user)

    def _arrange(self, mine: fence.Held) -> t.Iterator[str]:
        """Only replications to a standby that answers are made anew: the others would fail again, and each time leave revisions behind."""
        try:
            wanted = self._wanted(mine, self._claimed)
            others = replication.names(self._own, self._servers.keys() - wanted.keys())
            documents = {name: each for found in wanted.values() for name, each in found.items()}
            replication.arrange(self._admin, documents, let_be=[name for names in others.values() for name in names])
            waiting = {each.name for each in replication.states(self._admin) if each.state not in replication.WORKING}
            for standby, found in wanted.items():
                stuck = {name: each for name, each in found.items() if name in waiting}
                if stuck and standby not in self._unsettled:
                    replication.kick(self._admin, stuck)
                if stuck:
                    self._unsettled.add(standby)
        except GanetiError as error:
            yield error.message

    def _wanted(self, mine: fence.Held, claimed: t.Mapping[str, fence.Held]) -> t.Dict[str, t.Dict[str, Json]]:
        """The documents of replications to the standbys that are claimed, by standby."""
        master = (self._own, fence.as_writer(self._admin.server, mine))
        users = {name: fence.as_writer(self._servers[name], found) for name, found in claimed.items()}
        return {name: replication.wanted(master, {name: server}, self._prefix) for name, server in users.items()}

    def rest(self) -> None:
        replication.arrange(self._admin, {})

    def answers(self) -> t.Dict[str, Answer]:
        if not self._servers:
            return {}
        with concurrent.futures.ThreadPoolExecutor(len(self._servers)) as executor:
            return dict(zip(self._servers, executor.map(self._ask, self._servers.values())))

    def _ask(self, server: Server) -> Answer:
        try:
            with brief(server) as client:
                found = whole_configuration.newest(client, self._prefix)
                return Answer(found and found.serial, last_job(client, self._prefix))
        except GanetiError as error:  # it is away, or holds nothing whole
            return Answer(error.message, None)

    def contents(self) -> t.Dict[str, str]:
        return {name: _content(self._admin, self._prefix + name) for name in DATABASES if name != ARCHIVE}

    def strays(self, remove: bool) -> Strays:
        found, away = {}, {}
        wrong: t.List[str] = []
        claimed: t.Dict[str, fence.Held] = {}
        try:
            uuid = self._cluster()
        except (ConnectionFailed, StorageFailed):  # which is said below
            uuid = None
        for node, server in self._servers.items():
            try:
                with Client(server) as client:
                    other_cluster.refuse(node, client, self._prefix, uuid)
                    removed = replication.arrange(client, {}, change=remove).removed
                    if removed:
                        found[node] = removed
                    held = fence.held(client, self._prefix)
                    if held is not None:
                        claimed[node] = held
            except (ConnectionFailed, StorageFailed) as error:
                away[node] = error.message
        try:
            wrong = self._wrong(claimed)
        except (ConnectionFailed, StorageFailed) as error:
            away[self._own] = error.message
        return Strays(found, wrong, away)

    def _wrong(self, claimed: t.Mapping[str, fence.Held]) -> t.List[str]:
        """The service repairs these, every few seconds. With which user it is done is known of standbys that are claimed."""
        mine = fence.held(self._admin, self._prefix)
        documents: t.Dict[str, Json] = {}
        for found in self._wanted(mine, claimed).values() if mine else ():
            documents.update(found)
        expected = replication.names(self._own, self._servers)
        unknown = [name for standby, names in expected.items() if mine is None or standby not in claimed for name in names]
        arranged = replication.arrange(self._admin, documents, change=False, let_be=unknown)
        return [*replication.lacking(self._admin, unknown), *arranged.written, *arranged.removed]


def _content(client: Client, database: str) -> str:
    """A digest of which documents a database has in which revisions. The documents of the design are nobody's business."""
    rows = [(row["id"], row["value"]["rev"]) for row in client.get(path(database, "_all_docs"))["rows"]]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()
