# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What runs on a node: takes one request as a line of JSON, answers with lines of JSON."""

from __future__ import annotations

import io
import json
import signal
import sys
import typing as t

from . import free_space, probe, tls, tool_speed
from .control import Controller
from .dealer import data_bytes
from .disks import Disk, check_whole
from .errors import EndpointError
from .lanes import is_broken, sentence
from .network_rate import RatePlan, flood, sink
from .receiver import ReceivePlan, receive
from .sample import read_sample
from .sender import SendPlan, send

Request = t.Mapping[str, t.Any]


def _identity(request: Request) -> tls.Identity:
    return tls.Identity(request["certificate"], request["key"], request["ca"])


def _plan(request: Request, *names: str) -> t.Dict[str, t.Any]:
    """What both ends have to know, and *names* of the request beside it."""
    return {
        "identity": _identity(request),
        "ciphers": tuple(request.get("ciphers", ())),
        **{name: request[name] for name in ("move_id", "address", *names)},
    }


def _send(request: Request) -> SendPlan:
    return SendPlan(sizes=tuple(request["sizes"]), map_reader=request.get("map_reader", ""), **_plan(request, "lanes", "tool", "checksum"))


def _receive(request: Request) -> ReceivePlan:
    disks = tuple(Disk(path, size) for path, size in request["disks"])
    return ReceivePlan(disks=disks, **_plan(request, "port", "lanes", "tool", "checksum", "readback"))


def _probe(request: Request) -> probe.ProbePlan:
    return probe.ProbePlan(**_plan(request, "port", "seconds"))


def _rate(request: Request) -> RatePlan:
    identity = _identity(request) if "key" in request else None
    names = ("move_id", "address", "port", "lanes", "seconds")
    return RatePlan(identity=identity, ciphers=tuple(request.get("ciphers", ())), **{name: request[name] for name in names})


def _measure_tools(request: Request) -> t.Dict[str, t.Any]:
    sample = read_sample(request["sample"], request["sample_mib"])
    tools = request["tools"] if sample else ()
    return {"sample": len(sample), "tools": {name: tool_speed.measure_tool(name, sample, request["count"], request["turns"]) for name in tools}}


def _count_free(request: Request, controller: Controller) -> t.Dict[str, t.Any]:
    """The bytes that a copy of *disks* would take, and those of them that file systems say are free."""
    disks = tuple(Disk(path, size) for path, size in request["disks"])
    check_whole(disks)
    found = free_space.find(disks, request["map_reader"], controller)
    data = sum(data_bytes(disks))
    return {"data": data, "idle": max(0, data - sum(data_bytes(disks, found.free))), "free_space": found.told}


COMMANDS: t.Mapping[str, t.Callable[[Request, Controller], t.Dict[str, t.Any]]] = {
    "send": lambda request, controller: send(_send(request), controller),
    "receive": lambda request, controller: receive(_receive(request), controller),
    "examine": lambda request, controller: probe.examine(request),
    "count_free": _count_free,
    "echo": lambda request, controller: probe.echo(_probe(request), controller),
    "measure_tools": lambda request, controller: _measure_tools(request),
    "flood": lambda request, controller: flood(_rate(request), controller),
    "sink": lambda request, controller: sink(_rate(request), controller),
    "ping": lambda request, controller: probe.ping(_probe(request), controller),
}


def main() -> int:
    """Serve one request; the exit status is 0 when it was done."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    # Unbuffered, as the control channel is read by its descriptor from here on.
    line = t.cast(io.RawIOBase, t.cast(io.BufferedReader, sys.stdin.buffer).raw).readline()
    controller = Controller()
    try:
        request = json.loads(line)
        controller.say("finished", **COMMANDS[request["command"]](request, controller))
    except EndpointError as error:
        controller.say("failed", message=str(error), secondary=error.secondary, clock=error.clock)
        return 1
    except OSError as error:
        controller.say("failed", message=sentence(error), secondary=is_broken(error), clock=None)
        return 1
    return 0
