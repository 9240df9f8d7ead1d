# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests as they go over the wire, with nothing hidden; independent of any client in plugins."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import socket
import threading
import time
import typing as t
import urllib.parse

JSON = {"Content-Type": "application/json", "Accept": "application/json"}
ADMIN = ("", "")  # stands for the user that the URL of the server names


class Answer(t.NamedTuple):
    """What a server answered; *value* is None if that was not JSON."""

    status: int
    value: t.Any
    headers: t.Any
    text: str


def quote(name: str) -> str:
    """A part of a path."""
    return urllib.parse.quote(name, safe="")


class Server:
    """A server, reached over one connection for each thread."""

    def __init__(self, url: str) -> None:
        parts = urllib.parse.urlsplit(url)
        self.url = url.rstrip("/")
        self.host, self.port = parts.hostname or "", parts.port or 5984
        self.address = f"{self.host}:{self.port}"
        self.name, self.password = urllib.parse.unquote(parts.username or ""), urllib.parse.unquote(parts.password or "")
        self._local = threading.local()

    def request(
        self,
        method: str,
        path: str,
        value: t.Any = None,
        raw: t.Optional[bytes] = None,
        headers: t.Optional[t.Mapping[str, str]] = None,
        user: t.Optional[t.Tuple[str, str]] = ADMIN,
        timeout: float = 60,
    ) -> Answer:
        """Send a value as JSON, or *raw* as it is; *headers* replaces those for JSON; *user* None is nobody."""
        body = raw if raw is not None else None if value is None else json.dumps(value).encode()
        sent = dict(JSON if headers is None else headers)
        if user is not None:
            name, password = (self.name, self.password) if user is ADMIN else user
            sent["Authorization"] = "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()
        response, text = self._exchange(method, path, body, sent, timeout)
        parsed = None
        with contextlib.suppress(ValueError):
            parsed = json.loads(text)
        return Answer(response.status, parsed, response.headers, text)

    def _exchange(self, method: str, path: str, body: t.Optional[bytes], headers: t.Dict[str, str], timeout: float) -> t.Tuple[t.Any, str]:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = http.client.HTTPConnection(self.host, self.port)
        connection.timeout = timeout
        if connection.sock is not None:
            connection.sock.settimeout(timeout)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response, response.read().decode()
        except (OSError, http.client.HTTPException):
            connection.close()
            raise


class Database:
    """A database on a server."""

    def __init__(self, server: Server, name: str) -> None:
        self.server = server
        self.name = name
        self.path = f"/{quote(name)}"
        self.url = f"{server.url}{self.path}"

    def request(self, method: str, path: str = "", value: t.Any = None, **options: t.Any) -> Answer:
        """A request for what is below the database."""
        return self.server.request(method, f"{self.path}{path}", value, **options)

    def put(self, name: str, value: t.Optional[t.Mapping[str, t.Any]] = None) -> str:
        """Write a document and return its revision."""
        answer = self.request("PUT", f"/{quote(name)}", {} if value is None else value)
        assert answer.status in (200, 201), answer
        return str(answer.value["rev"])

    def get(self, name: str, query: str = "") -> t.Any:
        """Read a document."""
        answer = self.request("GET", f"/{quote(name)}{query}")
        assert answer.status == 200, answer
        return answer.value

    def graft(self, name: str, *revisions: str, **members: t.Any) -> None:
        """Write a revision with its ancestors, newest first, as replication does."""
        position = int(revisions[0].split("-")[0])
        history = {"start": position, "ids": [revision.split("-")[1] for revision in revisions]}
        body = {"_id": name, "_rev": revisions[0], "_revisions": history, **members}
        answer = self.request("POST", "/_bulk_docs", {"docs": [body], "new_edits": False})
        assert (answer.status, answer.value) == (201, []), answer


def eventually(check: t.Callable[[], t.Any], seconds: float = 120) -> t.Any:
    """Wait until something holds; returns what was found."""
    deadline = time.monotonic() + seconds
    while True:
        found = check()
        if found:
            return found
        assert time.monotonic() < deadline, f"not after {seconds} s"
        time.sleep(0.05)


def runs(server: Server, path: str) -> bool:
    """Whether the replication of a document of ``_replicator`` runs, or waits to run again."""
    jobs = server.request("GET", "/_scheduler/jobs").value["jobs"]
    return any(f"/{job['database']}/{job['doc_id']}" == path for job in jobs)


class Forwarder:
    """A port that leads to a server, so that a test can cut the line to a server that it must not stop."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._open: t.List[socket.socket] = []
        self._listener: t.Optional[socket.socket] = None
        self.port = 0
        self.up()

    def url(self, database: Database) -> str:
        """The URL of a database over this line."""
        server = database.server
        return f"http://{quote(server.name)}:{quote(server.password)}@127.0.0.1:{self.port}{database.path}"

    def up(self) -> None:
        """Let connections through."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def down(self) -> None:
        """Cut all connections and refuse new ones."""
        assert self._listener is not None
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in self._open:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _address = listener.accept()
                far = socket.create_connection((self._server.host, self._server.port))
                self._open += [near, far]
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=self._copy, args=(source, target), daemon=True).start()

    @staticmethod
    def _copy(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                data = source.recv(65536)
                if not data:
                    break
                target.sendall(data)
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
