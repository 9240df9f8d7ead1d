# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Archived jobs that only a standby has become the master's, in its files as in its database."""

from __future__ import annotations

import json
import types

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import StorageFailed
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.conversion import convert
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb import replication
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb.client import Client
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb.storage import CouchStorage
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.epochs import EPOCH, Claim
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service import commands, promotion_mark, taken_over
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.follow import Status
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.settings import Settings
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.tend import Tender

from ..samples import job
from ..servers import options

MINE = Claim(EPOCH, "u1")
OURS = {4: job(4), 5: job(5)}
OTHERS = {7: job(7), 20099: job(20099)}
"""One waits in the master's queue, one has an id that was not given out yet."""


@pytest.fixture
def standby(servers, prefix):
    """What is on the server of the node a2: jobs that it had from an earlier master, whose other standby never got them."""
    made = CouchStorage(Client(servers[1]), prefix)
    made.prepare()
    made.write_jobs({**OURS, **OTHERS}, archived=True)
    yield made
    made.close()
    for server in servers:
        with Client(server) as client:
            replication.arrange(client, {})


def test_archived_jobs_that_only_a_standby_has_come_into_the_masters_files(servers, prefix, couch, standby, master, files, tmp_path):
    """The last step of the failover has ended by then: it knew of the jobs in the new master's own database alone."""
    files.put("ssconf_master_node", "a1\n")
    chosen = Settings("a1", options(prefix, a1=servers[0], a2=servers[1]), str(files.directory), str(tmp_path / "status.json"), 3)
    with chosen.open() as storage:
        storage.claim(MINE)
        convert(master, storage)
        tender = Tender(chosen, types.SimpleNamespace(status=Status("following")), MINE)
        assert list(tender._tend(storage, follows=True)) == []
        assert master.queue().archived == {3, 4, 5, 20001} == storage.queue().archived
        assert dict(master.jobs(OURS, archived=True)) == OURS == dict(storage.jobs(OURS, archived=True))
        assert master.queue().jobs == {7, 20005}
    aside = files.directory / "queue/before-promotion"
    assert [path.name for path in aside.iterdir()] == ["job-20099"], "it would be in the way of the next one of this id"


def test_what_dies_between_files_and_database_is_found_by_the_follower(couch, master, files):
    convert(master, couch)
    assert taken_over.keep(str(files.directory), OURS) == {4, 5}
    assert taken_over.keep(str(files.directory), OURS) == frozenset(), "its own files say what they are"
    convert(master, couch)
    assert dict(couch.jobs(OURS, archived=True)) == OURS


def test_nothing_is_taken_over_into_a_queue_that_is_not_mounted(tmp_path):
    with pytest.raises(StorageFailed, match="see whether it is mounted. 2 archived jobs"):
        taken_over.keep(str(tmp_path), OURS)
    assert list(tmp_path.iterdir()) == []


def test_a_failovers_last_step_writes_under_the_masters_claim_or_not_at_all(servers, prefix, couch, master, files, tmp_path):
    """A program that stalls there until another is the master, or whose connection was lost, changes nothing any more: the service ends the promotion."""
    chosen = Settings("a1", options(prefix, a1=servers[0], a2=servers[1]), str(files.directory), str(tmp_path / "status.json"), 3)
    files.put("ssconf_master_node", "a2\n")
    promotion_mark.begin(str(files.directory))
    with pytest.raises(StorageFailed, match="Archived jobs are not written from here: resting"):
        commands.fail_over(chosen, "archive")
    assert promotion_mark.unfinished(str(files.directory)) and couch.claims() == []
    files.put("ssconf_master_node", "a1\n")
    assert json.loads(commands.fail_over(chosen, "archive")) == {"jobs": 0}
    assert not promotion_mark.unfinished(str(files.directory))
    assert [claim.master for claim in couch.claims()] == [master.configuration()["cluster"]["master_node"]]
