# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Many documents at once: _bulk_docs, _bulk_get, _all_docs, _revs_diff."""

from __future__ import annotations

import pytest

from .client import Database, quote

NAMES = ["a", "b", "c", "d", "e"]


@pytest.fixture
def five(database: Database) -> Database:
    """A database with five documents, and one that was deleted."""
    answer = database.request("POST", "/_bulk_docs", {"docs": [{"_id": name, "n": number} for number, name in enumerate(NAMES)]})
    assert answer.status == 201
    database.request("DELETE", f"/bb?rev={database.put('bb')}")
    return database


def ids(database: Database, query: str) -> list:
    """The ids of a range, and that the answer has the right form."""
    answer = database.request("GET", f"/_all_docs?{query}")
    assert answer.status == 200 and answer.value["total_rows"] == 5, answer
    assert all(row["id"] == row["key"] and set(row["value"]) == {"rev"} for row in answer.value["rows"])
    return [row["id"] for row in answer.value["rows"]]


def test_each_document_succeeds_or_fails_on_its_own(database: Database) -> None:
    database.put("b")
    answer = database.request("POST", "/_bulk_docs", {"docs": [{"_id": "a"}, {"_id": "b"}, {"n": 1}]})
    assert answer.status == 201
    first, second, third = answer.value
    assert first["ok"] is True and first["rev"].startswith("1-")
    assert second == {"id": "b", "error": "conflict", "reason": "Document update conflict."}
    assert third["ok"] is True and len(third["id"]) == 32
    assert database.request("GET").value["doc_count"] == 3


def test_the_same_document_twice_in_one_request(database: Database) -> None:
    answer = database.request("POST", "/_bulk_docs", {"docs": [{"_id": "a", "n": 1}, {"_id": "a", "n": 2}]})
    assert [row.get("error") for row in answer.value] == [None, "conflict"]
    assert database.get("a")["n"] == 1


def test_edits_and_deletions_in_bulk(database: Database) -> None:
    revisions = {name: database.put(name) for name in "ab"}
    docs = [{"_id": "a", "_rev": revisions["a"], "n": 2}, {"_id": "b", "_rev": revisions["b"], "_deleted": True}]
    answer = database.request("POST", "/_bulk_docs", {"docs": docs})
    assert [row["rev"][:2] for row in answer.value] == ["2-", "2-"]
    assert database.get("a")["n"] == 2
    assert database.request("GET", "/b").status == 404


@pytest.mark.parametrize("body", [{}, {"docs": 5}, {"docs": [5]}, [], {"docs": [], "new_edits": 5}, {"docs": [{"_id": "a"}], "new_edits": False}])
def test_requests_that_make_no_sense(database: Database, body) -> None:
    answer = database.request("POST", "/_bulk_docs", body)
    assert (answer.status, answer.value["error"]) == (400, "bad_request")


def test_one_bad_document_spoils_the_request(database: Database) -> None:
    answer = database.request("POST", "/_bulk_docs", {"docs": [{"_id": "a"}, {"_id": "b", "_other": 1}]})
    assert (answer.status, answer.value["error"]) == (400, "doc_validation")
    assert database.request("GET", "/a").status == 404


def test_revisions_taken_over_as_they_are(database: Database) -> None:
    docs = [{"_id": "a", "_rev": f"3-{'c' * 32}", "_revisions": {"start": 3, "ids": ["c" * 32, "b" * 32, "a" * 32]}, "n": 1}]
    for _again in range(2):
        answer = database.request("POST", "/_bulk_docs", {"docs": docs, "new_edits": False})
        assert (answer.status, answer.value) == (201, [])
    found = database.get("a", "?revs=true&revs_info=true&conflicts=true")
    assert found["_rev"] == f"3-{'c' * 32}" and "_conflicts" not in found
    assert [row["status"] for row in found["_revs_info"]] == ["available", "missing", "missing"]
    assert database.put("a", {"_rev": found["_rev"]}).startswith("4-")


def test_a_single_revision_taken_over(database: Database) -> None:
    answer = database.request("PUT", "/a?new_edits=false", {"_rev": "3-abc", "n": 1})
    assert (answer.status, answer.value) == (201, {"ok": True, "id": "a", "rev": "3-abc"})
    assert database.get("a") == {"_id": "a", "_rev": "3-abc", "n": 1}
    assert database.request("PUT", "/a?new_edits=false", {}).status == 400


def test_two_revisions_of_one_document_taken_over_at_once(database: Database) -> None:
    docs = [{"_id": "a", "_rev": "1-aa"}, {"_id": "a", "_rev": "1-bb"}]
    database.request("POST", "/_bulk_docs", {"docs": docs, "new_edits": False})
    assert database.get("a", "?conflicts=true") == {"_id": "a", "_rev": "1-bb", "_conflicts": ["1-aa"]}


def chain(*generations: int, **members) -> dict:
    """A document as it is copied in the newest of these generations, with the names of the others."""
    hashes = [f"{generation:x}" * 32 for generation in generations]
    return {"_id": "a", "_rev": f"{generations[0]}-{hashes[0]}", "_revisions": {"start": generations[0], "ids": hashes}, **members}


def copied(database: Database, *docs: dict) -> None:
    answer = database.request("POST", "/_bulk_docs", {"docs": list(docs), "new_edits": False})
    assert (answer.status, answer.value) == (201, [])


def leaves(database: Database) -> list:
    """The newest revisions of the document, and how many revisions each is known to have before it."""
    found = database.get("a", "?open_revs=all&revs=true")
    return sorted((each["ok"]["_rev"][:2], len(each["ok"]["_revisions"]["ids"])) for each in found)


def test_a_revision_that_brings_the_name_of_one_before_joins_it(database: Database) -> None:
    """So what is pushed need not bring all of its history."""
    copied(database, chain(2, 1))
    copied(database, chain(3, 2))
    assert leaves(database) == [("3-", 3)]
    copied(database, chain(4, 3, 2, 1))
    assert leaves(database) == [("4-", 4)]
    assert database.request("POST", "/_revs_diff", {"a": [chain(n)["_rev"] for n in (1, 2, 3, 4)]}).value == {}


def test_a_revision_that_brings_no_name_that_is_there_makes_a_branch(database: Database) -> None:
    """Which stays until a revision joins both: that it is there is no reason to bring it again."""
    copied(database, chain(1))
    copied(database, chain(3, 2))
    assert leaves(database) == [("1-", 1), ("3-", 2)]
    assert database.request("POST", "/_revs_diff", {"a": [chain(3)["_rev"]]}).value == {}
    copied(database, chain(4, 3, 2, 1))
    assert leaves(database) == [("4-", 4)]


def test_revisions_of_one_document_one_after_the_other_in_one_request(database: Database) -> None:
    copied(database, chain(1, n=1), chain(2, 1, n=2), chain(3, 2, n=3))
    assert leaves(database) == [("3-", 3)]
    assert [row["status"] for row in database.get("a", "?revs_info=true")["_revs_info"]] == ["available"] * 3


def test_a_deletion_that_is_copied_and_what_comes_after_it(database: Database) -> None:
    copied(database, chain(1))
    copied(database, chain(2, 1, _deleted=True))
    assert database.request("GET", "/a").status == 404
    copied(database, chain(3, 2, 1))
    assert leaves(database) == [("3-", 3)]
    copied(database, chain(2, 1, _deleted=True))
    assert leaves(database) == [("3-", 3)], "an older one that comes late changes nothing"


def test_many_documents(database: Database) -> None:
    answer = database.request("POST", "/_bulk_docs", {"docs": [{"_id": f"{number:05}", "n": number} for number in range(2000)]})
    assert len(answer.value) == 2000 and all(row["ok"] for row in answer.value)
    found = database.request("GET", "/_all_docs?include_docs=true&startkey=%2201990%22").value
    assert [row["doc"]["n"] for row in found["rows"]] == list(range(1990, 2000))
    assert (found["total_rows"], found["offset"]) == (2000, 1990)


@pytest.mark.parametrize(
    "query, expected",
    [
        ("", "abcde"),
        ("descending=true", "edcba"),
        ('startkey="b"', "bcde"),
        ('start_key="b"&end_key="d"', "bcd"),
        ('startkey="bb"&endkey="dd"', "cd"),
        ('startkey="b"&endkey="d"&inclusive_end=false', "bc"),
        ('startkey="d"&endkey="b"&descending=true', "dcb"),
        ('startkey="d"&endkey="b"&descending=true&inclusive_end=false', "dc"),
        ('startkey="d"&endkey="b"', ""),
        ('key="c"', "c"),
        ('key="bb"', ""),
        ("limit=2", "ab"),
        ("limit=0", ""),
        ("skip=3", "de"),
        ("skip=1&limit=2", "bc"),
        ("skip=1&limit=2&descending=true", "dc"),
        ("skip=9", ""),
        ('startkey="z"', ""),
    ],
)
def test_ranges(five: Database, query: str, expected: str) -> None:
    parts = [part.partition("=") for part in query.split("&") if part]
    assert "".join(ids(five, "&".join(f"{name}={quote(value)}" for name, _equals, value in parts))) == expected


def test_ids_are_in_the_order_of_their_bytes(database: Database) -> None:
    names = ["10", "2", "A", "Z", "a", "a/b", "aa", "é", "日", "😀"]
    database.request("POST", "/_bulk_docs", {"docs": [{"_id": name} for name in reversed(names)]})
    assert [row["id"] for row in database.request("GET", "/_all_docs").value["rows"]] == names


def test_offset_says_how_many_rows_come_before(five: Database) -> None:
    for query, offset in (("", 0), ("skip=2", 2), ("startkey=%22c%22", 2), ("descending=true&skip=1", 1)):
        assert five.request("GET", f"/_all_docs?{query}").value["offset"] == offset


def test_documents_in_a_range(five: Database) -> None:
    rows = five.request("GET", "/_all_docs?include_docs=true&limit=2").value["rows"]
    assert [row["doc"] for row in rows] == [{"_id": name, "_rev": row["value"]["rev"], "n": n} for n, (name, row) in enumerate(zip("ab", rows))]


def test_keys(five: Database) -> None:
    wanted = ["d", "missing", "bb", "a", "d"]
    posted = five.request("POST", "/_all_docs", {"keys": wanted})
    asked = five.request("GET", f"/_all_docs?keys={quote(str(wanted).replace(chr(39), chr(34)))}")
    for answer in (posted, asked):
        assert answer.status == 200 and answer.value["total_rows"] == 5
        rows = answer.value["rows"]
        assert [row["key"] for row in rows] == wanted
        assert rows[1] == {"key": "missing", "error": "not_found"}
        assert rows[2]["value"]["deleted"] is True and rows[2]["value"]["rev"].startswith("2-")
        assert rows[0] == rows[4]


def test_keys_with_documents(five: Database) -> None:
    rows = five.request("POST", "/_all_docs?include_docs=true", {"keys": ["a", "bb", "missing"]}).value["rows"]
    assert rows[0]["doc"]["n"] == 0
    assert rows[1]["doc"] is None
    assert "doc" not in rows[2]


def test_keys_with_limit_skip_and_order(five: Database) -> None:
    def found(query: str) -> list:
        return [row["key"] for row in five.request("POST", f"/_all_docs?{query}", {"keys": ["e", "a", "c"]}).value["rows"]]

    assert (found("limit=2"), found("skip=1"), found("descending=true")) == (["e", "a"], ["a", "c"], ["c", "a", "e"])


@pytest.mark.parametrize("query", ["limit=x", "limit=-1", "include_docs=maybe", "startkey=a", "keys=5", "key=b", "descending=1"])
def test_parameters_that_are_refused(five: Database, query: str) -> None:
    assert five.request("GET", f"/_all_docs?{query}").status == 400


def test_which_revisions_are_missing(database: Database) -> None:
    database.graft("a", "2-bbbb", "1-aaaa")
    wanted = {"a": ["2-bbbb", "1-aaaa"], "b": ["1-aaaa"]}
    assert database.request("POST", "/_revs_diff", wanted).value == {"b": {"missing": ["1-aaaa"]}}
    found = database.request("POST", "/_revs_diff", {"a": ["3-cccc", "2-bbbb"]}).value
    assert found == {"a": {"missing": ["3-cccc"], "possible_ancestors": ["2-bbbb"]}}
    assert database.request("POST", "/_revs_diff", {"a": ["x"]}).status == 400


def test_reading_many_documents(database: Database) -> None:
    database.graft("a", "1-aaaa", n=1)
    database.graft("a", "1-bbbb", n=2)
    wanted = [{"id": "a"}, {"id": "a", "rev": "1-aaaa"}, {"id": "a", "rev": "9-zzzz"}, {"id": "missing"}]
    answer = database.request("POST", "/_bulk_get?revs=true", {"docs": wanted})
    assert answer.status == 200
    rows = answer.value["results"]
    assert [row["id"] for row in rows] == ["a", "a", "a", "missing"]
    assert [sorted(each["ok"]["_rev"] for each in rows[number]["docs"] if "ok" in each) for number in (1, 2)] == [["1-aaaa"], []]
    assert rows[1]["docs"] == [{"ok": {"_id": "a", "_rev": "1-aaaa", "n": 1, "_revisions": {"start": 1, "ids": ["aaaa"]}}}]
    for number, revision in ((2, "9-zzzz"), (3, "undefined")):
        error = rows[number]["docs"][0]["error"]
        assert (error["error"], error["reason"], error["rev"]) == ("not_found", "missing", revision)
    assert "1-bbbb" in [each["ok"]["_rev"] for each in rows[0]["docs"]]
    assert database.request("POST", "/_bulk_get", {}).status == 400


def test_reading_older_revisions(database: Database) -> None:
    """As replication leaves them: of those in between the names are known, and not what they held."""
    database.graft("a", "1-aaaa", n=1)
    database.graft("a", "3-cccc", "2-bbbb", "1-aaaa", n=3)
    wanted = [{"id": "a", "rev": revision} for revision in ("3-cccc", "2-bbbb", "1-aaaa")]
    rows = database.request("POST", "/_bulk_get", {"docs": wanted}).value["results"]
    assert [[each.get("ok") for each in row["docs"]] for row in rows] == [
        [{"_id": "a", "_rev": "3-cccc", "n": 3}],
        [None],
        [{"_id": "a", "_rev": "1-aaaa", "n": 1}],
    ]
    assert rows[1]["docs"][0]["error"]["error"] == "not_found"
    assert database.get("a", "?revs_info=true")["_revs_info"] == [
        {"rev": "3-cccc", "status": "available"}, {"rev": "2-bbbb", "status": "missing"}, {"rev": "1-aaaa", "status": "available"},
    ]  # fmt: skip
