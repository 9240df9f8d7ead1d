# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The configuration and the jobs in a database: written object by object, read only as a whole, with all its history."""

from __future__ import annotations

import traceback

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import (
    AuthenticationFailed,
    ConnectionFailed,
    InvalidInput,
    StorageConflict,
    StorageFailed,
    StorageIncomplete,
)
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers import documents
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.conversion import convert
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb import last_writes, revisions
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb.client import Answer, Client, Server, described, path
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb.preparation import check_closed
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb.storage import CouchStorage
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.disk import DiskStorage

from ...samples import CONFIGURATION, DISK, INSTANCE, configuration, job


class Counting(Client):
    """A client that counts what it writes."""

    def __init__(self, server):
        super().__init__(server)
        self.written = []

    def post(self, where, body, seconds=60.0):
        if where.endswith("/_bulk_docs"):
            self.written += [(where.split("/")[1], each["_id"]) for each in body["docs"]]
        return super().post(where, body, seconds)


@pytest.fixture
def other(servers, prefix, couch):
    """The same databases, as another process sees them."""
    storage = CouchStorage(Counting(servers[0]), prefix)
    yield storage
    storage.close()


def test_a_conversion_there_and_back_loses_nothing(master, couch, empty):
    assert convert(master, couch) == (20, 4)
    assert convert(couch, empty) == (20, 4)
    assert documents.canonical(empty.configuration()) == documents.canonical(CONFIGURATION)
    assert (empty.queue(), empty.ssconf()) == (master.queue(), master.ssconf())
    assert dict(empty.jobs([3, 7, 20001])) == {7: job(7)} and dict(empty.jobs([3, 20001], archived=True)) == {3: job(3), 20001: job(20001)}
    assert convert(master, couch) == (20, 0)


def test_a_change_costs_what_has_changed(couch, other):
    many = {f"i{number}": {"name": f"inst{number}"} for number in range(300)}
    couch.write_configuration(configuration(20, instances=many))
    other.write_configuration(configuration(20, instances=many))
    assert other._client.written == [], "a process that has just begun writes nothing that is there"
    other.write_configuration(configuration(21, instances={**many, "i7": {"name": "renamed"}}))
    prefix = other.database("")
    assert other._client.written == [(f"{prefix}instances", "i7"), (f"{prefix}config_data", "config_data")]
    assert other.configuration()["instances"]["i7"] == {"name": "renamed"} and other.configuration()["serial_no"] == 21


def test_a_write_that_was_cut_off_is_not_seen(couch, other, monkeypatch):
    """Objects were written, the head was not: readers have the configuration as it was, with what was changed, added and removed since."""
    couch.write_configuration(CONFIGURATION)
    update = CouchStorage._update
    with monkeypatch.context() as cut:
        cut.setattr(CouchStorage, "_update", lambda self, database, *rest: None if database == documents.CONFIG else update(self, database, *rest))
        couch.write_configuration(configuration(21, instances={"new": {"name": "inst2"}}, disks={DISK: {"uuid": DISK, "size": 5}}))
    assert other.configuration() == CONFIGURATION
    couch.write_configuration(configuration(21, instances={"new": {"name": "inst2"}}, disks={DISK: {"uuid": DISK, "size": 5}}))
    assert other.configuration()["instances"] == {"new": {"name": "inst2"}}


def test_without_the_older_revisions_an_incomplete_configuration_is_refused(couch, other, servers, monkeypatch):
    monkeypatch.setattr(last_writes, "BYTES", 0)  # as config_data of an earlier release, which told of nothing
    couch.write_configuration(CONFIGURATION)
    client = Client(servers[0])
    where = path(couch.database("instances"), INSTANCE)
    found = client.get(where)
    client.delete(f"{where}?rev={found['_rev']}")
    client.put(where, {"serial": 21, "info": {"name": "else"}})
    client.put(path(couch.database("instances"), "_revs_limit"), 1)
    client.put(where, {"serial": 22, "info": {"name": "else"}, "_rev": client.get(where)["_rev"]})
    client.close()
    with pytest.raises(StorageIncomplete, match="serial number 20 is not complete .*instances do not fit it, and no older one is whole"):
        other.configuration()


def test_history_tells_every_revision(couch, servers):
    for serial, name in ((20, "one"), (21, "one"), (22, "two")):
        couch.write_configuration(configuration(serial, instances={INSTANCE: {"name": name}}))
    couch.write_configuration(configuration(23, instances={}))
    client = Client(servers[0])
    found = list(revisions.revisions(client, couch.database("instances"), INSTANCE))
    assert [(each.serial, each.info) for each in found] == [(23, None), (22, {"name": "two"}), (20, {"name": "one"})]
    assert list(revisions.revisions(client, couch.database("instances"), "never")) == []
    client.close()


def test_jobs_come_and_go(couch, other):
    couch.write_jobs({number: job(number, "queued") for number in range(1, 251)})
    couch.write_serial(250)
    couch.write_jobs({3: job(3)})
    other.write_jobs({3: job(3, "error")})  # somebody else has written it meanwhile, and is overwritten: files are the truth
    couch.write_jobs({3: job(3)})
    couch.write_jobs({1: job(1), 10001: job(10001)}, archived=True)
    couch.remove_jobs([1, 77777])
    assert couch.queue() == (frozenset(range(2, 251)), frozenset({1, 10001}), 250)
    assert dict(other.jobs([1, 2, 3])) == {2: job(2, "queued"), 3: job(3)}
    assert dict(other.jobs([1, 2], archived=True)) == {1: job(1)}


def test_a_queue_is_written_at_once(couch, other, monkeypatch):
    """One request for jobs and serial number; only jobs that somebody else has written are looked up, and written again."""
    couch.write_jobs({3: job(3)})
    asked, ask = [], Client.ask

    def noted(self, method, where, *rest, **more):
        asked.append(where.rsplit("/", 1)[1])
        return ask(self, method, where, *rest, **more)

    monkeypatch.setattr(Client, "ask", noted)
    other.write_queue({4: job(4, "queued"), 5: job(5)}, 5)
    other.write_queue({4: job(4)}, None)
    assert asked == ["_bulk_docs", "_bulk_docs"]
    other.write_queue({3: job(3, "error"), 6: job(6)}, 6)
    assert asked[2:] == ["_bulk_docs", "_all_docs", "_bulk_docs"]
    assert [name for database, name in other._client.written if database.endswith("queue")] == ["4", "5", "serial", "4", "3", "6", "serial", "3"]
    assert couch.queue().serial == 6 and dict(couch.jobs([3, 4, 5, 6])) == {3: job(3, "error"), 4: job(4), 5: job(5), 6: job(6)}


def test_a_foreign_change_is_a_conflict_and_stays(couch, other, monkeypatch):
    couch.write_configuration(CONFIGURATION)
    other.write_configuration(configuration(21, instances={INSTANCE: {"name": "theirs"}}))
    couch.write_configuration(configuration(22))
    assert couch.configuration()["instances"] == CONFIGURATION["instances"], "the one writer looks again, and the files are the truth"
    monkeypatch.setattr(CouchStorage, "_state", lambda self, database: {})
    with pytest.raises(StorageConflict, match="Somebody else than this service writes to"):
        other.write_configuration(configuration(23))


def test_numbers_and_texts_come_back_exactly(couch, other):
    strange = {"big": 2**60, "bigger": 12345678901234567890, "one": 1.0, "time": 1795250042.730287, "text": 'ü\u2028"\\/', "none": None, "_odd": [{"": {}}]}
    couch.write_configuration(configuration(30, instances={"a/b?c+d ü": strange}))
    assert documents.canonical(other.configuration()["instances"]) == documents.canonical({"a/b?c+d ü": strange})


def test_a_server_that_lets_anybody_read_is_refused(couch, servers):
    client = Client(servers[0])
    client.put(path(couch.database("config_data"), "_security"), {"admins": {}, "members": {"names": [], "roles": []}})
    refused = _anonymous_status(servers[0], path(couch.database("config_data"), "config_data")) in (401, 403)
    client.close()
    if refused:  # require_valid_user is set there, so nobody is let in whatever the database says
        check_closed(servers[0], couch.database(""))
    else:
        with pytest.raises(AuthenticationFailed, match="lets anybody read the configuration"):
            check_closed(servers[0], couch.database(""))
    couch.prepare()  # puts it right


def _anonymous_status(server, where):
    connection = server.connection(10)
    try:
        connection.request("GET", where)
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_wrong_password_is_told_and_not_shown(servers):
    server = Server(servers[0].url, servers[0].username, "wr0ng-pass", None)
    with pytest.raises(AuthenticationFailed, match="check user, password") as caught:
        Client(server).get("/_all_dbs")
    assert "wr0ng-pass" not in caught.value.message + repr(server)


def test_a_server_that_is_not_there_is_told():
    with pytest.raises(ConnectionFailed, match="does not answer"):
        Client(Server("http://127.0.0.1:9", "a", "b")).get("/")


def test_a_server_whose_disk_is_full_is_told(couch, monkeypatch):
    """What CouchDB 3.5 answers then says nothing of the reason."""
    monkeypatch.setattr(Client, "ask", lambda *_arguments, **_options: Answer(500, None))
    with pytest.raises(StorageFailed, match="see its log, and whether its disk is full"):
        couch.write_jobs({7: job(7)})


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://db.example.com:5984", "without encryption"),
        ("https://user:pass@db.example.com", "is not the address"),
        ("ftp://db.example.com", "is not the address"),
        ("https://db.example.com/path", "is not the address"),
        ("db.example.com", "is not the address"),
    ],
)
def test_addresses_that_are_refused(url, words):
    with pytest.raises(InvalidInput, match=words):
        Server(url, "a", "b")


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https:/user:s3cret@db.example.com", "db.example.com"),
        ("https//user:s3cret@db.example.com:6984", "db.example.com"),
        ("user:s3cret@db.example.com:6984", "db.example.com"),
        ("https://user:s3cret@db.example.com:6984", "db.example.com"),
        ("https://user:s3cret/5@db.example.com:6984", "db.example.com"),
        ("https://user:12#s3cret@db.example.com:6984", "db.example.com"),
        ("https://user:s3cret", "user"),
        ("user:s3cret", "user"),
        ("https://[s3cret", "https"),
        ("https://db.example.com:70000", "db.example.com"),
        ("https://db.example.com:-1", "db.example.com"),
        ("https://db.example.com:0", "db.example.com"),
        (None, "that is"),
        (5984, "that is"),
    ],
)
def test_no_password_is_told_of_an_address_that_was_mistyped(url, host):
    with pytest.raises(InvalidInput, match="is not the address") as caught:
        Server(url, "a", "b")
    shown = "".join(traceback.format_exception(None, caught.value, None))
    assert caught.value.message.startswith(f"url: {host}") and "s3cret" not in shown and "http://user" not in shown


def test_an_authority_that_cannot_be_read_is_named_with_its_server(tmp_path):
    (tmp_path / "empty.pem").write_text("nothing")
    for name, why in (("missing.pem", "No such file"), ("empty.pem", "it holds no certificate"), ("", "Is a directory|it holds no certificate|No such file")):
        with pytest.raises(InvalidInput, match=f"^ca_path: .*, for https://db.example.com:6984, cannot be used \\(({why})"):
            Server("https://db.example.com", "a", "s3cret", str(tmp_path / name))


def test_settings_of_servers_name_node_and_option():
    wrong = {"a1": {"url": "https:/a:s3cret@db", "username": "a", "password": "b"}, "a2": {"url": "https://db", "user": "s3cret"}}
    for node, words in (("a1", "servers, a1, url: db is not the address"), ("a2", "servers, a2: a server has url, username, password")):
        with pytest.raises(InvalidInput, match=words) as caught:
            described({node: wrong[node]})
        assert "s3cret" not in caught.value.message


def test_paths_are_quoted():
    assert path("db", "a/b?c+d", rev="1-a", limit=2, startkey="a", descending=True) == "/db/a%2Fb%3Fc%2Bd?rev=1-a&limit=2&startkey=%22a%22&descending=true"


def test_what_files_are_known_to_have_changed_is_written_and_no_more(master, tmp_path, couch, other):
    """From reading to the database, also after somebody else has written meanwhile, and after a write that failed."""
    files = DiskStorage(str(tmp_path / "master"), remember=True)
    many = {f"i{number:03d}": {"name": f"inst{number}"} for number in range(100)}
    other.write_configuration(files.configuration())
    for serial, change in ((21, {"i050": {"name": "new"}}), (22, {"i050a": {}}), (23, {"i099": {"name": "last"}}), (24, {"i000": {"name": "first"}})):
        many.update(change)
        many.pop(f"i0{serial}")
        master.write_configuration(configuration(serial, instances=dict(sorted(many.items()))))
        del other._client.written[:]
        other.write_configuration(files.configuration())
        written = [name for database, name in other._client.written if database.endswith("instances")]
        assert couch.configuration() == master.configuration() and (serial == 21 or sorted(written) == sorted([*change, f"i0{serial}"]))
    couch.write_configuration(configuration(24, instances={"i001": {"name": "theirs"}}))
    master.write_configuration(configuration(25, instances={**many, "i001": {"name": "ours"}}))
    other.write_configuration(files.configuration())
    assert couch.configuration() == master.configuration()
