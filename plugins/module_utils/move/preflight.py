# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Every question whose answer would make a move fail later, asked before anything is changed.

The answers are decided here from facts, without talking to anybody; who asks is :mod:`survey`.
"""

from __future__ import annotations

import typing as t

from . import tags
from .facts import Node, Running
from .options import Options, uses_tool
from .plan import Source, will_run

_VERSIONS = ("3.0", "3.1")
_PYTHON = (3, 9)
_MIB = 1024 * 1024
_MARGIN = 64 * _MIB
"""Bytes that must stay free beside the data, for the file system's own needs."""

Info = t.Mapping[str, t.Any]


class Clusters(t.NamedTuple):
    """What both clusters say, before any node is asked."""

    source_info: Info
    destination_info: Info
    source: Source
    name_taken: bool
    destination_nodes: t.Mapping[str, Node]
    destination_oses: t.Set[str]
    destination_networks: t.Set[str]
    lock_holder: t.Optional[str]


class Probes(t.NamedTuple):
    """What the two nodes say of themselves, and of each other."""

    source_node: str
    source: t.Mapping[str, t.Any]
    destination_node: str
    destination: t.Mapping[str, t.Any]
    unreachable: t.Optional[str]
    needed: int
    """Bytes that the copy will take."""


def of_clusters(seen: Clusters, options: Options) -> t.List[str]:
    """Everything that the clusters' answers forbid, a sentence each."""
    checks = (_versions, _within, _state, _lock, _name, _template, _hypervisor, _os, _tool, _ciphers, _networks, _nics, _node)
    return [problem for check in checks for problem in check(seen, options)]


def of_nodes(probes: Probes, options: Options) -> t.List[str]:
    """Everything that the nodes' answers forbid, a sentence each."""
    problems = []
    sides = ((probes.source_node, probes.source, "source"), (probes.destination_node, probes.destination, "destination"))
    for name, answer, side in sides:
        if tuple(answer["python"][:2]) < _PYTHON:
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
    free = probes.destination["free"]
    if free is not None and free < probes.needed + _MARGIN:
        problems.append(
            f"The destination node {probes.destination_node} has {free // _MIB} MiB free, the copy needs {(probes.needed + _MARGIN) // _MIB} MiB: "
            "make room or choose another node."
        )
    if probes.unreachable:
        port = f" on port {options.data_port}" if options.data_port else ""
        problems.append(
            f"The source node {probes.source_node} cannot reach the destination node {probes.destination_node}{port}: {probes.unreachable}. "
            "Open the way in the firewalls, or set data_port or data_network."
        )
    return problems


Problems = t.Iterator[str]


def _versions(seen: Clusters, options: Options) -> Problems:
    for info, side in ((seen.source_info, "source"), (seen.destination_info, "destination")):
        version = str(info["software_version"])
        if ".".join(version.split(".")[:2]) not in _VERSIONS:
            yield f"The {side} cluster {info['name']} runs Ganeti {version}: moves are known to work with {' and '.join(_VERSIONS)}."


def _within(seen: Clusters, options: Options) -> Problems:
    """Within a cluster, the task must say where to: it would find another node each time it is run."""
    if seen.source_info["uuid"] != seen.destination_info["uuid"]:
        return
    if options.primary_node is None:
        yield f"Source and destination are the same cluster, {seen.source_info['name']}: set primary_node to the node that is to have the instance."
    if options.destination_name != options.name:
        yield "destination_name cannot be set for a move within a cluster: use gnt-instance rename."


def _state(seen: Clusters, options: Options) -> Problems:
    instance = seen.source.instance
    where = f"{instance.name} on {seen.source_info['name']}"
    if instance.admin_state == "offline":
        yield f"{where} is marked offline, so somebody set it aside: bring it online first (gnt-instance modify --online)."
    elif instance.running is not (Running.YES if instance.admin_state == "up" else Running.NO):
        yield f"{where} is in the state {instance.status}: start it or shut it down, so that it is known whether its disks are in use."
    strange = tags.own(instance.tags)
    if strange:
        yield f"{where} carries the tag {strange[0]} of a move that cannot be told apart: remove the tag if no move is under way."


def _lock(seen: Clusters, options: Options) -> Problems:
    if seen.lock_holder:
        yield f"{seen.source.instance.name} is locked by {seen.lock_holder}: wait for that job or cancel it (gnt-job list --running)."


def _name(seen: Clusters, options: Options) -> Problems:
    if seen.name_taken:
        yield f"{seen.destination_info['name']} already has an instance {options.destination_name}: set destination_name, or remove that instance."


def _template(seen: Clusters, options: Options) -> Problems:
    template = options.disk_template or seen.source.instance.disk_template
    enabled = seen.destination_info["enabled_disk_templates"]
    if template not in enabled:
        where = f"{seen.destination_info['name']}, which has {', '.join(enabled)}"
        yield f"The disk template {template} is not enabled on {where}: set disk_template to one of these."


def _hypervisor(seen: Clusters, options: Options) -> Problems:
    hypervisor, enabled = seen.source.instance.hypervisor, seen.destination_info["enabled_hypervisors"]
    if hypervisor not in enabled:
        yield f"The hypervisor {hypervisor} is not enabled on {seen.destination_info['name']}, which has {', '.join(enabled)}."


def _os(seen: Clusters, options: Options) -> Problems:
    name = seen.source.instance.os
    if name and name not in seen.destination_oses:
        yield f"The operating system {name} is not installed on all nodes of {seen.destination_info['name']}: install its definition there."


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
    overrides = {override.number: override for override in options.nics}
    for index, nic in enumerate(seen.source.instance.nics):
        override = overrides.get(index)
        kept = nic.network if override is None or not (override.network or override.mode or override.link) else override.network
        if kept and kept not in seen.destination_networks:
            where = seen.destination_info["name"]
            yield f"Interface {index} is in the network {kept}, which {where} does not have: create it there, or set link or network in nics."


def _nics(seen: Clusters, options: Options) -> Problems:
    count = len(seen.source.instance.nics)
    for override in options.nics:
        if override.number >= count:
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
