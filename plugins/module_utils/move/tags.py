# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The tags that a move puts on its two instances, so that any controller can finish or undo it.

========================================  ===========  ==============================================
tag                                       on           meaning
========================================  ===========  ==============================================
``ganeti-move:ID:source:up`` (``down``)   source       takes part in move ID; its state before
``ganeti-move:ID:destination``            destination  was created by move ID and is not yet in use
``ganeti-move:ID:verified``               destination  holds a verified, durable copy of every disk
``ganeti-move:ID:moved-to:UUID``          source       move ID is committed; UUID is the destination
``ganeti-move:ID:nic:INDEX:MAC/IP``       source       within a cluster: what interface INDEX had before the move
========================================  ===========  ==============================================
"""

from __future__ import annotations

import re
import typing as t

PREFIX = "ganeti-move:"

_TAG = re.compile(r"ganeti-move:([0-9a-f]{16}):(source|destination|verified|moved-to|nic)(?::([-0-9a-z:./]+))?\Z")


class Mark(t.NamedTuple):
    """A tag of ours: the move's id, what it says, and its value if it has one."""

    move_id: str
    kind: str
    value: t.Optional[str]


def source(move_id: str, state: str) -> str:
    """The tag of a source whose administrative state was *state*."""
    return f"{PREFIX}{move_id}:source:{state}"


def destination(move_id: str) -> str:
    """The tag of a destination that is being made."""
    return f"{PREFIX}{move_id}:destination"


def verified(move_id: str) -> str:
    """The tag of a destination whose disks are complete."""
    return f"{PREFIX}{move_id}:verified"


def moved_to(move_id: str, uuid: str) -> str:
    """The tag of a source that was replaced by the instance *uuid*."""
    return f"{PREFIX}{move_id}:moved-to:{uuid}"


def address(move_id: str, index: int, mac: str, ip: t.Optional[str]) -> str:
    """The tag that remembers what the interface *index* of a source had."""
    return f"{PREFIX}{move_id}:nic:{index}:{mac}/{ip or ''}"


def addresses(tags: t.Iterable[str]) -> t.Dict[int, t.Tuple[str, t.Optional[str]]]:
    """The hardware addresses and addresses that *tags* remember, by the interface's index."""
    result: t.Dict[int, t.Tuple[str, t.Optional[str]]] = {}
    for match in filter(None, map(_TAG.match, tags)):
        if match[2] == "nic":
            index, _colon, rest = match[3].partition(":")
            mac, _slash, ip = rest.partition("/")
            result[int(index)] = (mac, ip or None)
    return dict(sorted(result.items()))


def marks(tags: t.Iterable[str]) -> t.Dict[str, Mark]:
    """Our tags among *tags*, by kind."""
    found = (_TAG.match(tag) for tag in sorted(tags))
    return {match[2]: Mark(match[1], match[2], match[3]) for match in found if match}


def own(tags: t.Iterable[str]) -> t.List[str]:
    """The tags among *tags* that a move has put there."""
    return sorted(tag for tag in tags if tag.startswith(PREFIX))


def foreign(tags: t.Iterable[str]) -> t.List[str]:
    """The tags among *tags* that belong to the user."""
    return sorted(tag for tag in tags if not tag.startswith(PREFIX))
