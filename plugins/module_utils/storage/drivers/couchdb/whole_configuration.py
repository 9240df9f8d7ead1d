# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The newest whole configuration that a server's databases hold, wherever the writes or the replications to it were cut off.

1. What is read is, object by object, what the master had at one serial number: the digests in ``config_data`` say so, or it is not read.
2. Of all states of which the server has the document ``config_data``, it is the newest for which that holds.
3. The objects are those that are there, as is the rule. Else some of them are what ``config_data`` itself says of them (see `recent`). Else those that
   are newer are their newest revisions that are not. Each may be wrong, where a revision in between is missing, or where a restore took serial
   numbers back, and rule 1 finds that.
"""

from __future__ import annotations

import typing as t

from ...._errors import GanetiError, StorageIncomplete
from .. import documents
from ..documents import CONFIG, CONTAINERS, Documents, Json
from ..interface import Newest, Revision
from . import last_writes, revisions
from .client import Client, Server, brief, path

FAR = 200
"""How many revisions of ``config_data`` are tried: those of twenty seconds at least."""
_EVER = float("inf")
"""A serial number than which nothing is newer."""


def newest(client: Client, prefix: str) -> t.Optional[Newest]:
    """The newest configuration that is whole; None where there is none at all, StorageIncomplete where there are some and none is whole."""
    held = {container: _Held(client, prefix + container) for container in CONTAINERS}
    problem: t.List[str] = []
    first: t.Optional[Json] = None
    for head in _heads(client, prefix + CONFIG):
        found, wrong = _state(head, held)
        if first is None:
            first, problem = head, wrong
        if not wrong:
            return Newest(_joined(head, found), abs(first["serial"] - head["serial"]))  # a restore takes them back
    if first is None:
        return None
    what = f"The configuration with serial number {first['serial']} is not complete at {client.server.url}: {', '.join(problem)} do not fit it"
    raise StorageIncomplete(f"{what}, and no older one is whole there either. Make another node the master, or restore a snapshot.", containers=problem)


def glance(server: Server, prefix: str) -> t.Union[int, str, None]:
    """The serial number of that configuration on a server that may be away; None where there is none, words where the server does not tell soon."""
    try:
        with brief(server) as client:
            found = newest(client, prefix)
    except GanetiError as error:
        return error.message
    return None if found is None else found.serial


def _heads(client: Client, database: str) -> t.Iterator[Json]:
    """The documents ``config_data`` that the database has, the newest first. Revisions whose content it never got, or has no more, are not asked for."""
    head = client.get(path(database, CONFIG, revs_info=True), missing=True)
    if head is None:
        return
    yield head
    for row in head["_revs_info"][1 : FAR + 1]:
        older = client.get(path(database, CONFIG, rev=row["rev"]), missing=True) if row["status"] == "available" else None
        if older is not None:
            yield older


def _state(head: Json, held: t.Mapping[str, _Held]) -> t.Tuple[t.Dict[str, Documents], t.List[str]]:
    """The objects for which *head* was written, as far as they are known; and the containers in which they are not."""
    left = last_writes.objects(head)
    found, wrong = {}, []
    for container in CONTAINERS:
        told = left.get(container, {})
        for until, known in ((_EVER, {}), (_EVER, told), (head["serial"], told), (head["serial"], {})):
            found[container], summary = held[container].at(until, known)
            if summary == head["manifest"].get(container):
                break
        else:
            wrong.append(container)
    return found, wrong


def _joined(head: Json, found: t.Mapping[str, Documents]) -> Json:
    objects = {container: {name: each["info"] for name, each in found[container].items()} for container in head["containers"]}
    return {**head["info"], **objects}


class _Held:
    """The objects of a container that a server has, with those of their revisions that it has. Each is asked for and digested once."""

    def __init__(self, client: Client, database: str) -> None:
        self._client = client
        self._database = database
        self._documents: t.Optional[Documents] = None
        self._revisions: t.Dict[str, t.List[Revision]] = {}
        self._numbers: t.Dict[t.Tuple[str, str], int] = {}

    def at(self, serial: float, left: t.Mapping[str, t.Optional[Json]]) -> t.Tuple[Documents, Json]:
        """The objects at a serial number, where those of *left* are known; and the summary of them, as ``config_data`` has it."""
        found: Documents = {}
        numbers: t.List[int] = []
        for name, newest_one in self._current().items():
            document = None if name in left else self._document(newest_one, serial)
            if document is not None:
                found[name] = document
                numbers.append(self._number(document))
        for name, info in left.items():
            if info is not None:
                found[name] = {"_id": name, "info": info}
                numbers.append(documents.fingerprint(found[name]))
        return found, documents.summary(numbers)

    def _current(self) -> Documents:
        if self._documents is None:
            self._documents = {each["_id"]: each for each in revisions.newest(self._client, self._database)}
        return self._documents

    def _document(self, newest_one: Json, serial: float) -> t.Optional[Json]:
        """An object as it was, as far as the database has it; None where it was not there."""
        if newest_one.get("serial", 0) <= serial:  # a deletion without a serial number is of settling: what it removed was never the master's
            return None if newest_one.get("_deleted") else newest_one
        name = newest_one["_id"]
        if name not in self._revisions:
            self._revisions[name] = list(revisions.revisions(self._client, self._database, name))
        older = next((each for each in self._revisions[name] if each.serial <= serial), None)
        return None if older is None or older.info is None else {"_id": name, "_rev": older.rev, "serial": older.serial, "info": older.info}

    def _number(self, document: Json) -> int:
        key = (document["_id"], document["_rev"])
        if key not in self._numbers:
            self._numbers[key] = documents.fingerprint(document)
        return self._numbers[key]
