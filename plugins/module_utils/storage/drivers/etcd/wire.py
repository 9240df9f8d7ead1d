# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Requests to etcd's JSON gateway and its answers, as plain values. Keys and values are base64 there, and numbers texts. Nothing here talks to anybody."""

from __future__ import annotations

import base64
import typing as t

from ...._errors import StorageFailed

Json = t.Dict[str, t.Any]

OVERHEAD = 48
"""Bytes that an operation may add to its key and value: tags, lengths, and what wraps them."""


class Kv(t.NamedTuple):
    """A key with its value, as it was at some revision. *version* counts the writes since it was made."""

    key: str
    value: bytes
    created: int
    modified: int
    version: int


class Page(t.NamedTuple):
    """Keys in their order, whether there are more, and the revision at which this was so."""

    kvs: t.List[Kv]
    more: bool
    revision: int


class Put(t.NamedTuple):
    """Write a key."""

    key: str
    value: bytes

    @property
    def size(self) -> int:
        """About how many bytes it takes in a request."""
        return len(self.key) + len(self.value) + OVERHEAD


class Delete(t.NamedTuple):
    """Remove a key, or all keys up to *end*."""

    key: str
    end: t.Optional[str] = None

    @property
    def size(self) -> int:
        """About how many bytes it takes in a request."""
        return len(self.key) + len(self.end or "") + OVERHEAD


class Get(t.NamedTuple):
    """Read a key."""

    key: str


class Compare(t.NamedTuple):
    """A key was last written at this revision, or is not there where that is 0."""

    key: str
    modified: int


Operation = t.Union[Put, Delete]


class Outcome(t.NamedTuple):
    """What became of a transaction: whether it was done, at which revision, and what the reads of it found, one by one."""

    done: bool
    revision: int
    found: t.List[t.Optional[Kv]]


def end_of(prefix: str) -> str:
    """The end of the range of all keys that begin with *prefix*; the last character of ours is never the last one there is."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


def after(key: str) -> str:
    """The first key behind this one."""
    return key + "\0"


def range_request(key: str, end: t.Optional[str] = None, **options: t.Any) -> Json:
    """Read a key, or all up to *end*; options as etcd calls them, those that are not set left out."""
    body: Json = {"key": _text(key)}
    if end is not None:
        body["range_end"] = _text(end)
    body.update({name: str(value) if isinstance(value, int) and not isinstance(value, bool) else value for name, value in options.items() if value})
    return body


def transaction(compares: t.Sequence[Compare], then: t.Sequence[t.Union[Operation, Get]], otherwise: t.Sequence[Get] = ()) -> Json:
    """All of *then* at once where all comparisons hold, else *otherwise*."""
    return {
        "compare": [{"key": _text(each.key), "target": "MOD", "result": "EQUAL", "mod_revision": str(each.modified)} for each in compares],
        "success": [_operation(each) for each in then],
        "failure": [_operation(each) for each in otherwise],
    }


def _operation(one: t.Union[Operation, Get]) -> Json:
    if isinstance(one, Put):
        return {"request_put": {"key": _text(one.key), "value": base64.b64encode(one.value).decode("ascii")}}
    if isinstance(one, Delete):
        return {"request_delete_range": range_request(one.key, one.end)}
    return {"request_range": range_request(one.key)}


def page(answer: Json) -> Page:
    """What a read found."""
    return Page([_kv(each) for each in answer.get("kvs", [])], bool(answer.get("more")), revision(answer))


def outcome(answer: Json) -> Outcome:
    """What became of a transaction."""
    found: t.List[t.Optional[Kv]] = []
    for each in answer.get("responses", []):
        if "response_range" in each:
            kvs = each["response_range"].get("kvs", [])
            found.append(_kv(kvs[0]) if kvs else None)
    return Outcome(bool(answer.get("succeeded")), revision(answer), found)


def revision(answer: Json) -> int:
    """The revision of the whole store when this was answered; raise StorageFailed where it is not told, as no etcd answered then."""
    try:
        return int(answer["header"].get("revision", 0))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise StorageFailed("What answers at an address in endpoints is no etcd: check the address.") from None


def _kv(found: Json) -> Kv:
    try:
        key, value = (base64.b64decode(text, validate=True) for text in (found["key"], found.get("value", "")))
        created, modified, version = (int(found.get(name, 0)) for name in ("create_revision", "mod_revision", "version"))
        return Kv(key.decode("utf-8", "surrogateescape"), value, created, modified, version)
    except (KeyError, TypeError, ValueError) as error:
        raise StorageFailed(f"etcd's answer names a key in a way that is not etcd's ({error}): check what the addresses in endpoints lead to.") from error


def _text(key: str) -> str:
    """A key in base64; one that somebody else has written may hold any bytes."""
    return base64.b64encode(key.encode("utf-8", "surrogateescape")).decode("ascii")
