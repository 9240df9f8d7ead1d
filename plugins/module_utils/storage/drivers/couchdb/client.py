# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A small client of CouchDB: one server, one user, connections that are kept."""

from __future__ import annotations

import base64
import copy
import http.client
import json
import re
import ssl
import time
import typing as t
import urllib.parse

from ...._errors import AuthenticationFailed, ConnectionFailed, InvalidInput, StorageConflict, StorageFailed, StorageRefused
from .. import addresses
from ..documents import encoded

_SECONDS = 60.0
_BRIEF_SECONDS = 5.0
_ATTEMPTS = 3
_KEYS = ("key", "startkey", "endkey")
_HOST = re.compile(r"(?:https?:/*|[a-z]+://)?([-A-Za-z0-9.]+)")
"""The host in whatever was given for an address. What follows a colon is not taken, as it may be a password."""
_HEADERS = {"Accept": "application/json", "Content-Type": "application/json"}


class Answer(t.NamedTuple):
    """The status of an answer and what it says, as read from JSON."""

    status: int
    body: t.Any


class Server:
    """How to reach a server; the password is never shown. Encryption is insisted on where others could listen."""

    def __init__(self, url: str, username: str, password: str, ca_path: t.Optional[str] = None) -> None:
        scheme, self.host, port = _address(url)
        if scheme == "http" and not addresses.is_loopback(self.host):
            raise InvalidInput(f"url: {self.host} is to be reached without encryption, and the configuration holds secrets: use https.")
        self.port = port or (6984 if scheme == "https" else 5984)
        self.url = addresses.url(scheme, self.host, self.port)
        self.username = username
        self.password = password
        self.context = _context(self.url, ca_path) if scheme == "https" else None

    def __repr__(self) -> str:
        return f"Server({self.url!r}, {self.username!r})"

    def as_user(self, username: str, password: str) -> Server:
        """The same server for another of its users."""
        other = copy.copy(self)
        other.username, other.password = username, password
        return other

    def connection(self, seconds: float) -> http.client.HTTPConnection:
        """A new connection, not opened yet."""
        return addresses.connection(self.host, self.port, self.context, seconds)


def described(servers: t.Mapping[str, t.Mapping[str, t.Any]]) -> t.Dict[str, Server]:
    """Servers as options or settings describe them, by the names of their nodes; raise InvalidInput, which names the node and the option."""
    found = {}
    for node, options in servers.items():
        try:
            found[node] = Server(**options)
        except InvalidInput as error:
            raise InvalidInput(f"servers, {node}, {error.message}") from None
        except TypeError:
            raise InvalidInput(f"servers, {node}: a server has url, username, password and may have ca_path, and nothing else.") from None
    return found


def _address(url: str) -> t.Tuple[str, str, t.Optional[int]]:
    """Scheme, host and port of an address; raise InvalidInput. Whatever was mistyped, a password in it is in no message."""
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
    except (ValueError, TypeError, AttributeError):  # whose words quote what was given
        raise _no_address(url) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in url or parts.path.strip("/") or parts.query or parts.fragment or port == 0:
        raise _no_address(url)
    return parts.scheme, parts.hostname, port


def _no_address(url: t.Any) -> InvalidInput:
    match = _HOST.match(url.rpartition("@")[2]) if isinstance(url, str) else None
    what = match[1] if match else "that"
    return InvalidInput(
        f"url: {what} is not the address of a CouchDB server: give it as https://name:6984, without user and path, and with a port up to 65535."
    )


def _context(url: str, ca_path: t.Optional[str]) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_path)
    except (OSError, ValueError, TypeError) as error:  # that of a file without certificates is an OSError
        why = (error.strerror if not isinstance(error, ssl.SSLError) else None) if isinstance(error, OSError) else None
        words = f"ca_path: {ca_path}, for {url}, cannot be used ({why or 'it holds no certificate'})"
        raise InvalidInput(f"{words}: give a file on this host with the certificate of the authority, as PEM.") from error


def path(*parts: str, **query: t.Any) -> str:
    """The path of a resource, every part of it quoted. In the query, keys of documents, numbers and truth values are JSON, other texts plain."""
    quoted = "/" + "/".join(urllib.parse.quote(part, safe="") if not part.startswith("_design/") else part for part in parts)
    if query:
        plain = {key: value if isinstance(value, str) and key not in _KEYS else json.dumps(value) for key, value in query.items()}
        quoted += "?" + urllib.parse.urlencode(plain)
    return quoted


class Client:
    """Speaks with a server. Not for several threads at once. *seconds* is how long an answer may take where a request names no other time."""

    def __init__(self, server: Server, seconds: float = _SECONDS, attempts: int = _ATTEMPTS) -> None:
        self.server = server
        self._seconds = seconds
        self._attempts = attempts
        self._connection: t.Optional[http.client.HTTPConnection] = None
        pair = f"{server.username}:{server.password}".encode()
        self._authorization = "Basic " + base64.b64encode(pair).decode("ascii")
        self._cookie: t.Optional[str] = None
        """None until it was asked for, empty where the server gives none."""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def get(self, where: str, missing: bool = False, seconds: t.Optional[float] = None) -> t.Any:
        """What is there; None where there is nothing and *missing* allows that."""
        answer = self.ask("GET", where, seconds=seconds)
        if answer.status == 404 and missing:
            return None
        return self._good(answer, "GET", where)

    def put(self, where: str, body: t.Any) -> t.Any:
        """Write a document, or make a database."""
        return self._good(self.ask("PUT", where, body), "PUT", where)

    def post(self, where: str, body: t.Any, seconds: t.Optional[float] = None) -> t.Any:
        """Send a request that has a body."""
        return self._good(self.ask("POST", where, body, seconds), "POST", where)

    def delete(self, where: str, missing: bool = False) -> t.Any:
        """Delete a document or database."""
        answer = self.ask("DELETE", where)
        if answer.status == 404 and missing:
            return None
        return self._good(answer, "DELETE", where)

    def ask(self, method: str, where: str, body: t.Any = None, seconds: t.Optional[float] = None) -> Answer:
        """The answer, whatever its status; raise ConnectionFailed where there is none, StorageRefused where *body* cannot be sent as JSON.

        Asked again where a kept connection turns out to be closed, or the session's cookie too old. All that this client writes carries
        revisions, so asking twice does nothing twice.
        """
        data = None if body is None else encoded(body)
        problem = ""
        for attempt in range(self._attempts):
            try:
                answer = self._once(method, where, data, seconds or self._seconds)
            except ssl.SSLCertVerificationError as error:
                self.close()
                why = f"CouchDB at {self.server.url} shows a certificate that cannot be trusted ({error.verify_message})"
                raise ConnectionFailed(f"{why}: set ca_path to a file with its authority's. Nothing was sent.") from error
            except (OSError, http.client.HTTPException) as error:
                self.close()
                problem = str(error) or type(error).__name__
                time.sleep(0.1 * attempt)
                continue
            if answer.status == 401 and self._cookie:
                self._cookie = None
                continue
            return answer
        raise ConnectionFailed(f"CouchDB at {self.server.url} does not answer ({problem}): see whether it runs and can be reached.")

    def _once(self, method: str, where: str, data: t.Optional[bytes], seconds: float) -> Answer:
        if self._connection is None:
            self._connection = self.server.connection(seconds)
        elif self._connection.sock is not None:
            self._connection.sock.settimeout(seconds)
        # A cookie saves the server from computing the password's hash each time.
        headers = {**_HEADERS, **({"Cookie": self._cookie} if self._cookie else {"Authorization": self._authorization})}
        self._connection.request(method, where, data, headers)
        response = self._connection.getresponse()
        text = response.read()
        if self._cookie is None and response.status < 400 and not where.startswith("/_session"):
            self._log_in()
        return Answer(response.status, _parse(text))

    def _log_in(self) -> None:
        """Get a session's cookie; without one every request carries the password's proof, which is slower and works as well."""
        if self._connection is None:
            return
        login = json.dumps({"name": self.server.username, "password": self.server.password})
        self._connection.request("POST", "/_session", login, _HEADERS)
        response = self._connection.getresponse()
        response.read()
        given = (response.getheader("Set-Cookie") or "").partition(";")[0]
        self._cookie = given if response.status == 200 and given.startswith("AuthSession=") else ""

    def _good(self, answer: Answer, method: str, where: str) -> t.Any:
        if answer.status < 300:
            return answer.body
        said = answer.body if isinstance(answer.body, dict) else {}
        reason = f"{said.get('error', answer.status)}: {said.get('reason', 'no reason given')}"
        at = f"CouchDB at {self.server.url}"
        if answer.status in (401, 403):
            who = f"{at} does not let {self.server.username} do {method} {where} ({reason})"
            raise AuthenticationFailed(f"{who}: check user, password and the database's rights.")
        if answer.status == 409:
            raise StorageConflict(f"{at} has another revision of {where} than was expected: somebody else writes it too.")
        if answer.status == 413:
            raise StorageRefused(f"{at} does not take {where}, which is too large for it: raise max_document_size in its configuration.")
        if answer.status == 400 and said.get("error"):  # CouchDB itself, and nothing before it
            raise StorageRefused(f"{at} does not take {where} ({reason}).")
        hint = ": see its log, and whether its disk is full" if answer.status >= 500 else ""
        raise StorageFailed(f"{at} answered {method} {where} with {answer.status} ({reason}){hint}.")


def _parse(text: bytes) -> t.Any:
    try:
        return json.loads(text) if text.strip() else None
    except ValueError:
        return None


def brief(server: Server) -> Client:
    """A client for a server that may be away, and whose answer can be done without: it asks once, and waits for seconds alone."""
    return Client(server, _BRIEF_SECONDS, attempts=1)
