# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Endpoints as they run on nodes, made from the bundle."""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys

from ansible_collections.ganeti.cluster.plugins.module_utils.stream import bundle, tls
from ansible_collections.ganeti.cluster.plugins.module_utils.stream.extents import BLOCK

MIB = 1024 * 1024
MOVE = "0123456789abcdef"


class Endpoint:
    """One endpoint's process; ``limit`` is the largest file it may write, ``faults`` a program that spoils the system's functions first."""

    def __init__(self, request, limit=None, suites=(), faults=""):
        command = [sys.executable, "-I", "-c", f"{faults}\n{bundle.BOOT}", *suites]
        if limit is not None:
            command = ["prlimit", f"--fsize={limit}", *command]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.process.stdin.write(bundle.bundle() + json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()

    def say(self, **message):
        """Send what the endpoint waits for; one that has ended already has told why."""
        try:
            self.process.stdin.write(json.dumps(message).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            assert self.process.wait(timeout=60) == 1

    def until(self, kind):
        """The next event of this kind, progress left out; another one is an error."""
        while True:
            event = self.event()
            if event["event"] == kind:
                return event
            assert event["event"] == "progress", event

    def event(self):
        """The next event."""
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read().decode()
        return json.loads(line)

    def last(self):
        """The final event; the endpoint must have ended without a word on standard error."""
        lines = self.process.stdout.readlines()  # standard input stays open: its end would be the controller's
        assert self.process.stderr.read() == b""
        return json.loads(lines[-1])

    def end(self):
        """End it in any case."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            stream.close()


class Intruder:
    """Somebody who connects to a listening endpoint by hand."""

    def __init__(self, port, identity, name):
        self.plain = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.context = tls.context(identity, server=False)
        self.name = name

    def speak(self, data):
        """Send *data* after the handshake; return what comes back, or None where the door is shut."""
        try:
            with self.context.wrap_socket(self.plain, server_hostname=self.name) as connection:
                connection.sendall(data)
                return connection.recv(64) or None
        except OSError:
            return None


def disk(path, size, seed, pieces=20):
    """A sparse disk with *pieces* of random data at random places."""
    generator = random.Random(seed)
    with open(path, "wb") as stream:
        stream.truncate(size)
        for _piece in range(pieces):
            length = generator.randrange(1, min(3 * BLOCK, size))
            os.pwrite(stream.fileno(), generator.randbytes(length), generator.randrange(0, size - length))
    return str(path)


def empty(path, size):
    """A disk of zeros."""
    with open(path, "wb") as stream:
        stream.truncate(size)
    return str(path)


def requests(keys, sources, targets, tool="none", lanes=2, checksum="crc32", readback=False, sizes=None):
    """What the two endpoints are asked to do; the sender lacks the port, and is told the paths last. Devices need their *sizes* given."""
    sizes = sizes or [os.stat(path).st_size for path in sources]
    common = {"move_id": MOVE, "lanes": lanes, "tool": tool, "checksum": checksum, "address": "127.0.0.1"}
    send = {**common, **keys[0]._asdict(), "command": "send", "sizes": sizes, "paths": sources}
    receive = {**common, **keys[1]._asdict(), "command": "receive", "disks": list(zip(targets, sizes)), "port": 0, "readback": readback}
    return send, receive


def start(endpoints, send, receive, **options):
    """Run both ends as far as they get while the source runs."""
    receiver = endpoints(receive, **options)
    sender = endpoints(send, suites=options.get("suites", ()))
    assert sender.event()["event"] == "started"
    sender.say(port=receiver.until("listening")["port"])
    assert sender.event() == {"event": "ready"}
    return sender, receiver


def transfer(endpoints, send, receive, **options):
    """Run both ends; return their final events."""
    sender, receiver = start(endpoints, send, receive, **options)
    sender.say(paths=send["paths"])
    return sender.last(), receiver.last()
