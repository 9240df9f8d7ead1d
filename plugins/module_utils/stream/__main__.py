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

from . import probe, tls
from .control import Controller
from .disks import Disk
from .errors import EndpointError
from .receiver import ReceivePlan, receive
from .sender import SendPlan, send

Request = t.Mapping[str, t.Any]


def _disks(request: Request) -> t.Tuple[Disk, ...]:
    return tuple(Disk(path, size) for path, size in request["disks"])


def _identity(request: Request) -> tls.Identity:
    return tls.Identity(request["certificate"], request["key"], request["ca"])


def _send(request: Request, controller: Controller) -> t.Dict[str, t.Any]:
    names = ("move_id", "address", "port", "lanes", "tool", "checksum")
    return send(SendPlan(disks=_disks(request), identity=_identity(request), **{name: request[name] for name in names}), controller)


def _receive(request: Request, controller: Controller) -> t.Dict[str, t.Any]:
    names = ("move_id", "address", "port", "lanes", "tool", "checksum", "readback")
    return receive(ReceivePlan(disks=_disks(request), identity=_identity(request), **{name: request[name] for name in names}), controller)


COMMANDS: t.Mapping[str, t.Callable[[Request, Controller], t.Dict[str, t.Any]]] = {
    "send": _send,
    "receive": _receive,
    "examine": lambda request, controller: probe.examine(request),
    "listen": lambda request, controller: probe.listen(request["address"], request["port"], controller),
    "connect": lambda request, controller: probe.connect(request["address"], request["port"]),
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
        controller.say("failed", message=str(error), secondary=error.secondary)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
