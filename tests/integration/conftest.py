# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fixtures of the tests on the lab. Run them with ``make test-integration``. What a test may touch is in allot.py."""

from __future__ import annotations

import os
import sys
import typing as t

import pytest

from . import allot, pristine
from .databases import Databases, switch
from .lab import STORAGE, Lab, Site, eventually
from .moves import Move, Way

# Tests compare what the collection knows with what the lab's Ganeti has.
sys.path.insert(0, os.environ.get("ANSIBLE_COLLECTIONS_PATH", ""))


def pytest_configure(config: pytest.Config) -> None:
    """Make the markers known."""
    for marker in allot.MARKERS:
        config.addinivalue_line("markers", marker)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that has a cluster for itself runs on each that its mark names."""
    if "site" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("on")
        assert marker and marker.args, f"{metafunc.function.__name__} uses the fixture site: mark it with on(), see allot.py"
        metafunc.parametrize("site", marker.args, indirect=True, scope="session")


@pytest.hookimpl(tryfirst=True)  # xdist looks at its marks after this
def pytest_collection_modifyitems(items: t.List[pytest.Item]) -> None:
    """Allot."""
    allot.arrange(items)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Not every pair of pytest and xdist keeps together what belongs together, and those that do not say nothing."""
    if session.config.getoption("loadgroup", False):
        wrong = [item.nodeid for item in session.items if allot.group(item) and not item.nodeid.endswith(f"@{allot.group(item)}")]
        assert not wrong, f"xdist would not keep these apart: {wrong[:3]}"


@pytest.fixture(scope="session", autouse=True)
def staged() -> None:
    """The collection where Ansible finds it; whoever runs the tests stages it."""
    assert os.path.isdir(os.environ.get("ANSIBLE_COLLECTIONS_PATH", "") + "/ansible_collections/ganeti/cluster"), "run make test-integration"


@pytest.fixture(scope="session")
def lab() -> t.Iterator[Lab]:
    """The lab, clean of what earlier runs of this worker left. Clusters that others have for themselves may be down just now."""
    result = Lab()
    own = set(allot.names())
    for cluster in allot.SHARED:
        left = [name for name in result.instances(cluster) if ".".join(name.split(".")[:3]) in own]
        result.remove(cluster, *left)
    yield result
    result.close()


@pytest.fixture
def ran(record_property: t.Callable[[str, object], None]) -> t.Callable[..., None]:
    """Notes what a test really ran on, for the matrix in docs/tested.md: what was done, and what each thing of interest was there."""

    def note(what: str, **facts: str) -> None:
        minor = {key: ".".join(value.split(".")[:2]) for key, value in facts.items() if key in ("source", "destination", "release")}
        record_property("ran", " ".join([what, *(f"{key}={value}" for key, value in {**facts, **minor}.items())]))

    return note


# --- Moves ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def way(request: pytest.FixtureRequest) -> Way:
    """The nodes that moves go from and to."""
    return allot.way(request.node)


@pytest.fixture
def name(lab: Lab) -> t.Iterator[str]:
    """The name of an instance for one test, of which nothing stays."""
    own = allot.names()[0]
    yield own
    jobs = {cluster: lab.removal(cluster, own) for cluster in ("alpha", "beta")}
    for cluster, job in jobs.items():
        if job is not None:
            lab.ganeti(cluster).wait(job)


@pytest.fixture
def other(lab: Lab) -> t.Iterator[str]:
    """Another name, of which nothing stays either."""
    own = allot.names()[1]
    yield own
    for cluster in ("alpha", "beta"):
        lab.remove(cluster, own)


def make(lab: Lab, cluster: str, node: str, name: str, *, data: int = 40, start: bool = True, **changes: t.Any) -> str:
    """Make an instance with a disk of 256 MiB and *data* MiB of random bytes in it; *changes* are fields of the opcode."""
    opcode = {
        "OP_ID": "OP_INSTANCE_CREATE", "mode": "create", "instance_name": name, "pnode": f"{node}.lab.example", "os_type": "noop", "no_install": True,
        "start": False, "disk_template": "file", "disks": [{"size": 256, "name": "root"}], "nics": [{"ip": "10.99.0.1"}], "hypervisor": "fake",
        "beparams": {"memory": 64}, "ip_check": False, "name_check": False, **changes,
    }  # fmt: skip
    ganeti = lab.ganeti(cluster)
    ganeti.job(opcode)
    if opcode["disk_template"] == "file" and data:
        lab.run(node, "sh", "-c", f"dd if=/dev/urandom of=$(ls {STORAGE}/{name}/*.disk0) bs=1M seek=7 count={data} conv=notrunc status=none")
    if start:
        ganeti.job({"OP_ID": "OP_INSTANCE_STARTUP", "instance_name": name})
    return name


@pytest.fixture
def instance(lab: Lab, name: str, way: Way) -> t.Callable[..., str]:
    """Makes the instance on alpha, on the node that moves go from."""

    def make_it(**changes: t.Any) -> str:
        return make(lab, "alpha", way.source, name, **changes)

    return make_it


@pytest.fixture
def move(lab: Lab, tmp_path_factory: pytest.TempPathFactory, name: str, ran: t.Callable[..., None]) -> t.Iterator[t.Callable[..., Move]]:
    """Starts a move of the test's instance; ends it when the test ends, and notes what those that succeeded ran on."""
    journal = tmp_path_factory.mktemp("journal")
    moves: t.List[Move] = []
    how = ("check_mode", "shown", "command")

    def begin(**arguments: t.Any) -> Move:
        options = {key: arguments.pop(key) for key in how if key in arguments}
        moves.append(Move(lab, journal, {"name": name, **arguments}, **options))
        return moves[-1]

    yield begin
    for each in moves:
        if each.process.poll() is None:
            each.kill()
        if each.ran:
            ran("move", **each.ran)


@pytest.fixture
def slow(lab: Lab, way: Way, request: pytest.FixtureRequest) -> t.Iterator[None]:
    """Lets the source's node send 40 Mbit/s to the destination's."""
    assert allot.group(request.node) == allot.WIRES, "others would be slow, too"
    limit(lab, way, "40mbit")
    yield
    lift(lab, way)


@pytest.fixture
def crawling(lab: Lab, way: Way, request: pytest.FixtureRequest) -> t.Iterator[t.Callable[[], None]]:
    """Lets a copy between the two nodes not come to its end, however slow the machine is, before the test calls what this gives."""
    assert allot.group(request.node) == allot.WIRES, "others would crawl, too"
    limit(lab, way, "2mbit")
    yield lambda: lift(lab, way)
    lift(lab, way)


def limit(lab: Lab, way: Way, rate: str) -> None:
    """Limit what the source's node sends to the destination's."""
    tc = "tc {} dev eth0 {}; ".format
    lift(lab, way)
    lab.run(way.source, "sh", "-e", "-c", "".join([
        tc("qdisc add", "root handle 1: htb"),  # what no filter takes passes as it is
        tc("class add", "parent 1: classid 1:1 htb rate " + rate + " burst 64kb cburst 64kb"),
        tc("filter add", f"parent 1: protocol ip u32 match ip dst {lab.address(way.destination)}/32 flowid 1:1"),
    ]))  # fmt: skip


def lift(lab: Lab, way: Way) -> None:
    """Take the limit away, if there is one."""
    lab.run(way.source, "tc", "qdisc", "del", "dev", "eth0", "root", check=False)


@pytest.fixture
def untouched(lab: Lab, name: str, way: Way) -> t.Callable[[], None]:
    """Asserts that the source is as it was and that nothing else is left anywhere."""

    def check() -> None:
        assert lab.fields("alpha", name, "pnode", "status", "tags") == [f"{way.source}.lab.example", "running", ""]
        assert lab.fields("beta", name, "status") is None
        assert lab.run("b1", "find", STORAGE, "-name", name) == "" == lab.run("b2", "find", STORAGE, "-name", name)
        assert lab.endpoints(name, way.source, "b1", "b2") == []
        eventually(lambda: not lab.orphans(way.source, way.destination), 60, "no endpoint runs without its controller")

    return check


# --- Clusters ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def site(lab: Lab, request: pytest.FixtureRequest) -> Site:
    """A cluster that the test has for itself."""
    return pristine.untouched(lab, request.param)


@pytest.fixture
def resident_name(lab: Lab, site: Site) -> t.Iterator[str]:
    """The name of an instance on the test's own cluster, of which nothing stays."""
    own = allot.names()[2]
    yield own
    lab.remove(site.name, own)


@pytest.fixture
def resident(lab: Lab, site: Site, resident_name: str) -> t.Callable[..., str]:
    """Makes that instance, on the cluster's second node."""

    def make_it(**changes: t.Any) -> str:
        return make(lab, site.name, site.nodes[1], resident_name, **changes)

    return make_it


@pytest.fixture(scope="module")
def databases(site: Site) -> t.Iterator[Databases]:
    """The stand-ins, running; all that is left of them and of the service is removed afterwards."""
    made = Databases(site)
    made.place()
    yield made
    made.remove()


@pytest.fixture
def followed(site: Site, databases: Databases, ran: t.Callable[..., None]) -> Databases:
    """The cluster with its configuration and jobs in the databases."""
    result = switch(site, storage="couchdb", servers=databases.servers())
    assert not result["failed"] and result["check"].startswith("OK: "), result
    ran("storage", release=site.release, backend="couchdb")
    return databases
