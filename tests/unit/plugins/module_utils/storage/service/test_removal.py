# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Jobs that Ganeti's files do not have: which of them the database may lose, when, and at whose word."""

from __future__ import annotations

import json
import math
import os
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import InvalidInput, StorageFailed
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers import disk
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.conversion import convert
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb import conflicts
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.disk import DiskStorage
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.documents import ARCHIVE, QUEUE
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.epochs import EPOCH, Claim
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.interface import Queue
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service import commands, follow, promote, promotion_mark, removal
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.follow import Follower
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.settings import Settings

from ..conftest import everything, ganeti
from ..samples import CONFIGURATION, cluster, job
from ..servers import options
from .test_follow import settle

_NUMBERS = st.frozensets(st.integers(1, 300))
_QUEUES = st.builds(Queue, _NUMBERS, _NUMBERS, st.integers(0, 300))


def numbers(first, last):
    """The ids of jobs, the last one included."""
    return frozenset(range(first, last + 1))


@given(st.none() | _QUEUES, _QUEUES, _NUMBERS, st.booleans())
def test_whatever_happened(files, stored, vanished, unfinished):
    """The rules of removal.py, by number."""
    found = removal.judge(files, stored, vanished, unfinished)
    if unfinished or files is None:
        assert found[:2] == (frozenset(), frozenset()) and found.held, "1"
        return
    assert found.archive <= vanished & stored.archived and not found.archive & files.archived, "2"
    assert found.queue <= stored.jobs - files.jobs and found.queue >= (stored.jobs - files.jobs) & files.archived, "3"
    for removed, whole in ((found.queue - files.archived, stored.jobs), (found.archive, stored.archived)):
        assert len(whole) < removal.MASS or 2 * len(removed) <= len(whole), "4"
    kept = (stored.jobs - files.jobs - found.queue) | ((vanished & stored.archived) - files.archived - found.archive)
    assert bool(kept) == (found.held is not None), "whoever can decide is told, and nobody else"


def test_a_mass_is_named_with_the_command_that_lets_it_go():
    files, stored = Queue(numbers(1, 50), numbers(1000, 1100), 2000), Queue(numbers(1, 120), numbers(1000, 1400), 2000)
    found = removal.judge(files, stored, numbers(1101, 1400), False)
    assert found[:2] == (frozenset(), frozenset())
    assert "70 of 120 jobs of the queue" in found.held and "300 of 401 archived jobs" in found.held and "service.pyz" in found.held and "--prune" in found.held
    assert removal.asked_for(files, stored, False) == (numbers(51, 120), numbers(1101, 1400), None)
    assert removal.asked_for(files, stored, True).queue == frozenset() == removal.asked_for(None, stored, False).queue
    half = removal.judge(files, stored, numbers(1101, 1300), False)
    assert half.archive == numbers(1101, 1300), "half is not more than half"


@pytest.fixture
def promoted(couch, master, certificate, tmp_path):
    """A node whose files were made out of a database with archived jobs, which are still to be written."""
    convert(master, couch)
    couch.write_configuration(cluster())
    directory = tmp_path / "standby"
    (directory / "queue/archive").mkdir(parents=True)
    os.rename(certificate[0], directory / "client.pem")
    promote.promote(couch, str(directory), promote.Request("a2", ["a1"], 20))
    return directory


@pytest.fixture
def follower(promoted, couch, monkeypatch):
    """The service's follower there, as it wakes; with no time to lose."""
    monkeypatch.setattr(follow, "_QUIET", 0.0)
    monkeypatch.setattr(follow, "_AGAIN", 0.0)
    made = Follower(str(promoted), couch, lambda _status: None)
    yield made
    made._watcher.close()


def test_a_failover_keeps_the_archive(promoted, follower, couch, master):
    """The service wakes, as Ganeti has its new master, before the archived jobs are written."""
    assert DiskStorage(str(promoted)).queue().archived == frozenset()
    for _each in range(3):
        follower.step(0)
    assert couch.queue().archived == {3, 20001} and follower.status.serial == EPOCH
    assert promote.archive(couch, str(promoted)) == 2
    assert everything(couch)[:2] == everything(master)[:2] == everything(DiskStorage(str(promoted)))[:2]


def test_while_a_promotion_is_unfinished_nothing_goes_and_all_is_added(promoted, follower, couch):
    follower.step(0)
    assert "promotion to the master is unfinished" in follower.status.problem and follower.status.state == "following"
    os.makedirs(promoted / "queue/archive/0")
    os.rename(promoted / "queue/job-7", promoted / "queue/archive/0/job-7")
    os.unlink(promoted / "queue/job-20005")
    (promoted / "queue/job-20006").write_text(json.dumps(job(20006)))
    settle(follower, lambda: 20006 in couch.queue().jobs and 7 in couch.queue().archived)
    follower.step(0)
    assert couch.queue().jobs == {7, 20005, 20006}, "also what has moved, or was taken away"
    promote.archive(couch, str(promoted))
    settle(follower, lambda: couch.queue().jobs == {20006})
    assert couch.queue().archived == {3, 7, 20001} and follower.status.problem is None


def test_archived_jobs_that_come_out_of_the_database_are_not_written_into_it_again(promoted, follower, couch):
    """Each would be a new revision, and go to all standbys."""
    follower.step(0)
    DiskStorage(str(promoted)).write_jobs({4: job(4)}, archived=True)
    settle(follower, lambda: 4 in couch.queue().archived)
    DiskStorage(str(promoted)).write_jobs({3: job(3), 5: job(5)}, archived=True)
    settle(follower, lambda: 5 in couch.queue().archived)
    promote.archive(couch, str(promoted))
    settle(follower, lambda: follower.status.problem is None)
    assert set(couch._revs(ARCHIVE, ["3", "4", "5", "20001"])) == {"3", "4", "5", "20001"}
    assert all(rev.startswith("1-") for rev in couch._revs(ARCHIVE, ["3", "4", "5", "20001"]).values())


def test_a_job_whose_removal_from_the_queue_came_before_its_entry_in_the_archive_is_not_lost(couch, master, certificate, tmp_path):
    """The databases are carried each for itself, and the old master died between. What settling has removed is none of these, nor what was cleaned up."""
    convert(master, couch)
    couch.write_configuration(cluster())
    couch.write_jobs({8: job(8, "running"), 9: job(9, "running"), 10: job(10), 11: job(11)})
    couch.write_jobs({8: job(8)})
    couch.write_jobs({11: job(11)}, archived=True)
    conflicts.remove(couch._client, couch.database(QUEUE), {"10": [*couch._revs(QUEUE, ["10"]).values()]})
    couch.claim(Claim(20, "u1"))
    couch.remove_jobs([8, 9, 11])
    couch.remove_jobs([11], archived=True)
    couch.write_jobs({30000: job(30000)})
    couch.remove_jobs([30000])  # as a restore does, so that the id will be given out again
    directory = tmp_path / "standby"
    (directory / "queue/archive").mkdir(parents=True)
    os.rename(certificate[0], directory / "client.pem")
    promote.promote(couch, str(directory), promote.Request("a2", ["a1"], 20))
    assert promote.archive(couch, str(directory)) == 3
    files = DiskStorage(str(directory))
    assert files.queue().archived == {3, 8, 20001} == couch.queue().archived and files.queue().jobs == {7, 20005}
    assert dict(files.jobs([8], archived=True)) == {8: job(8)} == dict(couch.jobs([8], archived=True))
    aside = sorted(os.listdir(directory / "queue/before-promotion"))
    assert aside == ["job-30000", "job-9"], "the one would be in another's way, and nobody knows how the other ended"


def test_a_promotion_that_dies_at_any_write_can_be_repeated(couch, master, certificate, tmp_path, monkeypatch):
    """The mark is there before the first file, and until the last; a service that wakes after any write removes nothing; the same again ends it."""
    convert(master, couch)
    couch.write_configuration(cluster())
    replace, left = promotion_mark.replace, [0]

    def dies(path, *arguments):
        if left[0] == 0:
            raise OSError(5, "dies here")
        left[0] -= 1
        replace(path, *arguments)

    for deaths in range(20):
        directory = tmp_path / f"node{deaths}"
        (directory / "queue/archive").mkdir(parents=True)
        shutil.copy(certificate[0], directory / "client.pem")
        (directory / "queue/job-5").write_text(json.dumps(job(5)))
        left[0] = deaths
        with monkeypatch.context() as patched:
            for module in (promotion_mark, disk):
                patched.setattr(module, "replace", dies)
            try:
                promote.promote(couch, str(directory), promote.Request("a2", ["a1"], 20))
                promote.archive(couch, str(directory))
                whole = True
            except StorageFailed:
                whole = False
        assert promotion_mark.unfinished(str(directory)) == (not whole and deaths > 0), deaths
        assert deaths > 0 or sorted(os.listdir(directory)) == ["client.pem", "queue"], "nothing without the mark"
        if whole:
            break
        made = Follower(str(directory), couch, lambda _status: None)
        if deaths:
            made.step(0)
            made._due = 0.0
            made.step(0)
        made._watcher.close()
        couch.forget()
        assert couch.queue() == master.queue()
        couch.write_configuration(cluster())
        promote.promote(couch, str(directory), promote.Request("a2", ["a1"], 20))
        promote.archive(couch, str(directory))
        assert DiskStorage(str(directory)).queue() == master.queue()
        couch.write_configuration(cluster())
    else:
        raise AssertionError("it never came to its end")
    assert deaths == 7, "mark, two jobs, serial, configuration, two archived jobs"


def test_whoever_comes_second_finds_nothing_to_do(promoted, couch):
    with promotion_mark.finishing(str(promoted), wait=False) as first:
        assert first
        assert promote.archive(couch, str(promoted), wait=False) is None, "somebody else is at it"
        assert promotion_mark.unfinished(str(promoted))
    assert not promotion_mark.unfinished(str(promoted))
    promotion_mark.begin(str(promoted))
    with pytest.raises(ZeroDivisionError), promotion_mark.finishing(str(promoted), wait=True):
        raise ZeroDivisionError
    assert promotion_mark.unfinished(str(promoted)), "not done, so not removed"


@pytest.fixture
def many(master, empty, files, monkeypatch):
    """A follower of a master with 200 archived jobs, in two directories, that are in the storage too."""
    monkeypatch.setattr(follow, "_QUIET", 0.1)
    monkeypatch.setattr(follow, "_AGAIN", 0.1)
    master.write_jobs({number: job(number) for number in range(101, 301)}, archived=True)
    made = Follower(str(files.directory), empty, lambda _status: None)
    made.step(0)
    assert len(empty.queue().archived) == 202
    yield made
    made.close()


def test_what_ganeti_cleans_up_goes(many, empty, files):
    for number in range(101, 150):
        os.unlink(files.directory / f"queue/archive/0/job-{number}")
    settle(many, lambda: len(empty.queue().archived) == 153)
    assert many.status.problem is None


def test_a_mass_stays_until_somebody_asks(many, empty, files):
    for number in range(101, 280):
        os.unlink(files.directory / f"queue/archive/0/job-{number}")
    settle(many, lambda: "179 of 202 archived jobs" in (many.status.problem or ""))
    assert len(empty.queue().archived) == 202 and many.status.state == "following"
    files.job(20006)
    settle(many, lambda: 20006 in empty.queue().jobs)
    empty.remove_jobs(range(101, 280), archived=True)  # as --prune does
    settle(many, lambda: many.status.problem is None)


@pytest.mark.parametrize("directory", ["queue/archive/0", "queue/archive", "queue"])
def test_a_directory_that_is_gone_takes_nothing_along(many, empty, files, directory):
    """Removed, or unmounted, or an empty one in its place; what is in the configuration goes on."""
    before = empty.queue()
    shutil.rmtree(files.directory / directory)
    files.put("config.data", json.dumps({**CONFIGURATION, "serial_no": 21}))
    settle(many, lambda: many.status.serial == 21)
    os.makedirs(files.directory / directory)
    for _each in range(5):
        many.step(0.1)
    assert empty.queue() == before
    assert directory != "queue" or "no file serial" in many.status.problem


def test_a_directory_that_was_emptied_and_made_anew_takes_nothing_along(many, empty, files):
    """Fewer than half, and all before the service has looked; once the files' events come first, once the directory's come with them."""
    place = files.directory / "queue/archive/2"
    os.unlink(place / "job-20001")
    many.step(0)
    shutil.rmtree(place)
    place.mkdir()
    files.job(20006)
    settle(many, lambda: 20006 in empty.queue().jobs)
    settle(many, lambda: many._due == math.inf)
    assert 20001 in empty.queue().archived
    files.job(20007)
    files.archive(20007)
    settle(many, lambda: 20007 in empty.queue().archived)


def test_a_job_id_is_not_lowered(many, empty, files):
    files.put("queue/serial", "20010\n")
    settle(many, lambda: empty.queue().serial == 20010)
    files.put("queue/serial", "5\n")
    files.job(20006)
    settle(many, lambda: 20006 in empty.queue().jobs)
    many._behind = True
    many.step(0)
    assert empty.queue().serial == 20010


def test_what_was_cleaned_up_while_nobody_looked_stays(many, empty, files):
    many._watcher.close()
    os.unlink(files.directory / "queue/archive/0/job-101")
    again = Follower(str(files.directory), empty, lambda _status: None)
    again.step(0)
    again._due = 0.0
    again.step(0)
    assert 101 in empty.queue().archived and again.status.problem is None
    again._watcher.close()


def chosen(tmp_path, servers, prefix):
    """The settings of a1, which is the master."""
    return Settings("a1", options(prefix, a1=servers[0], a2=servers[1]), str(tmp_path / "master"), str(tmp_path / "run/status.json"), 3)


def test_who_asks_is_heard(tmp_path, master, couch, servers, prefix):
    settings = chosen(tmp_path, servers, prefix)
    convert(master, couch)
    couch.write_jobs({number: job(number) for number in range(101, 301)}, archived=True)
    couch.write_jobs({8: job(8)})
    promotion_mark.begin(settings.directory)
    with pytest.raises(InvalidInput, match="Nothing was removed: this node's promotion to the master is unfinished"):
        commands.prune(settings)
    os.unlink(tmp_path / "master/promotion-unfinished")
    os.rename(tmp_path / "master/queue/serial", tmp_path / "serial")
    with pytest.raises(InvalidInput, match="no file serial"):
        commands.prune(settings)
    os.rename(tmp_path / "serial", tmp_path / "master/queue/serial")
    assert commands.prune(settings).startswith("The database has forgotten 1 jobs of the queue and 200 archived ones")
    assert couch.queue() == master.queue()
    with pytest.raises(InvalidInput, match="a2 is not the master.* run this on a1"):
        commands.prune(settings._replace(name="a2"))


def test_a_queue_that_was_replaced_is_followed(many, empty, files, tmp_path):
    """By a directory of the same name: the kernel goes on watching the old one, and says nothing."""
    ganeti(tmp_path / "other")
    os.rename(files.directory / "queue", tmp_path / "away")
    os.rename(tmp_path / "other/queue", files.directory / "queue")
    files.job(20044)
    settle(many, lambda: 20044 in empty.queue().jobs)
    files.job(20045)
    settle(many, lambda: 20045 in empty.queue().jobs)
    (tmp_path / "away/job-20046").write_text(json.dumps(job(20046)))
    many.step(0.1)
    assert 20046 not in empty.queue().jobs and len(empty.queue().archived) == 202
