# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nodes and servers that are out of step with a real master are brought in step, once, with files alone and with databases."""

from __future__ import annotations

import json

import pytest

from .databases import PORTS

DIRECTORY = "/var/lib/ganeti"
KEY = f"{DIRECTORY}/hmac.key"
# Run on the master: leaves on the standby's server what it would have as an old master, beside a replication of somebody else; prints what it has.
REPLICATIONS = """
import json, sys
sys.path.insert(0, "/usr/local/lib/ganeti-couchdb/service.pyz")
from ganeti_couchdb.storage import replication, settings
from ganeti_couchdb.storage.client import Client, path
chosen = settings.read("/etc/ganeti/couchdb.json")
(name, standby), = chosen.standbys.items()
with Client(standby) as client:
    if sys.argv[1] == "leave":
        wanted = replication.wanted((name, standby), {chosen.name: chosen.server})
        replication.arrange(client, wanted)
        client.put(path("_replicator", "mine"), {**next(iter(wanted.values())), "_id": "mine", "continuous": False})
    print(json.dumps([row["id"] for row in client.get(path("_replicator", "_all_docs"))["rows"] if not row["id"].startswith("_")]))
"""


@pytest.fixture
def redistribute(lab):
    """Runs the module on the master."""

    def run(*options, host="a1", **arguments):
        return lab.module("redistribute_config", arguments, f"{host}.lab.example", options)

    return run


@pytest.fixture
def damaged(lab):
    """Node a2 with a simple configuration and a key that are not the master's, and a3 without a part of it."""
    lab.run("a2", "sh", "-c", f"echo nobody >{DIRECTORY}/new && mv -f {DIRECTORY}/new {DIRECTORY}/ssconf_node_list && echo wrong >{KEY}")
    lab.run("a3", "rm", "-f", f"{DIRECTORY}/ssconf_networks")
    yield
    for name in (f"{DIRECTORY}/ssconf_node_list", KEY):  # where the test has failed
        lab.run("a2", "sh", "-c", f"cat >{name}", given=lab.run("a1", "cat", name))


def files(lab, node):
    """The digests of what a node has of the configuration."""
    names = lab.run(node, "find", DIRECTORY, "-maxdepth", "1", "-name", "ssconf_*", "-o", "-maxdepth", "1", "-name", "hmac.key").split()
    return dict(reversed(line.split()) for line in lab.run(node, "sha256sum", *sorted(names)).splitlines())


def shapes(lab, node):
    """Modes and owners of the same."""
    return lab.run(node, "sh", "-c", f"stat --format='%n %a %U %G' {DIRECTORY}/ssconf_* {KEY}").splitlines()


def test_with_files_alone(lab, redistribute, damaged):
    kept = shapes(lab, "a1")
    rehearsed = redistribute("--check", "--diff")
    assert rehearsed["changed"] and lab.run("a2", "cat", f"{DIRECTORY}/ssconf_node_list") == "nobody\n", rehearsed
    assert all(f'"files of {node}.lab.example"' in rehearsed["shown"] for node in ("a2", "a3")) and "ssconf_networks" in rehearsed["shown"]
    result = redistribute()
    assert result["changed"] and not result["failed"] and result["away"] == {}, result
    assert files(lab, "a1") == files(lab, "a2") == files(lab, "a3")
    assert kept == shapes(lab, "a2") == shapes(lab, "a3")
    assert [lab.run(node, "find", DIRECTORY, "-maxdepth", "1", "-name", "*.json") for node in ("a1", "a2", "a3")] == ["", "", ""]
    again = redistribute()
    assert not again["changed"] and not again["failed"], again


def test_force_runs_ganetis_job(lab, redistribute):
    def last():
        return lab.master("alpha", "gnt-job", "list", "--no-headers", "--separator=|", "-o", "id,status,summary").splitlines()[-1]

    before = last()
    assert redistribute("--check", force=True)["changed"] and last() == before
    result = redistribute(force=True)
    assert result["changed"] and not result["failed"] and last() != before and last().endswith("|success|CLUSTER_REDIST_CONF"), last()


def test_replications_that_an_old_master_left(lab, followed, redistribute):
    left = json.loads(lab.run("a1", "python3", "-I", "-c", REPLICATIONS, "leave"))
    assert len(left) == 11 and all(name == "mine" or name.startswith("from_a2.lab.example_to_a1.lab.example_") for name in left)
    rehearsed = redistribute("--check")
    assert rehearsed["changed"] and json.loads(lab.run("a1", "python3", "-I", "-c", REPLICATIONS, "show")) == left
    result = redistribute()
    assert result["changed"] and not result["failed"] and followed.password not in result["shown"], result
    assert json.loads(lab.run("a1", "python3", "-I", "-c", REPLICATIONS, "show")) == ["mine"]
    assert not redistribute()["changed"]
    assert followed.same(), followed.compare()


def test_a_server_that_is_away_is_named(lab, followed, redistribute):
    followed.stop(PORTS[1])
    try:
        failed = redistribute()
        assert failed["failed"] and "the server of a2.lab.example: CouchDB at http://127.0.0.1:5985 does not answer" in failed["msg"], failed
        warned = redistribute(unreachable="warn")
        assert not warned["failed"] and list(warned["away"]) == ["the server of a2.lab.example"], warned
        assert "Not all could be made the same" in " ".join(warned["shown"].split())
    finally:
        followed.start(PORTS[1])


def test_another_node_than_the_master_is_refused(redistribute):
    refused = redistribute(host="a2")
    assert refused["failed"] and "Traceback" not in refused["shown"] and "master" in refused["msg"], refused
