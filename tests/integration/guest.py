# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real guests for tests: KVM instances of the lab that run tests/guest and tell by their own log whether anything was lost.

A test makes one, lets it write, remembers what it had acknowledged, and judges it at the other end::

    guest = Guest(lab, name)
    guest.create("file", "64M", rate=400)
    guest.start()
    with guest.watched() as seen:       # reads the console as long as the instance lives
        moved = move(...).result()
    there = guest.at("beta")
    there.nothing_lost(seen.mark())

Nothing here sleeps: the guest says when it is ready, has written or has stopped. Its console takes one client at a time.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import typing as t

from .lab import ROOT, Lab, quoted

KERNEL, INITRD = "/boot/vmlinuz-guest", "/boot/initrd-guest"
MEMORY = 96
"""MiB. With 72 the kernel of Debian 13 cannot unpack its initial RAM disk; 80 are enough for both."""
PATIENCE = 150.0
"""Seconds to wait for the guest's next word. A boot takes three to six seconds of an emulated processor that nobody else wants."""

CLIENT = (ROOT / "tests/guest/console").read_text()
"""The console's client, which runs on the instance's node."""

Message = t.Dict[str, t.Any]


class Mark(t.NamedTuple):
    """What a guest had acknowledged at some time."""

    log: str
    """Which log: a random number, made when the disk was new."""
    boot: int
    """How many times the guest had started."""
    last: int
    """The last record that it had acknowledged."""


class Guest:
    """A KVM instance of the lab."""

    def __init__(self, lab: Lab, name: str, cluster: str = "alpha") -> None:
        self.lab, self.name, self.cluster = lab, name, cluster

    def at(self, cluster: str, name: t.Optional[str] = None) -> Guest:
        """The same guest on another cluster, or by another name."""
        return Guest(self.lab, name or self.name, cluster)

    @property
    def node(self) -> str:
        """The short name of its primary node."""
        found = self.lab.fields(self.cluster, self.name, "pnode")
        assert found, f"{self.name} is not on {self.cluster}"
        return found[0].split(".")[0]

    # -- its life --

    def create(self, template: str, *sizes: str, node: str, rate: int = 256, memory: int = MEMORY, extra: t.Sequence[str] = (), **hvparams: str) -> None:
        """Make the instance, with disks of *sizes* and writing *rate* KiB/s when it runs; *hvparams* and *extra* arguments change what is the default here."""
        parameters = {
            "kernel_path": KERNEL, "initrd_path": INITRD, "root_path": "/dev/none", "serial_console": "true",
            "kernel_args": f"ro quiet panic=1 guest.rate={rate}", **hvparams,
        }  # fmt: skip
        provider = ",provider=" + self.lab.description.get("ext_provider", "loopdev") if template == "ext" else ""
        disks = [f"--disk={number}:size={size}{provider}" for number, size in enumerate(sizes)]
        self._gnt(
            "add", "--disk-template", template, *disks, "--os-type=noop", "--no-install", f"--node={node}.lab.example", f"--backend-parameters=memory={memory}",
            "--hypervisor-parameters=kvm:" + ",".join(f"{key}={value}" for key, value in parameters.items()), "--no-ip-check", "--no-name-check", "--no-start",
            *(extra or ("--net=0:ip=10.99.0.1",)), self.name,
        )  # fmt: skip

    def start(self) -> Message:
        """Start it; wait until it has read its log; return what it found, which must be whole."""
        self._gnt("start", self.name)
        ready = self.ready()
        assert ready["ok"], ready
        return ready

    def shut_down(self) -> None:
        """Stop it as an administrator would: Ganeti presses its power button."""
        self._gnt("shutdown", self.name)

    def kill(self) -> None:
        """Let its QEMU die as in a power failure of its node."""
        node = self.node
        pid = self.lab.run(node, "cat", f"/var/run/ganeti/kvm-hypervisor/pid/{self.name}").strip()
        self.lab.run(node, "kill", "-KILL", pid)

    def _gnt(self, *arguments: str) -> None:
        self.lab.master(self.cluster, "gnt-instance", *arguments)

    # -- its console --

    def ready(self) -> Message:
        """What it found on its disks when it started: "ok", "what", "log", "first", "last", "stopped" (in order), "boot", "silent_ms" ..."""
        return self._asked("ready", again=True)

    def ask(self, command: str) -> Message:
        """The answer to a command; see tests/guest/guest.c for what there is."""
        return self._asked(command)

    def verify(self) -> Message:
        """Let it read all of its log and all else that it ever wrote; that must be whole."""
        answer = self.ask("verify")
        assert answer["ok"], answer
        return answer

    def mark(self) -> Mark:
        """What it has acknowledged by now."""
        return marked(self.ask("status"))

    def writes(self, records: int = 1) -> Mark:
        """Wait until it has acknowledged so many more records."""
        before = self.mark()
        while (now := self.mark()).last < before.last + records:
            self._talk("event", "wrote")
        return now

    def _asked(self, command: str, again: bool = False) -> Message:
        return self._talk("answer", command.split()[0], command, again)[-1]

    def _talk(self, key: str, value: str, command: str = "", again: bool = False) -> t.List[Message]:
        """All that the guest says until it says what is waited for."""
        how = ["--command", command] * bool(command) + ["--again"] * again
        output = self.lab.run(self.node, "python3", "-c", CLIENT, *how, "--seconds", str(PATIENCE), self.name, key, value)
        return [json.loads(line) for line in output.splitlines()]

    @contextlib.contextmanager
    def watched(self) -> t.Iterator[Watch]:
        """Read all that it says as long as it lives, beginning now; nobody else can talk to it meanwhile."""
        watch = Watch(self)
        try:
            yield watch
        finally:
            watch.close()

    # -- what a move must keep --

    def nothing_lost(self, before: Mark, moves: int = 1) -> Message:
        """Assert that the guest, running here, started with the whole of its log and goes on with it.

        That is: the same log, whole, with every record that it had acknowledged before; started once for each of *moves* since, and writing.
        Returns what it found when it started.
        """
        found = self.ready()
        assert found["ok"], found
        assert (found["log"], found["boot"]) == (before.log, before.boot + moves), f"{found}, after {before}"
        assert found["last"] >= before.last, f"acknowledged records were lost: {found}, after {before}"
        self.writes()
        now = self.verify()
        assert now["log"] == before.log and now["last"] > found["last"], now
        return found


class Watch:
    """A guest's console, read from the moment this is made until the guest is gone or `close` is called."""

    def __init__(self, guest: Guest) -> None:
        self.start = guest.mark()
        command = ["python3", "-c", CLIENT, "--seconds", "3600", guest.name]
        self._process = subprocess.Popen(
            ["ssh", *guest.lab.ssh, f"{guest.node}.lab.example", "--", *map(quoted, command)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        self.messages: t.List[Message] = []
        self.wait_for("wrote")

    def wait_for(self, event: str) -> Message:
        """Read until an event comes."""
        for message in self._read():
            if message.get("event") == event:
                return message
        raise AssertionError(f"the guest was gone before it said {event}: {self.messages[-3:]}")

    def mark(self) -> Mark:
        """What it had acknowledged when it ended, or when this was closed."""
        for _message in self._read():
            pass
        last = max([self.start.last, *(message["last"] for message in self.messages if message.get("event") in ("wrote", "stopped"))])
        return self.start._replace(last=last)

    def stopped(self) -> bool:
        """Whether it ended in order, as far as was seen."""
        self.mark()
        return any(message.get("event") == "stopped" and message["ok"] for message in self.messages)

    def close(self) -> None:
        """Let go of the console."""
        if self._process.poll() is None:
            self._process.terminate()
        self.mark()
        self._process.wait(timeout=20)

    def _read(self) -> t.Iterator[Message]:
        assert self._process.stdout
        for line in self._process.stdout:
            self.messages.append(json.loads(line))
            yield self.messages[-1]


def marked(message: Message) -> Mark:
    """What a message of the guest tells about its log."""
    return Mark(str(message["log"]), int(message["boot"]), int(message["last"]))


def ramdisk_file(archive: bytes, name: str) -> bytes:
    """A file out of an initial RAM disk, in cpio's "newc" format."""
    at = 0
    while archive[at : at + 6] == b"070701":
        size, length = (int(archive[at + 6 + 8 * field : at + 14 + 8 * field], 16) for field in (6, 11))
        content = (at + 110 + length + 3) // 4 * 4
        if archive[at + 110 : at + 110 + length - 1] == name.encode():
            return archive[content : content + size]
        at = (content + size + 3) // 4 * 4
    raise KeyError(name)
