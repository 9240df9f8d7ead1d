# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Many documents in few requests, and what became of each."""

from __future__ import annotations

import typing as t

from ...._errors import StorageFailed, StorageRefused
from ..documents import Json
from . import pieces
from .client import Client, path

_FOR_GOOD = ("forbidden", "unauthorized", "doc_validation", "document_too_large", "bad_request")
"""Errors of one document that no other try mends: its content, or a rule of the database's own, is the reason."""


class Sent(t.NamedTuple):
    """What became of documents: the new revisions of those that were written, those that have another revision there, and those that are not taken and why."""

    made: t.Dict[str, str]
    conflicts: t.Set[str]
    refused: t.Dict[str, str]


def send(
    client: Client, database: str, batch: t.Sequence[Json], went_on: t.Optional[t.Callable[[int], None]] = None, as_they_are: bool = False
) -> Sent:
    """Write documents, in pieces, as what a request costs the server grows faster than it does; *went_on* is called after each.

    *as_they_are* they have revisions already, as replication writes them: those are taken over beside whatever is there, and no conflict is told.
    """
    whole = Sent({}, set(), {})
    for piece in pieces.of(batch):
        whole = _together(whole, _send(client, database, piece, {"new_edits": False} if as_they_are else {}))
        if went_on:
            went_on(len(piece))
    return whole


def _send(client: Client, database: str, batch: t.Sequence[Json], options: t.Mapping[str, bool]) -> Sent:
    """Write documents, in one request where the server takes all of them.

    It refuses a request as a whole for one document that is too large. Halves of it are sent then, and their halves, until the document is alone.
    """
    try:
        answers = client.post(path(database, "_bulk_docs"), {**options, "docs": list(batch)})
    except StorageRefused as error:
        if len(batch) == 1:
            return Sent({}, set(), {batch[0]["_id"]: error.message})
        half = len(batch) // 2
        return _together(_send(client, database, batch[:half], options), _send(client, database, batch[half:], options))
    return _sent(client, database, answers)


def _together(one: Sent, other: Sent) -> Sent:
    return Sent({**one.made, **other.made}, one.conflicts | other.conflicts, {**one.refused, **other.refused})


def _sent(client: Client, database: str, answers: t.Sequence[Json]) -> Sent:
    """What the server says of each document; raise StorageFailed for what another try may mend."""
    sent = Sent({}, set(), {})
    for each in answers:
        name, error = each["id"], each.get("error")
        why = f"CouchDB at {client.server.url} did not take {name} in {database}: {each.get('reason', error)}."
        if error is None:
            sent.made[name] = each["rev"]
        elif error == "conflict":
            sent.conflicts.add(name)
        elif error in _FOR_GOOD:
            sent.refused[name] = why
        else:
            raise StorageFailed(why)
    return sent
