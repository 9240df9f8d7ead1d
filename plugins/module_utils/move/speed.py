# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Measuring what decides how fast a move is: the tools on the source's node, the way to the destination's, the encryption."""

from __future__ import annotations

import os
import typing as t

from .._errors import PreflightFailed
from ..api.ssh import SshHost
from ..compression import choose
from ..stream.tool_speed import Figures
from ..stream.tools import NO_TOOL
from . import facts
from .certificates import identities
from .nodes import ask, lane_count, listening
from .options import Options
from .session import Session

_LOOPBACK = "127.0.0.1"
_RATE_SECONDS = 1.0
_TOOL_SECONDS = 120.0
_SAMPLE_MIB = 16
_MIB = 1024 * 1024


class Rates(t.NamedTuple):
    """What the way between two nodes carries, bare and encrypted, in MiB a second."""

    network: float
    encryption: float


class Choice(t.NamedTuple):
    """A tool, why it was chosen (None where the user named it), and MiB of disk a second with it, if that was measured."""

    tool: str
    reason: t.Optional[str]
    speed: t.Optional[float] = None


def measure_tools(host: SshHost, names: t.Sequence[str], disk: str, count: int, mib: int, turns: int) -> t.Tuple[int, t.Dict[str, Figures]]:
    """The bytes of *disk* that were sampled, and what *count* of each tool on *host* make of them together.

    A disk that holds nothing but zeros has no figures.
    """
    request = {"command": "measure_tools", "sample": disk, "sample_mib": mib, "tools": list(names), "count": count, "turns": turns}
    answer = ask(host, request, 60.0 + 2 * _TOOL_SECONDS * turns * len(names))
    return int(answer["sample"]), {name: Figures(*figures) for name, figures in answer["tools"].items()}


def network_rates(there: SshHost, address: str, port: int, here: SshHost, count: int, ciphers: t.Sequence[str] = ()) -> Rates:
    """What arrives at *there* when *here* sends as much as it can over *count* lanes."""
    return Rates(*(_rate(there, address, port, here, count, ciphers, encrypted) for encrypted in (False, True)))


def encrypted_rate(there: SshHost, address: str, port: int, here: SshHost, count: int, ciphers: t.Sequence[str] = ()) -> float:
    """What arrives at *there* encrypted when *here* sends as much as it can over *count* lanes, in MiB a second."""
    return _rate(there, address, port, here, count, ciphers, True)


def encryption_rate(host: SshHost, count: int) -> float:
    """What *host* encrypts and decrypts at the same time over *count* lanes, in MiB a second."""
    return _rate(host, _LOOPBACK, 0, host, count, (), True)


def _rate(there: SshHost, address: str, port: int, here: SshHost, count: int, ciphers: t.Sequence[str], encrypted: bool) -> float:
    move_id = os.urandom(8).hex()
    request = {"move_id": move_id, "address": address, "lanes": count, "seconds": _RATE_SECONDS}
    ends: t.List[t.Mapping[str, t.Any]] = [{}, {}]
    if encrypted:
        ends = [{**identity._asdict(), "ciphers": list(ciphers)} for identity in identities(move_id)]
    with listening(there, {**request, **ends[1], "command": "sink", "port": port}) as opened:
        return float(ask(here, {**request, **ends[0], "command": "flood", "port": opened})["rate"]) / _MIB


def best(session: Session, options: Options, disks: t.Sequence[facts.InstanceDisk], nodes: t.Tuple[facts.Node, facts.Node]) -> Choice:
    """The tool that makes a move fastest, of those that both clusters allow and both nodes have; raise PreflightFailed where none can be found."""
    if not disks:
        return Choice(NO_TOOL, "There are no disks to compress.")
    sampled = max(disks, key=lambda disk: disk.size)
    if sampled.file is None:
        raise PreflightFailed(["compress=auto needs a sample of a disk that is kept in a file, and this instance has no such disk: name a tool."])
    sides = session.source, session.destination
    hosts = tuple(session.host(side, node) for side, node in zip(sides, nodes))
    allowed = set(sides[0].info["compression_tools"]) & set(sides[1].info["compression_tools"])
    present = [ask(host, {"command": "examine", "tools": sorted(allowed)})["tools"] for host in hosts]
    names = sorted(name for name in allowed if present[0][name] and present[1][name])
    count = lane_count(options.lanes, hosts)
    amount, figures = measure_tools(hosts[0], names, sampled.file, count, _SAMPLE_MIB, 1)
    if not amount:
        return Choice(NO_TOOL, "The disks hold nothing but zeros, which are not sent.")
    rates = network_rates(hosts[1], session.data_address(nodes[1]), options.data_port, hosts[0], count, options.ciphers)
    ranked = choose.ranking(figures, *rates)
    return Choice(ranked[0].name, choose.explanation(ranked), ranked[0].speed)
