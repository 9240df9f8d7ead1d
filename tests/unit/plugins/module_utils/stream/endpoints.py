# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Endpoints as they run on nodes, made from the bundle."""

from __future__ import annotations

import json
import subprocess
import sys

from ansible_collections.ganeti.cluster.plugins.module_utils.stream import bundle

MOVE = "0123456789abcdef"


class Endpoint:
    """One endpoint's process; ``limit`` is the largest file it may write."""

    def __init__(self, request, limit=None, suites=()):
        command = [sys.executable, "-I", "-c", bundle.BOOT, *suites]
        if limit is not None:
            command = ["prlimit", f"--fsize={limit}", *command]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.process.stdin.write(bundle.bundle() + json.dumps(request).encode() + b"\n")
        self.process.stdin.flush()

    def tell(self, **message):
        """Send what the endpoint waits for; one that has ended already has told why."""
        try:
            self.process.stdin.write(json.dumps(message).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            assert self.process.wait(timeout=10) == 1

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
