# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Starts the stand-in for a test, kills it and starts it again."""

from __future__ import annotations

import abc
import json
import os
import secrets
import signal
import subprocess
import sys
import typing as t
from pathlib import Path

SERVER = Path(__file__).with_name("server.py")


class Started(abc.ABC):
    """A server with a directory of its own, which is ended by its process."""

    directory: Path
    process: subprocess.Popen[bytes]

    def errors(self) -> str:
        """What it wrote to its standard error."""
        return (self.directory / "errors").read_text()

    def kill(self) -> None:
        """End it without a chance to write anything."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in order."""
        self._end(signal.SIGTERM)

    @abc.abstractmethod
    def pause(self) -> None:
        """Have it stand still, with its connections open."""

    @abc.abstractmethod
    def resume(self) -> None:
        """Have it go on."""

    @abc.abstractmethod
    def _end(self, number: signal.Signals) -> None:
        """Send a signal, and wait for its end."""


class StandIn(Started):
    """One server on loopback with a directory of its own. It keeps its port over a restart."""

    def __init__(self, directory: Path, disorder: t.Optional[str] = None, volatile: bool = False) -> None:
        """*disorder* is the seed of replications that dawdle; what is *volatile* is not brought to stable storage."""
        self.password = secrets.token_hex(8)
        self.port = 0
        self.directory = directory
        self._options = [*([] if disorder is None else ["--disorder", disorder]), *(["--volatile"] if volatile else [])]
        directory.mkdir(parents=True, exist_ok=True)
        self._admin = directory / "admin"
        with open(os.open(self._admin, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(f"admin:{self.password}\n")
        self.start()

    @property
    def url(self) -> str:
        """Where it listens, with the administrator's name and password."""
        return f"http://admin:{self.password}@127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it; it listens when this returns."""
        data = str(self.directory / "data")
        command = [sys.executable, str(SERVER), "--directory", data, "--port", str(self.port), "--admin-file", str(self._admin)]
        command += self._options
        with open(self.directory / "errors", "ab") as errors:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the stand-in did not start: {self.errors()}")
        self.port = json.loads(line)["port"]

    def pause(self) -> None:
        """Have it stand still, with its connections open."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Have it go on."""
        self.process.send_signal(signal.SIGCONT)

    def _end(self, number: signal.Signals) -> None:
        self.process.send_signal(number)
        self.process.wait(30)
        if self.process.stdout is not None:
            self.process.stdout.close()
