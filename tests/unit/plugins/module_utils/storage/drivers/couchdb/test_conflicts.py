# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What two masters have written."""

from __future__ import annotations

import pathlib
import tempfile

import pytest
from couchdb.inside import Copying, Inside
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.conversion import convert
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb import conflicts
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb.client import Client, path
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb.storage import CouchStorage
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.documents import DATABASES

from ...called import Called, Interrupted
from ...conftest import everything
from ...samples import INSTANCE, configuration, job


@pytest.fixture
def clients(servers):
    """Clients of the master's server and the standby's."""
    made = [Client(server) for server in servers]
    yield made
    for each in made:
        each.close()


def elsewhere(client, database, name, info):
    """Write a revision as a replication does that comes from another master."""
    client.post(path(database, "_bulk_docs"), {"docs": [{"_id": name, "_rev": f"1-{'f' * 32}", "serial": 20, "info": info}], "new_edits": False})


def test_in_the_masters_own_database_the_files_win(clients, couch, master):
    """Whichever revision of two CouchDB lets win, afterwards there is one, with what the files say."""
    convert(master, couch)
    database = couch.database("instances")
    assert conflicts.find(clients[0], database) == {}
    elsewhere(clients[0], database, INSTANCE, {"name": "theirs"})
    assert len(conflicts.find(clients[0], database)[INSTANCE]) == 1
    couch.resolve()
    convert(master, couch)
    assert conflicts.find(clients[0], database) == {} and everything(couch) == everything(master)
    assert conflicts.resolve(clients[0], database) == []


def both(clients, couch, master, prefix):
    """Let master and standby hold the same; the standby's storage."""
    standby = CouchStorage(clients[1], prefix)
    standby.prepare()
    convert(master, couch)
    for name in DATABASES:
        replicate(clients, couch.database(name))
    return standby


def test_a_standby_loses_what_its_master_never_had(clients, couch, master, prefix):
    standby = both(clients, couch, master, prefix)
    elsewhere(clients[1], couch.database("instances"), INSTANCE, {"name": "theirs"})
    elsewhere(clients[1], couch.database("instances"), "never-seen", {"name": "lost"})
    standby.write_jobs({20099: job(20099)})
    couch.write_jobs({20098: job(20098)})
    assert conflicts.settle(clients[0], clients[1], couch.database("instances")) == sorted([INSTANCE, "never-seen"])
    assert conflicts.settle(clients[0], clients[1], couch.database("queue")) == ["20099"]
    replicate(clients, couch.database("queue"))
    standby.forget()
    assert everything(standby) == everything(couch)
    for name in DATABASES:
        assert conflicts.settle(*clients, couch.database(name)) == [], "once is enough"


def test_what_the_old_master_deleted_comes_back(clients, couch, master, prefix):
    """An instance and a job that the new master has, in the very revision on top of which the old one deleted it."""
    standby = both(clients, couch, master, prefix)
    elder = CouchStorage(clients[1], prefix)
    elder.write_configuration(configuration(21, instances={}))
    elder.remove_jobs([7])
    settled = {name: conflicts.settle(*clients, couch.database(name)) for name in DATABASES}
    assert {name: ids for name, ids in settled.items() if ids} == {"instances": [INSTANCE], "queue": ["7"], "config_data": ["config_data"]}
    for name in settled:
        replicate(clients, couch.database(name))
    standby.forget()
    assert everything(standby) == everything(couch) == everything(master)
    assert all(conflicts.settle(*clients, couch.database(name)) == [] for name in DATABASES), "once is enough"
    couch.write_configuration(configuration(22))
    couch.write_jobs({7: job(7, "error")})
    assert couch.configuration() == configuration(22), "the master's own service goes on, whose revisions are others now"
    assert dict(couch.jobs([7])) == {7: job(7, "error")}


def test_an_archived_job_that_only_the_old_master_has_is_taken_over(clients, couch, master, prefix):
    """Replications are not in step: a failover may come between a job's removal from the queue and its arrival in the archive."""
    both(clients, couch, master, prefix)
    elder = CouchStorage(clients[1], prefix)
    archive = couch.database("archive")
    cleaned = sorted(couch.queue().archived)[0]
    couch.remove_jobs([cleaned], archived=True)
    elder.write_jobs({20098: job(20098), 20099: job(20099)}, archived=True)
    couch.write_jobs({20099: job(20099, "error")}, archived=True)
    elder.write_jobs({cleaned: job(cleaned, "error")}, archived=True)
    assert conflicts.adopt(*clients, archive) == ["20098"], "not what the master has, or has removed"
    conflicts.settle(*clients, archive)
    replicate(clients, archive)
    assert dict(couch.jobs([20098, 20099, cleaned], archived=True)) == {20098: job(20098), 20099: job(20099, "error")}
    elder.forget()
    assert everything(elder) == everything(couch)
    assert conflicts.adopt(*clients, archive) == conflicts.settle(*clients, archive) == [], "once is enough"


EDITS = st.lists(st.tuples(st.sampled_from("ab"), st.booleans(), st.sampled_from("wwd")), max_size=8)


def edit(client, name, info):
    """Write a document over what is there, or delete it where there is nothing to write."""
    found = client.get(path("d", name), missing=True)
    if info or found:
        rev = {"_rev": found["_rev"]} if found else {}
        client.post("/d/_bulk_docs", {"docs": [{"_id": name, **rev, **(info or {"_deleted": True})}]})


@given(EDITS, EDITS)
@settings(max_examples=150)
def test_whatever_two_have_done_the_standby_has_what_the_master_has(before, after):
    """Writes and deletions of two documents at either server; those of *before* while the standby still hears of the master."""
    with tempfile.TemporaryDirectory() as directory:
        master, standby = (Called(Inside(pathlib.Path(directory, name))) for name in ("master", "standby"))
        for each in (master, standby):
            each.put("/d", None)
        copying = Copying(master.inside, standby.inside, "d")
        for number, (name, own, kind) in enumerate([*before, *after]):
            edit(master if own else standby, name, {"n": number} if kind == "w" else None)
            if number < len(before):
                copying.step()
        conflicts.settle(master, standby, "d")
        copying.step()
        shown = [{row["id"]: row["doc"] for row in each.get("/d/_all_docs?include_docs=true")["rows"]} for each in (master, standby)]
        assert shown[0] == shown[1] and conflicts.find(standby, "d") == {}
        assert conflicts.settle(master, standby, "d") == [], "once is enough"


ALIKE = st.lists(st.tuples(st.sampled_from("ab"), st.booleans(), st.sampled_from("01d")), max_size=6)
"""Edits after which the same may be there again: its revision is the same, too, if that is on top of the same."""


def write_or_delete(client, name, kind, user):
    """One of them, as the user of a claim does it."""
    edit(client, name, None if kind == "d" else conflicts.signed({"n": kind}, user))


@given(ALIKE, ALIKE, ALIKE, st.integers(1, 12), ALIKE)
@settings(max_examples=200, deadline=None)
def test_whatever_its_master_writes_from_its_claim_on_a_standby_shows_it(before, after, during, at, later):
    """Of *before* both hear. What the new master does after that, while it settles, and later, is the same that the old one does, or did."""
    with tempfile.TemporaryDirectory() as directory:
        master, standby = (Called(Inside(pathlib.Path(directory, name))) for name in ("master", "standby"))
        for each in (master, standby):
            each.put("/d", None)
        copying = Copying(standby.inside, master.inside, "d")
        for name, _own, kind in before:
            write_or_delete(standby, name, kind, "old")
            copying.step()
        for name, own, kind in after:
            write_or_delete(*((master, name, kind, "new") if own else (standby, name, kind, "old")))

        def act():
            for name, _own, kind in during:
                write_or_delete(master, name, kind, "new")

        conflicts.settle(Interrupted(master.inside, at, act), standby, "d", "new")
        for name, _own, kind in later:
            write_or_delete(master, name, kind, "new")
        copying = Copying(master.inside, standby.inside, "d")
        for _each in range(3):
            copying.step()
        shown = [{row["id"]: row["doc"] for row in each.get("/d/_all_docs?include_docs=true")["rows"]} for each in (master, standby)]
        assert shown[0] == shown[1]


def test_several_revisions_of_a_document_go_at_once(tmp_path):
    standby = Called(Inside(tmp_path / "standby"))
    standby.put("/d", None)
    standby.post("/d/_bulk_docs", {"docs": [{"_id": "a", "_rev": f"1-{each * 32}", "n": each} for each in "abcd"], "new_edits": False})
    assert conflicts.resolve(standby, "d") == ["a"]
    assert conflicts.find(standby, "d") == {} and standby.get("/d/a")["n"] == "d"


def replicate(clients, database):
    """Copy the newest revisions of all documents, as CouchDB's replication does."""
    rows = clients[0].get(path(database, "_all_docs"))["rows"]
    documents = [clients[0].get(path(database, row["id"], revs=True)) for row in rows]
    clients[1].post(path(database, "_bulk_docs"), {"docs": documents, "new_edits": False})
