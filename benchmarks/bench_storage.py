# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Measures the storage in CouchDB: what a change costs by the size of the configuration, and how far databases are behind.

Run it with ``COUCHDB_URLS=http://admin:PASSWORD@127.0.0.1:PORT,http://...,http://... make bench-storage``. It wants three real CouchDB servers on this
machine, and refuses the tests' stand-in. It writes docs/bench-storage.{json,md,svg}. Ganeti takes no part: its files are written here, as it writes them.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import statistics
import sys
import tempfile
import threading
import time
import typing as t
import urllib.parse
import uuid
from pathlib import Path

import server_processors
import storage_report
from nodes import ROOT, machine
from storage_report import WAYS, Lag, Recorded

from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb.client import Answer, Client, Server, path
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb.storage import CouchStorage
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.disk import DiskStorage
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.documents import Json
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.epochs import Claim
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.follow import Follower

SIZES = (0.1, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0)
"""MB of the configuration's file, as in the thesis's figures 5.7 to 5.9."""
CHANGES = 20
RATES = (5, 50, 100, 200)
"""Jobs a second."""
SECONDS = 10.0
PREFIX = "bench_"
NAMES = ("a1", "a2", "a3")
"""Of the master and the standbys."""
MINE = Claim(1, "u1")


class Counting(Client):
    """A client that counts the bytes of what it sends, and the seconds that it waits for the server."""

    sent = 0
    waited = 0.0

    def ask(self, method: str, where: str, body: t.Any = None, seconds: float = 60.0) -> Answer:
        """Count, and ask."""
        self.sent += 0 if body is None else len(json.dumps(body, ensure_ascii=False).encode("utf-8"))
        begun = time.perf_counter()
        answer = super().ask(method, where, body, seconds)
        self.waited += time.perf_counter() - begun
        return answer


def servers() -> list[Server]:
    """The servers of the master and the standbys, which must be real."""
    urls = [each for each in os.environ.get("COUCHDB_URLS", "").split(",") if each]
    if len(urls) < len(NAMES):
        raise SystemExit(f"COUCHDB_URLS names no {len(NAMES)} CouchDB servers: give them as http://user:password@127.0.0.1:port,...")
    found = []
    for url in urls[: len(NAMES)]:
        parts = urllib.parse.urlsplit(url)
        found.append(Server(f"{parts.scheme}://{parts.hostname}:{parts.port}", parts.username or "", parts.password or ""))
    for server in found:
        if version(server) is None:
            raise SystemExit(f"{server.url} is the tests' stand-in: figures are made with real CouchDB.")
    return found


def version(server: Server) -> str | None:
    """The version of a real CouchDB; None for anything else."""
    about = Client(server).get("/")
    return str(about["version"]) if about.get("vendor", {}).get("name", "").startswith("The Apache") else None


def configuration(megabytes: float) -> Json:
    """A configuration whose file has about this size, made of instances as Ganeti stores them."""
    result: Json = {"version": 3000000, "cluster": {"cluster_name": "bench", "x": "y" * 8000}, "serial_no": 1, "instances": {}, "disks": {}}
    each = len(json.dumps(instance(0)))
    for number in range(max(1, int((megabytes * 1e6 - 8200) / (each + 40)))):
        made = instance(number)
        result["instances"][made["uuid"]] = made
    return {**result, "nodes": {}, "nodegroups": {}, "networks": {}, "filters": {}, "ctime": 1795248633.98, "mtime": 1795250042.73}


def instance(number: int) -> Json:
    """An instance of the usual size."""
    identity = str(uuid.UUID(int=number + 1))
    nic = {"mac": f"aa:00:00:{number:06x}", "uuid": identity, "nicparams": {"mode": "bridged", "link": "br0"}, "network": None, "ip": "10.0.0.1"}
    hvparams = {"kernel_path": "/boot/vmlinuz", "root_path": "/dev/vda1", "serial_console": True, "cpu_type": "host", "vhost_net": True}
    params = {"beparams": {"maxmem": 4096, "minmem": 2048, "vcpus": 4}, "hvparams": hvparams, "osparams": {"flavour": "vanilla"}, "nics": [nic, nic]}
    times = {"ctime": 1795248633.98 + number, "mtime": 1795250042.73 + number, "serial_no": 3}
    return {"uuid": identity, "name": f"inst{number}.example.com", "os": "debootstrap+default", "hypervisor": "kvm", "disks": [identity], **params, **times}


def record(server: Server, megabytes: float, directory: Path) -> t.Iterator[Recorded]:
    """One instance changes: Ganeti's way, the whole file to stable storage, and ours, from reading the file to CouchDB's answer."""
    files = DiskStorage(str(directory), remember=True)  # as the service does
    couch = CouchStorage(Client(server), PREFIX)
    couch.claim(MINE)
    client = couch._client = Counting(couch._client.server)  # the claim's user, as whom the service writes
    current = configuration(megabytes)
    files.write_configuration(current)
    size = os.path.getsize(directory / "config.data")
    couch.write_configuration(current)
    target = min(current["instances"])
    spent: dict[str, list[float]] = {"disk": [], "couchdb": [], "server": []}
    client.sent = 0
    for change in range(CHANGES):
        current["serial_no"] += 1
        current["instances"][target]["beparams"]["vcpus"] = change
        begun = time.perf_counter()
        files.write_configuration(current)
        middle, client.waited = time.perf_counter(), 0.0
        couch.write_configuration(files.configuration())
        spent["disk"].append(middle - begun)
        spent["couchdb"].append(time.perf_counter() - middle)
        spent["server"].append(client.waited)
    couch.close()
    yield Recorded("disk", size, size, statistics.median(spent["disk"]), None)
    yield Recorded("couchdb", size, client.sent // CHANGES, statistics.median(spent["couchdb"]), statistics.median(spent["server"]))


class Standby(threading.Thread):
    """Notes when jobs arrive on a standby, by its feed of changes, which mostly tells of them within a millisecond."""

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self._client = Client(server)
        self._since = self._client.get(path(f"{PREFIX}queue", "_changes"))["last_seq"]
        self.arrived: dict[int, float] = {}
        self.ended = threading.Event()

    def lacks(self, jobs: t.Collection[int]) -> bool:
        """Whether one of the jobs has not arrived yet."""
        return not self.arrived.keys() >= set(jobs)

    def run(self) -> None:
        """Wait for changes."""
        while not self.ended.is_set():
            answer = self._client.get(path(f"{PREFIX}queue", "_changes", feed="longpoll", timeout=1000, since=self._since))
            now = time.perf_counter()
            self._since = answer["last_seq"]
            for row in answer["results"]:
                if row["id"].isdigit():
                    self.arrived.setdefault(int(row["id"]), now)


def follow(way: str, found: list[Server], rate: int, directory: Path) -> Lag:
    """Write job files at a rate; how long after its file was there each job was on both standbys, and what it cost the servers' processors."""
    (directory / "queue" / "archive").mkdir(parents=True, exist_ok=True)
    DiskStorage(str(directory)).write_configuration(configuration(0.1))
    servers = dict(zip(NAMES[1:], found[1:]))
    tended = CouchStorage(Client(found[0]), PREFIX, NAMES[0], servers)  # by a thread of its own, in the service
    tended.claim(MINE)
    written = CouchStorage(Client(found[0]), PREFIX, NAMES[0], servers if way == "push" else {})
    written.claim(MINE)
    follower = Follower(str(directory), written, lambda _status: None)
    follower.step(0)
    problem = tended.copies.tend() if tended.copies else "no standbys"
    if problem:
        raise SystemExit(problem)
    ready(written, found, follower)
    standbys = [Standby(each) for each in found[1:]]
    for standby in standbys:
        standby.start()
    before = server_processors.times(found)
    writer = Writer(directory, rate)
    writer.start()
    deadline = time.monotonic() + SECONDS + 60
    while (writer.is_alive() or any(each.lacks(writer.written) for each in standbys)) and time.monotonic() < deadline:
        follower.step(0.2)
    spent = server_processors.spent(before, server_processors.times(found))
    for standby in standbys:
        standby.ended.set()
        standby.join()
    follower.close()
    if tended.copies:
        tended.copies.rest()
    tended.close()
    there = [number for number in writer.written if all(number in each.arrived for each in standbys)]
    lags = sorted(max(each.arrived[number] for each in standbys) - writer.written[number] for number in there)
    jobs = len(writer.written)
    costs = [1000 * each / jobs for each in (spent[0], sum(spent[1:]) / len(spent[1:]))]
    return Lag(way, rate, jobs / writer.took, jobs, jobs - len(lags), statistics.median(lags), lags[int(0.99 * len(lags))], lags[-1], *costs)


def ready(written: CouchStorage, found: list[Server], follower: Follower) -> None:
    """Wait until what is written arrives on the standbys, by replication at first."""
    written.write_jobs({1_000_000: {"id": 1_000_000, "ops": []}})
    deadline = time.monotonic() + 60
    clients = [Client(each) for each in found[1:]]
    while not _in_step(written) or any(client.get(path(f"{PREFIX}queue", "1000000"), missing=True) is None for client in clients):
        if time.monotonic() > deadline:
            raise SystemExit(f"Nothing arrives: {follower.status}")
        follower.step(0.1)
    for client in clients:
        client.close()


def _in_step(written: CouchStorage) -> bool:
    """Whether all standbys that are written to have begun to take it."""
    return written._pushes is not None and sorted(written._pushes.in_step()) == sorted(written._standbys)


class Writer(threading.Thread):
    """Writes job files as luxid does, at a rate."""

    def __init__(self, directory: Path, rate: int) -> None:
        super().__init__(daemon=True)
        self._files = DiskStorage(str(directory))
        self._rate = rate
        self.written: dict[int, float] = {}
        self.took = 0.0

    def run(self) -> None:
        """Write."""
        begun = time.perf_counter()
        for number in range(1, int(self._rate * SECONDS) + 1):
            time.sleep(max(0.0, begun + number / self._rate - time.perf_counter()))
            job = {"id": number, "ops": [{"input": {"OP_ID": "OP_TEST_DELAY", "duration": 0.0, "reason": [["x" * 40, "y" * 40, number]]}, "status": "queued"}]}
            self._files.write_jobs({number: job})
            self.written[number] = time.perf_counter()
        self.took = time.perf_counter() - begun


def fresh(found: list[Server]) -> None:
    """Remove what earlier runs left, and make the databases anew."""
    for server in found:
        clear(server)
        CouchStorage(Client(server), PREFIX).prepare()


def clear(server: Server) -> None:
    """Remove our databases."""
    client = Client(server)
    for database in client.get("/_all_dbs"):
        if database.startswith(PREFIX):
            client.delete(path(database))
    client.close()


def main() -> int:
    """Measure and write; fail where a job did not arrive."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=ROOT / "docs", help="where results go")
    asked = parser.parse_args()
    found = servers()
    begun, recorded, lags = time.monotonic(), [], []
    where = machine(f"CouchDB {version(found[0])}, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory(prefix="bench-storage-") as work:
        for megabytes in SIZES:
            fresh(found)
            (Path(work) / f"record{megabytes}").mkdir()
            for row in record(found[0], megabytes, Path(work) / f"record{megabytes}"):
                recorded.append(row)
                print(f"{row.way}: {row.size / 1e6:.1f} MB, {row.written} bytes in {row.seconds * 1000:.1f} ms", flush=True)
        for rate, way in itertools.product(RATES, WAYS):
            fresh(found)
            lags.append(follow(way, found, rate, Path(work) / f"{way}{rate}"))
            print(lags[-1], flush=True)
    for server in found:
        clear(server)
    head = storage_report.Head("make bench-storage", time.monotonic() - begun, where)
    storage_report.write(asked.output, recorded, lags, head)
    print(f"Results are in {asked.output}/bench-storage.*")
    return 1 if any(each.missing for each in lags) else 0


if __name__ == "__main__":
    sys.exit(main())
