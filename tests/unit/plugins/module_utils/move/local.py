# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nodes that are processes of this machine, with endpoints as they run on real ones."""

from __future__ import annotations

import contextlib
import subprocess


class Process:
    """What `SshHost.popen` gives, without SSH."""

    def __init__(self, argv):
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.stdin, self.stdout = self.process.stdin, self.process.stdout

    @property
    def stderr(self):
        """What it said on standard error."""
        return self.process.stderr.read()

    def kill(self):
        """As closing a channel does: standard input ends."""
        with contextlib.suppress(BrokenPipeError):  # it has ended, and what was written last is nobody's
            self.stdin.close()


class Host:
    """A node by its name; *program* replaces the endpoint's."""

    def __init__(self, name, program=None):
        self.name = name
        self.processes = []
        self._program = program

    def popen(self, argv):
        """Start an endpoint."""
        self.processes.append(Process(self._program or argv))
        return self.processes[-1]

    def end(self):
        """End all that was started, in any case."""
        for each in self.processes:
            each.process.kill()
            each.process.wait()
            each.kill()
            each.stdout.close()
            each.process.stderr.close()
