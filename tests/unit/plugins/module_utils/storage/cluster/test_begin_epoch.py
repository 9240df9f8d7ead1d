# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Beginning an epoch on a running master: noted first, done while Ganeti stands still, and not where it could not start again."""

from __future__ import annotations

import json

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._difference import Difference
from ansible_collections.ganeti.cluster.plugins.module_utils._errors import PreflightFailed, RequestRefused
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.cluster import begin_epoch, standstill
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.epochs import EPOCH, Claim
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service import shared_epoch

from ..samples import NODE, configuration
from .test_standstill import Ganeti

LIMITS = {"job_timeout": 60, "lock_timeout": 60}


class Master(Ganeti):
    """A master, with the service beside it."""

    restarted = 0
    silent = 0

    def do(self, argv):
        if argv[0] != "systemctl":
            return super().do(argv)
        assert self.daemons == {"ganeti-wconfd", "ganeti-luxid"}, "when all runs again"
        self.restarted += 1
        return 0, b"", b""

    def query(self, what, fields, qfilter=None):
        if what == "node":
            return [{"name": f"a{number}", "bootid": None if number <= self.silent else "x"} for number in (1, 2, 3)]
        return super().query(what, fields, qfilter)


@pytest.fixture
def master(tmp_path, monkeypatch):
    """One that was made the master by Ganeti's own failover."""
    made = Master(tmp_path)
    monkeypatch.setattr(standstill, "_PATIENCE", 0.0)
    monkeypatch.setattr(begin_epoch, "connect", lambda _options, acknowledged: made())
    monkeypatch.setattr(standstill.jobs, "run", lambda cluster, opcodes, **_options: cluster.jobs.extend(each["OP_ID"] for each in opcodes))
    shared_epoch.look(str(tmp_path), configuration(20), [Claim(15, "another")])
    return made


def note(master, claims=(), elected=()):
    """Whether an epoch is to begin, and what is shown."""
    change = Difference()
    return begin_epoch.note(change, claims, [*claims, *elected], str(master.directory)), change.diff()


def test_an_epoch_begins_once(master):
    name = "epoch of the configuration"
    assert note(master) == (True, {"before": {name: "0, in which another was the master too"}, "after": {name: "1"}})
    assert begin_epoch.begin(master, master, LIMITS, 3 * EPOCH + 7, str(master.directory)) == 4 * EPOCH
    after = json.loads(master.file.read_text())
    assert after["serial_no"] == 4 * EPOCH and {**after, "serial_no": 20, "mtime": configuration()["mtime"]} == configuration(20)
    assert after["cluster"]["master_node"] == NODE and master.restarted == 1 and master.jobs == ["OP_CLUSTER_REDIST_CONF"]
    assert note(master) == (False, {"before": {}, "after": {}})


@pytest.mark.parametrize(
    ("claims", "elected", "begins"),
    [
        ([Claim(20, NODE)], [], False),
        ([Claim(20, NODE), Claim(15, "another")], [Claim(7, "another")], False),
        ([Claim(2 * EPOCH, NODE)], [], True),  # this one's, by --reclaim
        ([Claim(20, NODE)], [Claim(2 * EPOCH, "another")], True),  # who was elected and came no further
        ([Claim(20, NODE), Claim(2 * EPOCH, "another")], [], False),  # who may be the master: somebody has to say (--reclaim)
        ([Claim(2 * EPOCH, NODE), Claim(EPOCH, "another")], [], True),  # somebody has said it
        ([Claim(EPOCH, NODE), Claim(2 * EPOCH, "another")], [], False),
    ],
)
def test_one_begins_where_a_later_one_is_spent_and_nobody_else_may_be_its_master(master, claims, elected, begins):
    (master.directory / "epoch-shared").unlink()
    name = "epoch of the configuration"
    shown = {"before": {name: "0, and epoch 2 is spent"}, "after": {name: "3"}} if begins else {"before": {}, "after": {}}
    assert note(master, claims, elected) == (begins, shown)


def test_what_speaks_against_it_leaves_all_as_it_was(master):
    master.open_jobs = [{"id": 5, "summary": ["TEST_DELAY"]}]
    with pytest.raises(RequestRefused, match="Jobs are running or queued"):
        begin_epoch.begin(master, master, LIMITS, 0, str(master.directory))
    master.open_jobs, master.silent = [], 2
    with pytest.raises(PreflightFailed, match="a1, a2 do not answer"):
        begin_epoch.begin(master, master, LIMITS, 0, str(master.directory))
    assert master.file.read_bytes() == master.old and master.restarted == 0 and not master.drained and note(master)[0]
