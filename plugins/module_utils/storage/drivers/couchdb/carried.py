# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What is brought to a standby of what was written to the master's own database: in which order, and with how much of its history.

1. A document goes with the revision that the own server gave it, and with the names of those before, back to one that the standby is known to have, or to the
   first of all. So there it becomes what replication would make of it, and a replication that runs beside finds it there and makes no second branch.
2. Objects go before ``config_data``, which says that all of them are there, and it goes when the standby has answered that it has them.
3. A job goes into the archive before it goes from the queue; where it was not brought into the archive from here, its removal is left to replication.

Nothing here talks to anybody.
"""

from __future__ import annotations

import typing as t

from ..documents import ARCHIVE, CONFIG, CONTAINERS, QUEUE, SSCONF, Json

ORDER = (ARCHIVE, QUEUE, SSCONF, *CONTAINERS, CONFIG)


class Change(t.NamedTuple):
    """A document with its new revision, as it was written into a database, and the revision on top of which it was; None where that is not known."""

    database: str
    document: Json
    parent: t.Optional[str]

    @property
    def name(self) -> str:
        """The document's id."""
        return str(self.document["_id"])

    @property
    def rev(self) -> str:
        """The document's new revision."""
        return str(self.document["_rev"])


def changes(database: str, batch: t.Iterable[Json], made: t.Mapping[str, str]) -> t.List[Change]:
    """Those of the documents that were written, which got these revisions."""
    return [Change(database, {**each, "_rev": made[each["_id"]]}, each.get("_rev")) for each in batch if each["_id"] in made]


def in_order(waiting: t.Sequence[Change]) -> t.Iterator[t.Tuple[str, t.List[Change]]]:
    """The changes by their databases. Whatever waits is brought together, of a document all its revisions in their order."""
    for database in ORDER:
        found = [each for each in waiting if each.database == database]
        if found:
            yield database, found


class There:
    """Which revisions a standby is known to have, as it has answered that it has them."""

    def __init__(self) -> None:
        self._revs: t.Dict[t.Tuple[str, str], str] = {}
        self._archived: t.Set[str] = set()

    def note(self, database: str, name: str, rev: str) -> None:
        """It has a document in this revision."""
        self._revs[database, name] = rev

    def noted(self, change: Change) -> None:
        """It has got a change."""
        if change.document.get("_deleted"):
            self._revs.pop((change.database, change.name), None)
            self._archived.discard(change.name)
        elif change.database == ARCHIVE:  # what is archived changes no more
            self._archived.add(change.name)
        else:
            self.note(change.database, change.name, change.rev)

    def may_have(self, change: Change) -> bool:
        """Whether a change may be brought: of jobs that go from the queue, those that it has in the archive."""
        return change.database != QUEUE or not change.document.get("_deleted") or change.name in self._archived

    def history(self, change: Change, before: t.Mapping[str, str]) -> t.Optional[Json]:
        """The names of a change's revisions as far as the standby needs them; None where that is not known. *before* are the revisions of documents that are
        brought with it and come first.
        """
        generation, _dash, identity = change.rev.partition("-")
        if generation == "1":
            return {"start": 1, "ids": [identity]}
        known = before.get(change.name, self._revs.get((change.database, change.name)))
        if change.parent is None or change.parent != known:
            return None
        return {"start": int(generation), "ids": [identity, change.parent.partition("-")[2]]}


def with_history(change: Change, history: Json) -> Json:
    """The document as a server takes it over as it is."""
    return {**change.document, "_revisions": history}
