# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What the destination will look like: decided from facts, without talking to anybody."""

from __future__ import annotations

import itertools
import typing as t

from .._difference import Difference
from ..api.opcodes import opcode
from . import interfaces, parameters, tags, volumes
from .facts import Instance, InstanceDisk
from .options import Options
from .within import names, of_twin

Parameters = t.Dict[str, t.Any]
Info = t.Mapping[str, t.Any]


_LINKS = "/var/run/ganeti/instance-disks"
"""Where Ganeti keeps a link to each disk of an instance that runs (Ganeti: DISK_LINKS_DIR)."""


class Source(t.NamedTuple):
    """All that a destination is made from.

    ``private`` are the private OS parameters, ``cluster`` is what the source's cluster says of itself, ``disk_params`` are the parameters
    that disks have of their own, by the disk's UUID; None where the way to the cluster does not tell them.
    """

    instance: Instance
    disks: t.Tuple[InstanceDisk, ...]
    private: t.Mapping[str, str]
    cluster: Info = {}
    disk_params: t.Optional[t.Mapping[str, t.Mapping[str, t.Any]]] = None


_WATCHED: t.Mapping[str, t.Callable[[Source], t.Any]] = {
    "UUID": lambda source: source.instance.uuid,
    "primary node": lambda source: source.instance.node,
    "hypervisor": lambda source: source.instance.hypervisor,
    "operating system": lambda source: source.instance.os,
    "disk template": lambda source: source.instance.disk_template,
    "backend parameters": lambda source: source.instance.custom_be,
    "hypervisor parameters": lambda source: source.instance.custom_hv,
    "OS parameters": lambda source: source.instance.custom_os,
    "list of disks": lambda source: source.instance.disks,
    "tags": lambda source: tags.foreign(source.instance.tags),
}
"""What a move must not miss: how each is called, and where it is found."""


def source_changes(before: Source, after: Source) -> t.List[str]:
    """What is different about a source that was read again, a sentence each; nothing where the plan made from *before* still holds.

    The state is not compared: it is the move that changes it.
    """
    name = before.instance.name
    pairs = [(f"its {what}", read(before), read(after)) for what, read in _WATCHED.items()]
    pairs += _pairs("disk", before.disks, after.disks)
    pairs += _pairs("interface", before.instance.nics, after.instance.nics)
    found = [f"{name} was changed while it was being moved: {what} was {was!r} and is {now!r} now." for what, was, now in pairs if was != now]
    if before.private != after.private:  # never to be shown
        found.append(f"{name} was changed while it was being moved: its private OS parameters are others now.")
    if before.disk_params != after.disk_params:
        found.append(f"{name} was changed while it was being moved: the parameters of its disks are others now.")
    return found


def _pairs(kind: str, before: t.Sequence[t.Any], after: t.Sequence[t.Any]) -> t.List[t.Tuple[str, t.Any, t.Any]]:
    """The fields of numbered things, with what they were and are; None for one that is not there."""
    result: t.List[t.Tuple[str, t.Any, t.Any]] = []
    if len(before) != len(after):
        result.append((f"the number of {kind}s", len(before), len(after)))
    for index, (was, now) in enumerate(zip(before, after)):
        result += [(f"the {field} of {kind} {index}", getattr(was, field), getattr(now, field)) for field in was._fields]
    return result


class Parts(t.NamedTuple):
    """The parameters of a destination, kind by kind."""

    hypervisor: parameters.Stated
    backend: parameters.Stated
    os: parameters.Stated
    disks: t.List[Parameters]
    nics: t.List[interfaces.Interface]


def parts(source: Source, info: Info, options: Options) -> Parts:
    """What the destination will have, on the cluster that *info* describes."""
    instance, template = source.instance, disk_template(source, options)
    return Parts(
        parameters.hypervisor(instance, info, options.hvparams),
        parameters.backend(instance, info),
        parameters.operating_system(instance, info, source.cluster),
        [volumes.stated(disk, template, own_params(source, disk), options.ext_params, info) for disk in source.disks],
        interfaces.planned(instance.nics, options),
    )


def disk_template(source: Source, options: Options) -> str:
    """The disk template at the destination."""
    return options.disk_template or source.instance.disk_template


def own_params(source: Source, disk: InstanceDisk) -> t.Mapping[str, t.Any]:
    """The parameters that a disk has of its own, as far as they are known."""
    return (source.disk_params or {}).get(disk.uuid, {})


def paths(source: Source) -> t.List[t.Tuple[str, int]]:
    """Where the first disks are on the source's node and how long they are on record, in bytes; disks that are not accessible now end the list.

    A file is always there, a device only while the instance runs.
    """
    instance = source.instance
    found = [(disk.file or (f"{_LINKS}/{instance.name}:{n}" if instance.status == "running" else None), disk.bytes) for n, disk in enumerate(source.disks)]
    return [(path, size) for path, size in itertools.takewhile(lambda each: each[0] is not None, found) if path]


def creation(source: Source, info: Info, options: Options, move_id: str, within: bool) -> t.Dict[str, t.Any]:
    """The opcode that makes the destination: nothing installed, not started, marked with the move's id; a twin if *within*."""
    instance, template, made = source.instance, disk_template(source, options), parts(source, info, options)
    nics = interfaces.all_stated(instance.nics, options, info)
    fields: t.Dict[str, t.Any] = {
        "instance_name": names(options, within, move_id).made,
        "mode": "create",
        "disk_template": template,
        "disks": made.disks,
        "nics": [of_twin(each) for each in nics] if within else nics,
        "hypervisor": instance.hypervisor,
        "beparams": made.backend.values,
        "hvparams": made.hypervisor.values,
        "osparams": made.os.values,
        "no_install": True,
        "start": False,
        "wait_for_sync": False,
        "ip_check": False,
        "name_check": False,
        "ignore_ipolicy": options.ignore_ipolicy,
        "tags": tags.foreign(instance.tags) + [tags.destination(move_id)],
        **volumes.of_files(source.disks, template, source.cluster),
    }
    optional = {
        "os_type": instance.os,
        "osparams_private": dict(source.private),
        "pnode": options.primary_node,
        "snode": options.secondary_node if template == volumes.DRBD else None,
        "iallocator": None if options.primary_node else options.iallocator,
    }
    fields.update({field: value for field, value in optional.items() if value})
    return opcode("OP_INSTANCE_CREATE", **fields)


def notes(source: Source, info: Info, options: Options) -> t.List[str]:
    """What will be different at the destination though nobody asked for it, a sentence each."""
    made = parts(source, info, options)
    found = [*made.hypervisor.notes, *made.backend.notes, *made.os.notes, *interfaces.notes(made.nics, info)]
    if source.disk_params is None and any(disk.template == volumes.EXT for disk in source.disks) and not options.ext_params:
        found.append("The remote API does not tell the parameters of ext disks, so none are taken along: name them in ext_params, or use transport ssh.")
    return found


def storage_directory(info: Info, template: str) -> t.Optional[str]:
    """The directory whose file system must have room, for templates that keep disks in files."""
    return volumes.directory(info, template)


def will_run(instance: Instance, start: str) -> bool:
    """Whether the destination is to be started."""
    return instance.admin_state == "up" if start == "as_before" else start == "yes"


def elsewhere(found: Instance, options: Options) -> t.Optional[str]:
    """Where an instance is that was moved before, if the task now says that it should be on another node."""
    if options.primary_node in (None, found.node):
        return None
    return (
        f"{found.name} was moved before and is on {found.node}, not on {options.primary_node}, and is left there: "
        "to move it on, run a task whose source is the cluster where it is now."
    )


def difference(source: Source, info: Info, options: Options, node: t.Optional[str], how: t.Optional[Parameters] = None) -> Difference:
    """What the move changes, for ``changed`` and ``diff``; *info* describes the destination, *how* is what is known about the copy."""
    instance, template, made = source.instance, disk_template(source, options), parts(source, info, options)
    tracker = Difference()
    tracker.keep("cluster", source.cluster.get("name"), info["name"])
    tracker.keep("name", instance.name, options.destination_name)
    tracker.keep("primary_node", instance.node, node or "chosen by the allocator")
    if template == volumes.DRBD:
        tracker.keep("secondary_node", ", ".join(instance.secondaries) or None, options.secondary_node or "chosen by the allocator")
    tracker.keep("disk_template", instance.disk_template, template)
    tracker.keep("state", instance.admin_state, "up" if will_run(instance, options.start) else "down")
    tracker.keep("source", "in use", options.source_after)
    for index, (disk, stated) in enumerate(zip(source.disks, made.disks)):
        tracker.keep(f"disk/{index}", volumes.shown_source(disk, own_params(source, disk)), volumes.shown(template, stated))
    for index, (nic, wanted) in enumerate(zip(instance.nics, made.nics)):
        tracker.keep(f"nic/{index}", interfaces.of_source(nic).shown(), wanted.shown())
    for kind, stated_ in (("hvparams", made.hypervisor), ("beparams", made.backend), ("osparams", made.os)):
        for name in sorted({*stated_.before, *stated_.after}):
            tracker.keep(f"{kind}/{name}", *_of_release(name, stated_.before.get(name), stated_.after.get(name), instance.node, node))
    for name, value in (how or {}).items():
        tracker.add(f"copy/{name}", None, value)
    return tracker


def _of_release(name: str, before: t.Any, after: t.Any, here: str, there: t.Optional[str]) -> t.Tuple[t.Any, t.Any]:
    """A parameter before and after; an empty machine type means the newest one of the node's QEMU, and these differ."""
    if name != "machine_version" or before or after:
        return before, after
    return f"the default of QEMU on {here}", f"the default of QEMU on {there or 'the node'}"
