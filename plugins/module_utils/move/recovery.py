# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What an earlier run of the same move has left, and what is to be done about it."""

from __future__ import annotations

import enum
import typing as t

from .._errors import GanetiError
from .facts import Instance
from .tags import Mark, marks


class Action(enum.Enum):
    """What to do before, or instead of, a new move."""

    FRESH = "nothing is left of an earlier run"
    DONE = "the instance was moved before"
    UNDO = "an earlier run died before its copy was verified"
    FINISH = "an earlier run died after its copy was verified"


class Decision(t.NamedTuple):
    """The action, and the move that it belongs to (empty where there was none)."""

    action: Action
    move_id: str = ""
    was_up: bool = False


def decide(source: t.Optional[Instance], destination: t.Optional[Instance], names: t.Tuple[str, str, str, str]) -> Decision:
    """Decide from the two instances (None where there is none) and their tags.

    *names* are, for messages: instance, source cluster, destination name, destination cluster.
    Raises GanetiError where neither instance exists, or where the destination's name belongs to another one.
    """
    theirs = marks(source.tags) if source else {}
    ours = marks(destination.tags) if destination else {}
    if source is None:
        return _without_source(destination, ours, names)
    if "moved-to" in theirs:
        return _after_commit(theirs, destination, names)
    began = theirs.get("source")
    made = ours.get("destination")
    if began is None and made is None:
        return Decision(Action.FRESH)  # a name that is taken is among the preflight's answers
    if began and made and began.move_id != made.move_id:
        raise GanetiError(
            f"{names[2]} on {names[3]} belongs to move {made.move_id}, but {names[0]} on {names[1]} takes part in move {began.move_id}: "
            "finish or undo the other move first, by running its task again."
        )
    move_id = (began or t.cast(Mark, made)).move_id
    was_up = began is not None and began.value == "up"
    finished = "verified" in ours and began is not None
    return Decision(Action.FINISH if finished else Action.UNDO, move_id, was_up)


def _without_source(destination: t.Optional[Instance], ours: t.Mapping[str, Mark], names: t.Tuple[str, str, str, str]) -> Decision:
    if destination is None:
        raise GanetiError(f"There is no instance {names[0]} on {names[1]}, and no {names[2]} on {names[3]}: correct the name or the clusters.")
    if "destination" in ours and "verified" in ours:
        return Decision(Action.FINISH, ours["destination"].move_id)
    if "destination" in ours:
        raise GanetiError(
            f"{names[2]} on {names[3]} is the incomplete copy of an instance that is no longer on {names[1]}; "
            "it is left untouched: find the source, or remove it by hand."
        )
    return Decision(Action.DONE)


def _after_commit(theirs: t.Mapping[str, Mark], destination: t.Optional[Instance], names: t.Tuple[str, str, str, str]) -> Decision:
    commit = theirs["moved-to"]
    if destination is None or destination.uuid != commit.value:
        raise GanetiError(
            f"{names[0]} on {names[1]} was moved to another instance ({commit.value}) and is fenced; {names[2]} on {names[3]} is not that one. "
            f"To use the old copy again, remove its tags ganeti-move:* and bring it online."
        )
    if "source" in theirs or "destination" in marks(destination.tags):
        return Decision(Action.FINISH, commit.move_id)
    return Decision(Action.DONE, commit.move_id)
