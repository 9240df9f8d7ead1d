# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Revisions of an object that a database still has, and all objects as they were at a serial number."""

from __future__ import annotations

import typing as t

from .._errors import StorageIncomplete
from .client import Client, path
from .documents import Documents, Json


class Revision(t.NamedTuple):
    """A revision of a document; the object is None where it was deleted, the serial number that of the configuration then."""

    rev: str
    serial: int
    info: t.Optional[Json]


def revisions(client: Client, database: str, name: str) -> t.Iterator[Revision]:
    """The revisions of an object, the newest first, as far back as the database has them."""
    row = client.post(path(database, "_all_docs"), {"keys": [name]})["rows"][0]  # tells of documents that were deleted, too
    if not row.get("value"):
        return
    newest = client.get(path(database, name, rev=row["value"]["rev"], revs=True))
    generations = newest["_revisions"]
    for back, identity in enumerate(generations["ids"]):
        rev = f"{generations['start'] - back}-{identity}"
        found = client.get(path(database, name, rev=rev), missing=True)
        if found is not None:  # or it was compacted away
            yield revision(found)


def revision(document: Json) -> Revision:
    """A revision as its document tells it."""
    return Revision(document["_rev"], document["serial"], None if document.get("_deleted") else document["info"])


def as_of(client: Client, database: str, serial: int) -> Documents:
    """The objects as they were when the configuration had this serial number; raise StorageIncomplete where that is no longer known."""
    result: Documents = {}
    for row in client.get(path(database, "_changes", include_docs=True))["results"]:
        document = row["doc"]
        if row["id"].startswith("_design/"):
            continue
        if document["serial"] > serial:
            document = _older(client, database, row["id"], serial)
        if document is not None and not document.get("_deleted"):
            result[row["id"]] = document
    return result


def _older(client: Client, database: str, name: str, serial: int) -> t.Optional[Json]:
    """The newest revision that is not newer than *serial*; None where the object is younger."""
    oldest = None
    for found in revisions(client, database, name):
        if found.serial <= serial:
            return {"_id": name, "serial": found.serial, "info": found.info, "_deleted": found.info is None}
        oldest = found
    if oldest is None or not oldest.rev.startswith("1-"):
        raise StorageIncomplete(f"{database} no longer has {name} as it was at serial number {serial}: its older revisions were compacted away.")
    return None
