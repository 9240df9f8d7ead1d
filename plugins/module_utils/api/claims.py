# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Who works on an instance: a move and a zeroing say so by tags, each beginning with a word of its own. What follows it is their business.

Two more tags are on an instance that is being installed, and on one that was stopped for a change.
"""

from __future__ import annotations

import typing as t

MOVE = "ganeti-move:"
ZEROING = "ganeti-zeroing:"
"""What the tags begin with; a colon and the id of the move or zeroing follow."""

UNFINISHED = "ganeti-instance:unfinished"
"""On an instance that is being made or installed anew, until its operating system is installed."""

STOPPED = "ganeti-instance:stopped"
"""On an instance that was stopped for a change, until it is started again."""

_FINISHED = "moved-to"
"""The kind of tag that a source keeps when its move is over."""


def ours(tags: t.Iterable[str]) -> t.List[str]:
    """The tags among *tags* that are no user's."""
    return sorted(tag for tag in tags if tag.startswith((MOVE, ZEROING)) or tag in (UNFINISHED, STOPPED))


def under_way(tags: t.Iterable[str]) -> t.Optional[str]:
    """What is being done with the instance that has these *tags*, in words that follow its name, with how to end it; None where nothing is."""
    for tag in ours(tags):
        identifier = tag.split(":")[1]
        if tag.startswith(ZEROING):
            return f"is being zeroed (zeroing {identifier}): wait for it, or finish it by the same task of instance_zero"
        if tag.startswith(MOVE) and _kind(tag) != _FINISHED:
            return f"takes part in move {identifier}: wait for it, or finish or undo it by the same task of instance_move"
    return None


def moved_away(tags: t.Iterable[str]) -> t.Optional[str]:
    """The id of the move by which the instance that has these *tags* was replaced by another, if it was."""
    return next((tag.split(":")[1] for tag in ours(tags) if tag.startswith(MOVE) and _kind(tag) == _FINISHED), None)


def _kind(tag: str) -> str:
    return tag.split(":")[2] if tag.count(":") > 1 else ""
