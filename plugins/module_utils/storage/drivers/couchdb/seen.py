# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""How far a database's changes were seen, so that a service that starts looks at what came since, and not at 100,000 jobs.

1. It is noted in the database itself, as a document that is never replicated. So it goes when the database does, and is as old as the database is where
   that is a copy put back.
2. What is noted for a sequence is what was there then: which documents, and that no losing revisions were left of any. It comes from the feed of changes
   alone, and never from what this service believes to have written. So whoever writes, or deletes, meanwhile, is in the feed afterwards.
3. Where the server does not know the sequence, or counts other documents than that makes, everything is looked at.
"""

from __future__ import annotations

import contextlib
import typing as t

from ...._errors import StorageRefused
from ..documents import Json
from . import conflicts
from .client import Client, path

_NOTE = ("_local", "ganeti-seen")
_MANY = 500
"""Changes that are worth a note: less is read in a moment."""
_MOST = 10_000_000
"""More jobs than anybody has: a note that names more is none of ours."""


class Seen(t.NamedTuple):
    """The sequence, the ids of the documents that were there, and how many changes are not noted yet."""

    since: str = "0"
    held: t.FrozenSet[str] = frozenset()
    more: int = 0

    @property
    def jobs(self) -> t.FrozenSet[int]:
        """The jobs among them."""
        return frozenset(int(name) for name in self.held if _is_number(name))


def resolve(client: Client, database: str, seen: t.Optional[Seen] = None) -> Seen:
    """Remove the losing revisions of what has changed since, or since what is noted; what is seen then."""
    known = seen or _noted(client, database)
    now, leaves = _advanced(client, database, known)
    conflicts.remove(client, database, conflicts.losing(client, database, leaves))
    return now


def current(client: Client, database: str, seen: Seen) -> Seen:
    """What is there now; nothing is removed, so it is not to be noted."""
    return _advanced(client, database, seen)[0]


def note(client: Client, database: str, seen: Seen) -> Seen:
    """Note it, where that is worth it."""
    if seen.more < _MANY:
        return seen
    numbers = sorted(seen.jobs)
    content = {"since": seen.since, "jobs": _ranges(numbers), "others": sorted(seen.held - {str(number) for number in numbers})}
    # Of very many jobs with gaps it may be too large for this server. The next start looks at everything then, as it would without.
    with contextlib.suppress(StorageRefused):
        client.put(path(database, *_NOTE), content)
    return seen._replace(more=0)


def _noted(client: Client, database: str) -> Seen:
    """What is noted; nothing is where somebody else has written something else there."""
    found = client.get(path(database, *_NOTE), missing=True)
    if found is None:
        return Seen()
    try:
        rows = [(int(first), int(last)) for first, last in found["jobs"]]
        if sum(last - first + 1 for first, last in rows) > _MOST:
            return Seen()
        jobs = (str(number) for first, last in rows for number in range(first, last + 1))
        return Seen(str(found["since"]), frozenset([*jobs, *map(str, found["others"])]))
    except (KeyError, TypeError, ValueError):
        return Seen()


def _advanced(client: Client, database: str, seen: Seen) -> t.Tuple[Seen, t.Dict[str, t.List[str]]]:
    """What is seen now, and the newest revisions of what has changed, by ids."""
    try:
        now, leaves = _changes(client, database, seen)
    except StorageRefused:
        if seen.since == Seen().since:
            raise
        return _changes(client, database, Seen())
    if seen.since != Seen().since and int(client.get(path(database))["doc_count"]) != len(now.held):
        return _changes(client, database, Seen())
    return now, leaves


def _changes(client: Client, database: str, seen: Seen) -> t.Tuple[Seen, t.Dict[str, t.List[str]]]:
    answer = client.get(path(database, "_changes", style="all_docs", since=seen.since))
    rows: t.List[Json] = answer["results"]
    gone = {row["id"] for row in rows if row.get("deleted")}
    there = {row["id"] for row in rows} - gone
    leaves = {row["id"]: [each["rev"] for each in row["changes"]] for row in rows}
    return Seen(str(answer["last_seq"]), (seen.held - gone) | there, seen.more + len(rows)), leaves


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit() and (name == "0" or not name.startswith("0"))


def _ranges(numbers: t.Sequence[int]) -> t.List[t.List[int]]:
    """Numbers in their order as first and last ones of rows without a gap, which jobs mostly are."""
    found: t.List[t.List[int]] = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return found
