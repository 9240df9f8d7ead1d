# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The tags of an instance that is being zeroed, so that any controller can finish or undo it.

==================================================  ======================================================================
tag                                                 meaning
==================================================  ======================================================================
``ganeti-zeroing:ID:was:up`` (``down``)             is being zeroed; what it is to be again afterwards. Both: it was down, and was started meanwhile
``ganeti-zeroing:ID:ready``                         ticket: whoever takes it may start the helper
``ganeti-zeroing:ID:METHOD:MEASURE:BYTES``          the helper was started; what the node had counted before, and how
==================================================  ======================================================================

A **ticket** is there once: OP_TAGS_DEL refuses to remove a tag that is not there, and the job ends with it. The job that starts the helper takes the
ticket, or the third tag of an earlier start; so one that arrives late, of a controller that was thought dead, finds none and starts nothing.
"""

from __future__ import annotations

import re
import typing as t

from ..api.claims import MOVE, ZEROING

PREFIX = ZEROING
MOVES = MOVE
"""What the tags of a move begin with; who moves an instance has it for himself."""

_TAG = re.compile(r"ganeti-zeroing:([0-9a-f]{16}):(?:was:(up|down)|(ready)|(discard|write):(allocated|data):(\d{1,19}))\Z")


class Before(t.NamedTuple):
    """What was counted before the helper was started."""

    method: str
    measure: str
    total: int


class Claim(t.NamedTuple):
    """What the tags of one zeroing say."""

    identifier: str
    was: str = "down"
    ready: bool = False
    before: t.Optional[Before] = None


def was(identifier: str, state: str) -> str:
    """The tag that says what the instance is to be again."""
    return f"{PREFIX}{identifier}:was:{state}"


def ready(identifier: str) -> str:
    """The ticket for the first start of the helper."""
    return f"{PREFIX}{identifier}:ready"


def before(identifier: str, counted: Before) -> str:
    """The tag of a helper that was started."""
    return f"{PREFIX}{identifier}:{counted.method}:{counted.measure}:{counted.total}"


def ticket(claim: Claim) -> t.Optional[str]:
    """The tag that the next start of the helper takes away; None where there is none."""
    if claim.ready:
        return ready(claim.identifier)
    return before(claim.identifier, claim.before) if claim.before else None


def own(tags: t.Iterable[str]) -> t.List[str]:
    """The tags among *tags* that a zeroing has put there."""
    return sorted(tag for tag in tags if tag.startswith(PREFIX))


def claims(tags: t.Iterable[str]) -> t.List[Claim]:
    """What the tags say, for each zeroing that has left any."""
    found: t.Dict[str, Claim] = {}
    for match in filter(None, map(_TAG.match, sorted(tags))):
        claim = found.get(match[1], Claim(match[1]))
        if match[2]:
            claim = claim._replace(was=match[2])  # "up" comes last, and counts where there are both
        elif match[3]:
            claim = claim._replace(ready=True)
        else:
            claim = claim._replace(before=Before(match[4], match[5], int(match[6])))
        found[match[1]] = claim
    return list(found.values())
