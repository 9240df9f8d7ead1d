# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Servers that speak CouchDB's protocol: the stand-in of tests/couchdb, or what COUCHDB_URLS names."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.parse
from pathlib import Path

from ansible_collections.ganeti.cluster.plugins.module_utils.storage.client import Server

PROGRAM = Path(__file__).resolve().parents[4] / "couchdb/server.py"


class StandIn:
    """A stand-in that runs; it can be killed and started again at the same port."""

    def __init__(self, directory):
        self._directory = directory
        (directory / "admin").write_text("ganeti:secret")
        self._start(0)
        self.server = Server(f"http://127.0.0.1:{self.port}", "ganeti", "secret")

    def _start(self, port):
        options = {"--directory": self._directory / "data", "--port": port, "--admin-file": self._directory / "admin"}
        command = [sys.executable, PROGRAM, *(word for option in options.items() for word in option)]
        self._process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True)
        self.port = json.loads(self._process.stdout.readline())["port"]

    def kill(self):
        """End it as a power failure would."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._process.stdout.close()

    def again(self):
        """Start it again."""
        self._start(self.port)

    def end(self):
        """End it, if it runs."""
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait(20)
            self._process.stdout.close()


def of_url(url):
    """A server of an URL that holds user and password."""
    parts = urllib.parse.urlsplit(url)
    return Server(f"{parts.scheme}://{parts.hostname}:{parts.port}", parts.username, parts.password, os.environ.get("COUCHDB_CA"))
