# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""How a change of the configuration is written, so that whoever reads always reads a whole one. Nothing here talks to anybody.

A small change, as nearly all are, is one transaction: its objects, and the head that counts them. etcd takes so many operations and so many bytes in
one (max-txn-ops, max-request-bytes), so a larger change goes a longer way:

======== ============================================================= ==================================================================
step     what is written                                               what whoever reads then takes
======== ============================================================= ==================================================================
stage    the objects, below ``staged/GENERATION/``, in many parts      the old head, and the objects in ``config/``, which nobody touched
commit   the new head, which names the generation                      the new head, and the objects in ``config/`` with the staged ones over them
fold     the same objects in ``config/``, in many parts                the same: whatever was folded already is what lies over it
finish   the head without the generation; nothing is staged any more   the new head, and the objects in ``config/``
======== ============================================================= ==================================================================

1. Commit and finish are one transaction each. So at every revision the head fits what is taken with it; a reader who takes all at one revision has a
   whole configuration, wherever the writer died.
2. What is staged and not named by the head belongs to nobody: it is removed before anything new is staged.
3. Whoever writes next finds a head that names a generation, and folds and finishes first: again, from the start, which does no harm.
4. Where there is no head yet there is nothing to keep whole: the objects are written at once, the head last.
"""

from __future__ import annotations

import typing as t

from .. import documents
from ..documents import CONFIG, CONTAINERS, Documents, Json
from . import layout
from .wire import Delete, Kv, Operation, Put

OPERATIONS = 127
"""In one transaction, beside the one that keeps the fence: etcd takes 128 where it is not told otherwise."""
BYTES = 1 << 20
"""In one transaction: etcd takes a half more where it is not told otherwise. One value may be larger, and is sent alone; etcd decides."""

Place = t.Tuple[str, str]
"""Container and id of an object."""


class Stored(t.NamedTuple):
    """The configuration as it is in etcd: its head, the objects by container with those staged over them, and what is staged."""

    head: t.Optional[Json]
    objects: t.Dict[str, Documents]
    staged: t.Dict[Place, t.Optional[Json]]
    """Of the generation that the head names: an object as it is to be in ``config/``, None where it is removed."""
    litter: bool
    """Whether something is staged that the head does not name."""


def stored(kvs: t.Iterable[Kv], staged: t.Iterable[Kv]) -> Stored:
    """What keys below ``config/`` and ``staged/`` mean, without what comes before these. Values that cannot be read are objects without content."""
    head: t.Optional[Json] = None
    objects: t.Dict[str, Documents] = {container: {} for container in CONTAINERS}
    for kv in kvs:
        found, value = layout.place(kv.key[len(layout.CONFIG) :]), layout.decoded(kv.value)
        if kv.key == layout.HEAD:
            head = value if is_head(value) else None
        elif found is not None:
            objects[found[0]][found[1]] = _document(found[1], value)
    over, litter = _staged(staged, head.get("staged") if head else None)
    for (container, name), value in over.items():
        if value is None:
            objects[container].pop(name, None)
        else:
            objects[container][name] = _document(name, value)
    return Stored(head, objects, over, litter)


def is_head(value: t.Any) -> bool:
    """Whether a value is a head, and no other."""
    kinds = {"serial": int, "info": dict, "manifest": dict, "containers": list}
    return isinstance(value, dict) and all(isinstance(value.get(key), kind) for key, kind in kinds.items())


def _document(name: str, value: t.Any) -> Json:
    """An object as documents.py has it."""
    given = value if isinstance(value, dict) else {}
    return {"_id": name, "serial": given.get("serial", 0), "info": given.get("info")}


def _staged(kvs: t.Iterable[Kv], generation: t.Optional[str]) -> t.Tuple[t.Dict[Place, t.Optional[Json]], bool]:
    over: t.Dict[Place, t.Optional[Json]] = {}
    litter = False
    for kv in kvs:
        named, _slash, rest = kv.key[len(layout.STAGED) :].partition("/")
        found, value = layout.place(rest), layout.decoded(kv.value)
        if named != generation or found is None or not isinstance(value, dict):
            litter = True
        else:
            over[found] = None if value.get("info") is None else value
    return over, litter


def configuration(found: Stored) -> Json:
    """The configuration; raise StorageIncomplete where there is none, or where somebody else has changed some of it."""
    head = {CONFIG: {CONFIG: {"_id": CONFIG, **found.head}}} if found.head else {}
    return documents.join({**found.objects, **head})


class Change(t.NamedTuple):
    """What is to be written to come from one configuration to another: objects, None for those that are removed, and the head."""

    serial: int
    objects: t.Dict[Place, t.Optional[Json]]
    head: Json

    def operations(self) -> t.List[Operation]:
        """All that is to be written to ``config/``, the head last."""
        return [*fold(self.objects, self.serial), head(self.head)]

    def staging(self, generation: str) -> t.List[Put]:
        """What is to be staged."""
        empty = {"serial": self.serial, "info": None}
        return [Put(f"{layout.STAGED}{generation}/{container}/{name}", documents.encoded(value or empty)) for (container, name), value in self.objects.items()]


def between(known: t.Mapping[str, t.Mapping[str, int]], wanted: documents.Parts, epoch: int) -> Change:
    """The change from what is known to be stored, by fingerprints, to a configuration."""
    serial = wanted.configuration["serial_no"]
    objects: t.Dict[Place, t.Optional[Json]] = {}
    for container in CONTAINERS:
        written, gone = documents.changes(known.get(container, {}), wanted.fingerprints[container])
        objects.update({(container, name): {"serial": serial, "info": wanted.documents[container][name]["info"]} for name in written})
        objects.update({(container, name): None for name in gone})
    document = wanted.documents[CONFIG][CONFIG]
    return Change(serial, objects, {"epoch": epoch, **{key: value for key, value in document.items() if key != "_id"}})


def fold(objects: t.Mapping[Place, t.Optional[Json]], serial: int) -> t.List[Operation]:
    """What makes objects be in ``config/`` as they are to be. Of a removal a word is kept, by which its history is found."""
    found: t.List[Operation] = []
    for (container, name), value in objects.items():
        key = f"{layout.CONFIG}{container}/{name}"
        if value is None:
            found += [Delete(key), Put(f"{layout.REMOVED}{container}/{name}", documents.encoded({"serial": serial}))]
        else:
            found.append(Put(key, documents.encoded(value)))
    return found


def head(value: Json, generation: t.Optional[str] = None) -> Put:
    """The head, which names a generation or none."""
    plain = {key: each for key, each in value.items() if key != "staged"}
    return Put(layout.HEAD, documents.encoded({**plain, **({"staged": generation} if generation else {})}))


def fits(operations: t.Sequence[Operation]) -> bool:
    """Whether etcd takes these in one transaction where it is not told otherwise."""
    return len(operations) <= OPERATIONS and sum(each.size for each in operations) <= BYTES


def batches(operations: t.Iterable[Operation]) -> t.Iterator[t.List[Operation]]:
    """The operations in parts that fit, in their order; one that is too large for any is alone."""
    batch: t.List[Operation] = []
    for each in operations:
        if batch and not fits([*batch, each]):
            yield batch
            batch = []
        batch.append(each)
    if batch:
        yield batch
