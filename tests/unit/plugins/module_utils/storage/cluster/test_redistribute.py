# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is out of step with the master is seen, whatever a node answers; only what is ours is removed; what is away is named."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import ConnectionFailed, GanetiError, InvalidInput
from ansible_collections.ganeti.cluster.plugins.module_utils.api import extended
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.cluster import redistribute, unpack_ssconf
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb import replication
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb.client import Client, Server, path
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb.storage import CouchStorage
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.factory import open_storage
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service import program

from ..servers import options

FILES = {"ssconf_node_list": "a1", "ssconf_networks": "", "hmac.key": "key", "config.data": "{}"}


def answer(files):
    """What a node with these files says."""
    return [*(f"{hashlib.sha256(text.encode()).hexdigest()}  {name}" for name, text in files.items()), "was asked"]


def test_what_differs_or_is_missing():
    without = {name: text for name, text in FILES.items() if name != "config.data"}
    said = {
        "a1": answer(FILES),
        "a2": answer({**FILES, "config.data": "{ }"}),
        "a3": answer(without),
        "a4": answer({"ssconf_node_list": "a2", "hmac.key": "key", "ssconf_of_old": "x"}),
        "a5": ["ssh: connect to host a5 port 22: No route to host"],
        "a6": [],
    }
    found = redistribute.compare(said, "a1", {"a1", "a2"})
    assert found.stale == {"a2": ["config.data"], "a4": ["ssconf_networks", "ssconf_node_list"]}
    assert found.silent == ["a5", "a6"]


@pytest.mark.parametrize("said", [{}, {"a2": answer(FILES)}, {"a1": [], "a2": answer(FILES)}, {"a1": ["was asked"]}, {"a1": answer({"hmac.key": ""})}])
def test_without_the_masters_own_answer_nothing_is_done(said):
    with pytest.raises(GanetiError, match="The master a1 did not tell of its own files"):
        redistribute.compare(said, "a1", {"a1"})


@given(st.lists(st.text()))
def test_whatever_a_node_prints_it_is_as_the_master_or_not(lines):
    found = redistribute.compare({"a1": answer(FILES), "a2": lines}, "a1", {"a1"})
    assert found.silent == (["a2"] if "was asked" not in lines else [])
    assert found.silent or found.stale["a2"] == ["hmac.key", "ssconf_networks", "ssconf_node_list"]


def test_the_command_tells_of_the_files_and_the_parcel_is_unpacked(tmp_path):
    """On files of our own, as the constants name those of a node."""
    (tmp_path / "ssconf_node_list").write_text("old")
    command = redistribute._FINGERPRINT.replace(redistribute.DIRECTORY, str(tmp_path))
    said = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout.splitlines()
    assert said == answer({"ssconf_node_list": "old"})
    script = program.script(unpack_ssconf).replace(redistribute.DIRECTORY, str(tmp_path))
    parcel = tmp_path / "ssconf-of-the-master.json"
    parcel.write_text('{"node_list": "a1\\n"}')
    subprocess.run([sys.executable, "-I", "-c", script], check=True)
    assert [each.name for each in tmp_path.iterdir()] == ["ssconf_node_list"] and (tmp_path / "ssconf_node_list").read_text() == "a1\n"
    assert (tmp_path / "ssconf_node_list").stat().st_mode & 0o777 == 0o444
    parcel.write_text('{"../../etc/passwd": ""}')
    refused = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=False)
    assert refused.returncode == 1 and "no name of the simple configuration" in refused.stderr


@pytest.fixture
def chosen(servers, prefix):
    """The storage of a master a1 with a standby a2."""
    for server in servers:
        with Client(server) as client:
            CouchStorage(client, prefix).prepare()
    with open_storage("couchdb", name="a1", **options(prefix, a1=servers[0], a2=servers[1])) as storage:
        yield storage
    for server in servers:
        with Client(server) as client:
            replication.arrange(client, {})


def test_replications_of_an_old_master_are_removed_and_no_others(chosen, servers):
    left = replication.wanted(("a2", servers[1]), {"a1": servers[0]}, chosen.database(""))
    with Client(servers[1]) as client:
        replication.arrange(client, left)
        client.put(path("_replicator", "mine"), {**next(iter(left.values())), "_id": "mine"})
        try:
            wanted = list(replication.wanted(("a1", servers[0]), {"a2": servers[1]}))
            rehearsed = chosen.copies.strays(remove=False)
            assert rehearsed == ({"a2": sorted(left)}, wanted, {}) == chosen.copies.strays(remove=True)
            assert chosen.copies.strays(remove=True) == ({}, wanted, {})
        finally:
            client.delete(path("_replicator", "mine", rev=client.get(path("_replicator", "mine"))["_rev"]))
    with Client(servers[0]) as client:
        replication.arrange(client, replication.wanted(("a1", servers[0]), {"a2": servers[1]}, chosen.database("")))
    assert chosen.copies.strays(remove=False) == ({}, [], {})


def test_servers_that_are_away_are_named(chosen, servers, prefix):
    away = Server("http://127.0.0.1:9", "u", "p")
    with open_storage("couchdb", name="a1", **options(prefix, a1=servers[0], a2=servers[1], a3=away)) as storage:
        found = storage.copies.strays(remove=True)
    assert list(found.away) == ["a3"] and "does not answer" in found.away["a3"]


class Cluster:
    """A cluster with a master and a node; jobs are counted and repair what Ganeti's do."""

    def __init__(self, nodes):
        self.nodes = nodes
        self.jobs = []

    def info(self):
        return {"master": "a1"}

    def query(self, what, fields):
        assert what == "node"
        return [{"name": name, "offline": name == "a9", "master_candidate": name == "a1"} for name in (*self.nodes, "a9")]


class Nodes(dict):
    """Runs commands on nodes, which are their files by name."""

    def run(self, argv, input=None, timeout=1):
        output = ""
        if argv[:2] == ["gnt-cluster", "command"] and argv[-1] == redistribute._FINGERPRINT:
            output = "\n".join(f"{name}: {line}" for name, files in self.items() if files is not None for line in answer(files))
        elif argv[:2] == ["gnt-cluster", "command"] and argv[-1] == extended._FINGERPRINT:
            output = "\n".join(f"{name}: missing" for name, files in self.items() if files is not None)
        elif argv[1] == "copyfile":
            self.addressees = [word for word in argv[2:-1] if word != "-n"]
        elif argv[1] == "command":
            for name in self.addressees:
                self[name].update({file: text for file, text in self["a1"].items() if file.startswith("ssconf_")})
        else:
            assert argv[0] == "sh", argv
        return 0, output.encode(), b""


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Redistributes among nodes with these files; the result, and how many jobs it took."""
    monkeypatch.setattr(redistribute, "_SETTLING", 0.0)
    monkeypatch.setattr(redistribute, "DIRECTORY", str(tmp_path))
    monkeypatch.setattr(redistribute, "PARCEL", str(tmp_path / "parcel"))

    def do(nodes, check_mode=False, **options):
        ran = []

        def job(cluster, opcodes, **_options):
            assert [each["OP_ID"] for each in opcodes] == ["OP_CLUSTER_REDIST_CONF"]
            ran.append(1)
            for files in nodes.values():
                if files is not None:
                    files.update({name: text for name, text in nodes["a1"].items() if not name.startswith("ssconf_")})

        monkeypatch.setattr(redistribute.jobs, "run", job)
        params = {"settings_file": str(tmp_path / "none"), "force": False, "unreachable": "fail", "lock_timeout": 1, "job_timeout": 1, **options}
        result = redistribute.Redistribution(Cluster(nodes), nodes, params, check_mode).run()
        assert list(tmp_path.iterdir()) == []
        return result, len(ran)

    return do


def test_a_run_repairs_and_a_second_one_has_nothing_to_do(run):
    nodes = Nodes(a1=dict(FILES), a2={**FILES, "ssconf_networks": "old", "hmac.key": "old"})
    rehearsed, jobs = run(nodes, check_mode=True)
    assert rehearsed["changed"] and jobs == 0 and nodes["a2"]["hmac.key"] == "old"
    result, jobs = run(nodes)
    assert result["diff"] == rehearsed["diff"] and list(result["diff"]["after"]) == ["files of a2"] and jobs == 1 and nodes["a2"] == FILES
    assert nodes.addressees == ["a2"]
    again, jobs = run(nodes)
    assert (again["changed"], again["warnings"], jobs) == (False, [], 0)
    forced, jobs = run(nodes, force=True)
    assert forced["changed"] and jobs == 1


def test_what_is_not_reached_is_named_after_all_else_was_done(run):
    nodes = Nodes(a1=dict(FILES), a2={**FILES, "ssconf_networks": "old"}, a3=None)
    with pytest.raises(ConnectionFailed, match=r"could not be reached \(a3: did not answer over Ganeti's SSH\)") as caught:
        run(nodes)
    assert caught.value.details["changed"] and nodes["a2"] == FILES
    result, jobs = run(nodes, unreachable="warn")
    assert not result["changed"] and jobs == 0 and list(result["away"]) == ["a3"] and "a3" in result["warnings"][0]


def test_a_node_that_cannot_be_repaired_fails_the_task(run, monkeypatch):
    nodes = Nodes(a1=dict(FILES), a2={**FILES, "ssconf_networks": "old"})
    monkeypatch.setattr(redistribute.Redistribution, "_copy", lambda *_arguments: None)
    with pytest.raises(GanetiError, match="files still differ from the master's: ssconf_networks on a2"):
        run(nodes)


def test_settings_of_another_master_are_refused(run, tmp_path, servers):
    file = tmp_path / "none"
    file.write_text('{"name": "a2", "servers": {"a2": {"url": "https://a2", "username": "u", "password": "p"}}}')
    file.chmod(0o600)
    with pytest.raises(InvalidInput, match="is of the master a2, and a1 is the master now: run backend_storage here first"):
        run(Nodes(a1=dict(FILES)))
