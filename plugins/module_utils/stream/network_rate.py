# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""How fast the way between two nodes is, encrypted as a move encrypts or bare; random bytes travel, and nothing is stored."""

from __future__ import annotations

import functools
import os
import time
import typing as t

from . import frames, policy, tls
from .connection import Connection, Gate, Rendezvous, close_all, dial, receive_exactly
from .control import Controller
from .errors import EndpointError
from .lanes import Reporter, run_lanes

_PIECE = 1024 * 1024
_MORE, _LAST = b"\x00", b"\x01"  # what pieces begin with
_CONNECT_SECONDS = 15.0


class RatePlan(t.NamedTuple):
    """All that an end of a measurement has to know; without an identity nothing is encrypted."""

    move_id: str
    address: str
    port: int
    lanes: int
    seconds: float
    identity: t.Optional[tls.Identity]
    ciphers: t.Tuple[str, ...] = ()


def flood(plan: RatePlan, controller: Controller) -> t.Dict[str, t.Any]:
    """Send random bytes over all lanes for some seconds; return the bytes a second that arrived."""
    policy.check_ciphers(plan.ciphers)
    policy.check_peer(plan.ciphers, plan.address)
    connections = dial(_rendezvous(plan, server=False), controller, _CONNECT_SECONDS)
    work = functools.partial(_flood, plan, connections)
    results = run_lanes(controller, plan.lanes, work, "rate", forked=functools.partial(close_all, connections))
    return {"rate": sum(result["rate"] for result in results)}


def sink(plan: RatePlan, controller: Controller) -> t.Dict[str, t.Any]:
    """Take in what the other end sends; return how many bytes that were."""
    policy.check_ciphers(plan.ciphers)
    with Gate(_rendezvous(plan, server=True)) as gate:
        controller.say("listening", port=gate.port)
        connections = gate.admit(controller)
    work = functools.partial(_sink, plan, connections)
    results = run_lanes(controller, plan.lanes, work, "rate", forked=functools.partial(close_all, connections))
    return {"bytes": sum(result["payload"] for result in results)}


def _rendezvous(plan: RatePlan, server: bool) -> Rendezvous:
    context = tls.context(plan.identity, server=server, wanted=plan.ciphers) if plan.identity else None
    return Rendezvous(plan.address, plan.port, context, plan.move_id, plan.lanes)


def _flood(plan: RatePlan, connections: t.Sequence[Connection], lane: int, reporter: Reporter) -> None:
    connection = connections[lane]
    close_all(connections, but=connection)
    rest = os.urandom(_PIECE - 1)
    pieces = {first: memoryview(first + rest) for first in (_MORE, _LAST)}
    begun, count = time.monotonic(), 0
    while time.monotonic() - begun < plan.seconds:
        connection.sendall(pieces[_MORE])
        count += 1
        reporter.progress(count * _PIECE)
    connection.sendall(pieces[_LAST])
    if receive_exactly(connection, len(frames.STORED)) != frames.STORED:
        raise EndpointError("The other node did not confirm what it received.")
    reporter.finished(rate=(count + 1) * _PIECE / (time.monotonic() - begun))


def _sink(plan: RatePlan, connections: t.Sequence[Connection], lane: int, reporter: Reporter) -> None:
    connection = connections[lane]
    close_all(connections, but=connection)
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
        reporter.progress(count * _PIECE)
    connection.sendall(frames.STORED)
    reporter.finished(payload=count * _PIECE)
