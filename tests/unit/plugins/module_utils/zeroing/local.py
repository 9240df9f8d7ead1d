# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Programs of nodes, run on this machine."""

from __future__ import annotations

import subprocess
import sys


class Local:
    """A program of this machine in the place of one on a node, as `SshProcess` shows it."""

    def __init__(self, argv):
        self.process = subprocess.Popen([sys.executable, *argv[1:]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
        self.stdin = self.process.stdin

    @property
    def stderr(self):
        return self.process.stderr.read()

    def __iter__(self):
        with self.process.stdout as lines:
            for line in lines:
                yield line.rstrip(b"\n")

    def kill(self):
        self.stdin.close()
        self.process.wait(30)
