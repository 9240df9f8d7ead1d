# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""OpenSSH's own server on loopback, with keys, a configuration and a port of its own."""

from __future__ import annotations

import functools
import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

USER = getpass.getuser()


def make_key(path: Path, passphrase: str = "", kind: str = "ed25519") -> Path:
    """A key pair; the path of its private half."""
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", path.name, "-f", str(path)], check=True, stdin=subprocess.DEVNULL)
    return path


def public(path: Path) -> str:
    """Type and key, as in a file of known hosts."""
    return " ".join(Path(f"{path}.pub").read_text().split()[:2])


def fingerprint(path: Path) -> str:
    return subprocess.run(["ssh-keygen", "-l", "-f", f"{path}.pub"], check=True, capture_output=True, text=True).stdout.split()[1]


def sign(authority: Path, key: Path, names: str, *more: str) -> Path:
    """The certificate of a key, beside it."""
    subprocess.run(["ssh-keygen", "-q", "-s", str(authority), "-I", "test", "-n", names, *more, f"{key}.pub"], check=True)
    return Path(f"{key}-cert.pub")


@functools.cache
def quick_exchange() -> str:
    """A key exchange that costs little: sntrup761, which older releases prefer, takes a third of the time of all these tests."""
    known = subprocess.run(["ssh", "-Q", "kex"], check=True, capture_output=True, text=True).stdout.split()
    return next(name for name in ("mlkem768x25519-sha256", "curve25519-sha256") if name in known)


class Sshd:
    """A server that lets in who is in ``authorized``; ``more`` are further lines of its configuration."""

    def __init__(self, directory: Path, *more: str) -> None:
        directory.mkdir()
        self.directory = directory
        self.host_key = make_key(directory / "host_key")
        self.authorized = directory / "authorized_keys"
        self.authorized.write_text("")
        self._lines = [
            "ListenAddress 127.0.0.1",
            f"HostKey {self.host_key}",
            f"PidFile {directory}/pid",
            f"AuthorizedKeysFile {self.authorized}",
            "StrictModes no",
            "UsePAM no",
            "PermitRootLogin yes",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            f"KexAlgorithms {quick_exchange()}",
            *more,
        ]
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self, *more: str) -> None:
        """Listen on a port that is free."""
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where Debian's server wants to be locked up
        for _attempt in range(5):
            with socket.create_server(("127.0.0.1", 0)) as free:
                self.port: int = free.getsockname()[1]
            config = self.directory / "sshd_config"
            config.write_text("\n".join([f"Port {self.port}", *self._lines, *more, ""]))
            program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
            assert program, "Install openssh-server: tests/tools/install-packages"
            with (self.directory / "log").open("wb") as log:
                self._process = subprocess.Popen([program, "-D", "-e", "-f", str(config)], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            if self._listens():
                return
        raise AssertionError((self.directory / "log").read_text())

    def _listens(self) -> bool:
        """Whether it says that it listens, before it ends; to connect would cost it a process."""
        assert self._process
        deadline = time.monotonic() + 60
        while self._process.poll() is None and time.monotonic() < deadline:
            if f" port {self.port}." in (self.directory / "log").read_text():
                return True
            time.sleep(0.005)
        return False

    def stop(self) -> None:
        """No more connections; those that are open stay."""
        assert self._process
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(60)

    def known_as(self, *names: str) -> str:
        """The line of a file of known hosts."""
        return ",".join(f"[{name}]:{self.port}" for name in names) + f" {public(self.host_key)}\n"
