# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A takeover on a node: a real database, real files, and watchers that answer from a table; Ganeti's own programs are noted, not run."""

from __future__ import annotations

import json

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import StorageFailed
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb.client import Client, Server
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb.storage import CouchStorage
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.disk import DiskStorage
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.epochs import EPOCH, Claim
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.interface import Heard
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service import candidate_survey, promotion_mark
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.settings import Settings
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.watchdog import arming, deeds
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.watchdog.decision import ALIVE, GONE
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.watchdog.options import Options

from ...samples import cluster, job
from ...servers import options

pytestmark = pytest.mark.functional

AWAY = Server("http://127.0.0.1:9", "ganeti", "secret")


class Watchers:
    """Those of a2 and a3 answer what they are asked, as they see it then."""

    own_servers = True

    def __init__(self):
        self.views = {name: {"sees": GONE, "master": "a1", "armed": True, "serial": 31, "job": 4, "problem": None, "files": None} for name in ("a2", "a3")}
        self.asked = 0
        self.note = {}
        self.before = {}
        """What happens before the question of a number is answered."""
        self.admit = True

    def put(self, part, note):
        assert part == "takeover"
        self.note = note
        if note:
            self.asked += 1
            self.before.get(self.asked, lambda: None)()

    def read(self):
        admitted = self.note.get("asks") if self.admit and "digest" in self.note else None
        more = {"answers": {"a2/takeover": self.note.get("asks")}, "admitted": admitted}
        return {"a1": Heard({}, "away", False), **{name: Heard({"watcher": {**view, **more}}) for name, view in self.views.items()}}

    def close(self):
        """Nothing is open."""


class Node:
    """a2, whose master a1 is dead."""

    def __init__(self, tmp_path, servers, prefix, certificate):
        self.directory = tmp_path / "standby"
        (self.directory / "queue/archive").mkdir(parents=True)
        (self.directory / "client.pem").write_text(certificate)
        (self.directory / "ssconf_master_node").write_text("a1\n")
        for each in ("candidates", "candidates_ips", "candidates_certs"):
            (self.directory / f"ssconf_master_{each}").write_text("")
        arming.arm(str(self.directory))
        self.fence = tmp_path / "fence"
        self.says(0)
        self.chosen = Settings("a2", options(prefix, a1=AWAY, a2=servers[0], a3=servers[1]), str(self.directory), "", 10, nodes=("a1", "a2", "a3"))
        self.storage = self.chosen.open()
        self.watchers = Watchers()
        self.ran = []
        self.deeds = deeds.NodesDeeds(self.chosen, Options(str(self.fence)), self.storage, self.watchers, self._run, self._hand_over, str(tmp_path / "keys"))

    def says(self, status):
        """What the user's command says."""
        self.fence.write_text(f"#!/bin/sh\necho $1; exit {status}\n")
        self.fence.chmod(0o700)

    def _run(self, argv):
        self.ran.append(list(argv))
        return 0, ""

    def _hand_over(self, argv, closed):
        self.ran.append([*argv, *closed])
        (self.directory / "ssconf_master_node").write_text("a2\n")
        return {"status": 1, "lines": ["a1 does not answer"]}

    def take_over(self):
        """Do it; the last line, and what is noted."""
        status, line = deeds._carry_out(self.chosen, self.deeds)
        noted = json.loads((self.directory / "watchdog-takeover").read_text())
        assert noted["said"] == line[:-1]
        return status, line, list(noted["seconds"])


@pytest.fixture
def node(tmp_path, servers, prefix, certificate, monkeypatch):
    """The node, with what the master had written: a configuration, jobs, an archived one."""
    monkeypatch.setattr(candidate_survey, "installed", lambda: 3000000)
    monkeypatch.setattr(deeds.fence_command, "problem", lambda _path, _owner: None)
    for server in servers:
        with CouchStorage(Client(server), prefix) as storage:
            storage.prepare()
            storage.claim(Claim(20, "u1"))
            storage.write_configuration(cluster(31))
            storage.write_queue({4: job(4)}, 4)
            storage.write_jobs({2: job(2)}, archived=True)
    made = Node(tmp_path, servers, prefix, certificate[0])
    yield made
    made.storage.close()


HAND_OVER = ["gnt-cluster", "master-failover", "--no-voting", "--yes-do-it", "10.0.0.1", "10.0.0.10"]


def test_a_node_becomes_the_master_by_itself(node, servers, prefix, certificate):
    status, line, done = node.take_over()
    assert (status, line) == (0, "a2 is the master instead of a1.") and done[-1] == "finish" and node.watchers.asked == 4
    assert node.ran == [["/usr/lib/ganeti/ensure-dirs"], HAND_OVER, ["gnt-cluster", "queue", "info"], ["/usr/lib/ganeti/ensure-dirs", "--full-run"]]
    files = DiskStorage(str(node.directory))
    assert files.configuration()["serial_no"] == EPOCH and files.queue() == (frozenset({4}), frozenset({2}), 4)
    assert not promotion_mark.unfinished(str(node.directory)) and arming.armed_for(str(node.directory)) is None
    assert (node.directory / "ssconf_master_candidates_certs").read_text() == f"u2={certificate[1]}\n"
    with CouchStorage(Client(servers[1]), prefix) as third:
        assert third.elected() == Claim(EPOCH, "u2") and max(third.claims()) == Claim(20, "u1"), "the new master's service claims it"
    assert node.deeds.warnings == ["gnt-cluster master-failover: a1 does not answer"]


def nothing_was_done(node):
    """Neither files nor servers know of it."""
    return not node.ran and not (node.directory / "config.data").exists() and node.storage.elected() is None and arming.armed_for(str(node.directory)) == "a1"


def test_without_the_proof_nothing_is_done(node):
    node.says(7)
    status, line, done = node.take_over()
    assert status == 1 and "prove: no, fence_command ended with 7: a1; it is tried again" in line and done == ["ask", "judge", "prove"]
    assert nothing_was_done(node) and node.watchers.asked == 1


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("sees", [ALIVE, "unknown"])
def test_a_master_that_is_seen_again_stays_it(node, number, sees):
    node.watchers.before[number] = lambda: node.watchers.views["a3"].update(sees=sees)
    status, _line, done = node.take_over()
    assert status == 1 and nothing_was_done(node) and done[-1] == ("ask" if number == 1 else "ask again")


def test_a_master_that_is_back_before_the_hand_over_stays_it(node):
    node.watchers.before[4] = lambda: node.watchers.views["a3"].update(sees=ALIVE)
    status, line, done = node.take_over()
    assert status == 1 and done[-1] == "ask last" and "a3 sees a1 alive" in line and "run --reclaim there" in line
    assert HAND_OVER not in node.ran and arming.armed_for(str(node.directory)) is None


def test_who_has_less_than_another_server_is_not_made_the_master(node, servers, prefix):
    with CouchStorage(Client(servers[1]), prefix) as third:
        third.claim(Claim(20, "u1"))
        third.write_configuration(cluster(35))
    status, line, done = node.take_over()
    assert status == 1 and done[-1] == "judge" and "The standby a3 has serial number 35" in line and nothing_was_done(node)


def store(servers, prefix, changed):
    """Have the master write a configuration to all servers."""
    for server in servers:
        with CouchStorage(Client(server), prefix) as storage:
            storage.claim(Claim(20, "u1"))
            storage.write_configuration(changed)


def test_a_candidate_with_newer_files_is_seen(node, servers, prefix):
    changed = cluster(31)
    changed["nodes"]["u3"]["master_candidate"] = True
    store(servers, prefix, changed)
    node.watchers.views["a3"]["files"] = 40
    status, line, _done = node.take_over()
    assert status == 1 and "The files of the master candidate a3 have serial number 40" in line and nothing_was_done(node)


def test_where_another_has_begun_an_epoch_nobody_begins_one(node, servers, prefix):
    with CouchStorage(Client(servers[1]), prefix) as third:
        third.claim(Claim(EPOCH, "u3"))
    status, line, done = node.take_over()
    assert status == 1 and done == ["ask", "judge"] and "epoch 1 has begun" in line and nothing_was_done(node), "nobody is switched off in vain"


def test_where_another_was_elected_nobody_tries_again(node):
    """9: whoever that was may have died half way."""
    node.storage.elect(Claim(EPOCH, "u3"), node.chosen.nodes, ["a1"])
    status, line, done = node.take_over()
    assert status == 1 and done[-1] == "judge" and "epoch 1 has begun" in line and not node.ran and arming.armed_for(str(node.directory)) == "a1"


def test_who_is_not_elected_writes_nothing_and_is_disarmed(node, monkeypatch):
    def refuse(*_given, **_more):
        raise StorageFailed("Only 1 of 3 servers answer.")

    monkeypatch.setattr(node.storage, "elect", refuse)
    status, line, done = node.take_over()
    assert status == 1 and done[-1] == "elect" and "master_failover" in line and not node.ran and not (node.directory / "config.data").exists()
    assert arming.armed_for(str(node.directory)) is None


def test_who_is_not_admitted_by_most_goes_no_further(node, monkeypatch):
    monkeypatch.setattr(deeds, "_ADMITTED", 0.0)
    node.watchers.admit = False
    status, line, done = node.take_over()
    assert status == 1 and done[-1] == "admit" and "1 of 3 nodes take it for a master candidate" in line and HAND_OVER not in node.ran


def test_files_that_ganeti_has_kept_are_taken_as_they_are(node, servers, prefix):
    changed = cluster(31)
    changed["nodes"]["u2"]["master_candidate"] = True
    store(servers, prefix, changed)
    files = DiskStorage(str(node.directory))
    files.write_configuration(changed)
    files.write_jobs({4: job(4)})
    files.write_serial(4)
    status, line, _done = node.take_over()
    assert status == 0, line
    assert node.ran == [HAND_OVER, ["gnt-cluster", "queue", "info"], ["gnt-node", "modify", "--offline=yes", "--auto-promote", "a1"]]
    assert files.configuration()["serial_no"] == EPOCH and node.storage.elected() == Claim(EPOCH, "u2")


def test_a_program_that_fails_is_named():
    assert deeds.run_command(["sh", "-c", "echo one; echo two >&2; exit 3"]) == (3, "one\ntwo")
