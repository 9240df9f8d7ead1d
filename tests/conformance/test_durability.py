# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an answer promises: an acknowledged write is there for every reader, whoever else writes."""

from __future__ import annotations

import threading
import typing as t

from .client import Database


def in_threads(count: int, work: t.Callable[[int], None]) -> None:
    """Run *work* in several threads at once."""
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()


def test_an_acknowledged_write_is_read_at_once(database: Database) -> None:
    for number in range(20):
        name = str(number)
        revision = database.put(name, {"n": number})
        assert database.get(name) == {"_id": name, "_rev": revision, "n": number}
        assert database.request("GET").value["doc_count"] == number + 1
        assert len(database.request("GET", "/_all_docs").value["rows"]) == number + 1
        assert len(database.request("GET", "/_changes").value["results"]) == number + 1


def test_of_writers_that_race_one_wins_each_time(database: Database) -> None:
    database.put("a", {"n": 0})

    def increment(_number: int) -> None:
        done = 0
        while done < 5:
            document = database.get("a")
            status = database.request("PUT", "/a", {**document, "n": document["n"] + 1}).status
            assert status in (201, 409)
            done += status == 201

    in_threads(8, increment)
    found = database.get("a", "?conflicts=true")
    assert found["n"] == 40 and found["_rev"].startswith("41-") and "_conflicts" not in found


def test_of_creators_that_race_one_wins(database: Database) -> None:
    statuses: t.List[int] = []
    in_threads(8, lambda number: statuses.append(database.request("PUT", "/a", {"n": number}).status))
    assert sorted(statuses) == [201] + [409] * 7


def test_nothing_is_lost_among_many_writers(database: Database) -> None:
    def write(number: int) -> None:
        for count in range(20):
            database.put(f"{number}-{count}", {"n": count})

    in_threads(8, write)
    rows = database.request("GET", "/_all_docs?include_docs=true").value["rows"]
    assert sorted((row["id"], row["doc"]["n"]) for row in rows) == sorted((f"{n}-{c}", c) for n in range(8) for c in range(20))
    assert len(database.request("GET", "/_changes").value["results"]) == 160
