# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lets the storage's service run for long on three nodes while programs and servers are killed and stopped, masters are replaced and come back.

Run it as ``make soak-storage SOAK='--seed N --rounds N'``. The seed draws the faults, not their moments, so it may not show a failure again.
With ``COUCHDB_RELEASE`` the servers are real CouchDB, otherwise the stand-in. Ganeti takes no part: its files are written here, as it writes them.

In each round the master works, something is killed or stopped, and a standby is promoted while the old master is dead, stopped, or writes on. Then

1. each job that was seen on the new master's server before that is in its files, in its queue or archive;
2. nothing that the old master wrote after the promotion is on any server;
3. when all are back, all three servers hold the new master's files: configuration, queue, archive.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import typing as t
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from couchdb.launch import StandIn
from couchdb.release import Release

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import GanetiError
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb.client import Client, Server
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb.storage import CouchStorage
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.disk import DiskStorage
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.documents import Json
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.interface import Storage
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.program import program
from ansible_collections.ganeti.cluster.tests.unit.plugins.module_utils.storage.samples import cluster, job

NAMES = ("a1", "a2", "a3")
GHOST = "ghost"
"""The status of jobs that an old master writes after it was replaced."""
SETTLED = 180.0
"""Seconds in which all servers have to hold the same, when all are up."""


class Node:
    """A node: its files, its server, and its service."""

    def __init__(self, name: str, directory: Path, release: str) -> None:
        self.name, self.directory = name, directory / "ganeti"
        (self.directory / "queue/archive/0").mkdir(parents=True)
        self.couchdb = Release(directory / "couchdb", Path(release)) if release else StandIn(directory / "couchdb")
        self.server = Server(f"http://127.0.0.1:{self.couchdb.port}", "admin", self.couchdb.password)
        self.config, self.program = directory / "service.json", directory / "service.pyz"
        self.program.write_bytes(program())
        self.service: t.Optional[subprocess.Popen[bytes]] = None
        self.errors = directory / "errors"
        self.up = True
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", "-", "-out", "-"]
        (self.directory / "client.pem").write_bytes(subprocess.run(command, check=True, capture_output=True).stdout)

    def settle(self, nodes: t.Iterable[Node], master: str) -> None:
        """Say which servers there are, and who is the master."""
        servers = {node.name: {"url": node.server.url, "username": "admin", "password": node.server.password} for node in nodes}
        directories = {"directory": str(self.directory), "status": str(self.config.with_name("run") / "status.json")}
        self.config.write_text(json.dumps({"name": self.name, "servers": servers, "prefix": "", **directories}))
        self.config.chmod(0o600)
        self.put("ssconf_master_node", f"{master}\n")

    def put(self, name: str, text: str) -> None:
        """Write a file as Ganeti does: a new one that takes the place of the old one."""
        made = self.directory / f"{name}.new"
        made.write_text(text)
        os.rename(made, self.directory / name)

    def start(self) -> None:
        """Start the service."""
        with open(self.errors, "ab") as errors:
            self.service = subprocess.Popen([sys.executable, "-I", str(self.program), "--config", str(self.config)], stderr=errors)

    def kill(self) -> None:
        """Kill the service, be it stopped."""
        if self.service is not None:
            self.service.kill()
            self.service.wait()
            self.service = None

    def step(self, name: str, request: t.Optional[Json] = None) -> Json:
        """Do a step of a failover on the node."""
        command = [sys.executable, "-I", str(self.program), "--config", str(self.config), f"--{name}"]
        done = subprocess.run(command, input=json.dumps(request or {}), capture_output=True, text=True, check=False, timeout=120)
        if done.returncode or not done.stdout.startswith("{"):
            raise GanetiError(f"{name} on {self.name}: {done.stdout}{done.stderr}".strip())
        return t.cast(Json, json.loads(done.stdout))

    @property
    def files(self) -> DiskStorage:
        """What Ganeti has here."""
        return DiskStorage(str(self.directory))

    def storage(self) -> CouchStorage:
        """What is on the server, as the administrator sees it."""
        return CouchStorage(Client(self.server, 20))


def holds(storage: Storage) -> t.Any:
    """All that a storage holds. A job that is archived counts as that, be it in the queue still."""
    queue = storage.queue()
    waiting, archived = dict(storage.jobs(queue.jobs - queue.archived)), dict(storage.jobs(queue.archived, archived=True))
    return waiting, archived, storage.configuration()


class Ganeti:
    """What Ganeti does on a master: jobs that come, change and are archived, and a configuration that changes with them."""

    def __init__(self, node: Node, draw: random.Random, status: str = "running") -> None:
        self.node, self._draw, self._status = node, draw, status
        self._last = max([node.files.last_job(), *node.files.queue().jobs, 0])

    def work(self, steps: int) -> None:
        """Some of it."""
        for _step in range(steps):
            getattr(self, self._draw.choice(["_submit"] * 4 + ["_change", "_archive", "_configure"]))()
            time.sleep(self._draw.random() * 0.02)

    def _submit(self) -> None:
        self._last += 1
        self.node.put("queue/serial", f"{self._last}\n")
        self.node.put(f"queue/job-{self._last}", json.dumps(job(self._last, self._status)))

    def _change(self) -> None:
        waiting = sorted(self.node.files.queue().jobs)
        if waiting:
            number = self._draw.choice(waiting)
            self.node.put(f"queue/job-{number}", json.dumps(job(number, "success" if self._status == "running" else self._status)))

    def _archive(self) -> None:
        waiting = sorted(self.node.files.queue().jobs)
        if waiting and self._status == "running":
            os.rename(self.node.directory / f"queue/job-{waiting[0]}", self.node.directory / f"queue/archive/0/job-{waiting[0]}")

    def _configure(self) -> None:
        found = self.node.files.configuration()
        name = f"n{self._draw.randrange(20)}"
        found["networks"][name] = {"uuid": name, "name": f"{self._status}-{self.node.name}-{found['serial_no']}"}
        found["serial_no"] += 1
        self.node.put("config.data", json.dumps(found))


class Soak:
    """Rounds of it, out of a seed."""

    def __init__(self, seed: int, directory: Path, release: str) -> None:
        self._draw = random.Random(seed)
        self._nodes = {name: Node(name, directory / name, release) for name in NAMES}
        self._master = self._nodes["a1"]
        self.counts: t.Dict[str, int] = {}
        for node in self._nodes.values():
            node.settle(self._nodes.values(), "a1")
            storage = node.storage()
            storage.prepare()
            storage.close()
        self._master.put("config.data", json.dumps(cluster(20)))
        self._master.put("queue/serial", "0\n")
        for node in self._nodes.values():
            node.start()

    def round(self) -> None:
        """Work, harm, another master, and all that has to hold then."""
        ganeti = Ganeti(self._master, self._draw)
        ganeti.work(100)
        undo = self._harm()
        ganeti.work(60)
        undo()
        standby = self._draw.choice([node for node in self._nodes.values() if node is not self._master])
        self._wait(f"{standby.name} has a configuration", lambda: standby.storage().newest().serial > 0)
        self._promote(standby)
        self._wait("all servers hold the master's files", self._agree)
        self._count("rounds")

    def _harm(self) -> t.Callable[[], None]:
        """Do some harm; how to end it."""
        node = self._draw.choice(list(self._nodes.values()))
        what = self._draw.choice(["service killed", "service stopped", "server killed", "server stopped"])
        self._count(what)
        if what == "service killed":
            node.kill()
            return node.start
        if what == "service stopped":
            assert node.service is not None
            service = node.service
            service.send_signal(signal.SIGSTOP)
            return lambda: service.send_signal(signal.SIGCONT)
        if what == "server killed":
            node.couchdb.kill()
            return node.couchdb.start
        process = node.couchdb.process.pid
        os.kill(process, signal.SIGSTOP)
        return lambda: os.kill(process, signal.SIGCONT)

    def _promote(self, new: Node) -> None:
        """As master_failover and Ganeti's own failover do it, while the old master is dead, stopped, or writes on."""
        old, how = self._master, self._draw.choice(["dead", "stopped", "alive"])
        self._count(f"promotions, the old master {how}")
        if how == "dead":
            old.kill()
            old.couchdb.kill()
        elif how == "stopped":
            assert old.service is not None
            old.service.send_signal(signal.SIGSTOP)
        storage = new.storage()
        queue = storage.queue()
        seen = queue.jobs | queue.archived
        storage.close()
        dead = [old.name] if how == "dead" else []
        new.step("promote", {"name": new.name, "dead": dead, "seen": old.files.configuration()["serial_no"], "job": old.files.last_job()})
        held = new.files.queue()
        lost = seen - held.jobs - held.archived - new.storage().queue().archived
        assert not lost, f"{new.name} lacks jobs that its server had: {sorted(lost)}"
        self._count("jobs seen before a promotion", len(seen))
        Ganeti(old, self._draw, GHOST).work(40)
        found = new.files.configuration()
        found["cluster"]["master_node"] = f"u{new.name[1:]}"
        found["serial_no"] += 1
        new.put("config.data", json.dumps(found))
        new.put("ssconf_master_node", f"{new.name}\n")
        new.step("archive")
        self._master = new
        Ganeti(new, self._draw).work(40)
        if how == "dead":
            old.couchdb.start()
            old.start()
        elif how == "stopped":
            assert old.service is not None
            old.service.send_signal(signal.SIGCONT)
        Ganeti(old, self._draw, GHOST).work(40)
        self._wait(f"{old.name} knows that it was replaced", lambda: self._state(old) == "replaced")
        self._readd(old)

    def _readd(self, old: Node) -> None:
        """As gnt-node add --readd: it knows who is the master, and its files are no candidate's any more."""
        old.put("ssconf_master_node", f"{self._master.name}\n")
        queue = old.files.queue()
        for number in queue.jobs:
            os.unlink(old.directory / f"queue/job-{number}")
        for number in queue.archived:
            os.unlink(old.directory / f"queue/archive/0/job-{number}")
        (old.directory / "config.data").unlink()

    def _state(self, node: Node) -> str:
        status = node.config.with_name("run") / "status.json"
        return str(json.loads(status.read_text())["state"])

    def _agree(self) -> bool:
        wanted = holds(self._master.files)
        for node in self._nodes.values():
            found = holds(node.storage())
            if GHOST in json.dumps(found) and found == wanted:
                raise AssertionError(f"{node.name} has what an old master wrote, and the master too")
            if found != wanted:
                return False
        return True

    def _wait(self, what: str, condition: t.Callable[[], bool]) -> None:
        deadline = time.monotonic() + SETTLED
        problem = ""
        while True:
            try:
                if condition():
                    return
            except GanetiError as error:
                problem = error.message
            if time.monotonic() > deadline:
                raise AssertionError(f"within {SETTLED:.0f} s it did not come to be that {what}. {problem} {self.differences()}")
            time.sleep(0.3)

    def differences(self) -> str:
        """What the servers lack or have beside the master's files, and how the services are, in words."""
        wanted, words = holds(self._master.files), [f"{self._master.name} is the master"]
        for node in self._nodes.values():
            words.append(f"{node.name}: {(node.config.with_name('run') / 'status.json').read_text()}")
            try:
                found = holds(node.storage())
            except GanetiError as error:
                words.append(error.message)
                continue
            for what, here, there in zip(("queue", "archive", "configuration"), wanted, found):
                kinds = {"lacks": here.keys() - there.keys(), "has beside": there.keys() - here.keys()}
                kinds["differs in"] = {name for name in here.keys() & there.keys() if here[name] != there[name]}
                words += [f"{what} {kind} {sorted(names)[:10]}" for kind, names in kinds.items() if names]
        return "; ".join(words)

    def _count(self, what: str, number: int = 1) -> None:
        self.counts[what] = self.counts.get(what, 0) + number

    def close(self) -> None:
        """End all that was started."""
        for node in self._nodes.values():
            node.kill()
            node.couchdb.kill()


def main() -> int:
    """Run it; what was done, as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--rounds", type=int, default=10)
    asked = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="soak-"))
    soak = Soak(asked.seed, directory, os.environ.get("COUCHDB_RELEASE", ""))
    try:
        for number in range(asked.rounds):
            begun = time.monotonic()
            soak.round()
            print(f"round {number + 1}: {time.monotonic() - begun:.0f} s", flush=True)
    finally:
        print(json.dumps({"seed": asked.seed, "directory": str(directory), **soak.counts}), flush=True)
        soak.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
