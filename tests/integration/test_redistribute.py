# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nodes and servers that are out of step with a real master are brought in step, once, with files alone and with databases."""

from __future__ import annotations

import json

import pytest

from .databases import PORTS

pytestmark = pytest.mark.on("gamma")
DIRECTORY = "/var/lib/ganeti"
KEY = f"{DIRECTORY}/hmac.key"
# Run on the master: leaves on the standby's server what it would have as an old master, beside a replication of somebody else; prints what it has.
REPLICATIONS = """
import json, sys
sys.path.insert(0, "/usr/local/lib/ganeti-couchdb/service.pyz")
from ganeti_couchdb.storage.drivers.couchdb import replication
from ganeti_couchdb.storage.drivers.couchdb.client import Client, Server, path
from ganeti_couchdb.storage.service import settings
chosen = settings.read("/etc/ganeti/couchdb.json")
servers = {name: Server(**described) for name, described in chosen.options["servers"].items()}
own = servers.pop(chosen.name)
(name, standby), = servers.items()
with Client(standby) as client:
    if sys.argv[1] == "leave":
        wanted = replication.wanted((name, standby), {chosen.name: own})
        replication.arrange(client, wanted)
        client.put(path("_replicator", "mine"), {**next(iter(wanted.values())), "_id": "mine", "continuous": False})
    print(json.dumps([row["id"] for row in client.get(path("_replicator", "_all_docs"))["rows"] if not row["id"].startswith("_")]))
"""


@pytest.fixture
def redistribute(site):
    """Runs the module on the master."""

    def run(*options, on=0, **arguments):
        return site.module("redistribute_config", arguments, options, on)

    return run


@pytest.fixture
def damaged(lab, site):
    """The second node with a simple configuration and a key that are not the master's, and the third without a part of it."""
    lab.run(site.nodes[1], "sh", "-c", f"echo nobody >{DIRECTORY}/new && mv -f {DIRECTORY}/new {DIRECTORY}/ssconf_node_list && echo wrong >{KEY}")
    lab.run(site.nodes[2], "rm", "-f", f"{DIRECTORY}/ssconf_networks")
    yield
    for name in (f"{DIRECTORY}/ssconf_node_list", KEY):  # where the test has failed
        lab.run(site.nodes[1], "sh", "-c", f"cat >{name}", given=site.master("cat", name))


def files(lab, node):
    """The digests of what a node has of the configuration."""
    names = lab.run(node, "find", DIRECTORY, "-maxdepth", "1", "-name", "ssconf_*", "-o", "-maxdepth", "1", "-name", "hmac.key").split()
    return dict(reversed(line.split()) for line in lab.run(node, "sha256sum", *sorted(names)).splitlines())


def shapes(lab, node):
    """Modes and owners of the same."""
    return lab.run(node, "sh", "-c", f"stat --format='%n %a %U %G' {DIRECTORY}/ssconf_* {KEY}").splitlines()


def test_with_files_alone(lab, site, redistribute, damaged):
    first, second, third = site.nodes
    kept = shapes(lab, first)
    rehearsed = redistribute("--check", "--diff")
    assert rehearsed["changed"] and lab.run(second, "cat", f"{DIRECTORY}/ssconf_node_list") == "nobody\n", rehearsed
    assert all(f'"files of {node}.lab.example"' in rehearsed["shown"] for node in (second, third)) and "ssconf_networks" in rehearsed["shown"]
    result = redistribute()
    assert result["changed"] and not result["failed"] and result["away"] == {}, result
    assert files(lab, first) == files(lab, second) == files(lab, third)
    assert kept == shapes(lab, second) == shapes(lab, third)
    assert [lab.run(node, "find", DIRECTORY, "-maxdepth", "1", "-name", "*.json") for node in site.nodes] == ["", "", ""]
    again = redistribute()
    assert not again["changed"] and not again["failed"], again


def test_force_runs_ganetis_job(site, redistribute):
    def last():
        return site.master("gnt-job", "list", "--no-headers", "--separator=|", "-o", "id,status,summary").splitlines()[-1]

    before = last()
    assert redistribute("--check", force=True)["changed"] and last() == before
    result = redistribute(force=True)
    assert result["changed"] and not result["failed"] and last() != before and last().endswith("|success|CLUSTER_REDIST_CONF"), last()


@pytest.fixture
def paused(site, followed):
    """The service at rest: it mends the same by itself where it has seen the standby away, as on a machine that is busy."""
    site.master("systemctl", "stop", "ganeti-couchdb")
    yield
    site.master("systemctl", "start", "ganeti-couchdb")


def test_replications_that_an_old_master_left(site, followed, paused, redistribute):
    left = json.loads(site.master("python3", "-I", "-c", REPLICATIONS, "leave"))
    assert len(left) == 11 and all(name == "mine" or name.startswith(f"from_{site.hosts[1]}_to_{site.hosts[0]}_") for name in left)
    rehearsed = redistribute("--check")
    assert rehearsed["changed"] and json.loads(site.master("python3", "-I", "-c", REPLICATIONS, "show")) == left
    result = redistribute()
    assert result["changed"] and not result["failed"] and followed.password not in result["shown"], result
    assert json.loads(site.master("python3", "-I", "-c", REPLICATIONS, "show")) == ["mine"]
    assert not redistribute()["changed"]


def test_a_server_that_is_away_is_named(site, followed, redistribute):
    followed.stop(PORTS[1])
    try:
        failed = redistribute()
        assert failed["failed"] and f"the server of {site.hosts[1]}: CouchDB at http://127.0.0.1:5985 does not answer" in failed["msg"], failed
        warned = redistribute(unreachable="warn")
        assert not warned["failed"] and list(warned["away"]) == [f"the server of {site.hosts[1]}"], warned
        assert "Not all could be made the same" in " ".join(warned["shown"].split())
    finally:
        followed.start(PORTS[1])


def test_another_node_than_the_master_is_refused(redistribute):
    refused = redistribute(on=1)
    assert refused["failed"] and "Traceback" not in refused["shown"] and "master" in refused["msg"], refused
