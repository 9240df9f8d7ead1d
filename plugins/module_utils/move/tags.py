# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The tags that a move puts on its two instances, so that any controller can finish or undo it.

========================================  ===========  ==============================================================
tag                                       on           meaning
========================================  ===========  ==============================================================
``ganeti-move:ID:source:up`` (``down``)   source       takes part in move ID; its state before
``ganeti-move:ID:to:UUID``                source       the cluster where the copy is
``ganeti-move:ID:nic:INDEX:MAC/IP``       source       within a cluster: what interface INDEX had before the move
``ganeti-move:ID:disks:DIGEST``           source       the disks that are moved: who has others is not removed
``ganeti-move:ID:ready``                  source       ticket: whoever takes it may stop the source
``ganeti-move:ID:restorable``             source       ticket: whoever takes it may bring the source back, or commit
``ganeti-move:ID:moved-to:UUID``          source       move ID is committed; UUID is the destination
``ganeti-move:ID:destination:UUID``       destination  was made by move ID as a copy of the source UUID
``ganeti-move:ID:unused``                 destination  ticket: whoever takes it may release the destination, or remove it
``ganeti-move:ID:released``               destination  holds a complete, durable copy, and may have run
========================================  ===========  ==============================================================

A **ticket** is there once. OP_TAGS_DEL refuses to remove a tag that is not there (Ganeti: LUTagsDel.CheckPrereq, under the
instance's lock), and the job ends with it. So a job that begins by removing a ticket is done once at most, however late
it arrives and whoever has sent it: a controller that slept, or a connection that was thought dead.
"""

from __future__ import annotations

import hashlib
import re
import typing as t

from ..api.claims import MOVE, ours

PREFIX = MOVE

_KINDS = "source|to|nic|disks|ready|restorable|moved-to|destination|unused|released"
_TAG = re.compile(rf"ganeti-move:([0-9a-f]{{16}}):({_KINDS})(?::([-0-9A-Za-z:./]+))?\Z")
_ADDRESS = re.compile(r"ganeti-move:([0-9a-f]{16}):nic:(\d{1,4}):([0-9A-Fa-f:]+)/([0-9A-Fa-f:.]*)\Z")


class Marks(t.Dict[str, t.Optional[str]]):
    """The tags of one move on one instance: their values by kind. Several of the kind nic count once."""


def source(move_id: str, state: str) -> str:
    """The tag of a source whose administrative state was *state*."""
    return f"{PREFIX}{move_id}:source:{state}"


def to(move_id: str, cluster: str) -> str:
    """The tag that says in which cluster, by its UUID, the copy is."""
    return f"{PREFIX}{move_id}:to:{cluster}"


def disks(move_id: str, described: t.Sequence[str]) -> str:
    """The tag that remembers which disks a source had."""
    return f"{PREFIX}{move_id}:disks:{fingerprint(described)}"


def fingerprint(described: t.Sequence[str]) -> str:
    """What a tag remembers disks by, as `facts.Instance` describes them."""
    return hashlib.sha256("\n".join(described).encode("utf-8")).hexdigest()[:16]


def ready(move_id: str) -> str:
    """The ticket of a source that was not stopped yet."""
    return f"{PREFIX}{move_id}:ready"


def restorable(move_id: str) -> str:
    """The ticket of a source that was neither given back nor given up."""
    return f"{PREFIX}{move_id}:restorable"


def moved_to(move_id: str, uuid: str) -> str:
    """The tag of a source that was replaced by the instance *uuid*."""
    return f"{PREFIX}{move_id}:moved-to:{uuid}"


def destination(move_id: str, uuid: str = "") -> str:
    """The tag of a destination that is a copy of the instance *uuid*."""
    return f"{PREFIX}{move_id}:destination" + (f":{uuid}" if uuid else "")


def unused(move_id: str) -> str:
    """The ticket of a destination that was neither released nor condemned."""
    return f"{PREFIX}{move_id}:unused"


def released(move_id: str) -> str:
    """The tag of a destination that is complete and may have run."""
    return f"{PREFIX}{move_id}:released"


def nic(move_id: str, index: int, mac: str, ip: t.Optional[str]) -> str:
    """The tag that remembers what the interface *index* of a source had."""
    return f"{PREFIX}{move_id}:nic:{index}:{mac}/{ip or ''}"


def addresses(tags: t.Iterable[str], move_id: str) -> t.Dict[int, t.Tuple[str, t.Optional[str]]]:
    """The hardware addresses and addresses that *tags* remember for move *move_id*, by the interface's index."""
    result: t.Dict[int, t.Tuple[str, t.Optional[str]]] = {}
    for match in filter(None, map(_ADDRESS.match, tags)):
        if match[1] == move_id:
            result[int(match[2])] = (match[3], match[4] or None)
    return dict(sorted(result.items()))


def marks(tags: t.Iterable[str]) -> t.Dict[str, Marks]:
    """Our tags among *tags*, by the move's id."""
    result: t.Dict[str, Marks] = {}
    for match in filter(None, map(_TAG.match, sorted(tags))):
        result.setdefault(match[1], Marks())[match[2]] = match[3]
    return result


def is_of_disks(tag: str) -> bool:
    """Whether it is a tag that remembers which disks a source had."""
    found = _TAG.match(tag)
    return found is not None and found[2] == "disks"


def of_move(tags: t.Iterable[str], move_id: str) -> t.List[str]:
    """The tags among *tags* that move *move_id* has put there."""
    return sorted(tag for tag in tags if tag.startswith(f"{PREFIX}{move_id}:"))


def of_copies(tags: t.Iterable[str]) -> t.List[str]:
    """The tags among *tags* that moves have put on a copy, or that came too late for another one of the same name."""
    return sorted(match[0] for match in filter(None, map(_TAG.match, tags)) if match[2] in ("destination", "unused", "released"))


def own(tags: t.Iterable[str]) -> t.List[str]:
    """The tags among *tags* that a move has put there."""
    return sorted(tag for tag in tags if tag.startswith(PREFIX))


def foreign(tags: t.Iterable[str]) -> t.List[str]:
    """The tags among *tags* that belong to the user; all others speak of the source alone."""
    found = set(tags)
    return sorted(found - set(ours(found)))
