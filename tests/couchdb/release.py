# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Starts real CouchDB for a test, out of a release directory, kills it and starts it again: what `launch.StandIn` does with the stand-in."""

from __future__ import annotations

import http.client
import json
import os
import secrets
import signal
import socket
import subprocess
import time
from pathlib import Path

from .launch import Started

_SECONDS = 60.0
"""Until a server has to answer; on a busy machine the Erlang machine alone takes seconds."""
_INI = """\
[couchdb]
database_dir = {data}
view_index_dir = {data}
single_node = true

[chttpd]
port = {port}
bind_address = 127.0.0.1

[replicator]
startup_jitter = 0

[smoosh]
state_dir = {data}

[log]
writer = file
file = {log}
level = warning

[admins]
admin = {password}
"""
_ARGUMENTS = """\
-name {name}@127.0.0.1
-setcookie {cookie}
-start_epmd false
-dist_listen false
-kernel error_logger silent
-sasl sasl_error_logger false
-os_mon start_cpu_sup false
-os_mon start_memsup false
+Bd -noinput
+sbwt none
+sbwtdcpu none
+sbwtdio none
"""
"""No other Erlang node is to be found, and none is waited for: each request for `/` looks for one that would search."""


class Release(Started):
    """One server on loopback with a directory of its own. It keeps its port over a restart."""

    def __init__(self, directory: Path, release: Path) -> None:
        self.password = secrets.token_hex(8)
        self.port = _free_port()
        self.directory = directory
        self._release = release
        (directory / "data").mkdir(parents=True, exist_ok=True)
        (directory / "erlang").mkdir(exist_ok=True)
        values = {"data": directory / "data", "log": directory / "log", "port": self.port, "password": self.password}
        _write(directory / "local.ini", _INI.format(**values))
        _write(directory / "vm.args", _ARGUMENTS.format(name=f"c{secrets.token_hex(4)}", cookie=secrets.token_hex(8)))
        self.start()

    @property
    def url(self) -> str:
        """Where it listens, with the administrator's name and password."""
        return f"http://admin:{self.password}@127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it; it answers when this returns."""
        default = self._release / "etc"
        environment = {
            **os.environ,
            "COUCHDB_INI_FILES": f"{default}/default.ini {self.directory}/local.ini",
            "COUCHDB_ARGS_FILE": f"{self.directory}/vm.args",
            "HOME": f"{self.directory}/erlang",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }
        with open(self.directory / "errors", "ab") as errors:
            # A group of its own, to end its helpers with it.
            self.process = subprocess.Popen(
                [str(self._release / "bin/couchdb")], stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, env=environment, start_new_session=True
            )
        deadline = time.monotonic() + _SECONDS
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"CouchDB did not start: {self.errors()}")
            time.sleep(0.1)

    def _answers(self) -> bool:
        """Whether it is up, and has made the databases of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/_users")
            answer = connection.getresponse()
            return answer.status == 401 and json.loads(answer.read())["error"] == "unauthorized"
        except (OSError, ValueError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def pause(self) -> None:
        """Have it stand still, with its connections open."""
        os.killpg(self.process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Have it go on."""
        os.killpg(self.process.pid, signal.SIGCONT)

    def _end(self, number: signal.Signals) -> None:
        os.killpg(self.process.pid, number)
        self.process.wait(30)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _write(file: Path, text: str) -> None:
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
        stream.write(text)
