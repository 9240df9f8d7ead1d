# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The TLS connection of one lane, made and accepted, with dead peers noticed by the kernel."""

from __future__ import annotations

import socket
import ssl
import time

from . import frames, tls
from .errors import EndpointError

_DEAD_AFTER = 30
"""Seconds without an answer from the peer's host after which a connection is broken."""

_HANDSHAKE = 10.0
_RETRY = 0.2


def dial(address: str, port: int, context: ssl.SSLContext, move_id: str, lane: int, lanes: int, seconds: float) -> ssl.SSLSocket:
    """Connect lane *lane* to the destination, trying for *seconds*."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            plain = socket.create_connection((address, port), timeout=_HANDSHAKE)
            break
        except OSError as error:
            if time.monotonic() > deadline:
                raise EndpointError(f"Cannot connect to the destination node at {address} port {port}: {error.strerror or error}.") from error
            time.sleep(_RETRY)
    try:
        connection = context.wrap_socket(plain, server_hostname=tls.names(move_id)[1])
        connection.sendall(frames.pack_hello(move_id, lane, lanes))
        if receive_exactly(connection, len(frames.ACCEPTED)) != frames.ACCEPTED:
            raise EndpointError("The destination node did not accept the lane.")
    except (ssl.SSLError, OSError) as error:
        raise EndpointError(f"The destination node did not complete the TLS handshake: {error}.", secondary=True) from error
    _watch(connection)
    return connection


def accept(listener: socket.socket, context: ssl.SSLContext, move_id: str, lanes: int) -> ssl.SSLSocket:
    """Wait for a lane of this move; whoever else connects is turned away."""
    while True:
        plain, _address = listener.accept()
        plain.settimeout(_HANDSHAKE)
        connection = context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
        try:
            connection.do_handshake()
            if tls.names(move_id)[0] not in tls.peer_names(connection):
                raise EndpointError("The certificate of the sender carries another name.")
            frames.check_hello(receive_exactly(connection, frames.HELLO.size), move_id, lanes)
            connection.sendall(frames.ACCEPTED)
        except (OSError, EndpointError):
            # A port scanner or another move: it must not be able to end this one.
            connection.close()
            continue
        _watch(connection)
        return connection


def listen(address: str, port: int) -> socket.socket:
    """A socket that lanes can connect to; port 0 is any that is free."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        return socket.create_server((address, port), family=family, backlog=64)
    except OSError as error:
        raise EndpointError(f"Cannot listen on {address} port {port}: {error.strerror}. Choose another port.") from error


def receive_exactly(connection: socket.socket, count: int) -> bytes:
    """Return *count* bytes; raise EndpointError when the peer ends before."""
    result = b""
    while len(result) < count:
        data = connection.recv(count - len(result))
        if not data:
            raise EndpointError("The other node ended the connection early.", secondary=True)
        result += data
    return result


def _watch(connection: ssl.SSLSocket) -> None:
    """Block without a Python timeout, which would cost a poll a call, and let the kernel find dead peers."""
    connection.settimeout(None)
    for level, option, value in (
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10),
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
        (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4),
        (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _DEAD_AFTER * 1000),
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    ):
        connection.setsockopt(level, option, value)
