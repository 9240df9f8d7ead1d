# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The soak's nodes: their files, written as Ganeti writes them, and their services, with a clock of each node's own."""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
import typing as t
from pathlib import Path

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import GanetiError
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.disk import DiskStorage
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.documents import Json
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.program import program
from ansible_collections.ganeti.cluster.tests.unit.plugins.module_utils.storage.samples import job

GHOST = "ghost"
"""The status of jobs that a master writes after it was replaced."""
_WITH_A_CLOCK = """\
import runpy, sys, time
now, _self, ahead = time.time, sys.argv.pop(0), sys.argv.pop(0)
time.time = lambda: now() + float(open(ahead).read())
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Runs a program whose wall clock is ahead of the machine's by as many seconds as a file says."""


SETTLED = 180.0
"""Seconds in which all servers have to hold the same, when all are up, and etcd's members have to agree on one that leads, when a majority is there."""
_NO_MAJORITY = "see whether a majority of the members runs"
"""What a step says that nothing was done by; whoever sees to a failover does it again."""


class Killed(Exception):
    """A step of a failover was killed, as it was to be."""


class Node:
    """A node: its files and its service."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name, self.place, self.directory = name, directory, directory / "ganeti"
        self.config, self._program = directory / "service.json", directory / "service.pyz"
        self._ahead = directory / "ahead"
        self.service: t.Optional[subprocess.Popen[bytes]] = None

    @property
    def uuid(self) -> str:
        """As the configuration has it."""
        return f"u{self.name[1:]}"

    def make(self) -> None:
        """Make its files: no configuration yet."""
        (self.directory / "queue/archive/0").mkdir(parents=True)
        self._program.write_bytes(program())
        self.set_clock(0)
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={self.name}", "-keyout", "-", "-out", "-"]
        (self.directory / "client.pem").write_bytes(subprocess.run(command, check=True, capture_output=True).stdout)

    def settle(self, settings: Json, master: str) -> None:
        """Say what the service has to know, and who is the master."""
        given = {"name": self.name, "directory": str(self.directory), "status": str(self.place / "run/status.json"), **settings}
        self.config.write_text(json.dumps(given))
        self.config.chmod(0o600)
        self.put("ssconf_master_node", f"{master}\n")

    def put(self, name: str, text: str) -> None:
        """Write a file as Ganeti does: a new one that takes the place of the old one."""
        made = self.directory / f"{name}.new"
        try:
            made.write_text(text)
        except OSError:
            made.unlink(missing_ok=True)
            raise
        os.rename(made, self.directory / name)

    def set_clock(self, ahead: float) -> None:
        """Have the node's wall clock jump, to so many seconds before or behind the machine's."""
        made = self._ahead.with_suffix(".new")
        made.write_text(str(ahead))
        os.rename(made, self._ahead)

    def _command(self) -> t.List[str]:
        return [sys.executable, "-I", "-c", _WITH_A_CLOCK, str(self._ahead), str(self._program), "--config", str(self.config)]

    def start(self) -> None:
        """Start the service."""
        with open(self.place / "errors", "ab") as errors:
            self.service = subprocess.Popen(self._command(), stderr=errors)

    def kill(self) -> None:
        """Kill the service, be it stopped."""
        if self.service is not None:
            self.service.kill()
            self.service.wait()
            self.service = None

    def send(self, number: signal.Signals) -> None:
        """Send the service a signal."""
        assert self.service is not None
        self.service.send_signal(number)

    def step(self, name: str, request: t.Optional[Json] = None, killed_after: t.Optional[float] = None) -> Json:
        """Do a step of a failover on the node, and again for as long as etcd's members elect a leader. Raises Killed where it was killed as it was to be."""
        deadline = time.monotonic() + SETTLED
        while True:
            try:
                return self._step(name, request, killed_after)
            except GanetiError as error:
                if _NO_MAJORITY not in error.message or time.monotonic() > deadline:
                    raise

    def _step(self, name: str, request: t.Optional[Json], killed_after: t.Optional[float]) -> Json:
        pipe = subprocess.PIPE
        running = subprocess.Popen([*self._command(), f"--{name}"], stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        try:
            out, errors = running.communicate(json.dumps(request or {}), timeout=120 if killed_after is None else killed_after)
        except subprocess.TimeoutExpired:
            running.kill()
            running.communicate()
            if killed_after is not None:
                raise Killed from None
            raise
        if running.returncode or not out.startswith("{"):
            raise GanetiError(f"{name} on {self.name}: {out}{errors}".strip())
        return t.cast(Json, json.loads(out))

    @property
    def files(self) -> DiskStorage:
        """What Ganeti has here."""
        return DiskStorage(str(self.directory))

    def told(self) -> Json:
        """What the service has told of itself last."""
        return t.cast(Json, json.loads((self.place / "run/status.json").read_text()))

    def leave(self, master: str) -> None:
        """As gnt-node add --readd: it knows who is the master, and its files are no candidate's any more."""
        self.put("ssconf_master_node", f"{master}\n")
        queue = self.files.queue()
        for number in queue.jobs:
            os.unlink(self.directory / f"queue/job-{number}")
        for number in queue.archived:
            os.unlink(self.directory / f"queue/archive/{number // 10000}/job-{number}")
        (self.directory / "config.data").unlink(missing_ok=True)

    def become_master(self) -> None:
        """As Ganeti's own failover has it, on the node that becomes the master."""
        found = self.files.configuration()
        found["cluster"]["master_node"] = self.uuid
        found["serial_no"] += 1
        self.put("config.data", json.dumps(found))
        self.put("ssconf_master_node", f"{self.name}\n")


class Ganeti:
    """What Ganeti does on a master: jobs that come, change and are archived, and a configuration that changes with them."""

    def __init__(self, node: Node, draw: random.Random, status: str = "running") -> None:
        self.node, self._draw, self._status = node, draw, status
        self._last = max([node.files.last_job(), *node.files.queue().jobs, 0])
        self.given_out: t.Set[int] = set()
        """The ids of the jobs that were submitted."""

    def work(self, steps: int) -> None:
        """Some of it. What a full disk does not take was not done."""
        for _step in range(steps):
            try:
                getattr(self, self._draw.choice(["_submit"] * 4 + ["_change", "_archive", "_configure"]))()
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
            time.sleep(self._draw.random() * 0.02)

    def _submit(self) -> None:
        self.node.put("queue/serial", f"{self._last + 1}\n")
        self._last += 1
        self.node.put(f"queue/job-{self._last}", json.dumps(job(self._last, self._status)))
        self.given_out.add(self._last)

    def _change(self) -> None:
        waiting = sorted(self.node.files.queue().jobs)
        if waiting:
            number = self._draw.choice(waiting)
            self.node.put(f"queue/job-{number}", json.dumps(job(number, "success" if self._status == "running" else self._status)))

    def _archive(self) -> None:
        waiting = sorted(self.node.files.queue().jobs)
        if waiting and self._status == "running":
            self.node.put(f"queue/job-{waiting[0]}", json.dumps(job(waiting[0], "success")))  # what is archived has ended
            os.rename(self.node.directory / f"queue/job-{waiting[0]}", self.node.directory / f"queue/archive/0/job-{waiting[0]}")

    def _configure(self) -> None:
        found = self.node.files.configuration()
        name = f"n{self._draw.randrange(20)}"
        found["networks"][name] = {"uuid": name, "name": f"{self._status}-{self.node.name}-{found['serial_no']}"}
        found["serial_no"] += 1
        self.node.put("config.data", json.dumps(found))
