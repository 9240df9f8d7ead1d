# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's clusters as benchmarks of moves want them: how the module reaches them, who runs an instance, and the command that moves one."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import typing as t
from pathlib import Path

from nodes import LONGEST, must, on_node

from ansible_collections.ganeti.cluster.plugins.module_utils.api.ssh import SshHost

NAME = "bench1.lab.example"
STORAGE = "/srv/ganeti/file-storage"
PATIENCE = 1800.0
"""Seconds after which a move is taken for stuck."""
ANSIBLE = str(Path(sys.executable).parent / "ansible")


class Lab:
    """The lab's clusters, and its nodes by their short names."""

    def __init__(self) -> None:
        self._lab = json.loads((Path(os.environ["GANETI_LAB_DIR"]) / "run/lab.json").read_text())
        self.options = {"config_file": self._lab["ssh_config"]}
        self._hosts: dict[str, SshHost] = {}
        self._cluster = {node["name"]: cluster for cluster in self._lab["clusters"].values() for node in cluster["nodes"]}

    def host(self, node: str) -> SshHost:
        """A node."""
        return self._hosts.setdefault(node, SshHost(full(node), self.options))

    def address(self, node: str) -> str:
        """The master of a node's cluster."""
        return str(self._cluster[full(node)]["master"])

    def master(self, node: str) -> SshHost:
        """The same, to run commands on."""
        return self.host(self.address(node).partition(".")[0])

    def side(self, node: str) -> dict[str, t.Any]:
        """A node's cluster as the module takes it."""
        return {"address": self.address(node), "ssh": self.options}

    def make(self, node: str, mebibytes: int, *hypervisor: str) -> None:
        """Make the instance, with one disk of so many MiB, and arguments that say which *hypervisor* runs it; it is down."""
        must(self.master(node), "gnt-instance", "add", "-t", "file", "-o", "noop", "--no-install", "--no-start", *hypervisor, "-n", full(node),
             "--disk", f"0:size={mebibytes}m", "--net", "0:ip=10.99.0.1", "--no-ip-check", "--no-name-check", NAME)  # fmt: skip

    def start(self, node: str) -> None:
        """Start it."""
        must(self.master(node), "gnt-instance", "startup", NAME)

    def clean(self, *nodes: str) -> None:
        """Remove the instance from the clusters of these nodes."""
        for node in nodes:
            self.master(node).run(["gnt-instance", "remove", "-f", "--shutdown-timeout=0", NAME], timeout=LONGEST)  # fails where it is not there

    @contextlib.contextmanager
    def watched(self, *nodes: str) -> t.Iterator[dict[str, list[str]]]:
        """What the nodes say of the instance meanwhile; complete when this ends."""
        watchers = {node: self.host(node).popen([*on_node("watch_running"), NAME]) for node in nodes}
        said: dict[str, list[str]] = {node: [next(iter(watcher), b"").decode()] for node, watcher in watchers.items()}
        try:
            yield said
        finally:
            for node, watcher in watchers.items():
                watcher.stdin.close()
                said[node] += [line.decode() for line in watcher]

    def move(self, source: str, target: str, **arguments: t.Any) -> list[str]:
        """The command that users type to move the instance from the one node to the other."""
        asked = {"name": NAME, "source": self.side(source), "primary_node": full(target), **arguments}
        if self.address(source) != self.address(target):
            asked["destination"] = self.side(target)
        return [ANSIBLE, "localhost", "-m", "ganeti.cluster.instance_move", "-a", json.dumps(asked)]


class Moved(t.NamedTuple):
    """What came of a command that moves: when it began, how many seconds it took, and what it printed."""

    begun: float
    seconds: float
    output: str


def timed(command: t.Sequence[str], collections: str) -> Moved:
    """Run a command, which must succeed, with the modules out of the directory *collections*."""
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": collections, "ANSIBLE_LOCALHOST_WARNING": "false"}
    wall, begun = time.time(), time.monotonic()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE)
    seconds = time.monotonic() - begun
    if done.returncode:
        raise RuntimeError((done.stdout + done.stderr)[-2000:])
    return Moved(wall, seconds, done.stdout)


def full(node: str) -> str:
    """A node's whole name."""
    return f"{node}.lab.example"
