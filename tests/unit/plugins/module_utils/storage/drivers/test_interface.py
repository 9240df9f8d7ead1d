# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A further driver is a class and a line: one replicated store without servers of its own to look after, known to nobody but the factory."""

from __future__ import annotations

import argparse
import json
import signal
import threading
import types

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import InvalidInput, StorageFenced
from ansible_collections.ganeti.cluster.plugins.module_utils._files import replace
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.cluster import wait_for_jobs
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers import epochs, factory
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.conversion import convert
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.disk import DiskStorage
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.epochs import EPOCH, Claim, claim_of
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.history import object_history
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service import (
    commands,
    health,
    main,
    promote,
    settings,
    signs_of_life,
    snapshot,
    tend,
)
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.candidate_survey import survey
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.follow import Status
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.tend import Tender

from ..conftest import everything
from ..samples import NODE, cluster, configuration, job


class Shelf(DiskStorage):
    """A directory that all nodes see, with one claim in it."""

    name = "shelf"

    def __init__(self, name, servers, patience=None):
        super().__init__(servers["shelf"])
        self._claim_file = f"{servers['shelf']}/claim"

    def claims(self):
        try:
            with open(self._claim_file, encoding="utf-8") as stream:
                return [Claim(*json.load(stream))]
        except FileNotFoundError:
            return []

    def claim(self, wanted, anew=False):
        standing = next(iter(self.claims()), None)
        if epochs.kept(standing, wanted, anew):
            return standing
        if standing and epochs.newer([standing], wanted):
            raise StorageFenced(f"{self.where} is claimed by {standing.master}.")
        replace(self._claim_file, json.dumps(wanted).encode(), 0o600)
        return wanted


@pytest.fixture
def shelf(tmp_path, monkeypatch, files):
    """The settings of a service with such a store, on the master."""
    monkeypatch.setattr(factory, "DRIVERS", {**factory.DRIVERS, "shelf": Shelf})
    (tmp_path / "shelf/queue/archive").mkdir(parents=True)
    files.put("ssconf_master_node", "a1\n")
    given = {"name": "a1", "storage": "shelf", "servers": {"shelf": str(tmp_path / "shelf")}, "directory": str(tmp_path / "master")}
    (tmp_path / "settings.json").write_text(json.dumps({**given, "status": str(tmp_path / "run/status.json")}))
    (tmp_path / "settings.json").chmod(0o600)
    return settings.read(str(tmp_path / "settings.json"))


def test_the_service_follows_into_it_and_is_checked(shelf, files, master, monkeypatch):
    """Until another master claims: then it rests, and says why."""
    ended = []
    monkeypatch.setattr(main, "end_soon", lambda: ended)  # signals are for the main thread
    for module in (main, tend):
        monkeypatch.setattr(module, "STEP", 0.1)
    running = threading.Thread(target=main.run, args=(shelf,))
    running.start()
    try:
        storage = shelf.open()
        wait(lambda: (health.said(shelf) or {}).get("state") == "following" and everything(storage) == everything(master))
        assert health.check(shelf) == (health.OK, f"OK: serial number 20; {storage.where} has 20")
        files.job(20006)
        wait(lambda: 20006 in storage.queue().jobs)
        storage.claim(Claim(EPOCH, "u2"))
        wait(lambda: (health.said(shelf) or {}).get("state") == "replaced")
        assert "this node was replaced as the master" in health.check(shelf)[1]
        said = commands.reclaim(shelf)
        assert said.startswith(f"a1 has claimed the storage with serial number {2 * EPOCH}; its service goes on within seconds. Run ganeti.cluster.backend_")
        wait(lambda: (health.said(shelf) or {}).get("state") == "following")
    finally:
        ended.append(signal.SIGTERM)
        running.join(30)
    assert not running.is_alive()


def wait(condition):
    """Until it holds."""
    event = threading.Event()
    for _each in range(600):
        if condition():
            return
        event.wait(0.05)
    raise AssertionError(condition)


@pytest.fixture
def tended(shelf):
    """Tends a storage while the follower waits, as its writes are refused; who tends."""
    mine = shelf.open().claim(Claim(20, NODE))
    tender = Tender(shelf, types.SimpleNamespace(status=Status("waiting", problem="a write was refused")), mine)
    tender.start()
    yield tender
    tender.end()
    assert not tender.is_alive()


@pytest.mark.parametrize("newer", [Claim(EPOCH, "u2"), Claim(EPOCH, NODE)], ids=["by another master", "anew for this node"])
def test_whose_writes_are_refused_learns_that_the_storage_was_claimed(tended, shelf, newer):
    """It does not come to follow again by itself, be that the store's refusal or a password that is gone."""
    shelf.open().claim(newer)
    wait(lambda: tended.replaced)


def test_who_tends_lives_on_while_nobody_can_be_asked(shelf, monkeypatch):
    """Else the service would begin anew, and compare everything, again and again."""
    there, claims = threading.Event(), Shelf.claims

    def ask(storage):
        if not there.is_set():
            raise InvalidInput("The authority's certificate is gone.")
        return claims(storage)

    monkeypatch.setattr(tend, "STEP", 0.05)
    monkeypatch.setattr(Shelf, "claims", ask)
    tender = Tender(shelf, types.SimpleNamespace(status=Status("waiting")), Claim(20, NODE))
    tender.start()
    wait(lambda: tender.problem == "The authority's certificate is gone.")
    there.set()
    shelf.open().claim(Claim(EPOCH, "u2"))
    wait(lambda: tender.replaced)
    tender.end()
    assert not tender.is_alive()


def test_who_waits_holds_the_claim_and_tends_nothing_else(shelf, monkeypatch):
    claimed = threading.Event()
    monkeypatch.setattr(Shelf, "claim", lambda _self, wanted, anew=False: claimed.set() or wanted)
    monkeypatch.setattr(promote, "archive", lambda *_args, **_options: pytest.fail("the jobs of a storage that does not answer"))
    tender = Tender(shelf, types.SimpleNamespace(status=Status("waiting")), Claim(20, NODE))
    assert list(tender._tend(shelf.open(), follows=False)) == [] and claimed.is_set() and not tender.replaced


def test_no_watchdog_is_armed_where_it_would_say_no_to_every_takeover(shelf, master, files, tmp_path):
    """The epoch is spent by a claim to which no configuration belongs, until one begins."""
    with shelf.open() as storage:
        convert(master, storage)
        assert commands.arm(shelf).startswith("Armed: should a1 be gone")
        watchdog = tmp_path / "watchdog.json"
        watchdog.write_text("{}")
        assert commands.reclaim(shelf) and "the watchdog: epoch 1 is spent" in health.check_all(shelf, str(watchdog))[1]
        commands.arming.disarm(shelf.directory)
        with pytest.raises(InvalidInput, match="epoch 1 is spent, .* the one of the configuration here is 0: .*Run ganeti.cluster.backend_storage on the"):
            commands.arm(shelf)
        assert commands.arming.armed_for(shelf.directory) is None
        storage.write_configuration(configuration(2 * EPOCH))
        assert commands.arm(shelf).startswith("Armed") and commands.arming.armed_for(shelf.directory) == "a1"


def snapshot_of(shelf, tmp_path):
    """Arguments of the program that restore what the storage holds now."""
    with shelf.open() as storage:
        taken = snapshot.take(storage, str(tmp_path / "backups"), 1, 1795250042.7)
    return argparse.Namespace(snapshot=None, restore=taken, another_cluster=False)


def test_a_restore_claims_as_the_master_that_this_node_is(shelf, master, tmp_path):
    with shelf.open() as storage:
        convert(master, storage)
        asked = snapshot_of(shelf, tmp_path)
        storage.remove_jobs([7])
        assert commands.copy(shelf, asked) == "The database holds serial number 20; 1 jobs were written or removed"
        assert everything(storage) == everything(master) and storage.claims() == [Claim(20, NODE)]
        storage.claim(Claim(EPOCH, "u2"))
        storage.remove_jobs([7])
        with pytest.raises(InvalidInput, match="is not restored: the databases hold serial number 10000000000 of the master u2.*this node was replaced"):
            commands.copy(shelf, asked)
        assert 7 not in storage.queue().jobs and storage.claims() == [Claim(EPOCH, "u2")]


@pytest.mark.parametrize("lost", ["config.data", "ssconf_master_node"])
def test_a_restore_where_the_files_are_lost_claims_as_the_master_that_the_snapshot_is_of(shelf, master, files, tmp_path, lost):
    with shelf.open() as storage:
        convert(master, storage)
        asked = snapshot_of(shelf, tmp_path)
        whole = everything(storage)
        (files.directory / lost).unlink()
        storage.remove_jobs([7])
        commands.copy(shelf, asked)
        assert everything(storage) == whole and storage.claims() == [Claim(20, NODE)]
        storage.claim(Claim(EPOCH, "u2"))
        storage.remove_jobs([7])
        with pytest.raises(StorageFenced, match="is claimed by u2"):
            commands.copy(shelf, asked)
        assert 7 not in storage.queue().jobs


def test_what_it_lacks_is_seen(shelf, master, files):
    signs_of_life.tell(shelf.status, Status("following", 20))
    with shelf.open() as storage:
        convert(master, storage)
        storage.remove_jobs([7])
        files.put("config.data", json.dumps(configuration(40)))
        status, line = health.check(shelf)
        assert status == health.WARNING and line.endswith(f"{storage.where} is 20 serial numbers behind; {storage.where} lacks 1 jobs of the queue")
    signs_of_life.tell(shelf.status, Status("resting"))
    assert health.check(shelf._replace(name="a2")) == (health.OK, "OK: a1 is the master; a2 has 20")


def test_a_failover_has_no_copies_to_compare(shelf, master):
    with shelf.open() as storage:
        convert(master, storage)
        storage.write_configuration(cluster(31))
        storage.claim(Claim(EPOCH, "u1"))
        found = survey("a2", storage, shelf.directory, each_job=True)
    assert (found["storage"], found["serial"], found["contents"], found["serials"], found["job_serials"]) == ("shelf", 31, {}, {}, {})
    assert found["claimed"] == EPOCH and found["database"]["job"] == 20005


def test_jobs_are_waited_for_by_asking_again(shelf, master):
    with shelf.open() as storage:
        convert(master, storage)
        storage.write_jobs({7: job(7, "running")})
        later = threading.Timer(0.2, lambda: shelf.open().write_jobs({7: job(7, "success")}))
        later.start()
        told = wait_for_jobs.JobWatcher(storage, [7, 3], "alpha.lab.example").wait("ended", 30)
        later.join()
    assert (told[7]["status"], told[3]["archived"]) == ("success", True)


def test_news_tell_of_what_has_changed_and_what_has_gone(shelf, master):
    with shelf.open() as storage:
        convert(master, storage)
        feed = storage.feed([7, 8])
        assert feed.news(0) == {7: job(7)} and feed.news(0) == {}
        storage.remove_jobs([7])
        assert feed.news(5) == {7: None} and feed.news(0) == {}


def test_it_has_no_history_and_says_so(shelf):
    with pytest.raises(InvalidInput, match="The storage shelf keeps no history"):
        object_history.look_up(shelf, "cluster", None)


def test_a_storage_that_nobody_knows(tmp_path):
    with pytest.raises(InvalidInput, match="There is no storage 'tape': use one of couchdb, disk"):
        factory.open_storage("tape")
    with pytest.raises(InvalidInput, match="These are no options of the storage disk"):
        factory.open_storage("disk", tape=1)


def test_a_master_claims_with_what_its_configuration_says():
    assert claim_of(configuration(33)) == Claim(33, NODE) and Claim(EPOCH + 33, "u1").epoch == 1
