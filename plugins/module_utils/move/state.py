# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What is read of a move's two instances, and which of the known states that is. Nothing here talks to anybody."""

from __future__ import annotations

import enum
import typing as t

from . import tags
from .facts import Instance


class Case(t.NamedTuple):
    """What is asked for, with the names as the clusters have them."""

    name: str
    final: str
    source_cluster: str
    destination_cluster: str
    destination_uuid: str
    within: bool
    start: str
    source_after: str
    primary_node: t.Optional[str] = None
    disk_template: t.Optional[str] = None
    source_uuid: str = ""
    """The source's UUID, once the run knows it: by that it is found whatever somebody calls it under way."""


class View(t.NamedTuple):
    """What one look at both clusters has found.

    ``copies`` are the instances of the destination that say to be copies of the source, and the one that replaced it.
    ``namesake`` is the UUID of the instance that has the destination's final name. ``jobs`` are those that have not ended, in words.
    ``predecessors`` are, within a cluster, the sources of earlier moves that the source is the outcome of, where they were kept.
    """

    source: t.Optional[Instance]
    copies: t.Tuple[Instance, ...]
    namesake: t.Optional[str]
    jobs: t.Tuple[str, ...] = ()
    predecessors: t.Tuple[Instance, ...] = ()


class State(enum.Enum):
    """Where a move is, by what both clusters say; the planner's table has a row for each."""

    NOWHERE = "neither the instance nor a copy is there"
    GONE = "the source is not there, another instance has the destination's name"
    BEREFT = "the source is not there, its copy was not released"
    INHERITED = "the source is not there, its copy was released"
    PLAIN = "the source is in no move, and has no copy"
    ORPHAN = "the source is in no move, but has a copy that was not released"
    CLAIMED = "the source is in a move, and has no copy"
    COPYING = "the source is in a move, its copy was not released"
    RELEASED = "the source is in a move, its copy was released"
    COMMITTED = "the source was replaced, tags are left"
    MOVED = "the source was replaced, nothing is left to do"
    STRANGE = "this can come of no move"


class Scene(t.NamedTuple):
    """A recognised state: the move that it is about, its tags on both instances, its copy. ``why`` says what is strange."""

    state: State
    move_id: str = ""
    source: t.Optional[Instance] = None
    marks: t.Mapping[str, t.Optional[str]] = {}
    copy: t.Optional[Instance] = None
    copy_marks: t.Mapping[str, t.Optional[str]] = {}
    others: t.Tuple[str, ...] = ()
    """Other moves that have tags on the source."""
    why: str = ""
    predecessors: t.Tuple[Instance, ...] = ()
    """The kept sources of the moves that have made the source, where it is in no move now."""


Claims = t.Dict[str, tags.Marks]


def recognise(view: View, case: Case, mine: str = "", failing: bool = False) -> Scene:
    """Which state this is. Where tags of several moves meet, *mine* is dealt with after those without a right, or, *failing*, before them."""
    if view.source is None:
        return _without_source(view, case)
    claims = tags.marks(view.source.tags)
    strange = _strange_source(view.source, claims, case)
    if strange:
        return Scene(State.STRANGE, why=strange)
    replaced = {move_id: marks for move_id, marks in claims.items() if "moved-to" in marks}
    if replaced:
        return _replaced(view, case, claims, next(iter(replaced)))
    copies = {move_id: copy for move_id, copy in map(_made_by, view.copies) if move_id}
    if not claims:
        return _unclaimed(view, case, copies)
    return _claimed(view, case, claims, copies, (mine, failing))


def _made_by(copy: Instance) -> t.Tuple[str, Instance]:
    """The move that a copy is of, "" where it has been untagged."""
    return next((move_id for move_id, marks in tags.marks(copy.tags).items() if "destination" in marks), ""), copy


def _marks_of(copy: Instance, move_id: str) -> t.Mapping[str, t.Optional[str]]:
    return tags.marks(copy.tags).get(move_id, {})


def _without_source(view: View, case: Case) -> Scene:
    for copy in view.copies:
        move_id, _copy = _made_by(copy)
        marks = _marks_of(copy, move_id)
        state = State.INHERITED if "released" in marks else State.BEREFT
        return Scene(state, move_id, copy=copy, copy_marks=marks)
    return Scene(State.NOWHERE if view.namesake is None else State.GONE)


def _strange_source(source: Instance, claims: Claims, case: Case) -> str:
    where = f"{source.name} on {case.source_cluster}"
    unread = [tag for tag in tags.own(source.tags) if not tags.marks([tag])]
    if unread:
        return f"{where} carries the tag {unread[0]}, which is of no known kind: remove it with gnt-instance remove-tags if no move is under way."
    for move_id, marks in claims.items():
        if "destination" in marks:
            return f"{where} is itself the copy that move {move_id} makes: run the task of that move again first, to finish or to undo it."
    replaced = sorted(move_id for move_id, marks in claims.items() if "moved-to" in marks)
    if len(replaced) > 1:
        return f"{where} carries the tags of two moves that replaced it, {' and '.join(replaced)}: remove those of the one that is wrong."
    return ""


def _replaced(view: View, case: Case, claims: Claims, move_id: str) -> Scene:
    source = t.cast(Instance, view.source)
    uuid = claims[move_id]["moved-to"]
    copy = next((each for each in view.copies if each.uuid == uuid), None)
    if copy is None:
        return Scene(
            State.STRANGE,
            why=f"{source.name} on {case.source_cluster} was moved to another instance ({uuid}) and is fenced. That one is not on "
            f"{case.destination_cluster}: it may run in another cluster, so look for it there first. Only if it is nowhere any more: "
            f"{_use_again(source, case)}",
        )
    stray = next((each for each in view.copies if each.uuid != uuid and _made_by(each)[0]), None)
    if stray is not None:
        return _of_copy(State.ORPHAN, stray, case, source)
    marks, copy_marks = claims[move_id], _marks_of(copy, move_id)
    others = tuple(sorted(set(claims) - {move_id}))  # of runs that came too late
    state = State.COMMITTED if tags.of_copies(copy.tags) or others or set(marks) - {"moved-to"} else State.MOVED
    return Scene(state, move_id, source, marks, copy, copy_marks, others)


def _use_again(source: Instance, case: Case) -> str:
    listed = " ".join(tags.own(source.tags))
    return (
        f"To use it again, on {case.source_cluster}'s master: gnt-instance remove-tags {source.name} {listed}; gnt-instance modify --online {source.name}."
    )


def _unclaimed(view: View, case: Case, copies: t.Mapping[str, Instance]) -> Scene:
    source = t.cast(Instance, view.source)
    for _move_id, copy in sorted(copies.items()):
        return _of_copy(State.ORPHAN, copy, case, source)
    return Scene(State.PLAIN, source=source, predecessors=view.predecessors)


def _of_copy(state: State, copy: Instance, case: Case, source: Instance) -> Scene:
    """The scene of a copy that the source's tags know nothing of: to be removed, unless it may have run."""
    move_id, _copy = _made_by(copy)
    marks = _marks_of(copy, move_id)
    if "released" in marks:
        return Scene(
            State.STRANGE,
            why=f"{copy.name} on {case.destination_cluster} is a copy of {source.name} on {case.source_cluster} that may have run, but {source.name} "
            f"does not say so. Decide which one is to stay: remove the other, and the tags {' '.join(tags.own(copy.tags))} of {copy.name}.",
        )
    return Scene(state, move_id, source, {}, copy, marks)


def _claimed(view: View, case: Case, claims: Claims, copies: t.Mapping[str, Instance], ours: t.Tuple[str, bool]) -> Scene:
    """The move to deal with now: those without a right to the source first, the one whose copy was released last."""
    mine, failing = ours
    source = t.cast(Instance, view.source)
    released = [move_id for move_id, copy in copies.items() if "released" in _marks_of(copy, move_id)]
    if len(released) > 1 or set(released) - set(claims):
        stray = copies[sorted(released, key=lambda move_id: move_id in claims)[0]]
        return _of_copy(State.STRANGE, stray, case, source)
    unclaimed = sorted(set(copies) - set(claims))
    if unclaimed:
        return _of_copy(State.ORPHAN, copies[unclaimed[0]], case, source)
    idle = [each for each, marks in claims.items() if "ready" in marks and each not in copies]
    order = sorted(claims, key=lambda each: ((each == mine) != failing, each in released, each not in idle, each in copies, each))
    move_id = order[0]
    marks = claims[move_id]
    others = tuple(order[1:])
    elsewhere = marks.get("to")
    if elsewhere and elsewhere != case.destination_uuid and not (others and move_id in idle):
        return Scene(State.STRANGE, why=_elsewhere(source, move_id, elsewhere, case))
    copy = copies.get(move_id)
    if copy is None:
        return _without_copy(view, case, Scene(State.CLAIMED, move_id, source, marks, others=others))
    copy_marks = _marks_of(copy, move_id)
    state = State.RELEASED if "released" in copy_marks else State.COPYING
    return Scene(state, move_id, source, marks, copy, copy_marks, others)


def _elsewhere(source: Instance, move_id: str, cluster: str, case: Case) -> str:
    return (
        f"{source.name} on {case.source_cluster} takes part in move {move_id} to another cluster, the one with the UUID {cluster}, where its copy may run: "
        "finish or undo that move first, by running its task again, or with state: aborted and that destination. "
        f"If that cluster is gone for good: {_use_again(source, case)}"
    )


def _without_copy(view: View, case: Case, scene: Scene) -> Scene:
    """A source that was stopped, and an instance without tags where the copy would be, is for people to decide."""
    source = t.cast(Instance, scene.source)
    if view.namesake is None or view.namesake == source.uuid or "ready" in scene.marks:
        return scene
    again = _use_again(source, case)
    made = f"{tags.destination(scene.move_id, source.uuid)} {tags.released(scene.move_id)}"
    return Scene(
        State.STRANGE,
        why=f"{source.name} on {case.source_cluster} was stopped by move {scene.move_id}, and {case.final} on {case.destination_cluster} does not say "
        f"whether it is the copy. If it is, on that cluster's master: gnt-instance add-tags {case.final} {made}; then run the same task again. {again}",
    )
