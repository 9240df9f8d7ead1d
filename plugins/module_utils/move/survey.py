# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Asking clusters and nodes what :mod:`preflight` decides on."""

from __future__ import annotations

import typing as t
from types import MappingProxyType

from .._difference import Difference
from .._errors import GanetiError, JobFailed, PreflightFailed
from ..api import naming
from ..compression.choose import AUTO
from ..stream.tools import NO_TOOL
from . import facts, plan, preflight, speed, volumes
from .abreast import abreast
from .nodes import ask, lane_count, reachable
from .options import Options
from .plan import Source
from .session import Session

_MIB = 1024 * 1024


class Survey(t.NamedTuple):
    """What is known when the preflight has found nothing: the source, the node that the destination would get, and the tool to use."""

    source: Source
    node: t.Optional[str]
    choice: speed.Choice
    source_node: facts.Node
    destination_nodes: t.Mapping[str, facts.Node]
    notes: t.Tuple[str, ...] = ()
    """What will be different at the destination, or is worth knowing, a sentence each."""
    data: t.Optional[int] = None
    """Bytes to copy at most, where the nodes could tell."""
    cores: t.Mapping[str, int] = MappingProxyType({})
    """Cores of the nodes that were asked, by their names."""

    @property
    def shown(self) -> t.Dict[str, t.Any]:
        """The part of the module's result that is about the plan."""
        reason = {"compress_reason": self.choice.reason} if self.choice.reason else {}
        return {"compress": self.choice.tool, **reason, "warnings": list(self.notes)}

    @property
    def how(self) -> t.Dict[str, t.Any]:
        """How the copy will be done, for a diff."""
        known: t.Dict[str, t.Any] = {"tool": self.choice.tool}
        if self.data is not None:
            known["MiB"] = -(-self.data // _MIB)
        if self.data is not None and self.choice.speed:
            known["expected_seconds"] = max(1, round(self.data / _MIB / self.choice.speed))
        return known


def difference(found: Survey, session: Session, options: Options, node: t.Optional[str]) -> Difference:
    """What the move changes, with the instance on *node*."""
    return plan.difference(found.source, session.destination.info, options, node, found.how)


def named(session: Session, options: Options) -> Options:
    """The options with names in full, as the clusters have them; those that no cluster has stay as they are."""
    here = facts.names(session.source.cluster, "instance")
    there = here if session.within else facts.names(session.destination.cluster, "instance")
    nodes = facts.names(session.destination.cluster, "node") if options.nodes else []
    return full_names(options, here, there, nodes)


def full_names(options: Options, here: t.Sequence[str], there: t.Sequence[str], nodes: t.Sequence[str]) -> Options:
    """The options with names in full; *here* and *there* are the clusters' instances, *nodes* those of the destination.

    An instance that is not on the source any more is sought at the destination, where an earlier run may have brought it.
    Raises InvalidInput for a short name that could mean several.
    """
    arrives = options.destination_name if options.destination_name != options.name else None
    name = naming.expand(options.name, here) or naming.expand(options.name, there) or options.name
    changes: t.Dict[str, t.Any] = {field: naming.expand(node, nodes, "node") or node for field, node in options.nodes.items()}
    final = name if arrives is None else naming.expand(arrives, there) or arrives
    return options._replace(name=name, destination_name=final, **changes)


def read_source(session: Session, instance: facts.Instance) -> Source:
    """All that is to be known of the source, as its cluster tells it now."""
    hidden = session.hidden(instance)
    disks = hidden.disks if hidden else facts.disks(session.source.cluster, instance.name)
    # What the user gives takes the place of what was read: it may be meant for the destination.
    private = dict(session.options.osparams_private or (hidden.private if hidden else {}))
    return Source(instance, disks, private, session.source.info, hidden.disk_params if hidden else None)


def survey(session: Session, options: Options, instance: facts.Instance, name_taken: bool, move_id: str, estimate: bool = False) -> Survey:
    """Ask everything; raise PreflightFailed with all problems at once. With *estimate*, measure what tells how long the copy takes."""
    here, (oses, there) = abreast(lambda: _at_source(session, instance), lambda: _at_destination(session, options, instance, name_taken))
    source, source_node, holder = here
    seen = preflight.Clusters(source=source, source_info=session.source.info, destination_info=session.destination.info, lock_holder=holder, **there)
    problems = preflight.of_clusters(seen, options)
    node, refusal, looked = _ask(session, options, source, source_node, seen, None if problems else move_id)
    # The destination's own refusal says less of an operating system that is not there.
    problems += [*(preflight.missing_os(seen, oses()) or refusal), *looked.problems]
    if problems:
        raise PreflightFailed(problems)
    target = seen.destination_nodes[node] if node else None
    choice = _choose(session, options, source, source_node, target)
    if estimate and target is not None and source.disks and choice.speed is None:
        choice = choice._replace(speed=_speed(session, options, source_node, target))
    notes = (*preflight.notes(seen), *plan.notes(source, session.destination.info, options))
    return Survey(source, node, choice, source_node, seen.destination_nodes, notes, looked.data, looked.cores)


def _at_source(session: Session, instance: facts.Instance) -> t.Tuple[Source, facts.Node, t.Optional[str]]:
    """The source, its node, and who holds its lock."""
    source = read_source(session, instance)
    return source, facts.nodes(session.source.cluster)[instance.node], facts.lock_holder(session.source.cluster, instance.name)


def _at_destination(
    session: Session, options: Options, instance: facts.Instance, name_taken: bool
) -> t.Tuple[t.Callable[[], t.Set[str]], t.Dict[str, t.Any]]:
    """What the destination's cluster tells: what waits for its operating systems, and the rest by the names that :class:`preflight.Clusters` has for it."""
    there = session.destination.cluster
    with_providers = (options.disk_template or instance.disk_template) == volumes.EXT
    oses = facts.ask_for_oses(there)
    return oses, {
        "namesake": facts.instance(there, options.destination_name) if name_taken else None,
        "destination_nodes": facts.nodes(there),
        "destination_networks": facts.networks(there),
        "providers": facts.providers(there) if with_providers else None,
    }


def _ask(
    session: Session,
    options: Options,
    source: Source,
    source_node: facts.Node,
    seen: preflight.Clusters,
    move_id: t.Optional[str],
) -> t.Tuple[t.Optional[str], t.Sequence[str], Examined]:
    """The node that the destination would get, why its cluster refuses the creation, if it is rehearsed as there is a *move_id*, and what the nodes say.

    Both at the same time where the node is known before the rehearsal.
    """

    def rehearse() -> t.Tuple[t.Optional[str], t.List[str]]:
        return _rehearse(session, options, source, t.cast(str, move_id), seen.destination_nodes.values())

    def look(name: t.Optional[str]) -> Examined:
        return examine(session, options, source, source_node, seen.destination_nodes[name]) if name is not None else Examined()

    node = options.primary_node if options.primary_node in seen.destination_nodes else None
    refusal: t.List[str] = []
    if move_id is None:
        looked = look(node)
    elif node is None:
        node, refusal = rehearse()
        looked = look(node)
    else:
        (node, refusal), looked = abreast(rehearse, lambda: look(node))
    return node, refusal, looked


def _speed(session: Session, options: Options, source_node: facts.Node, node: facts.Node) -> t.Optional[float]:
    """What the way between the nodes carries encrypted, in MiB a second, if no tool that was not measured decides; else None."""
    if options.compress not in (AUTO, NO_TOOL):
        return None
    hosts = session.host(session.source, source_node), session.host(session.destination, node)
    return speed.encrypted_rate(hosts[1], session.data_address(node), options.data_port, hosts[0], lane_count(options.lanes, hosts), options.ciphers)


def _choose(session: Session, options: Options, source: Source, source_node: facts.Node, node: t.Optional[facts.Node]) -> speed.Choice:
    """The tool that the user names, or the one that measuring finds."""
    if options.compress != AUTO:
        return speed.Choice(options.compress, None)
    if node is None:
        return speed.Choice(NO_TOOL, "The node that the destination gets is not known before it is made, so nothing could be measured.")
    return speed.best(session, options, source.disks, (source_node, node))


def _rehearse(
    session: Session, options: Options, source: Source, move_id: str, nodes: t.Iterable[facts.Node]
) -> t.Tuple[t.Optional[str], t.List[str]]:
    """Let the destination check the creation without doing it: the node it would choose, or why it refuses."""
    creation = plan.creation(source, session.destination.info, options, move_id, session.within)
    try:
        answer = session.job(session.destination, {**creation, "dry_run": True}, f"rehearse the creation of {options.destination_name}")
    except JobFailed as error:
        return options.primary_node, [preflight.refused(session.destination.name, error.message, creation)]
    # The answer is the list of the nodes' UUIDs, the primary node first.
    return next((node.name for node in nodes if node.uuid == answer[0]), options.primary_node), []


def check_nodes(session: Session, options: Options, source: Source, source_node: facts.Node, node: facts.Node) -> t.Sequence[str]:
    """What stands against a copy from *source_node* to *node*."""
    return examine(session, options, source, source_node, node).problems


class Examined(t.NamedTuple):
    """What stands against a copy between two nodes, how many bytes it will take (None where a node did not answer), and the nodes' cores by name."""

    problems: t.Sequence[str] = ()
    data: t.Optional[int] = None
    cores: t.Mapping[str, int] = MappingProxyType({})


def examine(session: Session, options: Options, source: Source, source_node: facts.Node, node: facts.Node) -> Examined:
    """Look at both nodes, and at the way between them."""
    hosts = session.host(session.source, source_node), session.host(session.destination, node)
    tools = preflight.runnable(options, session.source.info, session.destination.info)
    template = plan.disk_template(source, options)
    directory = plan.storage_directory(session.destination.info, template)
    disks = plan.paths(source)
    try:
        there, here = abreast(
            lambda: ask(hosts[0], {"command": "examine", "tools": tools, "ciphers": options.ciphers, "disks": disks}),
            lambda: ask(hosts[1], {"command": "examine", "tools": tools, "ciphers": options.ciphers, "directory": directory}),
        )
        unreachable = reachable(hosts[1], session.data_address(node), options.data_port, hosts[0], ciphers=options.ciphers)
    except GanetiError as error:
        return Examined([error.message])
    examined = there["disks"] or ()
    needed = sum(disk["data"] or 0 for disk in examined) + sum(disk.bytes for disk in source.disks[len(examined):])
    clusters = session.source.name, session.destination.name
    probes = preflight.Probes(source_node.name, there, node.name, here, unreachable, needed, clusters)
    return Examined(preflight.of_nodes(probes, options), needed, {source_node.name: int(there["cpus"]), node.name: int(here["cpus"])})
