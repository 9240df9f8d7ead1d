# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A database on some server, as a replication reaches it."""

from __future__ import annotations

import base64
import contextlib
import http.client
import socket
import ssl
import typing as t
import urllib.parse

from .json_text import dumps, loads

SECONDS = 30.0


class EndpointError(Exception):
    """The server answered with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Endpoint:
    """One connection, opened when it is needed. Certificates are verified where *trust* says how, as in CouchDB."""

    def __init__(self, value: t.Union[str, dict[str, t.Any]], trust: t.Optional[ssl.SSLContext] = None) -> None:
        options: dict[str, t.Any] = value if isinstance(value, dict) else {"url": value}
        parts = urllib.parse.urlsplit(options["url"])
        self._host, self._port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        self._path = parts.path.rstrip("/")
        self._context = (trust or ssl._create_unverified_context()) if parts.scheme == "https" else None
        self.url = f"{parts.scheme}://{self._host}:{self._port}{self._path}/"
        self._headers = {"Content-Type": "application/json", "Accept": "application/json", **options.get("headers", {})}
        basic = options.get("auth", {}).get("basic")
        if basic is None and parts.username is not None:
            basic = {"username": urllib.parse.unquote(parts.username), "password": urllib.parse.unquote(parts.password or "")}
        if basic is not None:
            token = base64.b64encode(f"{basic['username']}:{basic['password']}".encode()).decode()
            self._headers["Authorization"] = f"Basic {token}"
        self._connection: t.Optional[http.client.HTTPConnection] = None

    def request(self, method: str, path: str = "", value: t.Any = None, accept: t.Collection[int] = ()) -> tuple[int, t.Any]:
        """Send a request for something below the database; errors are raised, except those of *accept*."""
        body = None if value is None else dumps(value).encode()
        try:
            if self._connection is None:
                self._connection = self._open()
            self._connection.request(method, f"{self._path}{path}", body, self._headers)
            response = self._connection.getresponse()
            result = loads(response.read() or b"null")
        except (OSError, http.client.HTTPException):
            self.close()
            raise
        if response.status >= 400 and response.status not in accept:
            raise EndpointError(response.status, f"{self.url}: {response.status} {result}")
        return response.status, result

    def _open(self) -> http.client.HTTPConnection:
        if self._context is not None:
            return http.client.HTTPSConnection(self._host, self._port, timeout=SECONDS, context=self._context)
        return http.client.HTTPConnection(self._host, self._port, timeout=SECONDS)

    def interrupt(self) -> None:
        """Let a request that another thread waits for fail."""
        connection = self._connection
        sock = connection.sock if connection is not None else None
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
