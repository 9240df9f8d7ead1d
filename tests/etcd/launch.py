# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Starts members of a real etcd for a test, kills them and starts them again."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import typing as t
from pathlib import Path

_SECONDS = 60
_SETTINGS = ("--heartbeat-interval=50", "--election-timeout=500", "--logger=zap", "--log-level=warn", "--log-outputs=stderr")


class Member:
    """One member, with a directory of its own. It keeps its ports over a restart."""

    def __init__(self, directory: Path, name: str, tls: t.Sequence[str] = ()) -> None:
        """*tls* are the options for it, and none where it is not wanted."""
        self.directory = directory
        self.name = name
        self._tls = list(tls)
        directory.mkdir(parents=True)
        self.port, self.peer_port = _free_port(), _free_port()
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.peer_url = f"http://127.0.0.1:{self.peer_port}"
        """Where the other members reach it."""
        self.process: t.Optional[subprocess.Popen[bytes]] = None

    def start(self, cluster: str, state: str, options: t.Sequence[str]) -> socket.socket:
        """Start it; the socket on which it tells that it serves, as it tells systemd."""
        program = shutil.which("etcd")
        assert program, "These tests want a real etcd: install Debian's package etcd-server, as tests/tools/install-packages does."
        ready = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notify = self.directory / "notify"
        notify.unlink(missing_ok=True)
        ready.bind(str(notify))
        ready.settimeout(_SECONDS)
        command = [
            program, f"--name={self.name}", f"--data-dir={self.directory}/data", f"--initial-cluster={cluster}", f"--initial-cluster-state={state}",
            f"--listen-client-urls={self.url}", f"--advertise-client-urls={self.url}",
            f"--listen-peer-urls=http://127.0.0.1:{self.peer_port}", f"--initial-advertise-peer-urls={self.peer_url}", *_SETTINGS, *self._tls, *options,
        ]  # fmt: skip
        # Nothing of whoever runs the tests may change what is tested.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ETCD")}
        with open(self.directory / "log", "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env={**environment, "NOTIFY_SOCKET": str(notify)})
        return ready

    def log(self) -> str:
        """What it said."""
        return (self.directory / "log").read_text(errors="replace")

    def end(self, number: signal.Signals) -> None:
        """End it, by its own process id."""
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(number)
            self.process.wait(_SECONDS)
            self.process = None


Between = t.Callable[[t.Sequence[Member]], t.Sequence[int]]
"""Gives the ports by which members are reached by each other."""


class Etcd:
    """Some members that are one etcd."""

    def __init__(
        self, directory: Path, count: int, tls: t.Sequence[str] = (), options: t.Sequence[str] = (), between: t.Optional[Between] = None
    ) -> None:
        """*between* is for what is to be between the members."""
        self.members = [Member(directory / f"m{number}", f"m{number}", tls) for number in range(count)]
        if between is not None:
            for each, port in zip(self.members, between(self.members)):
                each.peer_url = f"http://127.0.0.1:{port}"
        self._options = list(options)
        self._cluster = ",".join(f"{each.name}={each.peer_url}" for each in self.members)
        self._start(self.members, "new")

    @property
    def urls(self) -> t.List[str]:
        """Where clients reach the members."""
        return [each.url for each in self.members]

    def start(self, *members: Member) -> None:
        """Start members that were ended; they serve when this returns."""
        self._start(members, "existing")

    def _start(self, members: t.Sequence[Member], state: str) -> None:
        waiting = [(each, each.start(self._cluster, state, self._options)) for each in members]
        for member, ready in waiting:
            with ready:
                try:
                    assert b"READY=1" in ready.recv(4096), member.log()
                except TimeoutError:
                    raise AssertionError(f"{member.name} does not serve: {member.log()}") from None

    def kill(self, *members: Member) -> None:
        """End members without a chance to write anything."""
        for each in members:
            each.end(signal.SIGKILL)

    def stop(self) -> None:
        """End all that run. What they hold is a test's own, so nobody waits for them to hand over."""
        self.kill(*self.members)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
