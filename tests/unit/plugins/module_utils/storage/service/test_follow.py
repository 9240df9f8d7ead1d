# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Following files that change as Ganeti changes them; here from one directory to another."""

from __future__ import annotations

import json
import os
import time

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import AuthenticationFailed, StorageFailed
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers import documents
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb import conflicts
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb.client import Client, path
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.disk import DiskStorage
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.documents import DATABASES
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service import follow, promotion_mark
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.follow import Changed, Follower, sort
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.inotify import Event

from ..conftest import everything
from ..samples import INSTANCE, configuration, job

TOP = "/var/lib/ganeti"


@pytest.mark.parametrize(
    ("events", "changed"),
    [
        ([], Changed()),
        ([(TOP, "config.data")], Changed(configuration=True)),
        ([(TOP, "config.data.new"), (TOP, "locks.data"), (f"{TOP}/queue", "lock"), (f"{TOP}/queue", "job-7.new123")], Changed()),
        ([(TOP, "ssconf_node_list"), (f"{TOP}/queue", "serial")], Changed(ssconf=True, serial=True)),
        ([(f"{TOP}/queue", "job-7"), (f"{TOP}/queue/archive/0", "job-3"), (f"{TOP}/queue", "job-7")], Changed(jobs=frozenset({3, 7}))),
        ([(f"{TOP}/queue/archive", "2")], Changed(directories=frozenset({f"{TOP}/queue/archive/2"}))),
        ([(TOP, "job-7")], Changed()),
    ],
)
def test_what_events_mean(events, changed):
    assert sort([Event(*each) for each in events], TOP) == changed
    assert bool(changed) == (changed != Changed())


def test_lost_events_mean_that_everything_may_have_changed():
    assert sort([Event("", "", lost=True)], TOP).everything


@pytest.fixture
def following(files, empty, monkeypatch):
    """A follower that has caught up, and what it has told."""
    told = []
    monkeypatch.setattr(follow, "_QUIET", 0.1)
    follower = Follower(str(files.directory), empty, told.append)
    follower.told = told
    follower.step(0)
    assert follower.status.state == "following"
    yield follower
    follower.close()


def settle(follower, condition):
    """Let it follow until *condition* holds."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, follower.status
        follower.step(0.1)


def same(files, empty):
    """Whether the target holds what the files do."""
    return everything(DiskStorage(str(files.directory))) == everything(empty)


def test_it_begins_by_catching_up(following, files, empty):
    assert [status.state for status in following.told] == ["catching up", "following"] and following.status.serial == 20
    assert same(files, empty)


def test_changes_are_followed(following, files, empty):
    files.put("config.data", json.dumps(configuration(21, networks={"n": {"name": "lan"}})))
    for number in (20006, 20007):
        files.job(number, "running")
    files.put("queue/serial", "20007\n")
    files.put("ssconf_node_list", "a1\na2\n")
    settle(following, lambda: same(files, empty))
    assert following.status.serial == 21
    files.job(20006)
    files.archive(7)
    settle(following, lambda: same(files, empty))
    assert empty.queue().archived == {3, 7, 20001}


def test_an_archive_directory_that_is_new_is_followed_too(following, files, empty):
    files.job(30001)
    files.archive(30001)
    settle(following, lambda: 30001 in empty.queue().archived)
    os.unlink(files.directory / "queue/archive/3/job-30001")  # as ganeti-cleaner does
    settle(following, lambda: same(files, empty))
    assert 30001 not in empty.queue().archived


def test_ten_thousand_more_archived_jobs_are_no_reason_to_compare_everything(following, files, empty, monkeypatch):
    """Each 10,000 have a directory of their own. It is new; what was in it before anybody watched is written, and nothing else is looked at."""
    compared = []
    monkeypatch.setattr(empty, "queue", lambda: compared.append(1))
    files.job(30001)
    files.archive(30001)
    (files.directory / "queue/archive/4.new").mkdir()
    (files.directory / "queue/archive/4.new/job-40001").write_text(json.dumps(job(40001)))
    os.rename(files.directory / "queue/archive/4.new", files.directory / "queue/archive/4")
    settle(following, lambda: dict(empty.jobs([30001, 40001], archived=True)) == {30001: job(30001), 40001: job(40001)})
    files.job(40002)
    files.archive(40002)
    settle(following, lambda: dict(empty.jobs([40002], archived=True)) == {40002: job(40002)})
    assert compared == []


def test_it_shows_that_a_catch_up_goes_on(files, couch, monkeypatch):
    monkeypatch.setattr(follow, "_SIGN", 0.0)
    for number in range(20010, 20030):
        files.job(number)
    told = []
    follower = Follower(str(files.directory), couch, told.append)
    try:
        follower.step(0)
        during = [status.done for status in told if status.state == "catching up"]
        assert during == sorted(during) and during[0] == 0 and during[-1] >= 20
        assert told[-1].state == "following" and told[-1].done is None
    finally:
        follower.close()


def test_what_happened_while_it_was_not_running_is_found(following, files, empty):
    following.close()
    files.job(20006)
    files.archive(7)
    os.unlink(files.directory / "queue/job-20005")
    files.put("config.data", json.dumps(configuration(25)))
    again = Follower(str(files.directory), empty, lambda _status: None)
    try:
        again.step(0)
        assert again.status.serial == 25
        settle(again, lambda: same(files, empty))
    finally:
        again.close()


def replicated(client, database, generation, *documents):
    """Write as a replication of another master does, on branches that are longer than ours."""
    batch = [{**document, "_rev": f"{generation}-{'f' * 32}"} for document in documents]
    client.post(path(database, "_bulk_docs"), {"docs": batch, "new_edits": False})


def test_what_another_master_replicates_into_the_database_does_not_stay(files, couch, servers, monkeypatch):
    """Its branches win, and to write on top of ours raises no conflict; so it is looked for. It comes before, or after, one of our own writes."""
    monkeypatch.setattr(follow, "_LOOK", 0.0)
    monkeypatch.setattr(follow, "_QUIET", 0.1)
    told = []
    follower = Follower(str(files.directory), couch, told.append)
    try:
        with Client(servers[0]) as client:
            settle(follower, lambda: follower.status.state == "following")
            for serial in (21, 22, 23):
                theirs = {"_id": INSTANCE, "serial": 19, "info": {"name": "theirs"}}
                replicated(client, couch.database("instances"), serial, theirs, {"_id": "theirs", "info": {}})
                replicated(client, couch.database("queue"), serial, {"_id": "7", **documents.of_job(7, job(7, "error"), False)})
                head = {"_id": "config_data", "serial": 3_000, "info": {}, "manifest": {}, "containers": []}
                if serial < 23:
                    replicated(client, couch.database("config_data"), serial, head)
                else:  # on top of ours, so that our own next write meets a conflict; the others must not be forgotten for that
                    where = path(couch.database("config_data"), "config_data")
                    client.put(where, {**head, "_rev": client.get(where)["_rev"]})
                if serial > 21:
                    files.put("config.data", json.dumps(configuration(serial, networks={"n": {"name": "lan"}})))
                settle(follower, lambda: not any(conflicts.find(client, couch.database(name)) for name in DATABASES) and same(files, couch))
            count = len(told)
            follower.step(0)
            assert len(told) == count, "it is at rest, and sees nobody but itself"
    finally:
        follower.close()


def test_a_target_that_is_away_is_caught_up_with(following, files, empty, monkeypatch):
    def away(*_arguments):
        raise StorageFailed("It is away.")

    monkeypatch.setattr(follow, "_RETRY", (0.1, 0.1))
    following._delay = 0.1
    with monkeypatch.context() as broken:
        broken.setattr(empty, "write_jobs", away)
        files.job(20006)
        settle(following, lambda: following.status.state == "waiting")
        assert following.status.problem == "It is away."
        files.job(20008)
        files.archive(7)
        following.step(0.1)
    settle(following, lambda: following.status.state == "following" and same(files, empty))
    assert following.status.problem is None


def test_a_refused_password_is_not_tried_again_and_again(following, files, empty, monkeypatch):
    tries = []

    def refused(*_arguments):
        tries.append(1)
        raise AuthenticationFailed("Wrong password.")

    monkeypatch.setattr(empty, "write_jobs", refused)
    monkeypatch.setattr(follow, "_RETRY", (0.01, 0.01))
    following._delay = 0.01
    files.job(20006)
    settle(following, lambda: following.status.problem == "Wrong password.")
    for _each in range(5):
        following.step(0.05)
    assert tries == [1]


def test_a_half_written_configuration_is_waited_for(following, files, empty):
    files.put("config.data", '{"cluster": {')
    settle(following, lambda: following.status.state == "waiting for a whole file")
    assert empty.configuration() == configuration(20) and "does not hold complete JSON" in following.status.problem
    files.put("config.data", json.dumps(configuration(22)))
    settle(following, lambda: following.status.serial == 22)
    assert same(files, empty)


def test_a_damaged_job_is_told_and_the_others_are_followed(following, files, empty):
    files.put("queue/job-20006", '{"id": 20006, "o')
    files.put("queue/job-7", "")
    files.job(20007)
    settle(following, lambda: 20007 in empty.queue().jobs)
    assert dict(empty.jobs([7])) == {7: job(7)}, "what is stored of a job that is damaged now stays"
    assert following.status.state == "following" and "job-20006 does not hold complete JSON" in following.status.problem
    files.job(20006)
    files.job(7)
    settle(following, lambda: same(files, empty))
    assert following.status.problem is None


def test_a_burst_is_followed(following, files, empty):
    for number in range(20010, 20210):
        files.job(number)
    settle(following, lambda: len(empty.queue().jobs) == 202)
    assert same(files, empty)


def test_a_change_after_a_while_is_written_at_once_and_those_of_a_busy_master_together(following, files, empty, monkeypatch):
    slept, wrote = [], []
    write = empty.write_queue

    def sleep(seconds):
        slept.append(seconds)
        files.job(20020 + len(slept))

    following._apart = 0.07
    monkeypatch.setattr(follow.time, "monotonic", lambda: following._wrote + 60.0 if not slept else following._wrote)
    monkeypatch.setattr(follow.time, "sleep", sleep)
    monkeypatch.setattr(empty, "write_queue", lambda jobs, serial: wrote.append(sorted(jobs)) or write(jobs, serial))
    for number in (20010, 20011):
        files.job(number)
        following.step(1.0)
    assert slept == [follow._GATHER, follow._APART[0]]
    assert wrote == [[20010, 20021], [20011, 20022]], "what came meanwhile is in the same request"


@pytest.mark.parametrize(("took", "apart"), [(0.001, 0.02), (0.01, 0.04), (0.5, 0.1)])
def test_who_needs_long_to_write_is_asked_less_often(took, apart, following, files, empty, monkeypatch):
    now = [1000.0]
    write = empty.write_queue
    monkeypatch.setattr(follow.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(empty, "write_queue", lambda jobs, serial: now.__setitem__(0, now[0] + took) or write(jobs, serial))
    files.job(20010)
    following.step(1.0)
    assert 20010 in empty.queue().jobs and following._apart == pytest.approx(apart)


def test_the_configuration_is_written_ten_times_a_second_at_most(following, files, empty, monkeypatch):
    """Readers keep and try so many of its states; jobs do not wait for it."""
    files.put("config.data", json.dumps(configuration(21)))
    settle(following, lambda: following.status.serial == 21)
    monkeypatch.setattr(follow.time, "monotonic", lambda: following._configured + 0.05)
    files.put("config.data", json.dumps(configuration(22)))
    files.job(20010)
    following.step(1.0)
    assert 20010 in empty.queue().jobs and (empty.configuration(), following.status.serial) == (configuration(21), 21)
    monkeypatch.setattr(follow.time, "monotonic", lambda: following._configured + 0.11)
    following.step(1.0)
    assert (empty.configuration(), following.status.serial) == (configuration(22), 22)


def test_what_is_followed_is_carried_at_once_and_what_is_compared_is_not(following, files, empty, monkeypatch):
    """Nor is anything while a promotion is unfinished."""
    said, now = [], []
    monkeypatch.setattr(empty, "carry", lambda at_once: now.append(at_once) or (said[-1] if said else None))
    write = empty.write_queue
    monkeypatch.setattr(empty, "write_queue", lambda jobs, serial: said.append(f"carried: {now[-1]}") or write(jobs, serial))
    files.job(20010)
    following.step(1.0)
    assert said == ["carried: True"]
    following.step(0)
    assert following.status.left == "carried: True" == following.told[-1].left and following.status.state == "following"
    promotion_mark.begin(str(files.directory))
    files.job(20011)
    following.step(1.0)
    assert said[1:] == ["carried: False"] and 20011 in empty.queue().jobs
    (files.directory / "promotion-unfinished").unlink()
    now.clear()
    files.job(20012)
    following.step(1.0)
    assert now == [False, True] and 20012 in empty.queue().jobs, "not what was written meanwhile, which is compared, but what comes then"
