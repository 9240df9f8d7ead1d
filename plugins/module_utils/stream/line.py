# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""How fast the way between two nodes is, encrypted as a move encrypts or bare; random bytes travel, and nothing is stored."""

from __future__ import annotations

import functools
import os
import socket
import ssl
import time
import typing as t

from . import frames, policy, tls
from .connection import accept, dial, listen, receive_exactly
from .control import Controller
from .errors import EndpointError
from .lanes import Reporter, run_lanes

_PIECE = 1024 * 1024
_MORE, _LAST = b"\x00", b"\x01"  # what pieces begin with
_CONNECT_SECONDS = 15.0
_SILENCE = 30.0


class LinePlan(t.NamedTuple):
    """All that an end of a measurement has to know; without an identity nothing is encrypted."""

    move_id: str
    address: str
    port: int
    lanes: int
    seconds: float
    identity: t.Optional[tls.Identity]
    ciphers: t.Tuple[str, ...] = ()


Connection = t.Union[socket.socket, ssl.SSLSocket]


def flood(plan: LinePlan, controller: Controller) -> t.Dict[str, t.Any]:
    """Send random bytes over all lanes for some seconds; return the bytes a second that arrived."""
    policy.check_ciphers(plan.ciphers)
    policy.check_peer(plan.ciphers, plan.address)
    context = tls.context(plan.identity, server=False, wanted=plan.ciphers) if plan.identity else None
    results = run_lanes(controller, plan.lanes, functools.partial(_flood, plan, context), "measure the line")
    return {"rate": sum(result["rate"] for result in results)}


def sink(plan: LinePlan, controller: Controller) -> t.Dict[str, t.Any]:
    """Take in what the other end sends; return how many bytes that were."""
    policy.check_ciphers(plan.ciphers)
    context = tls.context(plan.identity, server=True, wanted=plan.ciphers) if plan.identity else None
    with listen(plan.address, plan.port) as listener:
        controller.say("listening", port=listener.getsockname()[1])
        results = run_lanes(controller, plan.lanes, functools.partial(_sink, plan, listener, context), "measure the line")
    return {"bytes": sum(result["payload"] for result in results)}


def _flood(plan: LinePlan, context: t.Optional[ssl.SSLContext], lane: int, reporter: Reporter) -> None:
    connection = _dial(plan, context, lane)
    rest = os.urandom(_PIECE - 1)
    pieces = {first: memoryview(first + rest) for first in (_MORE, _LAST)}
    begun, count = time.monotonic(), 0
    while time.monotonic() - begun < plan.seconds:
        connection.sendall(pieces[_MORE])
        count += 1
    connection.sendall(pieces[_LAST])
    if receive_exactly(connection, len(frames.STORED)) != frames.STORED:
        raise EndpointError("The other node did not confirm what it received.")
    reporter.finished(rate=(count + 1) * _PIECE / (time.monotonic() - begun))


def _sink(plan: LinePlan, listener: socket.socket, context: t.Optional[ssl.SSLContext], _lane: int, reporter: Reporter) -> None:
    connection = _accept(plan, listener, context)
    listener.close()
    policy.check_peer(plan.ciphers, connection.getpeername()[0])
    view = memoryview(bytearray(_PIECE))
    count, last = 0, False
    while not last:
        filled = 0
        while filled < _PIECE:
            more = connection.recv_into(view[filled:])
            if not more:
                raise EndpointError("The other node ended the connection early.", secondary=True)
            filled += more
        count, last = count + 1, view[:1] == _LAST
    connection.sendall(frames.STORED)
    reporter.finished(payload=count * _PIECE)


def _dial(plan: LinePlan, context: t.Optional[ssl.SSLContext], lane: int) -> Connection:
    if context is not None:
        return dial(plan.address, plan.port, context, plan.move_id, lane, plan.lanes, _CONNECT_SECONDS)
    connection = socket.create_connection((plan.address, plan.port), timeout=_SILENCE)
    connection.sendall(frames.pack_hello(plan.move_id, lane, plan.lanes))
    return connection


def _accept(plan: LinePlan, listener: socket.socket, context: t.Optional[ssl.SSLContext]) -> Connection:
    if context is not None:
        return accept(listener, context, plan.move_id, plan.lanes)
    while True:
        connection = listener.accept()[0]
        connection.settimeout(_SILENCE)
        try:
            frames.check_hello(receive_exactly(connection, frames.HELLO.size), plan.move_id, plan.lanes)
        except (OSError, EndpointError):  # a port scanner or another measurement
            connection.close()
            continue
        return connection
