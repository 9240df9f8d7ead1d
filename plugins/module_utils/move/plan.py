# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What the destination will look like: decided from facts, without talking to anybody."""

from __future__ import annotations

import os
import typing as t

from .._difference import Difference
from ..api.opcodes import opcode
from . import tags
from .facts import Instance, InstanceDisk, Nic
from .options import NicOverride, Options
from .within import names, of_twin

# Hypervisor parameters that belong to the cluster and are refused for an instance (Ganeti: HVC_GLOBALS).
_HV_OF_CLUSTER = frozenset(("migration_bandwidth", "migration_mode", "migration_port", "xen_cmd"))

Parameters = t.Dict[str, t.Any]


class Source(t.NamedTuple):
    """All that a destination is made from."""

    instance: Instance
    disks: t.Tuple[InstanceDisk, ...]
    private: t.Mapping[str, str]


# What a move must not miss: how each is called, and where it is found.
_WATCHED: t.Mapping[str, t.Callable[[Source], t.Any]] = {
    "UUID": lambda source: source.instance.uuid,
    "primary node": lambda source: source.instance.node,
    "hypervisor": lambda source: source.instance.hypervisor,
    "operating system": lambda source: source.instance.os,
    "disk template": lambda source: source.instance.disk_template,
    "backend parameters": lambda source: source.instance.custom_be,
    "hypervisor parameters": lambda source: source.instance.custom_hv,
    "OS parameters": lambda source: source.instance.custom_os,
    "tags": lambda source: tags.foreign(source.instance.tags),
}


def changes(before: Source, after: Source) -> t.List[str]:
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
    return found


def _pairs(kind: str, before: t.Sequence[t.Any], after: t.Sequence[t.Any]) -> t.List[t.Tuple[str, t.Any, t.Any]]:
    """The fields of numbered things, with what they were and are; None for one that is not there."""
    result: t.List[t.Tuple[str, t.Any, t.Any]] = []
    if len(before) != len(after):
        result.append((f"the number of {kind}s", len(before), len(after)))
    for index, (was, now) in enumerate(zip(before, after)):
        result += [(f"the {field} of {kind} {index}", getattr(was, field), getattr(now, field)) for field in was._fields]
    return result


def explicit(custom: t.Mapping[str, t.Any], effective: t.Mapping[str, t.Any], defaults: t.Mapping[str, t.Any]) -> Parameters:
    """The parameters to state so that they have the *effective* values on a cluster with other *defaults*.

    What the user once set stays set; what was inherited is stated only where the destination would inherit another value.
    Parameters that the destination does not have by default are left out unless they were set.
    """
    differing = {name: value for name, value in effective.items() if name in defaults and defaults[name] != value}
    return {**differing, **custom}


def nic(source: Nic, override: t.Optional[NicOverride]) -> Parameters:
    """One network interface of the destination, as OP_INSTANCE_CREATE takes it."""
    result: Parameters = {"mac": source.mac}
    if source.name:
        result["name"] = source.name
    if source.ip:
        result["ip"] = source.ip
    if source.network:
        result["network"] = source.network  # which brings mode and link along
    else:
        result.update(source.custom)
    if override is None:
        return result
    if override.mac == "generate":
        result["mac"] = "generate"
    if override.network or override.mode or override.link:
        for inherited in ("network", "mode", "link", "vlan"):
            result.pop(inherited, None)
    for field in ("ip", "mode", "link", "vlan", "network"):
        value = getattr(override, field)
        if value is not None:
            result[field] = value
    return result


def disk(source: InstanceDisk) -> Parameters:
    """One disk of the destination, as OP_INSTANCE_CREATE takes it."""
    result: Parameters = {"size": source.size, "mode": source.mode}
    if source.name:
        result["name"] = source.name
    return result


def hypervisor_parameters(instance: Instance, info: t.Mapping[str, t.Any]) -> Parameters:
    """The hypervisor parameters to state at the destination, whose cluster is described by *info*."""
    defaults = info.get("hvparams", {}).get(instance.hypervisor, {})
    return {name: value for name, value in explicit(instance.custom_hv, instance.hv, defaults).items() if name not in _HV_OF_CLUSTER}


def backend_parameters(instance: Instance, info: t.Mapping[str, t.Any]) -> Parameters:
    """The backend parameters to state at the destination, whose cluster is described by *info*."""
    defaults = info.get("beparams", {}).get("default", {})
    known = {name: value for name, value in explicit(instance.custom_be, instance.be, defaults).items() if name != "memory"}
    return known


def creation(source: Source, info: t.Mapping[str, t.Any], options: Options, move_id: str, within: bool) -> t.Dict[str, t.Any]:
    """The opcode that makes the destination: nothing installed, not started, marked with the move's id; a twin if *within*."""
    instance = source.instance
    overrides = {override.number: override for override in options.nics}
    nics = [nic(each, overrides.get(index)) for index, each in enumerate(instance.nics)]
    fields: t.Dict[str, t.Any] = {
        "instance_name": names(options, within, move_id).made,
        "mode": "create",
        "disk_template": options.disk_template or instance.disk_template,
        "disks": [disk(each) for each in source.disks],
        "nics": [of_twin(each) for each in nics] if within else nics,
        "hypervisor": instance.hypervisor,
        "beparams": backend_parameters(instance, info),
        "hvparams": hypervisor_parameters(instance, info),
        "osparams": dict(instance.custom_os),
        "no_install": True,
        "start": False,
        "wait_for_sync": False,
        "ip_check": False,
        "name_check": False,
        "tags": tags.foreign(instance.tags) + [tags.destination(move_id)],
    }
    if instance.os:
        fields["os_type"] = instance.os
    if source.private:
        fields["osparams_private"] = dict(source.private)
    if options.primary_node:
        fields["pnode"] = options.primary_node
    elif options.iallocator:
        fields["iallocator"] = options.iallocator
    return opcode("OP_INSTANCE_CREATE", **fields)


def storage_directory(info: t.Mapping[str, t.Any], template: str) -> t.Optional[str]:
    """The directory whose file system must have room, for templates that keep disks in files."""
    field = {"file": "file_storage_dir", "sharedfile": "shared_file_storage_dir"}.get(template)
    directory = info.get(field) if field else None
    return os.path.normpath(directory) if directory else None


def will_run(instance: Instance, start: str) -> bool:
    """Whether the destination is to be started."""
    return instance.admin_state == "up" if start == "as_before" else start == "yes"


def difference(source: Source, clusters: t.Tuple[str, str], options: Options, node: t.Optional[str]) -> Difference:
    """What the move changes, for ``changed`` and ``diff``."""
    instance = source.instance
    tracker = Difference()
    tracker.add("cluster", clusters[0], clusters[1])
    tracker.add("name", instance.name, options.destination_name)
    tracker.add("primary_node", instance.node, node or "chosen by the allocator")
    tracker.add("disk_template", instance.disk_template, options.disk_template or instance.disk_template)
    tracker.add("state", instance.admin_state, "up" if will_run(instance, options.start) else "down")
    tracker.add("source", "in use", options.source_after)
    overrides = {override.number: override for override in options.nics}
    for index, each in enumerate(instance.nics):
        tracker.add(f"nic/{index}", nic(each, None), nic(each, overrides.get(index)))
    return tracker
