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
    newest = client.get(path(database, name, revs_info=True), missing=True) or _deleted(client, database, name)
    if newest is None:
        return
    for each in newest["_revs_info"]:
        if each["status"] == "missing":  # compacted away
            continue
        yield revision(client.get(path(database, name, rev=each["rev"])))


def _deleted(client: Client, database: str, name: str) -> t.Optional[Json]:
    """The last revision of a document that was deleted, or None where there never was one."""
    answer = client.post(path(database, "_all_docs"), {"keys": [name]})
    value = answer["rows"][0].get("value")
    if not value:
        return None
    return t.cast(Json, client.get(path(database, name, rev=value["rev"], revs_info=True)))


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
