# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Single documents: writing, reading, conflicts, history, ids, numbers, sizes."""

from __future__ import annotations

import re

import pytest

from .client import JSON, Database, Server, eventually, quote

CONFLICT = {"error": "conflict", "reason": "Document update conflict."}
UNKNOWN = "1-785e9eb543380151003dc452c3a001a0"


def test_a_new_document(database: Database) -> None:
    answer = database.request("PUT", "/a", {"n": 1})
    assert answer.status == 201
    assert answer.value["ok"] is True and answer.value["id"] == "a"
    assert re.fullmatch("1-[0-9a-f]{32}", answer.value["rev"])
    assert answer.headers["ETag"] == f'"{answer.value["rev"]}"'
    assert answer.headers["Location"].endswith(f"/{database.name}/a")
    assert database.get("a") == {"_id": "a", "_rev": answer.value["rev"], "n": 1}


def test_an_edit_names_the_revision_that_it_replaces(database: Database) -> None:
    first = database.put("a", {"n": 1})
    for stale in ({"n": 2}, {"n": 2, "_rev": UNKNOWN}):
        answer = database.request("PUT", "/a", stale)
        assert (answer.status, answer.value) == (409, CONFLICT)
    second = database.put("a", {"n": 2, "_rev": first})
    assert second.startswith("2-")
    assert database.request("PUT", "/a", {"n": 2, "_rev": first}).status == 409
    assert database.get("a")["n"] == 2


def test_a_revision_of_a_document_that_does_not_exist(database: Database) -> None:
    """CouchDB refuses it in a new database, and takes it later; who writes must be prepared for both."""
    answer = database.request("PUT", "/a", {"_rev": UNKNOWN})
    assert answer.status in (201, 409)
    for number in range(20):
        database.put(str(number))
    answer = database.request("PUT", "/b", {"_rev": UNKNOWN})
    assert answer.status == 201
    assert database.get("b", "?revs=true")["_revisions"]["ids"][1:] == [UNKNOWN.split("-")[1]]


def test_the_revision_in_the_url_or_in_a_header(database: Database) -> None:
    first = database.put("a")
    second = database.request("PUT", f"/a?rev={first}", {"n": 2}).value["rev"]
    stale = database.request("PUT", "/a", {"n": 3}, headers={**JSON, "If-Match": first})
    assert stale.status == 409
    answer = database.request("PUT", "/a", {"n": 3}, headers={**JSON, "If-Match": second})
    assert answer.status == 201 and answer.value["rev"].startswith("3-")
    different = database.request("PUT", f"/a?rev={first}", {"_rev": second})
    assert (different.status, different.value["error"]) == (400, "bad_request")
    different = database.request("PUT", "/a", {"_rev": second}, headers={**JSON, "If-Match": first})
    assert (different.status, different.value["error"]) == (400, "bad_request")


def test_the_same_edit_gets_the_same_revision_everywhere(make) -> None:
    one, other = make(0), make(1)
    for database in (one, other):
        database.put("a", {"n": 1, "_rev": database.put("a")})
    assert one.get("a") == other.get("a")
    other.put("b", {"n": 2})
    one.put("b", {"n": 1})
    assert one.get("b")["_rev"] != other.get("b")["_rev"]


def test_deleting(database: Database) -> None:
    revision = database.put("a", {"n": 1})
    assert database.request("DELETE", "/a").status == 409
    assert database.request("DELETE", f"/a?rev={UNKNOWN}").status == 409
    answer = database.request("DELETE", f"/a?rev={revision}")
    assert answer.status == 200 and answer.value["rev"].startswith("2-")
    gone = database.request("GET", "/a")
    assert (gone.status, gone.value) == (404, {"error": "not_found", "reason": "deleted"})
    assert database.request("DELETE", f"/a?rev={answer.value['rev']}").status == 404
    assert database.get("a", f"?rev={answer.value['rev']}") == {"_id": "a", "_rev": answer.value["rev"], "_deleted": True}


def test_a_document_that_never_was(database: Database) -> None:
    missing = {"error": "not_found", "reason": "missing"}
    for method in ("GET", "DELETE"):
        answer = database.request(method, "/a")
        assert (answer.status, answer.value) == (404, missing)
    assert database.request("HEAD", "/a").status == 404


def test_a_deletion_may_keep_a_body(database: Database) -> None:
    revision = database.put("a", {"n": 1})
    answer = database.request("PUT", "/a", {"_rev": revision, "_deleted": True, "why": "test"})
    assert answer.status == 200
    assert database.request("GET", "/a").status == 404
    assert database.get("a", f"?rev={answer.value['rev']}")["why"] == "test"


def test_a_deleted_document_is_made_again_without_its_revision(database: Database) -> None:
    database.request("DELETE", f"/a?rev={database.put('a')}")
    assert database.put("a", {"n": 3}).startswith("3-")
    assert database.get("a")["n"] == 3


def test_a_deleted_document_is_not_made_again_with_its_revision(database: Database) -> None:
    deleted = database.request("DELETE", f"/a?rev={database.put('a')}").value["rev"]
    assert database.request("PUT", "/a", {"n": 3, "_rev": deleted}).status == 409
    assert database.request("PUT", "/a", {"_deleted": True}).status == 409
    assert database.request("GET", "/a").status == 404


def test_posted_without_an_id(database: Database) -> None:
    answer = database.request("POST", "", {"n": 1})
    assert answer.status == 201 and re.fullmatch("[0-9a-f]{32}", answer.value["id"])
    assert answer.headers["ETag"] is None
    assert database.get(answer.value["id"])["n"] == 1
    assert database.request("POST", "", {"_id": "named"}).value["id"] == "named"
    assert database.request("POST", "", {"_id": "named"}).status == 409


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", None])
def test_posts_must_say_that_they_are_json(database: Database, kind) -> None:
    headers = {"Content-Type": kind} if kind else {}
    for path in ("", "/_bulk_docs", "/_all_docs", "/_changes", "/_revs_diff", "/_compact", "/_bulk_get", "/_ensure_full_commit"):
        answer = database.request("POST", path, raw=b'{"docs": []}', headers=headers)
        assert (path, answer.status, answer.value["error"]) == (path, 415, "bad_content_type")
    assert database.request("PUT", "/a", raw=b"{}", headers=headers).status == 201


@pytest.mark.parametrize("body", [b"[]", b'"text"', b"{", b"", b"\xff", b'{"a": 1e999}', b'{"a": NaN}', b'{"a": "\\ud800"}'])
def test_a_body_that_is_no_document(database: Database, body: bytes) -> None:
    answer = database.request("PUT", "/a", raw=body)
    assert (answer.status, answer.value["error"]) == (400, "bad_request")
    assert database.request("GET", "/a").status == 404


@pytest.mark.parametrize("name, error", [("_other", "illegal_docid"), ("%FF", "illegal_docid")], ids=["reserved", "not UTF-8"])
def test_ids_that_are_refused(database: Database, name: str, error: str) -> None:
    answer = database.request("PUT", f"/{name}", {})
    assert (answer.status, answer.value["error"]) == (400, error)


@pytest.mark.parametrize("name", ["", 5, "_other"])
def test_ids_in_the_body_that_are_refused(database: Database, name) -> None:
    for path, body in (("", {"_id": name}), ("/_bulk_docs", {"docs": [{"_id": name}]})):
        answer = database.request("POST", path, body)
        assert (answer.status, answer.value["error"]) == (400, "illegal_docid")


def test_members_that_are_refused(database: Database) -> None:
    answer = database.request("PUT", "/a", {"_other": 1})
    assert (answer.status, answer.value["error"]) == (400, "doc_validation")


@pytest.mark.parametrize("revision", ["abc", "x-1", 5, "-"])
def test_revisions_that_are_refused(database: Database, revision) -> None:
    answer = database.request("PUT", "/a", {"_rev": revision})
    assert (answer.status, answer.value["error"]) == (400, "bad_request")
    answer = database.request("GET", f"/a?rev={revision}")
    assert (answer.status, answer.value["error"]) == (400, "bad_request")


def test_the_id_in_the_url_counts(database: Database) -> None:
    assert database.request("PUT", "/a", {"_id": "b"}).value["id"] == "a"
    assert database.get("a")["_id"] == "a"


@pytest.mark.parametrize("name", ["a/b", "a?b", "a+b", "a b", "%41", "ü:é", "日本", "a&b=c#d", "host.example.org/svc?x", "😀", '"', "\\"])
def test_any_id_can_be_used(database: Database, name: str) -> None:
    revision = database.put(name, {"n": name})
    assert database.get(name) == {"_id": name, "_rev": revision, "n": name}
    assert [row["id"] for row in database.request("GET", "/_all_docs").value["rows"]] == [name]
    assert [row["id"] for row in database.request("GET", "/_changes").value["results"]] == [name]


def test_a_plus_in_a_url_is_a_space(database: Database) -> None:
    assert database.request("PUT", "/a+b", {}).value["id"] == "a b"
    assert database.request("GET", "/a%2Bb").status == 404


def test_numbers_keep_their_value_and_kind(database: Database) -> None:
    database.request("PUT", "/a", raw=b'{"a":1.0,"b":1152921504606846976,"c":1e3,"d":12345678901234567890123,"e":0.1,"f":-7,"g":123456789.123456789}')
    text = database.request("GET", "/a").text
    for part in ('"a":1.0,', '"b":1152921504606846976,', '"c":1000.0,', '"d":12345678901234567890123,', '"e":0.1,', '"f":-7,', '"g":123456789.12345679}'):
        assert part in text


def test_members_keep_their_order(database: Database) -> None:
    database.request("PUT", "/a", raw=b'{"z":1,"a":2,"10":3,"2":4,"b":{"y":1,"x":2}}')
    text = database.request("GET", "/a").text
    assert text.rstrip().endswith('"z":1,"a":2,"10":3,"2":4,"b":{"y":1,"x":2}}')


def test_of_members_with_the_same_name_the_last_counts(database: Database) -> None:
    database.request("PUT", "/a", raw=b'{"x":1,"y":2,"x":3}')
    assert '"y":2,"x":3}' in database.request("GET", "/a").text


def test_text_comes_back_as_utf_8(database: Database) -> None:
    database.request("PUT", "/a", raw=b'{"s":"\\ud83d\\ude00 \\u00fc \\u0001"}')
    answer = database.request("GET", "/a")
    assert answer.value["s"] == "😀 ü \x01"
    assert "😀 ü" in answer.text


def test_a_document_of_8_megabytes_is_too_large(database: Database) -> None:
    database.put("a", {"x": "x" * 7_990_000})
    assert len(database.get("a")["x"]) == 7_990_000
    answer = database.request("PUT", "/b", {"x": "x" * 8_000_001})
    assert (answer.status, answer.value["error"]) == (413, "document_too_large")
    answer = database.request("POST", "/_bulk_docs", {"docs": [{"_id": "c"}, {"_id": "b", "x": "x" * 8_000_001}]})
    assert (answer.status, answer.value["error"]) == (413, "document_too_large")
    assert [database.request("GET", f"/{name}").status for name in "bc"] == [404, 404]


def test_etags(database: Database) -> None:
    revision = database.put("a", {"n": 1})
    head = database.request("HEAD", "/a")
    assert (head.status, head.text, head.headers["ETag"]) == (200, "", f'"{revision}"')
    assert head.headers["Content-Length"] == database.request("GET", "/a").headers["Content-Length"]
    same = database.request("GET", "/a", headers={**JSON, "If-None-Match": f'"{revision}"'})
    assert (same.status, same.text) == (304, "")
    database.put("a", {"n": 2, "_rev": revision})
    assert database.request("GET", "/a", headers={**JSON, "If-None-Match": f'"{revision}"'}).status == 200


def test_history(database: Database) -> None:
    first = database.put("a", {"n": 1})
    second = database.put("a", {"n": 2, "_rev": first})
    third = database.put("a", {"n": 3, "_rev": second})
    assert database.get("a", f"?rev={first}") == {"_id": "a", "_rev": first, "n": 1}
    hashes = [revision.split("-")[1] for revision in (third, second, first)]
    assert database.get("a", "?revs=true")["_revisions"] == {"start": 3, "ids": hashes}
    assert database.get("a", f"?revs=true&rev={second}")["_revisions"] == {"start": 2, "ids": hashes[1:]}
    assert database.get("a", "?revs_info=true")["_revs_info"] == [{"rev": each, "status": "available"} for each in (third, second, first)]
    assert "_revs_info" not in database.get("a", f"?revs_info=true&conflicts=true&rev={second}")
    answer = database.request("GET", f"/a?rev={UNKNOWN}")
    assert (answer.status, answer.value["reason"]) == (404, "missing")


def test_conflicts_and_which_revision_wins(database: Database) -> None:
    database.graft("a", "1-aaaa", n=1)
    database.graft("a", "1-bbbb", n=2)
    assert database.get("a", "?conflicts=true") == {"_id": "a", "_rev": "1-bbbb", "n": 2, "_conflicts": ["1-aaaa"]}
    database.graft("a", "2-0000", "1-aaaa", n=3)  # a longer history wins
    assert database.get("a", "?conflicts=true") == {"_id": "a", "_rev": "2-0000", "n": 3, "_conflicts": ["1-bbbb"]}
    database.graft("a", "3-ffff", "2-ffff", "1-aaaa", _deleted=True)  # but not a deleted one
    found = database.get("a", "?conflicts=true&deleted_conflicts=true")
    assert (found["_rev"], found["_conflicts"], found["_deleted_conflicts"]) == ("2-0000", ["1-bbbb"], ["3-ffff"])


def test_a_conflict_is_resolved_by_deleting_the_loser(database: Database) -> None:
    database.graft("a", "1-" + "a" * 32)
    database.graft("a", "1-" + "b" * 32)
    assert database.request("DELETE", "/a?rev=1-" + "a" * 32).status == 200
    assert database.get("a", "?conflicts=true") == {"_id": "a", "_rev": "1-" + "b" * 32}
    assert database.request("DELETE", "/a?rev=1-" + "b" * 32).status == 200
    assert database.request("GET", "/a").status == 404


def test_deleting_the_winner_lets_the_loser_win(database: Database) -> None:
    database.graft("a", "1-" + "a" * 32, n=1)
    database.graft("a", "1-" + "b" * 32, n=2)
    database.request("DELETE", "/a?rev=1-" + "b" * 32)
    assert database.get("a") == {"_id": "a", "_rev": "1-" + "a" * 32, "n": 1}


def test_open_revisions(database: Database) -> None:
    database.graft("a", "1-aaaa", n=1)
    database.graft("a", "1-bbbb", n=2)
    found = database.get("a", "?open_revs=all")
    assert sorted(row["ok"]["_rev"] for row in found) == ["1-aaaa", "1-bbbb"]
    found = database.get("a", "?revs=true&open_revs=" + quote('["1-aaaa","9-zzzz"]'))
    assert found[0]["ok"] == {"_id": "a", "_rev": "1-aaaa", "n": 1, "_revisions": {"start": 1, "ids": ["aaaa"]}}
    assert found[1] == {"missing": "9-zzzz"}
    database.graft("a", "2-cccc", "1-bbbb", n=3)
    found = database.get("a", "?latest=true&open_revs=" + quote('["1-bbbb"]'))
    assert [row["ok"]["_rev"] for row in found] == ["2-cccc"]
    assert database.request("GET", "/missing?open_revs=all").status == 404
    assert database.get("missing", "?open_revs=" + quote('["9-zzzz"]')) == [{"missing": "9-zzzz"}]


def test_local_documents_are_not_listed_and_know_no_conflict(database: Database) -> None:
    assert database.request("PUT", "/_local/a", {"n": 1}).value == {"ok": True, "id": "_local/a", "rev": "0-1"}
    assert database.request("PUT", "/_local/a", {"n": 2}).value["rev"] == "0-1"
    assert database.request("PUT", "/_local/a", {"n": 3, "_rev": "0-1"}).value["rev"] == "0-2"
    assert database.request("PUT", "/_local/a", {"n": 4, "_rev": "0-1"}).value["rev"] == "0-2"
    assert database.request("GET", "/_local%2Fa").value == {"_id": "_local/a", "_rev": "0-2", "n": 4}
    assert database.request("GET", "/_all_docs").value["rows"] == []
    assert database.request("GET", "/_changes").value["results"] == []
    assert database.request("DELETE", "/_local/a").status == 200
    assert database.request("GET", "/_local/a").status == 404
    assert database.request("DELETE", "/_local/a").status == 404


@pytest.mark.parametrize("method, path", [("PATCH", "/a"), ("GET", "/_bulk_docs"), ("POST", "/_security"), ("PUT", "/_changes"), ("GET", "/_revs_diff")])
def test_methods_that_are_refused(database: Database, method: str, path: str) -> None:
    answer = database.request(method, path, None if method == "GET" else {})
    assert (answer.status, answer.value["error"]) == (405, "method_not_allowed")


def test_databases(server: Server, database: Database) -> None:
    assert database.name in server.request("GET", "/_all_dbs").value
    again = database.request("PUT")
    assert (again.status, again.value["error"]) == (412, "file_exists")
    database.put("a")
    database.request("DELETE", f"/b?rev={database.put('b')}")
    found = database.request("GET").value
    assert (found["db_name"], found["doc_count"], found["doc_del_count"]) == (database.name, 1, 1)
    assert isinstance(found["update_seq"], str)
    assert set(found["sizes"]) == {"file", "external", "active"} and found["sizes"]["file"] > 0
    assert database.request("HEAD").status == 200
    assert database.request("DELETE").value == {"ok": True}
    assert database.name not in server.request("GET", "/_all_dbs").value
    database.request("PUT")
    assert database.request("GET").value["doc_count"] == 0


def test_a_missing_database(server: Server) -> None:
    for method, path in (("GET", ""), ("HEAD", ""), ("DELETE", ""), ("GET", "/a"), ("PUT", "/a"), ("POST", "/_bulk_docs"), ("GET", "/_changes")):
        answer = server.request(method, f"/test_missing{path}", {"docs": []} if method in ("PUT", "POST") else None)
        assert answer.status == 404
        assert method == "HEAD" or answer.value == {"error": "not_found", "reason": "Database does not exist."}


def test_names_of_databases(server: Server, make) -> None:
    for name in ("Test", "1test", "tést", "test.x"):
        answer = server.request("PUT", f"/{quote(name)}")
        assert (answer.status, answer.value["error"]) == (400, "illegal_database_name")
    odd = make(name="test_x/y+z$(1)-2")
    odd.put("a", {"n": 1})
    assert odd.get("a")["n"] == 1
    assert odd.name in server.request("GET", "/_all_dbs").value


def test_how_many_revisions_are_remembered(database: Database) -> None:
    assert database.request("GET", "/_revs_limit").value == 1000
    assert database.request("PUT", "/_revs_limit", 3).value == {"ok": True}
    assert database.request("GET", "/_revs_limit").value == 3
    revision = database.put("a")
    for number in range(5):
        revision = database.put("a", {"n": number, "_rev": revision})
    found = database.get("a", "?revs=true&revs_info=true")
    assert (found["_revisions"]["start"], len(found["_revisions"]["ids"]), len(found["_revs_info"])) == (6, 3, 3)


def test_compaction_drops_old_bodies(database: Database) -> None:
    first = database.put("a", {"n": 1})
    second = database.put("a", {"n": 2, "_rev": first})
    answer = database.request("POST", "/_compact")
    assert (answer.status, answer.value) == (202, {"ok": True})
    eventually(lambda: database.request("GET", f"/a?rev={first}").status == 404)
    assert database.get("a", "?revs_info=true")["_revs_info"] == [{"rev": second, "status": "available"}, {"rev": first, "status": "missing"}]
    database.put("a", {"n": 3, "_rev": second})
    assert database.get("a")["n"] == 3


def test_the_server_itself(server: Server) -> None:
    assert server.request("GET", "/").value["couchdb"] == "Welcome"
    assert server.request("GET", "/_up").value["status"] == "ok"
    ids = server.request("GET", "/_uuids?count=3").value["uuids"]
    assert len(set(ids)) == 3 and all(re.fullmatch("[0-9a-f]{32}", each) for each in ids)
    assert isinstance(server.request("GET", "/_active_tasks").value, list)
