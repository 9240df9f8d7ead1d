# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who holds a lease, and the programs of the master as processes of this machine; also for a controller that a test starts, so it loads nothing of pytest."""

from __future__ import annotations

import subprocess

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import ConnectionFailed

NODE = "a1.example.com"
WORDS = {"name": "web.example.com", "to": "web.example.com on beta.example.com"}


class Local:
    """A program of this machine in the place of one on a master, as `SshProcess` shows it."""

    def __init__(self, argv):
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
        self.stdin = self
        self.stderr = b""

    def write(self, data):
        try:
            self.process.stdin.write(data)
        except (OSError, ValueError) as error:
            raise ConnectionFailed("nobody reads it any more") from error

    def flush(self):
        pass

    def __iter__(self):
        # Closed by who reads it: another thread could close it just before it is read once more, and the next test's process have its number by then.
        with self.process.stdout as lines:
            for line in lines:
                yield line.rstrip(b"\n")

    def kill(self):
        self.process.stdin.close()
