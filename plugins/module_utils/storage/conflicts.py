# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Documents that two have written: a master and, until it learned of it, the one before.

The files of today's master are the truth. In its own database the losing revisions go, and what won is compared with the files afterwards.
In a standby's database everything goes that the master's never had. What goes can still be read as history.
"""

from __future__ import annotations

import typing as t

from .._errors import StorageFailed
from .client import Client, path
from .documents import Json

_BATCH = 1000


def find(client: Client, database: str) -> t.Dict[str, t.List[str]]:
    """The losing revisions, by the ids of their documents."""
    found = {name: _live(client, database, name)[1:] for name, revs in _leaves(client, database).items() if len(revs) > 1}
    return {name: revs for name, revs in found.items() if revs}


def resolve(client: Client, database: str) -> t.List[str]:
    """Remove the losing revisions; the ids of their documents."""
    found = find(client, database)
    _remove(client, database, found)
    return sorted(found)


def settle(master: Client, standby: Client, database: str) -> t.List[str]:
    """Remove from the standby's database all revisions that the master's never had; the ids of their documents.

    The standby is asked first. So what the master writes meanwhile is known to it, and stays.
    """
    leaves = _leaves(standby, database)
    names = sorted(leaves)
    found: t.Dict[str, t.List[str]] = {}
    for start in range(0, len(names), _BATCH):
        asked = {name: leaves[name] for name in names[start : start + _BATCH]}
        for name, answer in master.post(path(database, "_revs_diff"), asked).items():
            strange = [rev for rev in _live(standby, database, name) if rev in answer["missing"]]
            if strange:
                found[name] = strange
    _remove(standby, database, found)
    return sorted(found)


def _leaves(client: Client, database: str) -> t.Dict[str, t.List[str]]:
    """The newest revisions of all documents, several where two have written; deletions are revisions too."""
    rows = client.get(path(database, "_changes", style="all_docs"))["results"]
    return {row["id"]: [each["rev"] for each in row["changes"]] for row in rows}


def _live(client: Client, database: str, name: str) -> t.List[str]:
    """The newest revisions of a document that are no deletions, the winning one first."""
    document: t.Optional[Json] = client.get(path(database, name, conflicts=True), missing=True)
    return [] if document is None else [document["_rev"], *document.get("_conflicts", [])]


def _remove(client: Client, database: str, found: t.Mapping[str, t.Sequence[str]]) -> None:
    batch = [{"_id": name, "_rev": rev, "_deleted": True} for name, revs in found.items() for rev in revs]
    answers = client.post(path(database, "_bulk_docs"), {"docs": batch}) if batch else []
    bad = [each for each in answers if "error" in each and each["error"] != "conflict"]  # a conflict: it went meanwhile
    if bad:
        raise StorageFailed(f"CouchDB at {client.server.url} did not remove a revision of {bad[0]['id']} in {database}: {bad[0].get('reason')}.")
