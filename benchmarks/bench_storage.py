# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Measures the storage in CouchDB: what a change costs by the size of the configuration, and how far databases are behind.

Run it with ``COUCHDB_URLS=http://admin:PASSWORD@127.0.0.1:PORT,http://... make bench-storage``. It wants two real CouchDB servers, and refuses
the tests' stand-in. It writes docs/bench-storage.{json,md,svg}. Ganeti takes no part: its files are written here, as it writes them.
"""

from __future__ import annotations

import argparse
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

import storage_report
from nodes import ROOT, machine
from storage_report import Lag, Recorded

from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb import replication
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb.client import Answer, Client, Server, path
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb.storage import CouchStorage
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.disk import DiskStorage
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.documents import Json
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.follow import Follower

SIZES = (0.1, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0)
"""MB of the configuration's file, as in the thesis's figures 5.7 to 5.9."""
CHANGES = 20
RATES = (50, 100, 200)
"""Jobs a second."""
SECONDS = 10.0
PREFIX = "bench_"


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
    """The two servers, which must be real."""
    urls = [each for each in os.environ.get("COUCHDB_URLS", "").split(",") if each]
    if len(urls) < 2:
        raise SystemExit("COUCHDB_URLS names no two CouchDB servers: give them as http://user:password@127.0.0.1:port,...")
    found = []
    for url in urls[:2]:
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
    client = Counting(server)
    couch = CouchStorage(client, PREFIX)
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
    """Notes when jobs arrive on the standby."""

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self._client = Client(server)
        self._since = self._client.get(path(f"{PREFIX}queue", "_changes"))["last_seq"]
        self.arrived: dict[int, float] = {}
        self.ended = threading.Event()

    def run(self) -> None:
        """Wait for changes."""
        while not self.ended.is_set():
            answer = self._client.get(path(f"{PREFIX}queue", "_changes", feed="longpoll", timeout=1000, since=self._since))
            now = time.perf_counter()
            self._since = answer["last_seq"]
            for row in answer["results"]:
                if row["id"].isdigit():
                    self.arrived.setdefault(int(row["id"]), now)


def follow(here: Server, there: Server, rate: int, directory: Path) -> Lag:
    """Write job files at a rate; how long after its file was there each job was on the standby."""
    (directory / "queue" / "archive").mkdir(parents=True, exist_ok=True)
    DiskStorage(str(directory)).write_configuration(configuration(0.1))
    client = Client(here)
    follower = Follower(str(directory), CouchStorage(Client(here), PREFIX), lambda _status: None)
    follower.step(0)
    replication.arrange(client, replication.wanted(("a1", here), {"a2": there}, PREFIX))
    ready(here, there, follower)
    standby = Standby(there)
    standby.start()
    writer = Writer(directory, rate)
    writer.start()
    deadline = time.monotonic() + SECONDS + 60
    while (writer.is_alive() or len(standby.arrived.keys() & writer.written.keys()) < len(writer.written)) and time.monotonic() < deadline:
        follower.step(0.2)
    standby.ended.set()
    standby.join()
    follower.close()
    replication.arrange(client, {})
    client.close()
    lags = sorted(standby.arrived[number] - begun for number, begun in writer.written.items() if number in standby.arrived)
    missing = len(writer.written) - len(lags)
    return Lag(rate, len(writer.written) / writer.took, len(writer.written), missing, statistics.median(lags), lags[int(0.99 * len(lags))], lags[-1])


def ready(here: Server, there: Server, follower: Follower) -> None:
    """Wait until what is written here arrives there."""
    one, other = Client(here), Client(there)
    one.put(path(f"{PREFIX}queue", "ready"), {})
    deadline = time.monotonic() + 60
    while other.get(path(f"{PREFIX}queue", "ready"), missing=True) is None:
        if time.monotonic() > deadline:
            raise SystemExit(f"Nothing is replicated: {replication.states(one)}")
        follower.step(0.1)
    one.close()
    other.close()


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
        for rate in RATES:
            fresh(found)
            lags.append(follow(*found, rate, Path(work) / f"follow{rate}"))
            print(lags[-1], flush=True)
    for server in found:
        clear(server)
    head = storage_report.Head("make bench-storage", time.monotonic() - begun, where)
    storage_report.write(asked.output, recorded, lags, head)
    print(f"Results are in {asked.output}/bench-storage.*")
    return 1 if any(each.missing for each in lags) else 0


if __name__ == "__main__":
    sys.exit(main())
