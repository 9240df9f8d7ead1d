# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One bad file of a job holds up nothing else: it is set aside, named, and tried again when it changes."""

from __future__ import annotations

import json
import os

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import StorageFailed, StorageRefused
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.bad_job_files import BadJobFiles
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.conversion import convert
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb.client import Answer, Client, path
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service import follow
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.follow import Follower

from ..samples import configuration, job
from ..service.test_follow import settle

BAD = {
    "half a character": b'{"id": 20006, "ops": ["\\ud800"]}',
    "beyond all bounds": b'{"id": 20006, "ops": [1e999]}',
    "no number": b'{"id": 20006, "ops": [NaN]}',
    "empty object": b"{}",
    "a list": b"[20006]",
    "of another id": b'{"id": 7}',
    "an id that is none": b'{"id": true}',
    "nothing": b"",
    "cut off": b'{"id": 20006, "o',
    "no UTF-8": b'{"id": 20006, "ops": ["\xff"]}',
    "too deep": b'{"id": 20006, "ops": ' + b"[" * 200000 + b"]" * 200000 + b"}",
    "too large": b'{"id": 20006, "ops": ["' + b"x" * 8_100_000 + b'"]}',
}


WHEN = [(True, True), (False, False), (False, True)]
"""Whether the follower is at work already, and whether the job is archived."""


@pytest.fixture
def sent(monkeypatch):
    """The ids of documents, by request that writes some."""
    found, post = [], Client.post

    def noted(self, where, body, seconds=None):
        if where.endswith("/_bulk_docs"):
            found.append([each["_id"] for each in body["docs"]])
        return post(self, where, body, seconds)

    monkeypatch.setattr(Client, "post", noted)
    return found


@pytest.fixture
def follower(files, couch, monkeypatch):
    """A follower of the master's files into CouchDB, not started."""
    monkeypatch.setattr(follow, "_RETRY", (0.05, 0.05))
    made = Follower(str(files.directory), couch, lambda _status: None)
    yield made
    made._watcher.close()


@pytest.mark.parametrize(
    ("kind", "begun", "archived"), [*((kind, True, False) for kind in BAD), *((kind, *when) for kind in ("empty object", "too large") for when in WHEN)]
)
def test_the_others_and_the_configuration_go_on(follower, files, couch, sent, kind, begun, archived):
    """Be it there at the start or written later, in the queue or in the archive."""
    place = files.directory / ("queue/archive/2/job-20006" if archived else "queue/job-20006")
    if begun:
        follower.step(0)
    place.with_name("new").write_bytes(BAD[kind])
    os.rename(place.with_name("new"), place)
    for number in (20004, 20007):
        files.job(number)
    files.put("config.data", json.dumps(configuration(21)))
    settle(follower, lambda: follower.status.serial == 21 and {20004, 20007} <= couch.queue().jobs and follower.status.state == "following")
    settle(follower, lambda: "job-20006" in (follower.status.problem or ""))
    assert len(follower.status.problem) < 1500
    assert 20006 not in couch.queue().jobs | couch.queue().archived
    requests = len([each for each in sent if "20006" in each])
    files.job(20008)
    settle(follower, lambda: 20008 in couch.queue().jobs)
    follower._behind = True
    settle(follower, lambda: not follower._behind and follower.status.state == "following")
    assert len([each for each in sent if "20006" in each]) == requests, "not sent again and again"
    place.with_name("new").write_text(json.dumps(job(20006)))
    os.rename(place.with_name("new"), place)
    settle(follower, lambda: dict(couch.jobs([20006], archived)) == {20006: job(20006)})
    settle(follower, lambda: follower.status.problem is None)


def test_a_bad_file_that_goes_is_not_named_any_more(follower, files):
    files.put("queue/job-20006", "{}")
    settle(follower, lambda: "job-20006" in (follower.status.problem or ""))
    os.unlink(files.directory / "queue/job-20006")
    settle(follower, lambda: follower.status.problem is None)
    files.put("queue/job-20006", "{}")
    settle(follower, lambda: "job-20006" in (follower.status.problem or ""))
    os.unlink(files.directory / "queue/job-20006")
    follower._behind = True  # as after lost events
    settle(follower, lambda: follower.status.problem is None)


def test_of_many_files_each_bad_one_is_found_and_few_are_named(master, couch, sent, tmp_path):
    """Of 300 jobs 12 are too large; all others are written, in pieces that are as large as they can be."""
    for number in range(300):
        text = json.dumps(job(1000 + number)) if number % 25 else json.dumps({"id": 1000 + number, "ops": ["\ud800"]})
        (tmp_path / f"master/queue/job-{1000 + number}").write_text(text)
    assert convert(master, couch) == (20, 4 + 288)
    assert len(couch.queue().jobs) == 2 + 288
    words = " ".join(master.bad_files.words())
    assert words.count("cannot be stored. It cannot be written as JSON in UTF-8") == 3 and "9 more files of jobs cannot be stored either" in words
    assert len(sent) < 150


def test_a_document_in_the_database_that_is_no_job_holds_up_nothing(master, couch):
    """An earlier version has written it."""
    couch._client.put(path(couch.database("queue"), "7"), {"info": {}})
    assert dict(couch.jobs([7])) == {}
    convert(master, couch)
    assert dict(couch.jobs([7, 20005])) == {7: job(7), 20005: job(20005)}


def rows(*found):
    """An answer to a request that writes documents: their ids, and errors if there are any."""
    return lambda *_arguments: Answer(201, [{"id": name, "error": error, "reason": "why"} if error else {"id": name, "rev": "1-a"} for name, error in found])


def test_what_the_servers_rules_refuse_is_set_aside_and_what_may_pass_is_not(couch, monkeypatch):
    monkeypatch.setattr(couch._client, "ask", rows(("3", None), ("4", "forbidden")))
    refused = couch.write_jobs({3: job(3), 4: job(4)})
    assert list(refused) == [4] and refused[4].endswith(f"did not take 4 in {couch.database('queue')}: why.")
    monkeypatch.setattr(couch._client, "ask", rows(("3", "internal_server_error")))
    with pytest.raises(StorageFailed, match="did not take 3"):
        couch.write_jobs({3: job(3)})
    monkeypatch.setattr(couch._client, "ask", lambda *_arguments: Answer(400, None))
    with pytest.raises(StorageFailed, match="with 400") as caught:
        couch.write_jobs({3: job(3)})
    assert not isinstance(caught.value, StorageRefused), "something before CouchDB said so, which says nothing of the job"


def test_a_configuration_that_is_refused_is_an_error(couch):
    """All of it is needed."""
    with pytest.raises(StorageRefused, match="inst in instances at .* cannot be stored"):
        couch.write_configuration(configuration(21, instances={"inst": {"x": "x" * 8_100_000}, "other": {}}))


def test_a_configuration_that_is_no_json_is_waited_for(follower, files, couch):
    follower.step(0)
    files.put("config.data", json.dumps(configuration(21, instances={"inst": {"x": float("inf")}})))
    settle(follower, lambda: follower.status.state == "waiting")
    files.job(20009)
    settle(follower, lambda: 20009 in couch.queue().jobs)
    files.put("config.data", json.dumps(configuration(22)))
    settle(follower, lambda: follower.status.serial == 22 and follower.status.state == "following")


def test_what_is_said_is_bounded(tmp_path):
    aside = BadJobFiles()
    for number in range(1000):
        aside.note(str(tmp_path / f"job-{number}"), None, "x" * 5000)
    assert len(" ".join(aside.words())) < 1100 and "997 more files" in aside.words()[-1]
    aside.prune()
    assert aside.words() == []


def test_a_file_that_changed_while_it_was_refused_is_tried_again(master, tmp_path):
    """What is remembered is the state that was read, not that at the time of the answer."""
    assert dict(master.jobs([7])) == {7: job(7)}
    (tmp_path / "master/queue/new").write_text(json.dumps(job(7, "error")))
    os.rename(tmp_path / "master/queue/new", tmp_path / "master/queue/job-7")
    master.leave_out({7: "Too large."})
    assert dict(master.jobs([7])) == {7: job(7, "error")} and master.bad_files.words() == []
