# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What stays with a guest until its end: a program on the instance's primary node. Standard library and Python 3.9 only; writes nothing.

It relays the serial console, of which QEMU drops what nobody reads, and waits for the end of the process itself, which needs no questions to Ganeti.

Input: one line of JSON, {"instance": name, "mark": what its command line has to hold}. It ends when its input does.
Output, a line of JSON each: first {"event": "attending"}, {"event": "absent"} where no process of the instance runs, or {"event": "another"} where one
runs whose command line does not hold the mark; then {"event": "line", "line": ...} for each line of the console, and at last {"event": "ended"}.
A console that somebody else holds is no reason not to stay: {"event": "silent", "why": ...}.
"""

from __future__ import annotations

import json
import os
import select
import socket
import typing as t

PLACE = "/var/run/ganeti/kvm-hypervisor"
_LONGEST = 4096
"""Bytes of a line, of our own input and of the guest's; what is longer is cut off and left out."""
_CHUNK = 65536


def say(event: str, **fields: t.Any) -> None:
    """Tell the controller. One that does not read loses lines, and does not make the guest wait."""
    try:
        os.write(1, json.dumps({"event": event, **fields}).encode("ascii") + b"\n")
    except BlockingIOError:
        return


def process_of(instance: str) -> t.Optional[int]:
    """A descriptor of the instance's process, which is readable when it ends; None where there is none."""
    pid = pid_of(instance)
    if pid is None:
        return None
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None


def pid_of(instance: str) -> t.Optional[int]:
    """The number of the instance's process, as Ganeti has noted it."""
    try:
        with open(f"{PLACE}/pid/{instance}", encoding="ascii") as stream:
            return int(stream.read(32))
    except (OSError, ValueError):
        return None


def holds(instance: str, mark: str) -> bool:
    """Whether the command line of the instance's process holds the mark, as an argument or within one, and is that of this instance."""
    try:
        with open(f"/proc/{pid_of(instance)}/cmdline", "rb") as stream:
            words = stream.read(1 << 20).split(b"\0")
    except OSError:
        return False
    named = any(word == instance.encode() or word.startswith(instance.encode() + b",") for word in words)
    return named and any(mark.encode() in word.split() for word in words)


def console_of(instance: str) -> t.Optional[socket.socket]:
    """The guest's serial console; None, after telling why, where it cannot be had."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        client.setblocking(False)
        client.connect(f"{PLACE}/ctrl/{instance}.serial")
    except OSError as error:
        client.close()
        say("silent", why=error.strerror or str(error))
        return None
    return client


class Lines:
    """Lines out of pieces of them; those that are too long are left out."""

    def __init__(self) -> None:
        self._pending = b""
        self._skipping = False

    def add(self, data: bytes) -> t.Iterator[str]:
        """The lines that have come to their end with *data*."""
        *whole, self._pending = (self._pending + data).split(b"\n")
        for line in whole:
            if not self._skipping and 0 < len(line.strip()) <= _LONGEST:
                yield line.strip().decode("utf-8", "replace")
            self._skipping = False
        if len(self._pending) > _LONGEST:
            self._pending, self._skipping = b"", True


def attend(process: int, console: t.Optional[socket.socket]) -> None:
    """Relay the console until the process ends, or the controller does."""
    lines = Lines()
    sources: t.List[t.Any] = [0, process, *([console] if console else [])]
    while True:
        readable = select.select(sources, [], [])[0]
        if console in readable:
            data = receive(t.cast(socket.socket, console))
            for line in lines.add(data):
                say("line", line=line)
            if not data:
                sources.remove(console)
        elif process in readable:
            say("ended")
            return
        if 0 in readable and not os.read(0, _LONGEST):
            return


def receive(console: socket.socket) -> bytes:
    """What the guest has written; nothing where QEMU is gone."""
    try:
        return console.recv(_CHUNK)
    except OSError:
        return b""


def main() -> int:
    """Read what is asked for, and stay."""
    request = json.loads(read_line())
    os.set_blocking(1, False)
    instance = str(request["instance"])
    process = process_of(instance)
    if process is None:
        say("absent")
    elif not holds(instance, str(request["mark"])):
        say("another")
    else:
        say("attending")
        attend(process, console_of(instance))
    return 0


def read_line() -> bytes:
    """The first line of the input."""
    line = b""
    while not line.endswith(b"\n") and len(line) < _LONGEST:
        line += os.read(0, 1) or b"\n"
    return line


if __name__ == "__main__":
    raise SystemExit(main())
