# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Comparing the compression tools of a cluster on real data, for a network whose rate is known or measured."""

from __future__ import annotations

import typing as t

from .._errors import InvalidInput
from ..api import Cluster, connect, naming
from ..api.cluster_parameters import connect_options
from ..api.ssh import SshHost
from ..compression import choose
from ..stream.tool_speed import Figures
from ..stream.tools import NO_TOOL, is_valid_name
from . import facts, speed
from .nodes import ask, lane_count
from .options import lanes_problem

_MOST_MIB = 1024
_TURNS = 3

Params = t.Mapping[str, t.Any]


def benchmark(params: Params) -> t.Dict[str, t.Any]:
    """Measure as the module's parameters say; the module's result."""
    _check(params)
    with connect(connect_options(params)) as cluster:
        disk, node, peer = _subject(cluster, params)
        names = runnable(params["tools"], cluster.info())
    with _host(params, node) as here:
        count = lane_count(params["lanes"], [here])
        _check_present(here, node, names)
        amount, figures = speed.measure_tools(here, names, disk, count, params["sample_mib"], _TURNS)
        if not amount:
            raise InvalidInput(f"Disk {params['disk']} of {params['name']} holds nothing but zeros, which no tool ever gets: choose another disk.")
        rates = _rates(params, here, peer, count)
    ranked = choose.ranking(figures, *rates)
    return {
        "changed": False,
        "node": node.name,
        "lanes": count,
        "sample_bytes": amount,
        "network_rate": round(rates.network, 1),
        "encryption_rate": round(rates.encryption, 1),
        "tools": [_row(stages, figures) for stages in ranked],
        "recommended": ranked[0].name,
        "explanation": choose.explanation(ranked),
    }


def _check(params: Params) -> None:
    for name in params["tools"] or ():
        if not is_valid_name(name) or name == NO_TOOL:
            raise InvalidInput(f"{name!r} in tools is not a name of a compression tool: use letters, digits, dashes and underscores, no dash in front.")
    problem = lanes_problem(params["lanes"])
    if problem:
        raise InvalidInput(problem)
    if not 1 <= params["sample_mib"] <= _MOST_MIB:
        raise InvalidInput(f"sample_mib is {params['sample_mib']}: use 1 to {_MOST_MIB}.")
    if params["network_rate"] is None and params["peer"] is None:
        raise InvalidInput("What the network carries is not known: set peer to the node to measure it to, or network_rate to its MiB a second.")
    if params["network_rate"] is not None and not params["network_rate"] > 0:
        raise InvalidInput(f"network_rate is {params['network_rate']}: give the MiB a second that the network carries, which is more than 0.")


def runnable(wanted: t.Optional[t.Sequence[str]], info: t.Mapping[str, t.Any]) -> t.List[str]:
    """The tools to compare; raise InvalidInput for one that the cluster does not list: it may be any program, and would be run as root."""
    allowed = list(info["compression_tools"])
    strange = [name for name in wanted or () if name not in allowed]
    if strange:
        raise InvalidInput(
            f"{', '.join(strange)} in tools is not among the compression_tools of {info['name']}, which are {', '.join(allowed)}, and is not run: "
            "add it there with the module cluster once the module compression_tool has put it on all nodes."
        )
    return list(wanted or allowed)


def _subject(cluster: Cluster, params: Params) -> t.Tuple[str, facts.Node, t.Optional[facts.Node]]:
    """The file of the disk to sample, the node that has it, and the node to measure the network to."""
    name = naming.expand(naming.normal(params["name"]), facts.names(cluster, "instance"))
    instance = facts.instance(cluster, name) if name else None
    if instance is None:
        raise InvalidInput(f"There is no instance {params['name']} on {cluster.info()['name']}: give its full name.")
    disks, nodes = facts.disks(cluster, instance.name), facts.nodes(cluster)
    if not 0 <= params["disk"] < len(disks):
        raise InvalidInput(f"{instance.name} has {len(disks)} disks and none of the number {params['disk']}: they are counted from 0.")
    path = disks[params["disk"]].file
    if path is None:
        raise InvalidInput(f"Disk {params['disk']} of {instance.name} is not kept in a file, so no sample can be read: choose another disk or instance.")
    peer = params["peer"] and (naming.expand(naming.normal(params["peer"]), nodes, "node") or params["peer"])
    if peer is not None and (peer not in nodes or peer == instance.node):
        others = ", ".join(sorted(set(nodes) - {instance.node}))
        raise InvalidInput(f"{peer} is not another node than the one that {instance.name} is on: choose one of {others}, or give network_rate.")
    return path, nodes[instance.node], nodes[peer] if peer else None


def _check_present(host: SshHost, node: facts.Node, names: t.Sequence[str]) -> None:
    answers = ask(host, {"command": "examine", "tools": names})["tools"]
    missing = [name for name in names if not answers[name]]
    if missing:
        raise InvalidInput(f"{', '.join(missing)} did not answer -h on {node.name}: install them there, or leave them out of tools.")


def _rates(params: Params, here: SshHost, peer: t.Optional[facts.Node], count: int) -> speed.Rates:
    """The network as the user gives it, or as it is towards the other node."""
    if peer is None:
        return speed.Rates(params["network_rate"], speed.encryption_rate(here, count))
    with _host(params, peer) as there:
        found = speed.network_rates(there, peer.address(params["data_network"]), 0, here, count)
    return found if params["network_rate"] is None else found._replace(network=params["network_rate"])


def _host(params: Params, node: facts.Node) -> SshHost:
    return SshHost(node.name, params["ssh"] or {}, fallback_address=node.primary_ip)


def _row(stages: choose.Stages, figures: t.Mapping[str, Figures]) -> t.Dict[str, t.Any]:
    row: t.Dict[str, t.Any] = {"name": stages.name, "speed": round(stages.speed, 1), "slowest": stages.slowest}
    if stages.name in figures:
        row.update(figures[stages.name]._asdict())
    return row
