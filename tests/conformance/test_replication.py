# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Replication by documents of ``_replicator``. A real server may take some seconds to notice one, and starts one whose
connection broke again after half a minute; so tests wait long before they fail."""

from __future__ import annotations

import time
import typing as t
import urllib.parse

import pytest

from .client import Database, Forwarder, Server, eventually, runs


def continuous(source: str, target: str, **options: t.Any) -> t.Dict[str, t.Any]:
    """The document of a replication that goes on."""
    return {"source": source, "target": target, "continuous": True, **options}


def state(server: Server, path: str) -> t.Dict[str, t.Any]:
    """What the scheduler tells about a replication; empty if it does not know it (yet)."""
    answer = server.request("GET", f"/_scheduler/docs{path}")
    return answer.value if answer.status == 200 else {}


def arrived(database: Database, name: str, **members: t.Any) -> None:
    """Wait until a document is there with these members."""

    def check() -> bool:
        answer = database.request("GET", f"/{name}")
        return answer.status == 200 and members.items() <= answer.value.items()

    eventually(check)


@pytest.fixture
def pair(make) -> t.Tuple[Database, Database]:
    """Databases on the first and the second server."""
    return make(0), make(1)


def test_copies_what_is_there_and_what_comes(pair, replication) -> None:
    source, target = pair
    first = source.put("a", {"n": 1})
    replication(0, continuous(source.url, target.url))
    arrived(target, "a", n=1)
    assert target.get("a") == source.get("a")
    source.put("a", {"n": 2, "_rev": first})
    source.put("b/c d", {"n": 3})
    arrived(target, "a", n=2)
    arrived(target, "b%2Fc%20d", n=3)
    assert target.get("a", "?revs=true") == source.get("a", "?revs=true")


def test_pulls_as_well_as_it_pushes(pair, replication) -> None:
    source, target = pair
    source.put("a", {"n": 1})
    replication(1, continuous(source.url, target.url))
    arrived(target, "a", n=1)


def test_between_two_other_servers(servers, make, replication) -> None:
    source, target = make(1), make(2)
    replication(0, continuous(source.url, target.url))
    source.put("a", {"n": 1})
    arrived(target, "a", n=1)


def test_many_documents(pair, replication) -> None:
    source, target = pair
    source.request("POST", "/_bulk_docs", {"docs": [{"_id": f"{number:05}", "n": number} for number in range(1500)]})
    replication(0, continuous(source.url, target.url))
    eventually(lambda: target.request("GET").value["doc_count"] == 1500)
    assert source.request("GET", "/_all_docs").value["rows"] == target.request("GET", "/_all_docs").value["rows"]


def test_deletions_are_copied(pair, replication) -> None:
    source, target = pair
    revision = source.put("a")
    replication(0, continuous(source.url, target.url))
    arrived(target, "a")
    source.request("DELETE", f"/a?rev={revision}")
    eventually(lambda: target.request("GET", "/a").value.get("reason") == "deleted")


def test_values_are_copied_exactly(pair, replication) -> None:
    source, target = pair
    source.request("PUT", "/a", raw=b'{"z":1.0,"a":12345678901234567890123,"c":"\xc3\xbc\xf0\x9f\x98\x80","b":{"y":1,"x":[]}}')
    replication(0, continuous(source.url, target.url))
    arrived(target, "a")
    assert target.request("GET", "/a").text == source.request("GET", "/a").text


def test_conflicts_meet_on_both_sides(pair, replication) -> None:
    one, other = pair
    one.graft("a", "1-aaaa", n=1)
    other.graft("a", "1-bbbb", n=2)
    replication(0, continuous(one.url, other.url))
    replication(0, continuous(other.url, one.url))
    for database in pair:
        eventually(lambda database=database: "_conflicts" in database.request("GET", "/a?conflicts=true").value)
        assert database.get("a", "?conflicts=true") == {"_id": "a", "_rev": "1-bbbb", "n": 2, "_conflicts": ["1-aaaa"]}


def test_only_some_documents(pair, replication) -> None:
    source, target = pair
    for name in "abc":
        source.put(name)
    replication(0, continuous(source.url, target.url, doc_ids=["a", "c"]))
    arrived(target, "a")
    arrived(target, "c")
    assert [row["id"] for row in target.request("GET", "/_all_docs").value["rows"]] == ["a", "c"]


def test_credentials_apart_from_the_url(servers, pair, replication) -> None:
    source, target = pair
    source.put("a")

    def endpoint(database: Database) -> t.Dict[str, t.Any]:
        server = database.server
        return {"url": f"http://{server.address}{database.path}", "auth": {"basic": {"username": server.name, "password": server.password}}}

    replication(0, {"source": endpoint(source), "target": endpoint(target), "continuous": True})
    arrived(target, "a")


def test_it_writes_as_a_member_until_that_is_one_no_more(servers, make, user, replication) -> None:
    """To the first server, from another one. What fences an older master stands on this."""
    source, target = make(1), make(0)
    name, password = user()

    def allow(*members: str) -> None:
        rights = {"admins": {"names": [], "roles": ["_admin"]}, "members": {"names": list(members), "roles": ["_admin"]}}
        assert target.request("PUT", "/_security", rights).status == 200

    allow(name)
    there = {"url": f"http://{servers[0].address}{target.path}", "auth": {"basic": {"username": name, "password": password}}}
    path = replication(1, continuous(source.url, there))
    source.put("a")
    arrived(target, "a")
    allow()
    source.put("b")
    eventually(lambda: state(servers[1], path).get("state") == "crashing")
    assert [row["id"] for row in target.request("GET", "/_all_docs").value["rows"]] == ["a"]


def test_the_document_gets_an_owner_and_no_state(server, pair, replication) -> None:
    source, target = pair
    body = continuous(source.url, target.url)
    path = replication(0, body)
    eventually(lambda: state(server, path).get("state") == "running")
    found = server.request("GET", path).value
    assert found.pop("_rev").startswith("1-") and found.pop("_id")
    assert found == {**body, "owner": server.name}


def test_the_scheduler_tells_the_state_without_passwords(server, pair, replication) -> None:
    source, target = pair
    path = replication(0, continuous(source.url, target.url))
    found = eventually(lambda: state(server, path).get("state") == "running" and state(server, path))
    assert (found["database"], found["doc_id"], found["error_count"]) == ("_replicator", path.split("/")[-1], 0)
    assert urllib.parse.urlsplit(found["source"]).path == f"{source.path}/"
    answer = server.request("GET", "/_scheduler/docs")
    assert server.password not in answer.text
    assert path.split("/")[-1] in [row["doc_id"] for row in answer.value["docs"]]
    assert server.request("GET", "/_scheduler/docs/_replicator/missing").status == 404


def test_deleting_the_document_ends_it(server, pair, replication) -> None:
    source, target = pair
    source.put("a")
    path = replication(0, continuous(source.url, target.url))
    arrived(target, "a")
    revision = server.request("GET", path).value["_rev"]
    assert server.request("DELETE", f"{path}?rev={revision}").status == 200
    eventually(lambda: not state(server, path) and not runs(server, path))  # until then what was under way may be copied
    source.put("b")
    time.sleep(1.5)
    assert target.request("GET", "/b").status == 404


def test_editing_the_document_changes_the_replication(server, make, replication) -> None:
    source, before, after = make(0), make(1), make(2)
    source.put("a")
    path = replication(0, continuous(source.url, before.url))
    arrived(before, "a")
    body = {**continuous(source.url, after.url), "_rev": server.request("GET", path).value["_rev"]}
    assert server.request("PUT", path, body).status == 201
    arrived(after, "a")
    source.put("b")
    arrived(after, "b")
    assert before.request("GET", "/b").status == 404


def test_a_replication_that_ends_says_so_in_its_document(server, pair, replication) -> None:
    source, target = pair
    source.put("a")
    path = replication(0, {"source": source.url, "target": target.url})
    eventually(lambda: server.request("GET", path).value.get("_replication_state") == "completed")
    found = server.request("GET", path).value
    assert (found["_replication_stats"]["docs_written"], found["_rev"][:2]) == (1, "2-")
    assert target.get("a") == source.get("a")
    ended = state(server, path)
    assert ended["state"] == "completed" and server.password not in str(ended)
    assert [urllib.parse.urlsplit(ended[role]).path for role in ("source", "target")] == [f"{source.path}/", f"{target.path}/"]
    source.put("b")
    time.sleep(1)
    assert target.request("GET", "/b").status == 404


def test_it_makes_the_target_only_when_told(server, servers, database, replication) -> None:
    target = Database(servers[1], f"{database.name}_target")
    database.put("a")
    path = replication(0, continuous(database.url, target.url))
    found = eventually(lambda: state(server, path).get("state") == "crashing" and state(server, path))
    assert "db_not_found" in found["info"]["error"] and found["error_count"] >= 1
    assert target.request("GET").status == 404
    replication(0, continuous(database.url, target.url, create_target=True))
    arrived(target, "a")
    target.request("DELETE")


def test_a_source_that_is_missing(server, database, replication) -> None:
    path = replication(0, continuous(f"{server.url}/{database.name}_missing", database.url))
    found = eventually(lambda: state(server, path).get("state") == "crashing" and state(server, path))
    assert "db_not_found" in found["info"]["error"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"source": "http://127.0.0.1:1/a"},
        {"source": "a", "target": "b"},
        {"source": "ftp://127.0.0.1/a", "target": "http://127.0.0.1:1/b"},
        {"source": "http://127.0.0.1:1/a", "target": "http://127.0.0.1:1/b", "continuous": 5},
        {"source": "http://127.0.0.1:1/a", "target": "http://127.0.0.1:1/b", "doc_ids": 5},
    ],
)
def test_documents_that_are_refused(server, body) -> None:
    answer = server.request("PUT", "/_replicator/test_refused", body)
    assert (answer.status, answer.value["error"]) == (403, "forbidden")


def test_after_an_outage_rewriting_the_document_resumes_it(server, pair, replication) -> None:
    source, target = pair
    line = Forwarder(target.server)
    source.put("a")
    path = replication(0, continuous(source.url, line.url(target)))
    arrived(target, "a")
    line.down()
    source.put("b")
    time.sleep(1)
    assert target.request("GET", "/b").status == 404
    line.up()
    assert server.request("PUT", path, server.request("GET", path).value).status == 201
    arrived(target, "b")
    line.down()


def test_it_goes_on_where_it_was(server, pair, replication) -> None:
    """Both sides remember how far a replication came, so that rewriting its document does not begin anew."""
    source, target = pair
    source.request("POST", "/_bulk_docs", {"docs": [{"_id": str(number)} for number in range(20)]})
    path = replication(0, {"source": source.url, "target": target.url})
    eventually(lambda: server.request("GET", path).value.get("_replication_state") == "completed")
    assert server.request("GET", path).value["_replication_stats"]["docs_written"] == 20
    source.put("a")
    body = {"source": source.url, "target": target.url, "_rev": server.request("GET", path).value["_rev"]}
    assert server.request("PUT", path, body).status == 201
    eventually(lambda: server.request("GET", path).value.get("_replication_state") == "completed")
    found = server.request("GET", path).value["_replication_stats"]
    assert (found["docs_written"], found["revisions_checked"]) == (21, 21)  # they are counted on
    assert target.get("a") == source.get("a")
