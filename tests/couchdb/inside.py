# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stand-in without a network and without threads: a test asks it by a call, and says itself when which replication takes a step."""

from __future__ import annotations

import json
import typing as t
import urllib.parse
from pathlib import Path

from .accounts import Accounts, User
from .endpoint import Endpoint, EndpointError
from .errors import HttpError
from .exchange import Answer, Request
from .json_text import dumps
from .replication import Replication
from .replicator import Replicator
from .server_api import Server
from .store import Store

_URL = "http://127.0.0.1:9"
_USER = User("admin", ("_admin",))


class Inside:
    """One server. It has a directory for its databases."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True)
        store = Store(directory, volatile=True)
        self._api = Server(store, Accounts({}, store.get("_users"), b""), Replicator(store.get("_replicator")), "inside")

    def ask(self, method: str, where: str, value: t.Any = None) -> Answer:
        """Ask as its administrator; the answer, as it comes out of JSON."""
        path, _mark, query = where.partition("?")
        parts = [urllib.parse.unquote_plus(part) for part in path.split("/") if part]
        body = b"" if value is None else dumps(value).encode()
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        request = Request(method, parts, dict(urllib.parse.parse_qsl(query)), headers, body, _USER, "default", _URL, "127.0.0.1")
        try:
            answer = self._api.answer(request)
        except HttpError as error:
            answer = Answer(error.status, {"error": error.error, "reason": error.reason})
        return answer._replace(value=json.loads(dumps(answer.value)))  # which has no name twice


class _End(Endpoint):
    """A database of such a server, as a replication reaches it."""

    def __init__(self, server: Inside, database: str) -> None:
        super().__init__(f"{_URL}/{database}")
        self._server, self._database = server, database

    def request(self, method: str, path: str = "", value: t.Any = None, accept: t.Collection[int] = ()) -> tuple[int, t.Any]:
        answer = self._server.ask(method, f"/{self._database}{path}", value)
        if answer.status >= 400 and answer.status not in accept:
            raise EndpointError(answer.status, f"{self.url}: {answer}")
        return answer.status, answer.value


class Copying(Replication):
    """A replication of one database that goes on when it is told to."""

    def __init__(self, source: Inside, target: Inside, database: str) -> None:
        super().__init__(database, "1-0", {"source": _URL, "target": _URL}, lambda _job: None, None)
        self.source, self.target = _End(source, database), _End(target, database)
        self._since = "0"

    def step(self) -> None:
        """Copy what is newest now of all documents that have changed since the last step."""
        self._since = self._copy(self._since)[0]
