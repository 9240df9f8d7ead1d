# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Every question whose answer would make a move fail later, asked before anything is changed.

The answers are decided here from facts, without talking to anybody; who asks is :mod:`survey`.
"""

from __future__ import annotations

import re
import typing as t

from ..api import naming
from ..zeroing import tags as zeroing
from . import interfaces, parameters, plan, sizes, tags, volumes, within
from .facts import Instance, Node, Running
from .options import Options, uses_tool
from .plan import Source, will_run

_OLDEST, _NEWEST = (3, 0), (3, 1)
_VERSION = re.compile(r"(\d+)\.(\d+)")
_OLDEST_PYTHON = (3, 9)
_MIB = 1024 * 1024
_MARGIN = 64 * _MIB
"""Bytes that must stay free beside the data, for the file system's own needs."""

Info = t.Mapping[str, t.Any]


class Clusters(t.NamedTuple):
    """What both clusters say, before any node is asked."""

    source_info: Info
    destination_info: Info
    source: Source
    namesake: t.Optional[Instance]
    """The instance that has the destination's name already, if there is one."""
    destination_nodes: t.Mapping[str, Node]
    destination_networks: t.Set[str]
    lock_holder: t.Optional[str]
    providers: t.Optional[t.Mapping[str, t.Set[str]]] = None
    """The destination's providers of ``ext`` disks and their parameters; None where they are not known or not needed."""


class Probes(t.NamedTuple):
    """What the two nodes say of themselves, and of each other."""

    source_node: str
    source: t.Mapping[str, t.Any]
    destination_node: str
    destination: t.Mapping[str, t.Any]
    unreachable: t.Optional[str]
    needed: int
    """Bytes that the copy will take."""
    clusters: t.Tuple[str, str] = ("", "")
    """The clusters that the two nodes should belong to."""


def of_clusters(seen: Clusters, options: Options) -> t.List[str]:
    """Everything that the clusters' answers forbid, a sentence each."""
    checks = (_versions, _within, _state, _lock, _name, _template, _ext, _hypervisor, _os, _tool, _ciphers, _networks, _nics, _node, _secondary)
    return [problem for check in checks for problem in check(seen, options)]


def runnable(options: Options, *infos: Info) -> t.List[str]:
    """The tool that the user names, if the nodes may run it to see whether it is there: it is on the list of every cluster.

    What is not on these lists may be any program of the nodes, which it would be run as root.
    """
    return [options.compress] if uses_tool(options) and all(options.compress in info["compression_tools"] for info in infos) else []


def refused(where: str, message: str, creation: t.Mapping[str, t.Any]) -> str:
    """Why the cluster *where* refuses *creation*, in its own words, and which option of a move may help."""
    told = f"{where} would refuse the instance: {message.rstrip('. ')}."
    named = sorted(name for name in creation.get("hvparams", {}) if re.search(rf"\b{re.escape(name)}\b", message))
    if named:
        told += f" Have what {' and '.join(named)} needs on the node there, or set {' and '.join(named)} in hvparams, to null for the default there."
    if "violates policy" in message:
        told += " Choose another node, or set ignore_ipolicy."
    return told


def of_nodes(probes: Probes, options: Options) -> t.List[str]:
    """Everything that the nodes' answers forbid, a sentence each."""
    problems = []
    sides = ((probes.source_node, probes.source, "source"), (probes.destination_node, probes.destination, "destination"))
    for (name, answer, side), cluster in zip(sides, probes.clusters):
        if answer.get("cluster") not in (None, cluster):
            problems.append(f"What answers as the {side} node {name} is a node of {answer['cluster']}, not of {cluster}: look at its name and address in DNS.")
        if tuple(answer["python"][:2]) < _OLDEST_PYTHON:
            problems.append(f"The {side} node {name} has Python {answer['python'][0]}.{answer['python'][1]}: install 3.9 or later.")
        if not answer["tls13"]:
            problems.append(f"Python on the {side} node {name} has no TLS 1.3: upgrade OpenSSL there.")
        if not answer["root"]:
            problems.append(f"The SSH user on the {side} node {name} is not root and cannot open disks: set ssh.user to root.")
        if answer["cipher_bypassing"] is False:
            problems.append(
                f"The {side} node {name} does not allow moves to choose ciphers: set allow_cipher_bypassing with the module cluster, or leave ciphers out."
            )
        problems += [f"On the {side} node {name}: {problem}" for problem in answer["cipher_problems"]]
        if not answer["tools"].get(options.compress, True):
            tool = options.compress
            problems.append(f"The compression tool {tool} does not answer -h on the {side} node {name}: install it there, or choose another.")
    problems += sizes.problems(probes.source_node, probes.source["disks"] or ())
    free = probes.destination["free"]
    if free is not None and free < probes.needed + _MARGIN:
        problems.append(
            f"The destination node {probes.destination_node} has {free // _MIB} MiB free, the copy needs {(probes.needed + _MARGIN) // _MIB} MiB: "
            "make room or choose another node."
        )
    if probes.unreachable:
        problems.append(probes.unreachable)
    return problems


Problems = t.Iterator[str]


def version(info: Info) -> t.Tuple[int, int]:
    """A cluster's release as two numbers, whatever follows them, as in "3.1.0~rc2"; zeros where there are none."""
    match = _VERSION.match(str(info["software_version"]))
    return (int(match[1]), int(match[2])) if match else (0, 0)


def notes(seen: Clusters) -> t.List[str]:
    """What is worth knowing about the clusters, but stands in no move's way."""
    return [
        f"{info['name']} runs Ganeti {info['software_version']}, with which moves were not tried: the newest known is {_NEWEST[0]}.{_NEWEST[1]}."
        for info in (seen.source_info, seen.destination_info)
        if version(info) > _NEWEST
    ]


def _versions(seen: Clusters, options: Options) -> Problems:
    for info, side in ((seen.source_info, "source"), (seen.destination_info, "destination")):
        if version(info) < _OLDEST:
            oldest = f"{_OLDEST[0]}.{_OLDEST[1]}"
            yield f"The {side} cluster {info['name']} runs Ganeti {info['software_version']}: moves need {oldest} or later."


def _within(seen: Clusters, options: Options) -> Problems:
    """Within a cluster, the task must say where to: it would find another node each time it is run."""
    if seen.source_info["uuid"] != seen.destination_info["uuid"]:
        return
    if options.primary_node is None:
        yield f"Source and destination are the same cluster, {seen.source_info['name']}: set primary_node to the node that is to have the instance."
    if options.destination_name != options.name:
        yield "destination_name cannot be set for a move within a cluster: use gnt-instance rename."
    longest = max(map(len, within.names(options, True, "0" * 16)))
    if longest > naming.LONGEST:
        yield f"{options.name} is too long to be moved within its cluster, where copies have names of {longest} characters: rename it first."


def _state(seen: Clusters, options: Options) -> Problems:
    instance = seen.source.instance
    where = f"{instance.name} on {seen.source_info['name']}"
    if instance.admin_state == "offline":
        yield f"{where} is marked offline, so somebody set it aside: bring it online first (gnt-instance modify --online)."
    elif instance.running is not (Running.YES if instance.admin_state == "up" else Running.NO):
        yield f"{where} is in the state {instance.status}: start it or shut it down, so that it is known whether its disks are in use."
    if zeroing.own(instance.tags):
        yield (
            f"{where} is being zeroed by a run that died: run that task (instance_zero, or instance_move with zero_free_space) again first, "
            "or this one with state: aborted."
        )
    strange = tags.own(instance.tags)
    if strange:
        yield f"{where} carries the tag {strange[0]} of a move that cannot be told apart: remove the tag if no move is under way."


def _lock(seen: Clusters, options: Options) -> Problems:
    if seen.lock_holder:
        yield f"{seen.source.instance.name} is locked by {seen.lock_holder}: wait for that job or cancel it (gnt-job list --running)."


def _name(seen: Clusters, options: Options) -> Problems:
    if seen.namesake is None:
        return
    where, left = seen.destination_info["name"], _left_behind(seen.namesake)
    if left is not None and left[1] == seen.source.instance.uuid:
        yield (
            f"On {where} the name {options.destination_name} is taken by the copy that move {left[0]} of this very instance has left there, fenced: "
            f"remove it if nobody needs it any more (gnt-instance remove {options.destination_name}), or set destination_name."
        )
    elif left is not None:
        yield (
            f"On {where} the name {options.destination_name} is taken by the fenced copy of an instance that was moved away to another one "
            f"({left[1]}): remove it if nobody needs it any more, or set destination_name."
        )
    else:
        yield f"{where} already has an instance {options.destination_name}: set destination_name, or remove that instance."


def _left_behind(instance: Instance) -> t.Optional[t.Tuple[str, str]]:
    """The move that has left an instance behind, and the UUID of the one that replaced it; None where none has."""
    marks = (tag[len(tags.PREFIX):].split(":") for tag in tags.own(instance.tags))
    return next(((mark[0], mark[2]) for mark in marks if len(mark) == 3 and mark[1] == "moved-to"), None)


def _template(seen: Clusters, options: Options) -> Problems:
    template = options.disk_template or seen.source.instance.disk_template
    enabled = seen.destination_info["enabled_disk_templates"]
    if template not in enabled:
        where = f"{seen.destination_info['name']}, which has {', '.join(enabled)}"
        yield f"The disk template {template} is not enabled on {where}: set disk_template to one of these."


def _ext(seen: Clusters, options: Options) -> Problems:
    source = seen.source
    if plan.disk_template(source, options) != volumes.EXT:
        if options.ext_params:
            yield "ext_params are given, but the disk template at the destination is not ext: set disk_template to ext, or leave them out."
        return
    reserved = sorted(volumes.NOT_EXT & set(options.ext_params))
    if reserved:
        yield f"ext_params cannot set {', '.join(reserved)}: only the provider and its own parameters."
    for index, disk in enumerate(source.disks):
        made = volumes.providers_parameters(disk, plan.own_params(source, disk), options.ext_params)
        yield from _provider(f"Disk {index}", made, seen)


def _provider(what: str, made: t.Mapping[str, t.Any], seen: Clusters) -> Problems:
    where, provider = seen.destination_info["name"], made.get("provider")
    if provider is None:
        yield f"{what} is to have the disk template ext, which needs a provider: set provider in ext_params."
    elif seen.providers is not None and provider not in seen.providers:
        known = ", ".join(sorted(seen.providers)) or "none"
        yield f"{where} does not have the provider {provider} of {what.lower()}, but {known}: set provider in ext_params, or install it on all nodes."
    elif seen.providers is not None:
        strange = sorted(set(made) - {"provider", "size", "mode", "name", "access"} - seen.providers[provider])
        if strange:
            yield f"The provider {provider} on {where} does not know {', '.join(strange)} of {what.lower()}: set ext_params."


def _hypervisor(seen: Clusters, options: Options) -> Problems:
    hypervisor, enabled = seen.source.instance.hypervisor, seen.destination_info["enabled_hypervisors"]
    if hypervisor not in enabled:
        yield f"The hypervisor {hypervisor} is not enabled on {seen.destination_info['name']}, which has {', '.join(enabled)}."
        return
    strange = parameters.unknown(seen.source.instance, seen.destination_info, options.hvparams)
    if strange:
        yield f"hvparams sets {', '.join(strange)}, which {seen.destination_info['name']} does not know, or not for an instance: leave that out."


def _os(seen: Clusters, options: Options) -> Problems:
    instance, info = seen.source.instance, seen.destination_info
    if not instance.os and "os-image" not in instance.custom_os:
        yield f"{instance.name} has no operating system, and Ganeti makes no instance without one: set one (gnt-instance modify --os-type)."
    elif instance.os in (info.get("blacklisted_os") or ()):
        yield (
            f"The operating system {instance.os} is blacklisted on {info['name']}: "
            "take it off the list there, with the module cluster (blacklisted_os)."
        )


def missing_os(seen: Clusters, oses: t.Set[str]) -> t.List[str]:
    """What stands against the move where the destination's nodes have the operating systems *oses*; they take long to tell."""
    name, info = seen.source.instance.os, seen.destination_info
    # Some ways to a cluster do not list what is hidden or blacklisted: of that the rehearsal knows more.
    unlisted = {name, name.partition("+")[0]} & {*(info.get("hidden_os") or ()), *(info.get("blacklisted_os") or ())}
    if not name or name in oses or unlisted:
        return []
    return [f"The operating system {name} is not installed on all nodes of {info['name']}: install its definition there."]


def _tool(seen: Clusters, options: Options) -> Problems:
    if not uses_tool(options):
        return
    for info, side in ((seen.source_info, "source"), (seen.destination_info, "destination")):
        if options.compress not in info["compression_tools"]:
            yield (
                f"The compression tool {options.compress} is not allowed on the {side} cluster {info['name']}, "
                f"whose compression_tools are {', '.join(info['compression_tools'])}: add it there, or choose another."
            )


def _ciphers(seen: Clusters, options: Options) -> Problems:
    if options.ciphers and seen.source_info["uuid"] != seen.destination_info["uuid"]:
        yield "ciphers can be chosen for moves within a cluster only; between clusters it is always TLS 1.3 with its usual suites: leave ciphers out."


def _networks(seen: Clusters, options: Options) -> Problems:
    for index, wanted in enumerate(interfaces.planned(seen.source.instance.nics, options)):
        if wanted.network and wanted.network not in seen.destination_networks:
            where = seen.destination_info["name"]
            yield f"Interface {index} is in the network {wanted.network}, which {where} does not have: create it there, or set link or network in nics."


def _nics(seen: Clusters, options: Options) -> Problems:
    count = len(seen.source.instance.nics)
    for override in options.nics:
        if override.number >= count or override.number < 0:
            yield f"nics names the interface {override.number}, but {seen.source.instance.name} has {count}."


def _node(seen: Clusters, options: Options) -> Problems:
    name = options.primary_node
    if name is None:
        if not options.iallocator and not seen.destination_info.get("default_iallocator"):
            yield f"{seen.destination_info['name']} has no default iallocator: set primary_node or iallocator."
        return
    node = seen.destination_nodes.get(name)
    if node is None:
        yield f"{seen.destination_info['name']} has no node {name}: choose one of {', '.join(sorted(seen.destination_nodes))}."
        return
    if not node.usable:
        yield f"The node {name} is offline, drained or not capable of instances: choose another."
    wanted = seen.source.instance.be.get("maxmem", 0)
    if will_run(seen.source.instance, options.start) and node.free_memory is not None and node.free_memory < wanted:
        yield f"The node {name} has {node.free_memory} MiB of memory free, {seen.source.instance.name} needs {wanted}: choose another."


def _secondary(seen: Clusters, options: Options) -> Problems:
    mirrored = plan.disk_template(seen.source, options) == volumes.DRBD
    name = options.secondary_node
    if name is None:
        if mirrored and options.primary_node:
            yield "The disk template drbd needs a second node beside primary_node: set secondary_node, or let an allocator choose both."
        return
    if not mirrored:
        yield "secondary_node is given, but the disk template at the destination is not drbd: leave it out."
    node = seen.destination_nodes.get(name)
    if node is None:
        yield f"{seen.destination_info['name']} has no node {name}: choose one of {', '.join(sorted(seen.destination_nodes))}."
    elif not node.usable:
        yield f"The node {name} is offline, drained or not capable of instances: choose another."
