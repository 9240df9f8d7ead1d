# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""How objects of the configuration were: etcd keeps what a key held at every revision, until it is compacted, which its own configuration decides.

A key counts its writes from when it was made. So where older ones are compacted away it is known how many they are; and of an object that was removed, or
removed and made again, a word is left that leads to what it was before. That something is missing is always told; what it was, never guessed.
"""

from __future__ import annotations

import typing as t

from ...._errors import StorageFailed
from ..documents import CONFIG, Json
from ..interface import History, Revision
from . import changes, layout, wire
from .client import Client, Compacted


class EtcdHistory(History):
    """The history of a cluster whose keys begin with *root*."""

    def __init__(self, client: Client, root: str) -> None:
        self._client = client
        self._root = root

    def named(self, database: str, name: str) -> t.List[str]:
        kvs, revision = self._client.scan(self._root + layout.CONFIG)
        found = changes.stored([kv._replace(key=kv.key[len(self._root) :]) for kv in kvs], self._staged(revision))
        if database == CONFIG:
            return [CONFIG] if found.head is not None and name == CONFIG else []
        objects = found.objects[database].items()
        return [identity for identity, each in objects if name == identity or (isinstance(each["info"], dict) and name == each["info"].get("name"))]

    def _staged(self, revision: int) -> t.List[wire.Kv]:
        kvs, _revision = self._client.scan(self._root + layout.STAGED, revision)
        return [kv._replace(key=kv.key[len(self._root) :]) for kv in kvs]

    def revisions(self, database: str, identity: str) -> t.Iterator[Revision]:
        return iter(numbered(_distinct(_found(_Past(self._client, self._root, database, identity)))))


class Known(t.NamedTuple):
    """A state that etcd has, and how many writes right before it nobody knows any more.

    Where the life of an object before it was removed is compacted away, that counts as one.
    """

    rev: str
    serial: int
    info: t.Optional[Json]
    missing: int = 0


def numbered(found: t.Sequence[Known]) -> t.List[Revision]:
    """The states, the newest first, with numbers that leave out those that are missing."""
    result: t.List[Revision] = []
    number = 0
    for each in reversed(found):
        number += each.missing + 1
        result.insert(0, Revision(each.rev, number, each.serial, each.info))
    return result


def _distinct(found: t.Iterable[Known]) -> t.List[Known]:
    """Without those that are the same twice, as one is that was written again after a lost answer or a death: the older one stays."""
    result: t.List[Known] = []
    for each in found:
        if result and (result[-1].serial, result[-1].info) == (each.serial, each.info):
            result.pop()
        result.append(each)
    return result


class _Past:
    """The keys of one object, as they were."""

    def __init__(self, client: Client, root: str, container: str, name: str) -> None:
        whole = container == CONFIG
        self._client = client
        self._key = root + (layout.HEAD if whole else f"{layout.CONFIG}{container}/{name}")
        self._removed = root + f"{layout.REMOVED}{container}/{name}"
        self._head = root + layout.HEAD
        self._staged = None if whole else f"{container}/{name}"
        self._root = root
        self.newest_removal = client.get(self._removed)

    def staged(self) -> t.Optional[wire.Kv]:
        """The object where it is committed and not folded yet, which is so for a moment, or after a death."""
        head = self._client.get(self._head)
        value = layout.decoded(head.value) if head is not None else None
        generation = value.get("staged") if isinstance(value, dict) else None
        if generation is None or self._staged is None:
            return None
        return self._client.get(f"{self._root}{layout.STAGED}{generation}/{self._staged}")

    def at(self, revision: int) -> t.Optional[wire.Kv]:
        """The object at a revision, 0 being now; None where it was not there. Raises Compacted."""
        return self._client.get(self._key, revision)

    def removal(self, before: int) -> t.Optional[wire.Kv]:
        """The last removal before a revision, 0 being now. Raises Compacted where it cannot be known whether there was one."""
        newest = self.newest_removal
        if newest is None or not before or newest.modified < before:
            return newest
        return self._client.get(self._removed, before - 1) if newest.created < before else None


def _found(past: _Past) -> t.Iterator[Known]:
    staged = past.staged()
    if staged is not None:
        yield _revision(staged)
    now = 0
    while True:
        try:
            kv = past.at(now)
        except Compacted:
            return  # the one before has told of it
        if kv is None:
            removal = _removal(past, now + 1 if now else 0)
            if removal is None:
                return
            yield Known(f"removed-{removal.modified}", _serial(removal), None, 0 if _readable(past, removal.modified - 1) else 1)
            now = removal.modified - 1
            continue
        yield _revision(kv)._replace(missing=_missing(past, kv))
        now = kv.modified - 1
        if not now:
            return


def _removal(past: _Past, before: int) -> t.Optional[wire.Kv]:
    try:
        return past.removal(before)
    except Compacted:
        return None


def _missing(past: _Past, kv: wire.Kv) -> int:
    """How many writes right before this one are not there any more."""
    if kv.version > 1:
        return 0 if _readable(past, kv.modified - 1) else kv.version - 1
    try:
        return 0 if past.removal(kv.modified) is None or _readable(past, kv.modified - 1) else 1
    except Compacted:
        return 1


def _readable(past: _Past, revision: int) -> bool:
    try:
        past.at(revision)
    except Compacted:
        return False
    return True


def _revision(kv: wire.Kv) -> Known:
    value = layout.decoded(kv.value)
    if not isinstance(value, dict) or not isinstance(value.get("serial"), int):
        raise StorageFailed(f"{kv.key} was no object of the configuration at revision {kv.modified} of etcd: somebody else has written it.")
    return Known(f"{kv.version}-{kv.modified}", value["serial"], value.get("info"))


def _serial(kv: wire.Kv) -> int:
    value = layout.decoded(kv.value)
    return int(value["serial"]) if isinstance(value, dict) and isinstance(value.get("serial"), int) else 0


def oldest(client: Client, root: str) -> int:
    """The oldest revision of etcd that can still be read; what was before is compacted."""
    newest = client.range(root + layout.FENCE, count_only=True).revision
    low, high = 1, newest
    while low < high:
        middle = (low + high) // 2
        try:
            client.range(root + layout.FENCE, revision=middle, count_only=True)
        except Compacted:
            low = middle + 1
        else:
            high = middle
    return low
