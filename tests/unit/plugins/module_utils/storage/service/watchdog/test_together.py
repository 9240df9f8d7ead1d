# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two watchers that go on by themselves, and the takeover of one: real servers between them, and nothing played but the network and Ganeti."""

from __future__ import annotations

import threading

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb.client import Client, Server
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb.storage import CouchStorage
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.epochs import EPOCH, Claim
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service import candidate_survey
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.settings import Settings
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.watchdog import arming, deeds, fence_command, sight, watcher
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.watchdog.decision import GONE
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.watchdog.options import Options

from ...samples import cluster, job
from ...servers import options

pytestmark = pytest.mark.functional

AWAY = Server("http://127.0.0.1:9", "ganeti", "secret")


class Running:
    """A node whose watcher runs."""

    def __init__(self, name, directory, described, text):
        self.directory = directory
        (directory / "queue/archive").mkdir(parents=True)
        (directory / "client.pem").write_text(text)
        (directory / "ssconf_master_node").write_text("a1\n")
        (directory / "ssconf_node_primary_ips").write_text("a1 10.0.0.1\na2 10.0.0.2\na3 10.0.0.3\n")
        for each in ("candidates", "candidates_ips", "candidates_certs"):
            (directory / f"ssconf_master_{each}").write_text("")
        arming.arm(str(directory))
        self.chosen = Settings(name, described, str(directory), "", 10, nodes=("a1", "a2", "a3"))
        self.options = Options(str(directory / "fence"), 0.5)
        self.acts, self.end, self.standing = threading.Event(), threading.Event(), None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        with self.chosen.open(5) as storage:
            notes = storage.notes(self.chosen.nodes, 5)
            watching = watcher.Watcher(self.chosen, self.options, storage, notes, lambda _address: sight.SILENT, self.acts.set)
            while not self.end.wait(0.02):
                self.standing = watching.step()
            notes.close()

    def stop(self):
        """End it."""
        self.end.set()
        self.thread.join(60)
        assert not self.thread.is_alive()


@pytest.fixture
def nodes(tmp_path, servers, prefix, certificate, monkeypatch):
    """a2 and a3, whose master a1 is dead, with its server."""
    monkeypatch.setattr(candidate_survey, "installed", lambda: 3000000)
    monkeypatch.setattr(fence_command, "problem", lambda *_given: None)
    for server in servers:
        with CouchStorage(Client(server), prefix) as storage:
            storage.prepare()
            storage.claim(Claim(20, "u1"))
            storage.write_configuration(cluster(31))
            storage.write_queue({4: job(4)}, 4)
    described = options(prefix, a1=AWAY, a2=servers[0], a3=servers[1])
    made = {name: Running(name, tmp_path / name, described, certificate[0]) for name in ("a2", "a3")}
    yield made
    for each in made.values():
        each.stop()


def test_one_of_two_becomes_the_master_and_the_other_has_agreed(nodes, certificate):
    second, third = nodes["a2"], nodes["a3"]
    assert second.acts.wait(60) and not third.acts.is_set()
    (second.directory / "fence").write_text("#!/bin/sh\nexit 0\n")
    (second.directory / "fence").chmod(0o700)

    def hand_over(argv, closed):
        assert argv[:2] == ["gnt-cluster", "master-failover"] and closed == ["10.0.0.1", "10.0.0.10"]
        lines = (third.directory / "ssconf_master_candidates_certs").read_text()
        assert lines == f"u2={certificate[1]}\n", "the other node takes it for a master candidate by now"
        (second.directory / "ssconf_master_node").write_text("a2\n")
        return {"status": 0, "lines": []}

    with second.chosen.open() as storage:
        notes = storage.notes(second.chosen.nodes, 5)
        doing = deeds.NodesDeeds(second.chosen, second.options, storage, notes, lambda _argv: (0, ""), hand_over)
        assert deeds._carry_out(second.chosen, doing) == (0, "a2 is the master instead of a1.")
        assert storage.elected() == Claim(EPOCH, "u2") and notes.read()["a3"].parts["watcher"]["sees"] == GONE
        notes.close()
    assert not third.acts.is_set() and arming.armed_for(str(second.directory)) is None
