# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A service that starts anew looks at what has changed since, and finds whatever became of a database meanwhile."""

from __future__ import annotations

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import StorageRefused
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers import documents
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb import conflicts, seen
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb.client import Client, path
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb.storage import CouchStorage
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.epochs import Claim

from ...samples import job

ARCHIVED = frozenset({*range(1, 40), *range(50, 70), 20001})


class Asking(Client):
    """A client that notes how many rows it is given of the archive."""

    rows = 0

    def get(self, where, missing=False, seconds=None):
        answer = super().get(where, missing, seconds)
        if "archive/_" in where and isinstance(answer, dict):
            self.rows += len(answer.get("results", answer.get("rows", [])))
        return answer


@pytest.fixture
def noted(couch, monkeypatch):
    """A storage with archived jobs, of which a service took note."""
    monkeypatch.setattr(seen, "_MANY", 1)
    couch.write_jobs({number: job(number) for number in ARCHIVED}, archived=True)
    couch.resolve()
    assert couch.queue().archived == ARCHIVED
    couch.note()
    return couch


@pytest.fixture
def again(servers, prefix):
    """The next service."""
    storage = CouchStorage(Asking(servers[0]), prefix)
    yield storage
    storage.close()


def test_nothing_is_read_that_was_there_before(noted, again):
    again.resolve()
    assert again.queue().archived == ARCHIVED and again._client.rows == 0
    noted.write_jobs({71: job(71)}, archived=True)
    assert again.queue().archived == ARCHIVED | {71} and again._client.rows == 1


def test_who_has_claimed_the_storage_may_take_notes(couch, again, monkeypatch):
    """Which is no administrator of the server."""
    monkeypatch.setattr(seen, "_MANY", 1)
    couch.claim(Claim(20, "u1"))
    couch.write_jobs({number: job(number) for number in ARCHIVED}, archived=True)
    couch.resolve()
    couch.note()
    again.resolve()
    assert again.queue().archived == ARCHIVED and again._client.rows == 0


def test_what_others_did_meanwhile_is_found(noted, again, servers):
    noted.remove_jobs([3, 55], archived=True)
    noted.write_jobs({80: job(80), 20001: job(20001, "error")}, archived=True)
    with Client(servers[0]) as client:
        theirs = {**documents.of_job(5, job(5, "error"), True), "_rev": f"1-{'f' * 32}"}
        client.post(path(noted.database("archive"), "_bulk_docs"), {"docs": [theirs], "new_edits": False})
        again.resolve()
        assert conflicts.find(client, noted.database("archive")) == {}
    assert again.queue().archived == (ARCHIVED - {3, 55}) | {80}
    assert 0 < again._client.rows < 20


def test_losing_revisions_that_come_before_the_note_is_taken_go_too(noted, servers, again):
    noted.resolve()
    with Client(servers[0]) as client:
        theirs = {**documents.of_job(5, job(5, "error"), True), "_rev": f"1-{'f' * 32}"}
        client.post(path(noted.database("archive"), "_bulk_docs"), {"docs": [theirs], "new_edits": False})
        noted.note()
        again.resolve()
        assert conflicts.find(client, noted.database("archive")) == {}


def test_a_database_that_was_made_anew_is_read_as_a_whole(noted, again, servers):
    with Client(servers[0]) as client:
        client.delete(path(noted.database("archive")))
    noted.prepare()
    noted.write_jobs({2: job(2)}, archived=True)
    again.resolve()
    assert again.queue().archived == {2}


@pytest.mark.parametrize("change", [
    {"since": "9999999-nonsense"}, {"jobs": [[1, 3]]}, {"others": ["strange"]}, {"jobs": [[1, 10**15]]}, {"jobs": 7}, {"others": None}, {"jobs": [["a", "b"]]},
])  # fmt: skip
def test_a_note_that_does_not_fit_is_not_believed(noted, again, servers, change):
    """As of a database of which a part was lost."""
    where = path(noted.database("archive"), "_local", "ganeti-seen")
    with Client(servers[0]) as client:
        client.put(where, {**client.get(where), **change})
    again.resolve()
    assert again.queue().archived == ARCHIVED


def test_a_note_that_is_too_large_for_the_server_is_done_without(couch, again, monkeypatch):
    def refused(*_arguments):
        raise StorageRefused("It is too large.")

    monkeypatch.setattr(seen, "_MANY", 1)
    couch.write_jobs({number: job(number) for number in ARCHIVED}, archived=True)
    couch.resolve()
    with monkeypatch.context() as small:
        small.setattr(couch._client, "put", refused)
        couch.note()
    again.resolve()
    assert again.queue().archived == ARCHIVED


def test_ranges():
    assert seen._ranges([]) == [] and seen._ranges([1, 2, 3, 7, 9, 10]) == [[1, 3], [7, 7], [9, 10]]
    assert seen.Seen("1", frozenset({"7", "07", "²", "serial", "_design/x"})).jobs == {7}
