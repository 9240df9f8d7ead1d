# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The jobs of each step: opcodes, decided from what was read, without talking to anybody.

A job that must not be done twice, or after its opposite, begins by removing a ticket (see :mod:`tags`). Opcodes name the
instance's UUID where Ganeti takes one, so that they miss another instance of the same name.
"""

from __future__ import annotations

import typing as t

from ..api.opcodes import opcode
from . import guards, tags, volumes, within
from .facts import Instance, Running
from .options import Options
from .state import Case, Scene

Opcode = t.Dict[str, t.Any]


class Job(t.NamedTuple):
    """Opcodes for one of the two clusters, to be run one after another; ``what`` says in messages what they are for.

    ``guard`` comes before what is run once more (`jobs.rest_after`), as the ticket is taken by then: it fails where the move was undone meanwhile.
    """

    at_source: bool
    opcodes: t.Tuple[Opcode, ...]
    what: str
    guard: t.Tuple[Opcode, ...] = ()


class Recipe(t.NamedTuple):
    """What the jobs of a move are made from, beside what was read."""

    case: Case
    options: Options
    move_id: str
    creation: t.Optional[Opcode] = None
    """The opcode that makes the copy."""


def begin(scene: Scene, recipe: Recipe) -> t.List[Job]:
    """Claim the source, and make the copy, fenced and with its disks ready to be written."""
    source, creation = t.cast(Instance, scene.source), t.cast(Opcode, recipe.creation)
    noted = [
        tags.source(recipe.move_id, source.admin_state),
        tags.to(recipe.move_id, recipe.case.destination_uuid),
        tags.disks(recipe.move_id, source.disks),
        tags.ready(recipe.move_id),
        tags.restorable(recipe.move_id),
    ]
    if recipe.case.within:
        noted += [tags.nic(recipe.move_id, index, nic.mac, nic.ip) for index, nic in enumerate(source.nics)]
    name = creation["instance_name"]
    marked = tags.foreign(creation["tags"]) + [tags.destination(recipe.move_id, source.uuid), tags.unused(recipe.move_id)]
    made = [{**creation, "tags": marked}, opcode("OP_INSTANCE_SET_PARAMS", instance_name=name, offline=True)]
    if creation["disks"]:
        made.append(opcode("OP_INSTANCE_ACTIVATE_DISKS", instance_name=name))
    return [Job(True, (_tag(source.name, noted),), f"tag {source.name}"), Job(False, tuple(made), f"create and fence {name}")]


def stop(scene: Scene, recipe: Recipe) -> t.List[Job]:
    """Shut the source down and fence it, tell its disks anew, and make them ready to be read where they are not."""
    source = t.cast(Instance, scene.source)
    stopping = [_untag(source.name, [tags.ready(recipe.move_id)])]
    if source.admin_state == "up":
        stopping.append(_of(source, "OP_INSTANCE_SHUTDOWN", timeout=recipe.options.shutdown_timeout))
    stopping += [_offline(source), opcode("OP_INSTANCE_QUERY_DATA", instances=[source.name], static=True, use_locking=False)]
    if t.cast(Opcode, recipe.creation)["disks"] and volumes.must_be_activated(source.disk_template):
        stopping.append(_of(source, "OP_INSTANCE_ACTIVATE_DISKS"))
    there = [tags.disks(recipe.move_id, source.disks)]  # until the end of the move, and not needed meanwhile
    return [Job(True, tuple(stopping), f"stop and fence {source.name}", guard=(_untag(source.name, there), _tag(source.name, there)))]


def release(scene: Scene, recipe: Recipe) -> t.List[Job]:
    """Note that the copy is complete, give it its name and addresses, take its fence off, and start it if it is to run."""
    copy = t.cast(Instance, scene.copy)
    noted = [_untag(copy.name, [tags.unused(scene.move_id)]), _tag(copy.name, [tags.released(scene.move_id)])]
    return [Job(False, (*noted, *_into_use(scene, recipe)), f"release {recipe.case.final}")]


def resume(scene: Scene, recipe: Recipe) -> t.List[Job]:
    """What is left to do of a release."""
    return [Job(False, tuple(_into_use(scene, recipe)), f"start {recipe.case.final}")]


def _into_use(scene: Scene, recipe: Recipe) -> t.Iterator[Opcode]:
    source, copy = t.cast(Instance, scene.source), t.cast(Instance, scene.copy)
    named = copy
    if recipe.case.within:
        names = within.names(recipe.options, True, scene.move_id)
        yield from within.exchange(source, copy, names, recipe.options, scene.move_id)
        named = copy._replace(name=names.final)
    if copy.admin_state == "offline":
        yield _online(named)
    if guards.wants_start(scene, recipe.case):
        # Not remembered: where the start fails the copy stays down, and no watcher tries again behind our back.
        yield _of(named, "OP_INSTANCE_STARTUP", no_remember=True)


def commit(scene: Scene, recipe: Recipe) -> t.List[Job]:
    """Make the move final, and take what reminds of it from a source that is kept; meanwhile have Ganeti remember that the copy runs.

    That cannot start a copy which was taken back: it is offline then, or gone.
    """
    source, copy = t.cast(Instance, scene.source), t.cast(Instance, scene.copy)
    opcodes = [_untag(source.name, [tags.restorable(scene.move_id)])] if "restorable" in scene.marks else []
    opcodes.append(_tag(source.name, [tags.moved_to(scene.move_id, copy.uuid)]))
    if recipe.options.source_after != "removed":
        opcodes += _tidied(source, [tags.restorable(scene.move_id)])
    remembered = [Job(False, (_of(copy, "OP_INSTANCE_STARTUP"),), f"note that {copy.name} runs")] if _is_to_be_remembered(copy) else []
    return [*remembered, Job(True, tuple(opcodes), f"commit the move of {source.name}")]


def tidy(scene: Scene, recipe: Recipe) -> t.List[Job]:
    """Take the tags away, and the source if that is wanted."""
    jobs = []
    if scene.copy is not None and tags.of_copies(scene.copy.tags):
        jobs.append(_tidy_copy(scene.copy))
    source = scene.source
    if source is None:
        return jobs
    if recipe.options.source_after == "removed":
        if guards.is_removable(scene):
            jobs.append(Job(True, (_offline(source), _of(source, "OP_INSTANCE_REMOVE", shutdown_timeout=0)), f"remove {source.name}"))
        return jobs
    opcodes = _tidied(source)
    if opcodes:
        jobs.append(Job(True, tuple(opcodes), f"remove tags from {source.name}"))
    return jobs


def _tidied(source: Instance, taken: t.Sequence[str] = ()) -> t.List[Opcode]:
    """What takes all tags but the last from a source that was moved, those that are *taken* before aside, and lets go of its disks."""
    left = [tag for tag in tags.own(source.tags) if tag not in taken and not any("moved-to" in marks for marks in tags.marks([tag]).values())]
    if not left:
        return []
    # Forced, as Ganeti does not look at the disks of an instance that is offline otherwise.
    activated = source.running is Running.NO and volumes.must_be_activated(source.disk_template)
    freed = [_of(source, "OP_INSTANCE_DEACTIVATE_DISKS", force=True)] if activated else []
    return [*freed, _untag(source.name, left)]


def _is_to_be_remembered(copy: Instance) -> bool:
    """Whether a copy runs, and Ganeti is yet to remember that it is to: it was started without that."""
    return copy.running is Running.YES and copy.admin_state == "down"


def _tidy_copy(copy: Instance) -> Job:
    opcodes = []
    if _is_to_be_remembered(copy):
        opcodes.append(_of(copy, "OP_INSTANCE_STARTUP"))
    elif copy.running is Running.NO and copy.admin_state == "down" and copy.disk_template != "diskless":
        opcodes.append(_of(copy, "OP_INSTANCE_DEACTIVATE_DISKS"))
    return Job(False, (*opcodes, _untag(copy.name, tags.of_copies(copy.tags))), f"remove tags from {copy.name}")


def take_back(scene: Scene, _recipe: Recipe) -> t.List[Job]:
    """Fence a copy again that did not start; Ganeti refuses where it runs."""
    copy = t.cast(Instance, scene.copy)
    return [Job(False, (_offline(copy), _untag(copy.name, [tags.released(scene.move_id)])), f"fence {copy.name} again")]


def remove(scene: Scene, _recipe: Recipe) -> t.List[Job]:
    """Remove a copy that was not released; Ganeti refuses where it runs."""
    copy = t.cast(Instance, scene.copy)
    condemned = [_untag(copy.name, [tags.unused(scene.move_id)])] if "unused" in scene.copy_marks else []
    removal = _of(copy, "OP_INSTANCE_REMOVE", shutdown_timeout=0)
    return [Job(False, (*condemned, _offline(copy), removal), f"remove {copy.name}")]


def restore(scene: Scene, recipe: Recipe) -> t.List[Job]:
    """Bring the source back to what is noted on it; one that was not stopped, or that others have a claim on, keeps its state."""
    source = t.cast(Instance, scene.source)
    ours = tags.of_move(source.tags, scene.move_id)
    untouched = scene.others or "source" not in scene.marks or ("ready" in scene.marks and source.admin_state != "offline")
    if untouched:
        return [Job(True, (_untag(source.name, ours),), f"remove tags from {source.name}")]
    # With the ticket goes what the guard of a stop looks for: one that is sent again finds it gone, whichever comes first (`stop`).
    taken = [tag for tag in ours if tag == tags.restorable(scene.move_id) or tags.is_of_disks(tag)] if "restorable" in scene.marks else []
    opcodes = [_untag(source.name, taken)] if taken else []
    names = within.names(recipe.options, recipe.case.within, scene.move_id)
    if recipe.case.within:
        opcodes += within.give_back(source, names, scene.move_id)
    named = source._replace(name=names.source) if recipe.case.within else source
    up = scene.marks["source"] == "up"
    if not up and source.running is Running.NO and volumes.must_be_activated(source.disk_template):
        opcodes.append(_of(named, "OP_INSTANCE_DEACTIVATE_DISKS", force=True))
    if source.admin_state == "offline":
        opcodes.append(_online(named))
    if up and (source.running is Running.NO or source.admin_state != "up"):  # one that runs: so that Ganeti remembers that it is to
        opcodes.append(_of(named, "OP_INSTANCE_STARTUP"))
    left = [tag for tag in ours if tag not in taken]
    return [Job(True, (*opcodes, *([_untag(named.name, left)] if left else [])), f"restore {named.name}")]


def _of(instance: Instance, op_id: str, **fields: t.Any) -> Opcode:
    return opcode(op_id, instance_name=instance.name, instance_uuid=instance.uuid, **fields)


def _offline(instance: Instance) -> Opcode:
    """Fences an instance: Ganeti refuses to start it then, and refuses this where it runs."""
    return _of(instance, "OP_INSTANCE_SET_PARAMS", offline=True)


def _online(instance: Instance) -> Opcode:
    """Takes the fence off."""
    return _of(instance, "OP_INSTANCE_SET_PARAMS", offline=False)


def _tag(name: str, names: t.Sequence[str]) -> Opcode:
    return opcode("OP_TAGS_SET", kind="instance", name=name, tags=list(names))


def _untag(name: str, names: t.Sequence[str]) -> Opcode:
    return opcode("OP_TAGS_DEL", kind="instance", name=name, tags=list(names))
