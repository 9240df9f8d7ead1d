# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stand-in is killed and started again. A real server that the environment names is not ours to kill."""

from __future__ import annotations

import http.client
import os
import threading
import time
import typing as t
from pathlib import Path

import pytest
from couchdb.launch import StandIn
from couchdb.log import Log

from .client import Database, Server, eventually, runs


def only_log(private: StandIn, name: str) -> Path:
    """The file of a database."""
    return private.directory / "data" / f"{name}.jsonl"


def write_until_killed(url: str, name: str, writer: int, acknowledged: t.Dict[str, str]) -> None:
    """Write new documents and edit one, and note what the server answered."""
    database = Database(Server(url), name)
    own = ""
    try:
        for number in range(100_000):
            acknowledged[f"{writer}-{number}"] = database.put(f"{writer}-{number}", {"n": number})
            own = acknowledged[f"own-{writer}"] = database.put(f"own-{writer}", {"n": number, **({"_rev": own} if own else {})})
    except (OSError, http.client.HTTPException):
        pass


def test_nothing_acknowledged_is_lost_by_a_kill(private: StandIn) -> None:
    total = 0
    for turn in range(5):
        name = f"turn{turn}"
        Database(Server(private.url), name).request("PUT")
        notes: t.List[t.Dict[str, str]] = [{} for _writer in range(8)]
        threads = [threading.Thread(target=write_until_killed, args=(private.url, name, n, each)) for n, each in enumerate(notes)]
        for thread in threads:
            thread.start()
        time.sleep(0.4 + turn / 10)
        private.kill()
        for thread in threads:
            thread.join(30)
        private.start()
        database = Database(Server(private.url), name)
        rows = database.request("GET", "/_all_docs?include_docs=true").value["rows"]
        found = {row["id"]: row["doc"] for row in rows}
        for acknowledged in notes:
            for document, revision in acknowledged.items():
                if document.startswith("own-"):  # one more edit may have arrived without an answer
                    assert int(found[document]["_rev"].split("-")[0]) - int(revision.split("-")[0]) in (0, 1)
                else:
                    assert found[document]["_rev"] == revision
        assert len(database.request("GET", "/_changes").value["results"]) == len(found)
        total += sum(map(len, notes))
    assert total > 100


def test_a_record_is_on_stable_storage_before_it_is_acknowledged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill does not show it: what a killed process wrote is still in the memory of the kernel."""
    synced: t.List[int] = []
    monkeypatch.setattr(os, "fsync", lambda number: synced.append(os.fstat(number).st_size))
    log = Log.create(tmp_path / "log", [{"n": 1}])
    for number in range(3):
        log.append({"n": number})
        assert synced[-1] == (tmp_path / "log").stat().st_size
    assert len(synced) == 5  # the new file, its name in the directory, and each record


def test_everything_is_as_it_was_after_a_restart(private: StandIn) -> None:
    server = Server(private.url)
    database = Database(server, "test/a+b")
    database.request("PUT")
    first = database.put("a", {"n": 1.0})
    database.put("a", {"n": 2, "_rev": first})
    database.request("DELETE", f"/b?rev={database.put('b')}")
    database.graft("c", "1-aaaa")
    database.graft("c", "2-bbbb", "1-cccc")
    database.request("PUT", "/_local/x", {"n": 1})
    database.request("PUT", "/_security", {"members": {"names": ["someone"]}})
    database.request("PUT", "/_revs_limit", 7)
    paths = ["", "/a?revs_info=true", f"/a?rev={first}", "/c?conflicts=true&revs=true", "/_local/x", "/_security", "/_revs_limit"]
    paths += ["/_all_docs?include_docs=true", "/_changes", "/_changes?style=all_docs"]
    before = [database.request("GET", path).text for path in paths]
    for compact in (False, True):
        if compact:
            assert database.request("POST", "/_compact").status == 202
            before = [database.request("GET", path).text for path in paths]
        private.kill()
        private.start()
        database = database_again(private, database)
        assert [database.request("GET", path).text for path in paths] == before


def database_again(private: StandIn, database: Database) -> Database:
    """The same database after a restart."""
    return Database(Server(private.url), database.name)


def test_a_sequence_is_still_good_after_a_restart(private: StandIn) -> None:
    database = Database(Server(private.url), "test")
    database.request("PUT")
    database.put("a")
    since = database.request("GET", "/_changes").value["last_seq"]
    private.kill()
    private.start()
    database = database_again(private, database)
    database.put("b")
    found = database.request("GET", f"/_changes?since={since}").value["results"]
    assert [row["id"] for row in found] == ["b"]


def test_half_a_line_at_the_end_is_dropped(private: StandIn) -> None:
    database = Database(Server(private.url), "test")
    database.request("PUT")
    revision = database.put("a", {"n": 1})
    private.kill()
    log = only_log(private, "test")
    whole = log.read_bytes()
    log.write_bytes(whole + whole.splitlines()[-1][:-10].replace(b'"n":1', b'"n":9'))
    private.start()
    database = database_again(private, database)
    assert database.get("a") == {"_id": "a", "_rev": revision, "n": 1}
    assert log.read_bytes() == whole
    database.put("b")
    private.kill()
    private.start()
    assert [row["id"] for row in database_again(private, database).request("GET", "/_all_docs").value["rows"]] == ["a", "b"]


def test_damage_in_the_middle_is_not_taken_for_the_end(private: StandIn) -> None:
    database = Database(Server(private.url), "test")
    database.request("PUT")
    database.put("a")
    database.put("b")
    private.kill()
    log = only_log(private, "test")
    whole = log.read_bytes()
    log.write_bytes(whole.replace(b'"documents"', b'"documents', 1))
    try:
        private.start()
        started = True
    except RuntimeError:
        started = False
    assert not started
    log.write_bytes(whole)
    private.start()
    assert database_again(private, database).request("GET").value["doc_count"] == 2


def test_a_deleted_database_stays_deleted(private: StandIn) -> None:
    database = Database(Server(private.url), "test")
    database.request("PUT")
    database.put("a")
    database.request("DELETE")
    private.kill()
    private.start()
    assert database_again(private, database).request("GET").status == 404
    assert not only_log(private, "test").exists()


def test_a_replication_survives_a_restart(private: StandIn, make) -> None:
    server = Server(private.url)
    source, target = Database(server, "source"), make(0)
    source.request("PUT")
    source.put("a")
    path = "/_replicator/test"
    server.request("PUT", path, {"source": source.url, "target": target.url, "continuous": True})
    eventually(lambda: target.request("GET", "/a").status == 200)
    private.kill()
    private.start()
    source = database_again(private, source)
    source.put("b")
    eventually(lambda: target.request("GET", "/b").status == 200)
    server = Server(private.url)
    assert runs(server, path)
    server.request("DELETE", f"{path}?rev={server.request('GET', path).value['_rev']}")
    eventually(lambda: not runs(server, path))
    private.kill()
    private.start()
    assert not runs(Server(private.url), path)


def test_a_session_and_users_survive_a_restart(private: StandIn) -> None:
    server = Server(private.url)
    body = {"name": "someone", "password": "secret", "roles": ["friends"], "type": "user"}
    assert server.request("PUT", "/_users/org.couchdb.user:someone", body).status == 201
    answer = server.request("POST", "/_session", {"name": "someone", "password": "secret"}, user=None)
    cookie = answer.headers["Set-Cookie"].split(";")[0]
    private.kill()
    private.start()
    found = Server(private.url).request("GET", "/_session", user=None, headers={"Cookie": cookie}).value
    assert found["userCtx"] == {"name": "someone", "roles": ["friends"]}
    assert Server(private.url).request("GET", "/_session", user=("someone", "secret")).status == 200


def test_no_password_is_in_arguments_or_readable_files(private: StandIn) -> None:
    arguments = Path(f"/proc/{private.process.pid}/cmdline").read_bytes()
    assert b"server.py" in arguments and private.password.encode() not in arguments
    for path in (private.directory / "admin", private.directory / "data", private.directory / "data" / "secret"):
        assert path.stat().st_mode & 0o077 == 0


def test_it_ends_in_order_on_a_signal(private: StandIn) -> None:
    private.stop()
    assert (private.process.returncode, private.errors()) == (0, "")
    private.start()
    assert Server(private.url).request("GET", "/_up").status == 200
