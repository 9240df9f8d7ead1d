# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What the document config_data says of the last changes: the objects that they left, so that it is whole beside databases that are late.

CouchDB copies ten databases each for itself, and of a document only what is newest when it gets there. Where a master dies meanwhile, its standby
has a ``config_data`` that fits none of the others, and what would fit was never carried. So each ``config_data`` holds, of the last writes, every
object that they changed, as it was left: with it a database may be older, or newer, by as much as these writes. Nothing here talks to anybody.
"""

from __future__ import annotations

import typing as t

from ..documents import Json, canonical

Objects = t.Dict[str, t.Dict[str, t.Optional[Json]]]
"""By container and id: an object, or None where it was removed."""

WRITES = 32
"""How many writes are kept. The service writes ten times a second at most, so these are three seconds at least."""
BYTES = 16384
"""How large they may be all together: half as much as the rest of ``config_data`` in a cluster of some size.

A write that is larger by itself is not kept, nor is any before it.
"""


class Write(t.NamedTuple):
    """What a write left of the objects that it changed; those that a later one changed again are left out."""

    serial: int
    objects: Objects


def added(writes: t.Sequence[Write], serial: int, objects: Objects) -> t.List[Write]:
    """The writes with another, as many of the newest as may be kept."""
    older = [Write(each.serial, _without(each.objects, objects)) for each in writes]
    kept: t.List[Write] = []
    size = 0
    for each in [Write(serial, objects), *reversed(older)][:WRITES]:
        size += len(canonical(each.objects))
        if size > BYTES:
            break
        kept.insert(0, each)
    return kept


def _without(objects: Objects, others: Objects) -> Objects:
    left = {container: {name: info for name, info in found.items() if name not in others.get(container, {})} for container, found in objects.items()}
    return {container: found for container, found in left.items() if found}


def told(head: Json) -> t.List[Write]:
    """The writes of which a document ``config_data`` tells; none where an older release wrote it."""
    return [Write(each["serial"], each["objects"]) for each in head.get("recent", [])]


def telling(writes: t.Sequence[Write]) -> t.List[Json]:
    """The writes as that document holds them."""
    return [{"serial": each.serial, "objects": each.objects} for each in writes]


def objects(head: Json) -> Objects:
    """All objects of which a document ``config_data`` tells how its own write, or one of the last before it, left them."""
    result: Objects = {}
    for write in told(head):
        for container, found in write.objects.items():
            result.setdefault(container, {}).update(found)
    return result
