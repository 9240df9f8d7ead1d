# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Revisions of objects that a database has: of those in between that were compacted away, or never carried to it, it knows the names alone."""

from __future__ import annotations

import typing as t

from ..documents import Json, batches
from ..interface import History, Revision
from .client import Client, path

_BATCH = 50
"""Revisions in one answer: most are not asked for, as what is looked for is among the newest."""
_ROWS = 2000
"""Documents in one answer."""


class CouchHistory(History):
    """The history in a server's databases."""

    def __init__(self, client: Client, prefix: str) -> None:
        self._client = client
        self._prefix = prefix

    def named(self, database: str, name: str) -> t.List[str]:
        rows = self._client.get(path(self._prefix + database, "_all_docs", include_docs=True))["rows"]
        return [str(row["id"]) for row in rows if name == row["id"] or name == row["doc"].get("info", {}).get("name")]

    def revisions(self, database: str, identity: str) -> t.Iterator[Revision]:
        return revisions(self._client, self._prefix + database, identity)


def revisions(client: Client, database: str, name: str) -> t.Iterator[Revision]:
    """The revisions of an object that the database has, the newest first.

    What settling has removed was never the master's: it is there, and removed with the serial number of its own.
    """
    removals: t.List[str] = []
    for document in bodies(client, database, name):
        if "serial" not in document:
            removals.append(document["_rev"])
            continue
        yield from (Revision(rev, _generation(rev), document["serial"], None) for rev in removals)
        removals.clear()
        yield revision(document)


def bodies(client: Client, database: str, name: str) -> t.Iterator[Json]:
    """The revisions of any document that the database has, the newest first, as documents."""
    row = client.post(path(database, "_all_docs"), {"keys": [name]})["rows"][0]  # tells of documents that were deleted, too
    if not row.get("value"):
        return
    generations = client.get(path(database, name, rev=row["value"]["rev"], revs=True))["_revisions"]
    revs = [f"{generations['start'] - back}-{identity}" for back, identity in enumerate(generations["ids"])]
    for some in batches(revs, _BATCH):
        found = _bodies(client, database, name, some)
        yield from (found[rev] for rev in some if rev in found)


def _bodies(client: Client, database: str, name: str, revs: t.Sequence[str]) -> t.Dict[str, Json]:
    """Those of the revisions that the database has."""
    results = client.post(path(database, "_bulk_get"), {"docs": [{"id": name, "rev": rev} for rev in revs]})["results"]
    return {row["ok"]["_rev"]: row["ok"] for result in results for row in result["docs"] if "ok" in row}


def _generation(rev: str) -> int:
    return int(rev.partition("-")[0])


def revision(document: Json) -> Revision:
    """A revision as its document tells it."""
    return Revision(document["_rev"], _generation(document["_rev"]), document["serial"], None if document.get("_deleted") else document["info"])


def newest(client: Client, database: str) -> t.Iterator[Json]:
    """The newest revisions of all documents but those of the design; deletions are some too."""
    since = "0"
    while True:
        answer = client.get(path(database, "_changes", include_docs=True, limit=_ROWS, since=since))
        yield from (row["doc"] for row in answer["results"] if not row["id"].startswith("_design/"))
        if len(answer["results"]) < _ROWS:
            return
        since = answer["last_seq"]
