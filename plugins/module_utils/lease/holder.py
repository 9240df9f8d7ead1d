# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What holds a lease: a program on the master of the instance's cluster. Standard library and Python 3.9 only; writes nothing.

A lease is the abstract UNIX socket ``ganeti-move/<UUID>``: the kernel lets one process of the node bind it, and takes it
back when that process ends, however it ends. It ends with its standard input, and after so many seconds without a line
there; time during which the node slept counts. Whoever connects is told who holds the lease.

Input: one line of JSON, {"instance": UUID, "limit": seconds, "holder": {...}}, then a line with a number for each sign of life.
Output: {"event": "held"} or {"event": "taken", "holder": {...}}, then {"event": "alive", "number", "master"} for each number.
"""

from __future__ import annotations

import errno
import json
import os
import select
import socket
import struct
import time
import typing as t

_MASTER = "/var/lib/ganeti/ssconf_master_node"
_LONGEST = 4096
_ANSWER = 3.0
_TRIES = 5


def boot() -> float:
    """Seconds since some moment, those that the system slept through included. Controllers run this too, not all of them on Linux."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def say(event: str, **fields: t.Any) -> None:
    """Answer the controller. One that does not read is no reason to live on."""
    os.write(1, json.dumps({"event": event, **fields}).encode("ascii") + b"\n")


def read_line(buffered: bytearray) -> t.Optional[bytes]:
    """The first line of *buffered*, taken out of it; None where there is none."""
    end = buffered.find(b"\n")
    if end < 0:
        return None
    line = bytes(buffered[:end])
    del buffered[: end + 1]
    return line


def master() -> str:
    """The node that this one takes for the master of the cluster."""
    try:
        with open(_MASTER, encoding="ascii") as stream:
            return stream.read(_LONGEST).strip()
    except (OSError, ValueError):
        return ""


def bind(address: str) -> t.Optional[socket.socket]:
    """The lease, or None where another holds it."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        server.bind(address)
    except OSError as error:
        server.close()
        if error.errno != errno.EADDRINUSE:
            raise
        return None
    server.listen(16)
    server.setblocking(False)
    return server


def who(address: str) -> t.Optional[t.Dict[str, t.Any]]:
    """What the holder says of itself; {} where it says nothing; None where there is none any more."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(_ANSWER)
        try:
            client.connect(address)
        except ConnectionRefusedError:
            return None
        except OSError:
            return {}
        pid, uid, _gid = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
        return {**read_introduction(client), "holder_pid": pid, "holder_uid": uid}


def read_introduction(client: socket.socket) -> t.Dict[str, t.Any]:
    """What the holder says of itself, or {} where that does not come in time or is something else."""
    said = bytearray()
    try:
        while len(said) < _LONGEST:
            data = client.recv(_LONGEST)
            if not data:
                return dict(json.loads(bytes(said)))
            said += data
    except (OSError, ValueError, TypeError):
        return {}
    return {}


def acquire(address: str) -> t.Optional[socket.socket]:
    """The lease; None, after saying who has it, where it is taken."""
    holder: t.Optional[t.Dict[str, t.Any]] = None
    for _turn in range(_TRIES):
        server = bind(address)
        if server is not None:
            return server
        holder = who(address)
        if holder is not None:
            break
    say("taken", holder=holder or {})
    return None


def serve(server: socket.socket, introduction: bytes, limit: float, buffered: bytearray) -> None:
    """Hold the lease until the controller ends or falls silent."""
    deadline = boot() + limit
    while True:
        line = read_line(buffered)
        while line is not None:
            deadline = boot() + limit
            say("alive", number=int(line), master=master())
            line = read_line(buffered)
        # Short turns: a sleeping node's timers stop, its boot clock does not.
        sources: t.List[t.Any] = [0, server]
        readable, _writable, _odd = select.select(sources, [], [], max(0.0, min(1.0, deadline - boot())))
        if boot() >= deadline:
            return
        if 0 in readable:
            data = os.read(0, _LONGEST)
            if not data or len(buffered) > _LONGEST:
                return
            buffered += data
        if server in readable:
            introduce(server, introduction)


def introduce(server: socket.socket, introduction: bytes) -> None:
    """Tell one who connects who holds the lease, and wait for nothing."""
    try:
        client, _peer = server.accept()
        with client:
            client.setblocking(False)
            client.send(introduction)
    except OSError:
        return


def main() -> int:
    """Take the lease and hold it; 0 where it was held."""
    os.set_blocking(1, False)
    buffered = bytearray()
    line = None
    while line is None:
        data = os.read(0, _LONGEST)
        if not data or len(buffered) > _LONGEST:
            return 2
        buffered += data
        line = read_line(buffered)
    request = json.loads(line)
    server = acquire("\0ganeti-move/" + request["instance"])
    if server is None:
        return 1
    with server:
        introduction = json.dumps({**request["holder"], "limit": request["limit"]}).encode("ascii")
        say("held", master=master())
        try:
            serve(server, introduction, float(request["limit"]), buffered)
        except BlockingIOError:
            return 3
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
