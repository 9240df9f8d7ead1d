# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The feed of changes. With more than one shard it is not in the order of the writes, so no test expects that."""

from __future__ import annotations

import threading
import time

import pytest

from .client import Answer, Database, quote


def changes(database: Database, query: str = "", **options) -> dict:
    """The feed's answer."""
    method = "POST" if "value" in options else "GET"
    answer = database.request(method, f"/_changes?{query}", **options)
    assert answer.status == 200, answer
    return answer.value


def names(found: dict) -> list:
    """The ids of the changes, sorted."""
    return sorted(row["id"] for row in found["results"])


def last(database: Database) -> str:
    """The sequence of the end of the feed, as it goes into a URL."""
    return quote(changes(database)["last_seq"])


def longpoll(database: Database, query: str, write, **options) -> Answer:
    """Start a longpoll, write after a moment, and return what it brings."""
    timer = threading.Timer(0.3, write)
    timer.start()
    try:
        method = "POST" if "value" in options else "GET"
        return database.request(method, f"/_changes?feed=longpoll&{query}", **options)
    finally:
        timer.join()


def test_each_document_is_there_once_with_its_latest_revision(database: Database) -> None:
    revisions = {name: database.put(name) for name in "abc"}
    revisions["a"] = database.put("a", {"_rev": revisions["a"]})
    found = changes(database)
    assert sorted(found) == ["last_seq", "pending", "results"]
    assert found["pending"] == 0
    assert names(found) == ["a", "b", "c"]
    for row in found["results"]:
        assert row["changes"] == [{"rev": revisions[row["id"]]}]
        assert isinstance(row["seq"], str) and sorted(row) == ["changes", "id", "seq"]


def test_an_empty_database(database: Database) -> None:
    found = changes(database)
    assert (found["results"], found["pending"]) == ([], 0)
    assert isinstance(found["last_seq"], str)


def test_a_deleted_document_is_marked(database: Database) -> None:
    database.request("DELETE", f"/a?rev={database.put('a')}")
    row = changes(database)["results"][0]
    assert row["deleted"] is True and row["changes"][0]["rev"].startswith("2-")


def test_going_on_from_the_last_sequence(database: Database) -> None:
    revision = database.put("a")
    database.put("b")
    since = last(database)
    assert changes(database, f"since={since}")["results"] == []
    database.put("a", {"_rev": revision})
    assert names(changes(database, f"since={since}")) == ["a"]


def test_going_on_from_any_sequence_misses_nothing(database: Database) -> None:
    database.request("POST", "/_bulk_docs", {"docs": [{"_id": str(number)} for number in range(20)]})
    seen, since = set(), "0"
    while True:
        found = changes(database, f"limit=3&since={quote(since)}")
        seen.update(names(found))
        since = found["last_seq"]
        if not found["pending"]:
            break
    assert seen == {str(number) for number in range(20)}
    assert changes(database, f"since={quote(since)}")["results"] == []


def test_limit_and_pending(database: Database) -> None:
    for name in "abcd":
        database.put(name)
    found = changes(database, "limit=3")
    assert (len(found["results"]), found["pending"]) == (3, 1)
    assert found["last_seq"] == found["results"][-1]["seq"]
    assert len(changes(database, f"since={quote(found['last_seq'])}")["results"]) == 1
    nothing = changes(database, "limit=0")
    assert nothing["results"] == []
    assert len(changes(database, f"since={quote(nothing['last_seq'])}")["results"]) == 4


def test_now(database: Database) -> None:
    database.put("a")
    found = changes(database, "since=now")
    assert found["results"] == []
    database.put("b")
    assert names(changes(database, f"since={quote(found['last_seq'])}")) == ["b"]


@pytest.mark.parametrize("since", ["abc", "5", "99-abc", "-1", ""])
def test_sequences_that_are_refused(database: Database, since: str) -> None:
    database.put("a")
    answer = database.request("GET", f"/_changes?since={since}")
    assert (answer.status, answer.value["error"]) == (400, "bad_request")


def test_a_database_made_again_starts_over(database: Database) -> None:
    for name in "abc":
        database.put(name)
    since = last(database)
    database.request("DELETE")
    assert database.request("PUT").status == 201
    database.put("d")
    assert names(changes(database, f"since={since}")) == ["d"]


def test_documents_in_the_feed(database: Database) -> None:
    database.put("a", {"n": 1})
    database.request("DELETE", f"/b?rev={database.put('b')}")
    rows = {row["id"]: row for row in changes(database, "include_docs=true")["results"]}
    assert rows["a"]["doc"] == database.get("a")
    assert rows["b"]["doc"] == {"_id": "b", "_rev": rows["b"]["changes"][0]["rev"], "_deleted": True}


def test_descending(database: Database) -> None:
    for name in "abc":
        database.put(name)
    found = changes(database, "descending=true")
    assert names(found) == ["a", "b", "c"]
    assert len(changes(database, "descending=true&limit=2")["results"]) == 2


def test_all_leaves_or_only_the_winner(database: Database) -> None:
    database.graft("a", "1-aaaa")
    database.graft("a", "1-bbbb")
    assert [row["rev"] for row in changes(database)["results"][0]["changes"]] == ["1-bbbb"]
    leaves = changes(database, "style=all_docs")["results"][0]["changes"]
    assert sorted(row["rev"] for row in leaves) == ["1-aaaa", "1-bbbb"]


def test_only_some_documents(database: Database) -> None:
    for name in "abcd":
        database.put(name)
    database.request("DELETE", f"/d?rev={database.get('d')['_rev']}")
    wanted = ["a", "d", "missing"]
    assert names(changes(database, "filter=_doc_ids", value={"doc_ids": wanted})) == ["a", "d"]
    assert names(changes(database, "filter=_doc_ids&doc_ids=" + quote('["a","d"]'))) == ["a", "d"]
    since = last(database)
    assert changes(database, f"filter=_doc_ids&since={since}", value={"doc_ids": wanted})["results"] == []


@pytest.mark.parametrize("body", [{}, {"doc_ids": "a"}])
def test_a_filter_without_a_list_is_refused(database: Database, body: dict) -> None:
    answer = database.request("POST", "/_changes?filter=_doc_ids", body)
    assert (answer.status, answer.value["error"]) == (400, "bad_request")


def test_a_longpoll_with_something_to_tell_answers_at_once(database: Database) -> None:
    database.put("a")
    start = time.monotonic()
    assert names(changes(database, "feed=longpoll&timeout=10000")) == ["a"]
    assert time.monotonic() - start < 5


def test_a_longpoll_waits_for_a_write(database: Database) -> None:
    database.put("a")
    since = last(database)
    start = time.monotonic()
    answer = longpoll(database, f"timeout=20000&since={since}", lambda: database.put("b"))
    assert 0.25 < time.monotonic() - start < 10
    assert names(answer.value) == ["b"]
    assert changes(database, f"since={quote(answer.value['last_seq'])}")["results"] == []


def test_a_longpoll_ends_after_its_timeout(database: Database) -> None:
    database.put("a")
    since = last(database)
    start = time.monotonic()
    found = changes(database, f"feed=longpoll&timeout=700&since={since}")
    assert 0.6 < time.monotonic() - start < 5
    assert found["results"] == []
    assert changes(database, f"since={quote(found['last_seq'])}")["results"] == []


def test_a_longpoll_from_now(database: Database) -> None:
    database.put("a")
    answer = longpoll(database, "timeout=20000&since=now", lambda: database.put("b"))
    assert names(answer.value) == ["b"]


def test_a_filtered_longpoll_sleeps_through_other_writes(database: Database) -> None:
    database.put("a")
    since = last(database)
    start = time.monotonic()
    wanted = {"doc_ids": ["c"]}
    answer = longpoll(database, f"timeout=1200&filter=_doc_ids&since={since}", lambda: database.put("b"), value=wanted)
    assert time.monotonic() - start > 1
    assert answer.value["results"] == []
    assert changes(database, f"since={quote(answer.value['last_seq'])}")["results"] == []  # it went past what it did not tell


def test_a_filtered_longpoll_wakes_for_its_document(database: Database) -> None:
    database.put("a")
    since = last(database)
    answer = longpoll(database, f"timeout=20000&filter=_doc_ids&since={since}", lambda: database.put("c"), value={"doc_ids": ["c"]})
    assert names(answer.value) == ["c"]


def test_many_followers(database: Database) -> None:
    since = last(database)
    found = []

    def follow() -> None:
        found.append(names(changes(database, f"feed=longpoll&timeout=20000&since={since}")))

    threads = [threading.Thread(target=follow) for _each in range(20)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    database.put("a")
    for thread in threads:
        thread.join(30)
    assert found == [["a"]] * 20
