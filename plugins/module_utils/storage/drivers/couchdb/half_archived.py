# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Jobs that a cut has caught on their way from the queue to the archive.

A master writes a job to the archive first and removes it from the queue then. But the databases are carried each for itself: where a standby has heard of the
removal alone, it would have lost a job that it had. What the job was is there still, as an earlier revision, until CouchDB compacts the database.

1. Only a removal that a master has signed counts (conflicts.py): what settling removed was never a job of the master's.
2. A job of which the archive has ever heard is none of these, be it that it was cleaned up since.
"""

from __future__ import annotations

import typing as t

from ..documents import ARCHIVE, QUEUE, Json
from . import conflicts, revisions
from .client import Client, path


def find(client: Client, prefix: str) -> t.Iterator[t.Tuple[int, Json]]:
    """These jobs, as they were last in the queue as far as the server knows."""
    removed = {row["id"]: row["changes"][0]["rev"] for row in _changes(client, prefix + QUEUE) if row.get("deleted") and row["id"].isdigit()}
    if removed:
        removed = {name: removed[name] for name in removed.keys() - {row["id"] for row in _changes(client, prefix + ARCHIVE)}}
    for name in sorted(removed, key=int):
        found = revisions.bodies(client, prefix + QUEUE, name)
        tombstone = next(found, None)
        job = next((each for each in found if "info" in each), None)
        if tombstone is not None and conflicts.is_signed(tombstone) and job is not None:
            yield int(name), job["info"]


def _changes(client: Client, database: str) -> t.List[Json]:
    return t.cast("t.List[Json]", client.get(path(database, "_changes"))["results"])
