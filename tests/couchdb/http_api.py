# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The HTTP side: reads a request, has it answered, writes the answer."""

from __future__ import annotations

import http.server
import ssl
import sys
import traceback
import typing as t
import urllib.parse

from .accounts import User
from .errors import BadRequest, HttpError, NotImplementedHere
from .exchange import Answer, Request
from .json_text import dumps
from .server_api import Server

LARGEST_BODY = 256 * 1024 * 1024
METHODS = ("GET", "HEAD", "PUT", "POST", "DELETE", "COPY", "PATCH", "OPTIONS")


class Listener(http.server.ThreadingHTTPServer):
    """A thread for each connection."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], server: Server, context: t.Optional[ssl.SSLContext] = None) -> None:
        super().__init__(address, Handler)
        self.api = server
        self.context = context

    def finish_request(self, request: t.Any, client_address: t.Any) -> None:
        """Serve a connection, in its own thread, so that a slow handshake keeps nobody waiting."""
        if self.context is None:
            super().finish_request(request, client_address)
            return
        with self.context.wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)

    def handle_error(self, request: t.Any, client_address: t.Any) -> None:
        """Clients that are gone are nothing to tell about."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, ssl.SSLError)):
            traceback.print_exc()


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server_version = "CouchDB-stand-in"
    disable_nagle_algorithm = True
    wbufsize = -1  # an answer leaves in one piece
    server: Listener

    def __getattr__(self, name: str) -> t.Any:
        if name.startswith("do_") and name[3:] in METHODS:
            return self._serve
        raise AttributeError(name)

    def log_message(self, format: str, *args: t.Any) -> None:  # noqa: A002 - the name is given
        """Requests are not logged."""

    def _serve(self) -> None:
        request = None
        try:
            request = self._read()
            answer = self.server.api.answer(request)
        except HttpError as error:
            answer = Answer(error.status, {"error": error.error, "reason": error.reason})
            if request is not None and request.body and not request.used:
                self.close_connection = True  # as CouchDB does when it refuses before it has read all
        except Exception:
            traceback.print_exc()
            answer = Answer(500, {"error": "internal_server_error", "reason": "see what the server wrote to its standard error"})
        self._write(answer)

    def _read(self) -> Request:
        body = self._read_body()
        path, _mark, query = self.path.partition("?")
        try:
            parts = [urllib.parse.unquote_plus(part, errors="strict") for part in path.split("/") if part]
            parameters = dict(urllib.parse.parse_qsl(query, keep_blank_values=True, errors="strict"))
        except UnicodeDecodeError:
            raise BadRequest("Document id must be valid UTF-8", "illegal_docid") from None
        address = str(self.client_address[0])
        user, proof = self._identify(address)
        method = "GET" if self.command == "HEAD" else self.command
        host = self.headers.get("Host", "127.0.0.1")
        base = f"{'https' if self.server.context else 'http'}://{host}"
        return Request(method, parts, parameters, t.cast("t.Mapping[str, str]", self.headers), body, user, proof, base, address)

    def _identify(self, address: str) -> tuple[User, t.Optional[str]]:
        return self.server.api.accounts.identify(self.headers.get("Authorization"), self.headers.get("Cookie", ""), address)

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding"):
            self.close_connection = True
            raise NotImplementedHere("bodies of unknown length")
        length = int(self.headers.get("Content-Length") or 0)
        if length > LARGEST_BODY:
            self.close_connection = True
            raise HttpError(413, "too_large", "the request entity is too large")
        return self.rfile.read(length)

    def _write(self, answer: Answer) -> None:
        body = b"" if answer.status == 304 else dumps(answer.value).encode() + b"\n"
        self.send_response(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        if answer.status != 304:
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "must-revalidate")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()
