# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What nodes write for each other, each on its own server, in documents that CouchDB keeps no revisions of and never replicates."""

from __future__ import annotations

import concurrent.futures
import typing as t

from ...._errors import AuthenticationFailed, ConnectionFailed, GanetiError, StorageFailed
from ..documents import Json
from ..interface import PARTS, Heard, Notes
from . import fence
from .client import Client, Server, path


class CouchNotes(Notes):
    """The notes of the node *own*, and those on the servers of others."""

    own_servers = True

    def __init__(self, own: str, servers: t.Mapping[str, Server], prefix: str, seconds: float) -> None:
        self._own = own
        self._database = prefix + fence.DATABASE
        self._clients = {name: Client(server, seconds, attempts=1) for name, server in servers.items()}

    def put(self, part: str, note: Json) -> None:
        if self._own not in self._clients:
            raise StorageFailed(f"{self._own} has no server of its own to write a note to.")
        self._clients[self._own].put(self._where(part), {"note": note})

    def read(self) -> t.Dict[str, Heard]:
        if not self._clients:
            return {}
        with concurrent.futures.ThreadPoolExecutor(len(self._clients)) as executor:
            return dict(zip(self._clients, executor.map(self._ask, self._clients.values())))

    def _ask(self, client: Client) -> Heard:
        found: t.Dict[str, Json] = {}
        try:
            for part in PARTS:
                document = client.get(self._where(part), missing=True)
                if document is not None and isinstance(document.get("note"), dict):
                    found[part] = document["note"]
        except GanetiError as error:
            return Heard({}, error.message, not isinstance(error, ConnectionFailed) or isinstance(error, AuthenticationFailed))
        return Heard(found)

    def _where(self, part: str) -> str:
        return path(self._database, "_local", f"ganeti-notes-{part}")

    def close(self) -> None:
        for client in self._clients.values():
            client.close()
