# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A virtual machine that boots the helper on a disk, as Ganeti would: its console in a socket, its power button within reach."""

from __future__ import annotations

import json
import socket
import subprocess
import typing as t
from pathlib import Path

from ansible_collections.ganeti.cluster.plugins.module_utils.zeroing.messages import Account, Message, parse

ID = "0123456789abcdef"
PATIENCE = 300.0
"""Seconds for a run. One takes ten to twenty of an emulated processor that nobody else wants."""


class Machine:
    """One start of the helper; from its own *bootable* disk, as Ganeti's zeroing does, it is told nothing."""

    def __init__(self, image: Path, disk: Path, mode: str = "discard", discard: str = "unmap", bootable: bool = False) -> None:
        self.account = Account()
        self._identifier = "none" if bootable else ID
        self.other: t.List[str] = []
        """What else was on the console."""
        self._place = disk.with_suffix(".sockets")
        self._place.mkdir(exist_ok=True)
        for socket_file in self._place.iterdir():
            socket_file.unlink()
        append = f"root=/dev/none zeroing.id={ID} zeroing.mode={mode} quiet loglevel=1 panic=1 console=ttyS0,38400"
        kernel = ["-kernel", str(image / "vmlinuz"), "-initrd", str(image / "initrd.img"), "-append", append]
        if bootable:
            kernel = ["-drive", f"file={image}/disk.img,format=raw,if=none,id=boot,snapshot=on", "-device", "virtio-blk-pci,drive=boot,bootindex=0"]
        self._process = subprocess.Popen(
            ["qemu-system-x86_64", "-machine", "pc", "-accel", "tcg", "-cpu", "max", "-m", "256", "-no-reboot", "-nodefaults", "-display", "none",
             "-serial", f"unix:{self._place}/serial,server=on,wait=on", "-qmp", f"unix:{self._place}/qmp,server=on,wait=off",
             *kernel,
             "-drive", f"file={disk},format=raw,if=none,id=disk0,discard={discard}", "-device", "virtio-blk-pci,drive=disk0"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        self._console = connected(self._place / "serial", self._process)
        self._console.settimeout(PATIENCE)

    def messages(self) -> t.Iterator[Message]:
        """What the helper says, until it has ended."""
        with self._console.makefile("rb") as lines:
            for line in lines:
                text = line.decode("utf-8", "replace").strip()
                message = parse(text, self._identifier)
                if message is not None:
                    self.account.add(message)
                    yield message
                elif text:
                    self.other.append(text)
        assert self._process.wait(PATIENCE) == 0, self._process.stderr and self._process.stderr.read()

    def to_the_end(self) -> Account:
        """All that it says."""
        for _message in self.messages():
            pass
        return self.account

    def press_power_button(self) -> None:
        """As Ganeti does, to shut it down."""
        with connected(self._place / "qmp", self._process) as monitor, monitor.makefile("rwb") as stream:
            for command in ("qmp_capabilities", "system_powerdown"):
                stream.write(json.dumps({"execute": command}).encode() + b"\n")
                stream.flush()
                while "return" not in json.loads(stream.readline()):
                    pass

    def close(self) -> None:
        """End it, if it has not ended, and forget it."""
        self._process.kill()
        self._process.wait()
        self._console.close()
        if self._process.stderr:
            self._process.stderr.close()


def connected(path: Path, process: subprocess.Popen[bytes]) -> socket.socket:
    """A connection to a socket that QEMU makes when it starts."""
    while process.poll() is None:
        client = socket.socket(socket.AF_UNIX)
        try:
            client.connect(str(path))
            return client
        except (FileNotFoundError, ConnectionRefusedError):
            client.close()
    raise AssertionError(f"QEMU ended with {process.returncode}: {process.stderr and process.stderr.read().decode()}")
