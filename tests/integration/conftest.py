# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fixtures of the tests on the lab. Run them with ``make test-integration``."""

from __future__ import annotations

import io
import os
import sys
import tarfile
import typing as t

import pytest

from .databases import FILES, PARAMETERS, PLACE, PORTS, Databases, encoded, switch
from .lab import ROOT, STORAGE, Lab, Move

# Tests compare what the collection knows with what the lab's Ganeti has.
sys.path.insert(0, os.environ.get("ANSIBLE_COLLECTIONS_PATH", ""))

NAMES = [f"inst{number}.lab.example" for number in range(1, 11)]


@pytest.fixture(scope="session", autouse=True)
def staged() -> None:
    """The collection where Ansible finds it; whoever runs the tests stages it."""
    assert os.path.isdir(os.environ.get("ANSIBLE_COLLECTIONS_PATH", "") + "/ansible_collections/ganeti/cluster"), "run make test-integration"


@pytest.fixture(scope="session")
def lab() -> t.Iterator[Lab]:
    """The lab, clean of what earlier runs left."""
    result = Lab()
    for cluster in ("alpha", "beta"):
        present = result.master(cluster, "gnt-instance", "list", "--no-headers", "-o", "name").split()
        for name in set(NAMES) & set(present):
            result.remove(cluster, name)
    yield result
    result.close()


@pytest.fixture
def name(lab: Lab) -> t.Iterator[str]:
    """The name of an instance for one test, of which nothing stays."""
    yield NAMES[0]
    lab.remove("alpha", NAMES[0])
    lab.remove("beta", NAMES[0])


@pytest.fixture
def instance(lab: Lab, name: str) -> t.Callable[..., str]:
    """Makes the instance on alpha, on node a2: a disk of 256 MiB with *data* MiB of random bytes in it."""

    def make(*extra: str, data: int = 40, os_type: str = "noop", start: bool = True) -> str:
        lab.master(
            "alpha", "gnt-instance", "add", "-t", "file", "--disk=0:size=256M,name=root", "-o", os_type, "--no-install", "-n", "a2.lab.example",
            "-B", "memory=64", "--no-ip-check", "--no-name-check", "--no-start", *(extra or ("--net=0:ip=10.99.0.1",)), name,
        )  # fmt: skip
        paths = lab.run("a2", "find", f"{STORAGE}/{name}", "-name", "*.disk0").split()
        lab.run("a2", "dd", "if=/dev/urandom", f"of={paths[0]}", "bs=1M", "seek=7", f"count={data}", "conv=notrunc", "status=none")
        if start:
            lab.master("alpha", "gnt-instance", "start", name)
        return name

    return make


@pytest.fixture
def move(lab: Lab, tmp_path_factory: pytest.TempPathFactory, name: str) -> t.Iterator[t.Callable[..., Move]]:
    """Starts a move of the test's instance; ends it when the test ends."""
    journal = tmp_path_factory.mktemp("journal")
    moves: t.List[Move] = []

    def begin(check_mode: bool = False, **arguments: t.Any) -> Move:
        moves.append(Move(lab, journal, {"name": name, **arguments}, check_mode))
        return moves[-1]

    yield begin
    for each in moves:
        if each.process.poll() is None:
            each.kill()


@pytest.fixture
def slow(lab: Lab) -> t.Iterator[None]:
    """Lets node a2 send 40 Mbit/s, so that a copy lasts long enough to be disturbed."""
    lab.run("a2", "tc", "qdisc", "replace", "dev", "eth0", "root", "tbf", "rate", "40mbit", "burst", "64kb", "latency", "400ms")
    yield
    lab.run("a2", "tc", "qdisc", "del", "dev", "eth0", "root")


@pytest.fixture
def untouched(lab: Lab, name: str) -> t.Callable[[], None]:
    """Asserts that the source is as it was and that nothing else is left anywhere."""

    def check() -> None:
        assert lab.fields("alpha", name, "pnode", "status", "tags") == ["a2.lab.example", "running", ""]
        assert lab.fields("beta", name, "status") is None
        assert lab.run("b1", "find", STORAGE, "-name", name) == "" == lab.run("b2", "find", STORAGE, "-name", name)
        assert lab.endpoints("a2", "b1", "b2") == []

    return check


@pytest.fixture(scope="module")
def databases(lab: Lab) -> t.Iterator[Databases]:
    """The stand-ins, running; all that is left of them and of the service is removed afterwards."""
    made = Databases(lab)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.add(ROOT / "tests/couchdb", "couchdb", filter=lambda member: None if "__pycache__" in member.name else member)
    lab.run("a1", "mkdir", "-p", PLACE)
    lab.run("a1", "python3", "-c", f"import base64, sys; open('{PLACE}/x.tar', 'wb').write(base64.b64decode(sys.stdin.read()))", given=encoded(archive))
    lab.run("a1", "tar", "--extract", "--directory", PLACE, "--file", f"{PLACE}/x.tar", "--no-same-owner")
    lab.run("a1", "sh", "-c", f"umask 077; cat >{PLACE}/admin", given=f"ganeti:{made.password}")
    made.start(*PORTS)
    yield made
    for node in ("a1", "a2", "a3"):
        lab.run(node, "systemctl", "disable", "--now", "ganeti-couchdb", check=False)
        lab.run(node, "rm", "-f", *FILES, *PARAMETERS)
        lab.run(node, "systemctl", "daemon-reload")
    made.stop(*PORTS)
    lab.run("a1", "rm", "-rf", PLACE)


@pytest.fixture
def followed(lab: Lab, databases: Databases) -> Databases:
    """Alpha with its configuration and jobs in the databases."""
    result = switch(lab, storage="couchdb", servers=databases.servers())
    assert not result["failed"] and result["check"].startswith("OK: "), result
    return databases
