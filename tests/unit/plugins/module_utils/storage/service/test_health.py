# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The check sees every way in which a standby, or the master's own database, holds something else than it should."""

from __future__ import annotations

import json

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils.storage.cluster import storage_status
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.conversion import convert
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb import last_writes, replication, server_check, server_comparison
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb.client import Client, path
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb.server_comparison import Contents, Gap
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb.storage import CouchStorage
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.epochs import Claim
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.interface import Queue
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service import health, signs_of_life
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.follow import Status
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.settings import Settings
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.watchdog import arming

from ..samples import DISK, configuration, job
from ..servers import options

ALL_WELL = (health.OK, "OK: serial number 20; a1 has 20, a2 has 20")


@pytest.fixture
def watched(servers, prefix, couch, master, files, tmp_path, monkeypatch):
    """The settings of a master's service, with a standby, where all is well; and the standby's storage."""
    monkeypatch.setattr(last_writes, "BYTES", 0)  # config_data heals nothing
    standby = CouchStorage(Client(servers[1]), prefix)
    standby.prepare()
    files.put("ssconf_master_node", "a1\n")
    for each in (couch, standby):
        convert(master, each)
    status = str(tmp_path / "run/status.json")
    signs_of_life.tell(status, Status("following", 20))
    monkeypatch.setattr(server_check, "PATIENCE", 0.05)
    names = replication.wanted(("a1", servers[0]), {"a2": servers[1]}, prefix)
    monkeypatch.setattr(replication, "states", lambda _client: [replication.State(name, "running", None) for name in names])
    yield Settings("a1", options(prefix, a1=servers[0], a2=servers[1]), str(tmp_path / "master"), status, 3), standby
    standby.close()


def test_all_is_well(watched):
    assert health.check(watched[0]) == ALL_WELL


@pytest.fixture
def watching(tmp_path, monkeypatch):
    """A node whose service is well, which has a watchdog; its settings, the watchdog's options, and what is said of the command."""
    file, problems = tmp_path / "watchdog.json", [None]
    file.write_text('{"fence_command": "/sbin/fence"}')
    file.chmod(0o600)
    (tmp_path / "ssconf_master_node").write_text("a1\n")
    monkeypatch.setattr(health.fence_command, "problem", lambda _path: problems[-1])
    monkeypatch.setattr(health, "check", lambda _chosen: (health.OK, "OK: all is well"))
    return Settings("a2", {}, str(tmp_path), str(tmp_path / "status.json"), 3), file, problems


def test_a_watchdog_that_would_not_act_is_a_warning(watching, tmp_path):
    chosen, file, problems = watching
    unarmed = "the watchdog: this node is not armed for a1 as the master: see that all is well, then arm all nodes (--arm)"
    assert health.check_all(chosen, str(tmp_path / "none")) == (health.OK, "OK: all is well"), "this node has no watchdog"
    assert health.check_all(chosen, str(file)) == (health.WARNING, f"WARNING: {unarmed}")
    arming.arm(str(tmp_path))
    assert health.check_all(chosen, str(file)) == (health.OK, "OK: all is well")
    problems.append("fence_command /sbin/fence is gone")
    assert health.check_all(chosen, str(file)) == (health.WARNING, "WARNING: the watchdog: fence_command /sbin/fence is gone")
    problems.append(None)
    file.chmod(0o622)
    assert health.check_all(chosen, str(file))[0] == health.WARNING and "can be changed by others" in health.check_all(chosen, str(file))[1]
    (tmp_path / "ssconf_master_node").write_text("a3\n")
    assert "not armed for a3" in health.check_all(chosen, str(file))[1]


def test_a_watchdog_hides_nothing_that_is_worse(watching, monkeypatch):
    chosen, file, _problems = watching
    monkeypatch.setattr(health, "check", lambda _chosen: (health.CRITICAL, "CRITICAL: a2: it is away"))
    status, line = health.check_all(chosen, str(file))
    assert status == health.CRITICAL and line.startswith("CRITICAL: a2: it is away; the watchdog: this node is not armed")


def test_a_standby_that_gets_what_is_new_later_than_it_could_is_named(watched):
    chosen = watched[0]
    signs_of_life.tell(chosen.status, Status("following", 20, left="a2 is left to CouchDB's replicator: it does not answer"))
    assert health.check(chosen) == (health.WARNING, "WARNING: serial number 20; a2 is left to CouchDB's replicator: it does not answer")


def _without_jobs(standby):
    standby.remove_jobs(standby.queue().jobs)


def _without_archive(standby):
    standby.remove_jobs([3], archived=True)


def _old_job(standby):
    standby.write_jobs({7: job(7, "running")})


def _more_jobs(standby):
    standby.write_jobs({5: job(5), 6: job(6)})


def _more_archived(standby):
    standby.write_jobs({5: job(5)}, archived=True)


def _old_serial(standby):
    standby.write_serial(19000)


def _no_ssconf(standby):
    standby.write_ssconf({"master_node": "a1\n"})


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_without_jobs, "a2 lacks 2 of 3 (20005, 7) in queue"),
        (_without_archive, "a2 lacks 1 of 2 in archive"),
        (_old_job, "a2 lacks 1 of 3 (7) in queue"),
        (_more_jobs, "a2 has 2 too many in queue"),
        (_more_archived, "a2 has 1 too many in archive"),
        (_old_serial, "a2 lacks 1 of 3 (serial) in queue"),
        (_no_ssconf, "a2 lacks 2 of 3 (cluster_tags, node_list) in ssconf"),
    ],
)
def test_a_standby_that_holds_something_else(watched, spoil, words):
    chosen, standby = watched
    spoil(standby)
    assert health.check(chosen) == (health.WARNING, f"WARNING: serial number 20; {words}")


def test_a_standby_that_has_no_whole_configuration(watched, servers):
    """Its head has the right serial number, and the disk it names is not there."""
    chosen, standby = watched
    with Client(servers[1]) as client:
        where = path(standby.database("disks"), DISK)
        client.delete(f"{where}?rev={client.get(where)['_rev']}")
    status, line = health.check(chosen)
    assert status == health.CRITICAL and "a2 has no whole configuration: The configuration with serial number 20 is not complete" in line
    assert line.endswith(f"; a2 lacks 1 of 1 ({DISK}) in disks")


def test_a_standby_that_is_whole_by_what_config_data_tells(watched, couch, files, monkeypatch, servers):
    """It could be taken, and yet what does not come in for so long is told."""
    chosen, standby = watched
    monkeypatch.setattr(last_writes, "BYTES", 1000)
    files.put("config.data", json.dumps(configuration(27, disks={})))
    couch.write_configuration(configuration(27, disks={}))
    with Client(servers[0]) as client, Client(servers[1]) as other:
        head = client.get(path(standby.database("config_data"), "config_data", revs=True))
        other.post(path(standby.database("config_data"), "_bulk_docs"), {"docs": [head], "new_edits": False})
    assert standby.newest() == (configuration(27, disks={}), 0)
    assert health.check(chosen) == (health.WARNING, "WARNING: serial number 27; a2 has 1 too many in disks")


def test_a_standby_whose_whole_configuration_is_too_old(watched, couch, files, servers):
    """The newest head is there, and nothing that belongs to it: what counts is what could be taken."""
    chosen, standby = watched
    files.put("config.data", json.dumps(configuration(27, disks={})))
    couch.write_configuration(configuration(27, disks={}))
    with Client(servers[0]) as client, Client(servers[1]) as other:
        head = client.get(path(standby.database("config_data"), "config_data", revs=True))
        other.post(path(standby.database("config_data"), "_bulk_docs"), {"docs": [head], "new_edits": False})
    status, line = health.check(chosen)
    assert (status, line) == (
        health.WARNING, "WARNING: serial number 27; a2 has serial number 20 as a whole, which is 7 behind; a2 has 1 too many in disks",
    )  # fmt: skip


def test_a_standby_that_is_a_little_behind(watched, couch, files):
    """No more than *lag* allows, and that for longer than a moment."""
    chosen, _standby = watched
    files.put("config.data", json.dumps(configuration(22, disks={})))
    couch.write_configuration(configuration(22, disks={}))
    assert health.check(chosen) == (health.OK, "OK: serial number 22; a1 has 22, a2 has 20")


def test_a_standby_that_lacks_a_database(watched, servers):
    chosen, standby = watched
    with Client(servers[1]) as client:
        client.delete(path(standby.database("queue")))
    status, line = health.check(chosen)
    assert status == health.CRITICAL and "a2: CouchDB at" in line and "queue" in line


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda couch: couch.remove_jobs([7]), "a1 lacks 1 of 3 (7) in queue; a2 has 1 too many in queue"),
        (lambda couch: couch.remove_jobs([3], archived=True), "a1 lacks 1 of 2 in archive; a2 has 1 too many in archive"),
        (lambda couch: couch.write_serial(20004), "a1 has 20004 for the last job id, which is 20005; a2 lacks 1 of 3 (serial) in queue"),
    ],
)
def test_a_master_whose_own_database_lacks_something(watched, couch, spoil, words):
    spoil(couch)
    assert health.check(watched[0]) == (health.WARNING, f"WARNING: serial number 20; {words}")


def test_what_arrives_in_a_moment_is_not_lacking(watched, monkeypatch):
    chosen, standby = watched
    standby.remove_jobs([7])
    monkeypatch.setattr(server_check.time, "sleep", lambda _seconds: standby.write_jobs({7: job(7)}))
    status, line = health.check(chosen)
    assert "lacks 1 of 3 (7)" in line and status == health.WARNING, "a new revision of its own is another one than the master's"
    monkeypatch.undo()
    before = Contents({"queue": {"7": "1-a", "8": "1-a", "9": "2-a"}}, 5)
    after = Contents({"queue": {"7": "1-a", "9": "3-a", "10": "1-a"}}, 6)
    meanwhile = Contents({"queue": {"7": "1-a", "8": "1-a", "9": "2-a"}}, 5)
    assert server_comparison.gaps(before, after, meanwhile) == {}, "whatever has changed meanwhile is not looked at"
    assert server_comparison.gaps(before, after, Contents({"queue": {"9": "1-a", "11": "1-a"}}, 4)) == {"queue": Gap(1, 3, 1, ["7"]), "archive": Gap(1, 6, 0)}


def test_a_queue_in_which_nothing_ever_was():
    empty = Contents({"queue": {}}, 0)
    expected = server_comparison.of_files(Queue(frozenset(), frozenset(), 0), empty)
    assert server_comparison.gaps(expected, expected, empty) == {}


@pytest.fixture
def incomplete(watched, servers):
    """The settings, where the standby lacks a disk that its configuration names."""
    chosen, standby = watched
    with Client(servers[1]) as client:
        where = path(standby.database("disks"), DISK)
        client.delete(f"{where}?rev={client.get(where)['_rev']}")
    return chosen


def test_a_standby_says_itself_what_it_has_as_a_whole(watched, files, servers):
    chosen, standby = watched
    files.put("ssconf_master_node", "a1\n")
    there = chosen._replace(name="a2")
    signs_of_life.tell(chosen.status, Status("resting"))
    assert health.check(there) == (health.OK, "OK: a1 is the master; a2 has 20")
    standby.write_configuration(configuration(21))
    assert health.check(there) == (health.OK, "OK: a1 is the master; a2 has 21")


def test_a_standby_says_itself_that_nothing_is_whole(incomplete, servers):
    there = incomplete._replace(name="a2")
    signs_of_life.tell(incomplete.status, Status("resting"))
    status, line = health.check(there)
    assert status == health.CRITICAL and "The configuration with serial number 20 is not complete" in line


def test_what_servers_have_as_a_whole_is_told_of(incomplete, tmp_path, monkeypatch):
    file = tmp_path / "couchdb.json"
    file.write_text(json.dumps({"name": "a1", **incomplete.options, "directory": incomplete.directory, "status": incomplete.status}))
    file.chmod(0o600)
    monkeypatch.setattr(storage_status.extended, "read", lambda _runner: {"backend_storage": "couchdb"})
    told = storage_status.describe({"cluster_name": None, "settings_file": str(file)})
    assert told["healthy"] is False and told["serial"] == 20
    seen = {name: (each["serial"], each["whole"], each["lag"]) for name, each in told["servers"].items()}
    assert seen == {"a1": (20, 20, 0), "a2": (20, None, 0)}
    assert told["watchdog"] == {}
    with standby_of(incomplete) as standby:
        standby.claim(Claim(20, "u1"))
        notes = standby.notes(["a1", "a2"], 5)
        notes.put("watcher", {"sees": "alive", "master": "a1", "armed": True, "says": "all is well", "takeover": 5})
        notes.close()
    watchdog = storage_status.describe({"cluster_name": None, "settings_file": str(file)})["watchdog"]
    assert watchdog["a2"] == {"sees": "alive", "armed": True, "says": "all is well", "takeover": None, "problem": None}
    assert watchdog["a1"] == dict.fromkeys(("sees", "armed", "says", "takeover", "problem"))
    assert told["servers"]["a1"]["problem"] is None and "disks do not fit it" in told["servers"]["a2"]["problem"]


def standby_of(chosen):
    """The storage as the standby uses it."""
    return chosen._replace(name="a2").open()


def test_many_are_not_named():
    assert str(Gap(50, 51, 0, [str(number) for number in range(50)])) == "lacks 50 of 51 (0, 1, 2, ...)"
    assert str(Gap(1, 2, 3, ["7"])) == "lacks 1 of 2 (7) and has 3 too many"
