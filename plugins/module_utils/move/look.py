# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Reading what a run decides on: the source, its copies, and the jobs about them that have not ended."""

from __future__ import annotations

import time
import typing as t

from .._errors import GanetiError
from ..api import jobs, naming
from . import facts, tags, within
from .options import Options
from .session import Session
from .state import Case, View

_SETTLE = 600.0
"""Seconds that jobs about our instances are waited for; then the run ends and says which."""
_PAUSE = 1.0


def identify(session: Session, options: Options) -> t.Tuple[Options, Case]:
    """The options with the names as the clusters have them, and the case: Ganeti completes short names, we do not use them.

    Raises GanetiError where the name is one that a move has given.
    """
    found = facts.instance(session.source.cluster, options.name)
    name = found.name if found is not None and not _made_up(found.name) else options.name
    if _made_up(name) and found is not None and any("source" in marks for marks in tags.marks(found.tags).values()):
        raise GanetiError(f"{name} is the source of a move that is not finished, and only has this name meanwhile: run the task of that move again.")
    final = name if options.destination_name == options.name else options.destination_name
    options = options._replace(name=name, destination_name=final)
    case = Case(
        name=name,
        final=final,
        source_cluster=session.source.name,
        destination_cluster=session.destination.name,
        destination_uuid=str(session.destination.info["uuid"]),
        within=session.within,
        start=options.start,
        source_after=options.source_after,
        primary_node=options.primary_node,
        disk_template=options.disk_template,
    )
    return options, case


def look(session: Session, case: Case, settle: bool, at_first: bool = False) -> View:
    """Read both clusters; with *settle*, so that no job about our instances is under way.

    Jobs are waited for, but not *at_first* where no tag says anything of a move: they are then somebody's who has other plans.

    A ticket that is not there was taken by a job, of which nobody knows yet whether it has ended. So the jobs are asked for
    after the tags were seen, and all is read once more after that: two looks with a quiet queue between them that show the same.
    """
    view = _read(session, case)
    deadline = time.monotonic() + (0.0 if at_first and is_unmarked(view) else _SETTLE)
    while settle:
        left = _quiet(session, case, deadline)
        before, view = view, view if is_unmarked(view) and not left else _read(session, case)
        if left or view == before:
            return view._replace(jobs=left)
    return view


def is_unmarked(view: View) -> bool:
    """Whether no tag says anything of a move, so that there is nothing to be in doubt about."""
    return not view.copies and (view.source is None or not tags.own(view.source.tags))


def _read(session: Session, case: Case) -> View:
    tagged, uuids = facts.tagged(session.destination.cluster)
    name = within.source_of(case.name, tagged, uuids) if case.within else case.name
    source = facts.instance(session.source.cluster, name) if name is not None else None
    if source is None:
        known = [uuids.get(name or "", "") if case.within else "", case.source_uuid, *_remembered(tagged.get(case.final, ()))]
        source = next((found for uuid in known if uuid for found in [facts.instance_of(session.source.cluster, uuid)] if found is not None), None)
    # By UUID, as one may be renamed between two questions, which is no reason to take it for gone.
    found = (facts.instance_of(session.destination.cluster, uuids[each]) for each in _copies(source, case, tagged, uuids))
    view = view_of(case, source, tuple(copy for copy in found if copy is not None), tagged, uuids)
    if source is None or not case.within or not is_unmarked(view):
        return view
    earlier = (facts.instance_of(session.source.cluster, uuids[each]) for each in within.replaced_by(source.uuid, case.name, tagged))
    return view._replace(predecessors=tuple(each for each in earlier if each is not None))


def _remembered(noted: t.Sequence[str]) -> t.List[str]:
    """The source that a copy with the tags *noted* remembers, where somebody has renamed it under way: Ganeti lets anybody do that while it is stopped."""
    return [str(marks["destination"]) for marks in tags.marks(noted).values() if marks.get("destination")]


def view_of(
    case: Case, source: t.Optional[facts.Instance], copies: t.Tuple[facts.Instance, ...], tagged: t.Mapping[str, t.Sequence[str]], uuids: t.Mapping[str, str]
) -> View:
    """The view out of what was read one after another; a copy that has gone meanwhile is nobody's namesake."""
    gone = set(_copies(source, case, tagged, uuids)) - {copy.name for copy in copies}
    return View(source, copies, None if case.final in gone else uuids.get(case.final))


def _copies(source: t.Optional[facts.Instance], case: Case, tagged: t.Mapping[str, t.Sequence[str]], uuids: t.Mapping[str, str]) -> t.List[str]:
    """The names of the source's copies; without a source, the copy that has the final name.

    Within a cluster, also twins that a creation has made too late, when the move they were for was over.
    """
    if source is None:
        made = any("destination" in marks for marks in tags.marks(tagged.get(case.final, ())).values())
        return [case.final] if made else []
    replaced = {marks["moved-to"] for marks in tags.marks(source.tags).values() if "moved-to" in marks}
    return [
        name
        for name in sorted(tagged)
        if uuids[name] in replaced
        or any(marks.get("destination") == source.uuid or _is_late(name, marks, case) for marks in tags.marks(tagged[name]).values())
    ]


def _is_late(name: str, marks: tags.Marks, case: Case) -> bool:
    return case.within and within.is_related(name, case.name) and "unused" in marks and "released" not in marks


def source_uuid_of(view: View) -> t.Optional[str]:
    """The UUID of the source, be it that only its copy remembers it; None where there is neither."""
    if view.source is not None:
        return view.source.uuid
    for copy in view.copies:
        for marks in tags.marks(copy.tags).values():
            if marks.get("destination"):
                return marks["destination"]
    return None


def _quiet(session: Session, case: Case, deadline: float) -> t.Tuple[str, ...]:
    """Wait until no job about our instances is under way; those that do not end in time."""
    while True:
        left = [job for side in session.sides for job in jobs.unfinished(side.cluster, lambda name: _concerns(name, case))]
        if not left or time.monotonic() >= deadline:
            return tuple(left)
        time.sleep(_PAUSE)


def _concerns(name: str, case: Case) -> bool:
    """Whether a job about *name*, which may be short, is about one of our instances."""
    ours = (case.name, case.final)
    return any(each == name or each.startswith(f"{name}.") for each in ours) or within.is_related(name, case.name)


def _made_up(name: str) -> bool:
    """Whether a name is one that a move gives to an instance for as long as it lasts."""
    return naming.RELATED.search(name) is not None
