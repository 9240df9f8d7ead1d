# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Which documents a server holds, in which revisions, so that it is seen what a standby lacks without reading it all.

A revision's name stands for its content, as CouchDB makes it a digest. Archived jobs, of which there may be very many and which never change,
are counted. While the master writes, a standby is always a moment late; so the master is looked at twice, and only what it held both times
counts as lacking, and only what it held neither time as left over.
"""

from __future__ import annotations

import typing as t

from ..documents import ARCHIVE, DATABASES, QUEUE, SERIAL
from ..interface import Queue
from .client import Client, path

_NAMED = 3
"""Documents that are named where many are lacking."""


class Contents(t.NamedTuple):
    """What a server holds: revisions by database and id, of all databases but the archive; and how many archived jobs."""

    revs: t.Mapping[str, t.Mapping[str, str]]
    archived: int


class Gap(t.NamedTuple):
    """What a server lacks of a database, or has in another revision, by ids as far as they are known; of how many documents; how many it has too many."""

    lacking: int
    total: int
    extra: int
    names: t.Sequence[str] = ()

    def __str__(self) -> str:
        names = ", ".join(self.names[:_NAMED]) + (", ..." if len(self.names) > _NAMED else "")
        words = [f"lacks {self.lacking} of {self.total}" + (f" ({names})" if names else "")] if self.lacking else []
        return " and ".join([*words, *([f"has {self.extra} too many"] if self.extra else [])])


def read(client: Client, prefix: str) -> Contents:
    """What a server holds now. Raises StorageFailed where a database is missing."""
    revs = {name: _revs(client, prefix + name) for name in DATABASES if name != ARCHIVE}
    return Contents(revs, int(client.get(path(prefix + ARCHIVE))["doc_count"]))


def _revs(client: Client, database: str) -> t.Dict[str, str]:
    rows = client.get(path(database, "_all_docs"))["rows"]
    return {row["id"]: row["value"]["rev"] for row in rows if not row["id"].startswith("_design/")}


def last_job(client: Client, prefix: str) -> t.Optional[int]:
    """The last job id that was given out, as a server has it; a new master goes on numbering from there. None where it has none."""
    found = client.get(path(prefix + QUEUE, SERIAL), missing=True)
    return int(found["value"]) if found else None


def of_files(queue: Queue, own: Contents) -> Contents:
    """What of the queue the files of a master say that its own database is to hold: what is there is as it should be, its content is not compared."""
    names = [*map(str, sorted(queue.jobs)), *([SERIAL] if queue.serial or SERIAL in own.revs[QUEUE] else [])]
    return Contents({QUEUE: {name: own.revs[QUEUE].get(name, "") for name in names}}, len(queue.archived))


def gaps(before: Contents, after: Contents, other: Contents) -> t.Dict[str, Gap]:
    """How a server differs, by database, from what the master held *before* and *after* it was looked at."""
    found = {name: _gap(revs, after.revs[name], other.revs[name]) for name, revs in before.revs.items()}
    few, many = min(before.archived, after.archived) - other.archived, other.archived - max(before.archived, after.archived)
    found[ARCHIVE] = Gap(max(few, 0), after.archived, max(many, 0))
    return {name: gap for name, gap in found.items() if gap.lacking or gap.extra}


def _gap(before: t.Mapping[str, str], after: t.Mapping[str, str], other: t.Mapping[str, str]) -> Gap:
    lacking = sorted(name for name, rev in before.items() if after.get(name) == rev != other.get(name))
    return Gap(len(lacking), len(after), len(other.keys() - before.keys() - after.keys()), lacking)
