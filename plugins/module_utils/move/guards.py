# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What has to be true before a step is taken, each as a function whose answer is "" or the sentence that ends the run.

Every sentence says what to do, and where only people can decide, the commands that decide.
"""

from __future__ import annotations

import typing as t

from . import tags
from .facts import Instance, Running
from .state import Case, Scene

Guard = t.Callable[[Scene, Case], str]


def source_ready(scene: Scene, case: Case) -> str:
    """The source is as it was when the move began."""
    source = _source(scene)
    noted = scene.marks.get("source")
    expected = Running.YES if noted == "up" else Running.NO
    if "ready" in scene.marks and not scene.others and source.admin_state == noted and source.running is expected:
        return ""
    if source.running is Running.UNKNOWN:
        return silent(source, _at_source(scene, case), case.source_cluster, "Run the same task again when it does.")
    return f"{_at_source(scene, case)} was changed while it was moved (it is {source.admin_state} and {source.running.value}): somebody else uses it."


def source_fenced(scene: Scene, case: Case) -> str:
    """The source cannot run, and does not; and it is in this move alone."""
    source, where = _source(scene), _at_source(scene, case)
    if scene.others:
        return f"{where} takes part in another move as well ({scene.others[0]}): run the same task again."
    if source.running is Running.YES:
        return f"{where} runs, though {_at_copy(scene, case)} is to take its place. {_choice(scene, case)}"
    if source.running is Running.UNKNOWN and not source.node_given_up:
        return silent(source, where, case.source_cluster, "Run the same task again when it does.")
    if source.admin_state != "offline" or "source" not in scene.marks or "ready" in scene.marks:
        return (
            f"{where} is not marked offline any more, so somebody took it up again. To go on with the move: gnt-instance shutdown {source.name}; "
            f"gnt-instance modify --offline {source.name}; then run the same task again. {_choice(scene, case)}"
        )
    return ""


def source_known(scene: Scene, case: Case) -> str:
    """The source's node answers, so that the source can be had back."""
    source = _source(scene)
    if source.running is not Running.UNKNOWN:
        return ""
    copy = f"{_at_copy(scene, case)} is left as it is. " if scene.copy else ""
    return silent(
        source, _at_source(scene, case), case.source_cluster, f"{copy}Run the same task again when it does, or with state: aborted. {_abandon(scene)}"
    )


def source_has_its_name(scene: Scene, case: Case) -> str:
    """A running source cannot be renamed, as it has to be within a cluster; in another one the name that somebody gave it under way stays."""
    source = _source(scene)
    if not case.within or source.name == case.name or source.running is Running.NO:
        return ""
    return f"{_at_source(scene, case)} is the source of the move and runs under this name: shut it down, and run the same task again."


def source_answers(scene: Scene, case: Case) -> str:
    """A source that is kept is on a node that answers, so that its disks can be let go."""
    source = scene.source
    if source is None or case.source_after == "removed" or source.running is not Running.UNKNOWN or source.node_given_up:
        return ""
    return f"The move is committed. {silent(source, _at_source(scene, case), case.source_cluster, 'Run the same task again when it does, to finish it.')}"


def source_removable(scene: Scene, case: Case) -> str:
    """What is to be removed is known not to run, and has no other disks than those that were copied."""
    source = scene.source
    if source is None or case.source_after != "removed" or tags.of_copies(t.cast(Instance, scene.copy).tags):
        return ""
    if is_removable(scene):
        return ""
    if is_stopped(source):
        return (
            f"{_at_copy(scene, case)} is moved and in use, but {_at_source(scene, case)} is not removed, as its disks are not those any more that were "
            "copied: look at them, and run the same task again with source_after: fenced to keep it."
        )
    return (
        f"{_at_copy(scene, case)} is moved and in use, but {_at_source(scene, case)} is not removed, as it {source.running.value} and is marked "
        f"{source.admin_state}: look at it, and run the same task again, or with source_after: fenced to keep it."
    )


def replaced_source_rests(scene: Scene, case: Case) -> str:
    """A source that was replaced does not run beside its copy: somebody would have taken its fence off and started it."""
    source, copy = scene.source, scene.copy
    if source is None or copy is None or source.running is not Running.YES or copy.running is not Running.YES:
        return ""
    return (
        f"{_at_source(scene, case)} was moved to {_at_copy(scene, case)}, and both run, as somebody took the fence off the first and started it. "
        f"To keep the copy, on {case.source_cluster}'s master: gnt-instance shutdown {source.name}; gnt-instance modify --offline {source.name}. "
        f"To keep the source: remove the copy, and then gnt-instance remove-tags {source.name} {' '.join(tags.own(source.tags))}."
    )


def predecessor_rests(scene: Scene, case: Case) -> str:
    """Within a cluster, no kept source of an earlier move runs beside the instance that took its place."""
    source = scene.source
    twice = [each for each in scene.predecessors if each.running is Running.YES]
    if source is None or source.running is not Running.YES or not twice:
        return ""
    old = twice[0]
    return (
        f"{old.name} on {case.source_cluster} was moved to {_at_source(scene, case)}, and both run, as somebody took the fence off the first and started it. "
        f"To keep {source.name}, on {case.source_cluster}'s master: gnt-instance shutdown {old.name}; gnt-instance modify --offline {old.name}. To keep the "
        f"other: remove {source.name}, then gnt-instance remove-tags {old.name} {' '.join(tags.own(old.tags))}, and shut it down to rename it."
    )


def copy_unused(scene: Scene, case: Case) -> str:
    """The copy is as it was made: offline, and known never to have run."""
    copy = _copy(scene)
    if "unused" in scene.copy_marks and copy.admin_state == "offline" and copy.running is Running.NO:
        return ""
    if copy.running is Running.UNKNOWN:
        return silent(copy, _at_copy(scene, case), case.destination_cluster, "Run the same task again when it does.")
    return f"{_at_copy(scene, case)} was changed while it was made (it is {copy.admin_state} and {copy.running.value}): somebody else uses it."


def copy_stopped(scene: Scene, case: Case) -> str:
    """The copy is known not to run, and nothing would start it."""
    copy, where = _copy(scene), _at_copy(scene, case)
    if copy.running is Running.UNKNOWN:
        return silent(copy, where, case.destination_cluster, "Run the same task again when it does.")
    if copy.running is Running.YES or copy.admin_state == "up":
        return (
            f"{where} is a copy that was not released, but somebody else has started it; it is left as it is. If nothing that it wrote matters: "
            f"gnt-instance shutdown {copy.name}, then run the same task again."
        )
    return ""


def copy_has_its_name(scene: Scene, case: Case) -> str:
    """Within a cluster, the copy has taken over the name."""
    copy = _copy(scene)
    if not case.within or copy.name == case.final:
        return ""
    return f"{_at_copy(scene, case)} was started before it had its name: shut it down, and run the same task again."


def copy_answers(scene: Scene, case: Case) -> str:
    """A copy whose start Ganeti has not noted yet is known to run, or not to."""
    copy = scene.copy
    if copy is None or not scene.copy_marks or copy.running is not Running.UNKNOWN or copy.admin_state == "up":
        return ""
    return f"The move is committed. {silent(copy, _at_copy(scene, case), case.destination_cluster, 'Run the same task again when it does, to finish it.')}"


def is_as_wanted(scene: Scene, case: Case) -> t.Optional[bool]:
    """Whether a released copy is as it is wanted; None where that is not known."""
    copy = _copy(scene)
    if copy.running is Running.YES:
        return True
    if copy.running is Running.UNKNOWN:
        return None
    return not wants_start(scene, case) and copy.admin_state != "offline" and copy.name == case.final


def wants_start(scene: Scene, case: Case) -> bool:
    """Whether the copy is to run in the end."""
    return case.start == "yes" or (case.start == "as_before" and scene.marks.get("source") == "up")


def is_stopped(source: Instance) -> bool:
    """Whether an instance is marked offline and known not to run."""
    return source.admin_state == "offline" and source.running is Running.NO


def is_removable(scene: Scene) -> bool:
    """Whether the source of a move that is committed is stopped, and has the disks that were copied and no others."""
    source = _source(scene)
    return is_stopped(source) and scene.marks.get("disks") in (None, tags.fingerprint(source.disks))


def unfinished(jobs: t.Sequence[str]) -> str:
    """The sentence for jobs that do not end."""
    return (
        f"Jobs about this instance have not come to their end: {'; '.join(jobs)}. Nothing was done meanwhile. "
        "Wait for them or cancel them (gnt-job cancel), and run the same task again."
    )


def moved(scene: Scene, case: Case) -> str:
    """The sentence for an undo that comes too late."""
    return f"{case.name} is moved to {_arrived(scene, case)} for good, so there is nothing to undo: to have it back, move it back."


def nowhere(case: Case) -> str:
    """The sentence where there is nothing to move."""
    return (
        f"There is no instance {case.name} on {case.source_cluster}, and no {case.final} on {case.destination_cluster}: correct the name or the clusters."
    )


def bereft(scene: Scene, case: Case) -> str:
    """The sentence for a copy whose source is gone."""
    copy = _copy(scene)
    return (
        f"{_at_copy(scene, case)} is the copy of an instance that is no longer on {case.source_cluster}, and was not released, so it may be incomplete; "
        f"it is left as it is. Find the source; or remove the copy (gnt-instance remove {copy.name}); or use it as it is: "
        f"gnt-instance remove-tags {copy.name} {' '.join(tags.own(copy.tags))}; gnt-instance modify --online {copy.name}."
    )


def not_started(scene: Scene, case: Case) -> str:
    """What is said where a released copy cannot be made to run."""
    return f" {_at_copy(scene, case)} is complete; {_at_source(scene, case)} stays fenced. Repair that and run the same task again. {_choice(scene, case)}"


def not_tidy(scene: Scene, case: Case) -> str:
    """What is said where a move is not brought to its end."""
    return f" {_at_copy(scene, case)} is moved and in use, but tidying up failed: run the same task again to finish it."


def not_undone(scene: Scene, case: Case) -> str:
    """What is said where an undo is not brought to its end."""
    return f" What is left of move {scene.move_id} is not undone: repair that and run the same task again."


def another(case: Case) -> str:
    """The sentence where a name has got another instance."""
    return f"{case.name} on {case.source_cluster} is another instance than it was a moment ago: run the same task again."


def vanished(scene: Scene, case: Case) -> str:
    """The sentence for a move whose tags others have removed under way, or whose copy."""
    said = (
        f"The move of {case.name} to {case.destination_cluster} has vanished while it was under way: somebody removed its tags or the copy, or another run "
        f"took it over. {case.name} on {case.source_cluster} is in no move any more."
    )
    if scene.source is None or scene.source.admin_state != "offline":
        return said
    return f"{said} It is still marked offline. To have it back: gnt-instance modify --online {scene.source.name}; gnt-instance start {scene.source.name}."


def overtaken(failure: str, scene: Scene, case: Case) -> str:
    """The sentence for a run that finds its work done by another one."""
    said = f"Another run has moved {case.name} to {_arrived(scene, case)} meanwhile (move {scene.move_id}); this one changed nothing more."
    if not scene.move_id:  # the source, which would tell, is gone
        said = f"{case.name} is not on {case.source_cluster} any more, and {_arrived(scene, case)} is there: another run seems to have moved it meanwhile."
    return f"{failure} {said}" if failure else said


def may_have_run(scene: Scene, case: Case) -> str:
    """The sentence for an undo that could lose what the copy has written."""
    copy = _copy(scene)
    stop = f"gnt-instance shutdown {copy.name}; " if copy.running is not Running.NO or copy.admin_state == "up" else ""
    return (
        f"{_at_copy(scene, case)} is complete and {'runs' if copy.running is Running.YES else 'may have run'}, so nothing was undone. "
        "Run the task without state: aborted to finish the move. "
        f"To give up what the copy may have written, on {case.destination_cluster}'s master: {stop}"
        f"gnt-instance remove-tags {copy.name} {tags.released(scene.move_id)}; then run with state: aborted again."
    )


def silent_copy(scene: Scene, case: Case) -> str:
    """The sentence for a released copy whose node does not answer."""
    return silent(_copy(scene), _at_copy(scene, case), case.destination_cluster, f"Run the same task again when it does. {_choice(scene, case)}")


def silent(instance: Instance, where: str, cluster: str, then: str) -> str:
    """The sentence for a node that does not answer."""
    return f"Whether {where} runs is not known, as its node {instance.node} does not answer {cluster}'s master. {then}"


def _choice(scene: Scene, case: Case) -> str:
    """How people give up a copy that was released, or was about to be."""
    if scene.copy is None or "released" not in scene.copy_marks:
        return "To undo the move, run the task with state: aborted."
    return (
        f"To give the copy up with all that it may have written, on {case.destination_cluster}'s master: gnt-instance shutdown {scene.copy.name}; "
        f"gnt-instance remove-tags {scene.copy.name} {tags.released(scene.move_id)}; then run the task with state: aborted."
    )


def _abandon(scene: Scene) -> str:
    """How people decide where a source is lost."""
    if scene.copy is None:
        return f"If the node is lost for good, so is the source: gnt-instance remove-tags {_source(scene).name} {' '.join(tags.own(_source(scene).tags))}."
    return (
        f"If the node is lost for good, the journal tells whether the copy is complete; to use it: gnt-instance remove-tags {scene.copy.name} "
        f"{' '.join(tags.own(scene.copy.tags))}; gnt-instance modify --online {scene.copy.name}."
    )


def _source(scene: Scene) -> Instance:
    return t.cast(Instance, scene.source)


def _copy(scene: Scene) -> Instance:
    return t.cast(Instance, scene.copy)


def _arrived(scene: Scene, case: Case) -> str:
    """Where an instance is that was moved, by the name that it has there; by the wanted one where the copy is not known."""
    return _at_copy(scene, case) if scene.copy else f"{case.final} on {case.destination_cluster}"


def _at_source(scene: Scene, case: Case) -> str:
    return f"{_source(scene).name} on {case.source_cluster}"


def _at_copy(scene: Scene, case: Case) -> str:
    return f"{_copy(scene).name} on {case.destination_cluster}"
