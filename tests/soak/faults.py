# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the soak does to nodes and servers while a master works: a table. Each fault is inflicted on a node, and tells how it is undone."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import typing as t
from pathlib import Path

from .databases import Databases
from .nodes import Node
from .wires import CUT, DEAF, HELD, MUTE, OPEN, Wire, become

Undo = t.Callable[[], None]
_DISK = 256 * 2**20
"""How large a disk of their own is that files or servers get, where there are to be full disks."""
_DAY = 86400.0


class Cluster(t.NamedTuple):
    """All that can be harmed."""

    nodes: t.Dict[str, Node]
    databases: Databases


class Fault(t.NamedTuple):
    """A fault by its name; what it wants, disks that can be full or servers that speak with each other; whether it lasts until another node is the master."""

    name: str
    inflict: t.Callable[[Cluster, Node], Undo]
    wants_disks: bool = False
    wants_between: bool = False
    lasts: bool = False


def _service_killed(_cluster: Cluster, node: Node) -> Undo:
    node.kill()
    return node.start


def _service_stopped(_cluster: Cluster, node: Node) -> Undo:
    node.send(signal.SIGSTOP)
    return lambda: node.send(signal.SIGCONT)


def _server_killed(cluster: Cluster, node: Node) -> Undo:
    server = cluster.databases.servers[node.name]
    server.kill()
    return server.start


def _server_stopped(cluster: Cluster, node: Node) -> Undo:
    server = cluster.databases.servers[node.name]
    server.pause()
    return server.resume


def _wires(state: str, chosen: t.Callable[[str, str, str], bool]) -> t.Callable[[Cluster, Node], Undo]:
    """A fault of all wires that are chosen by where they come from and where they lead, and the name of the node."""

    def inflict(cluster: Cluster, node: Node) -> Undo:
        found = [wire for (one, other), wire in cluster.databases.wires.items() if one != other and chosen(one, other, node.name)]
        become(found, state)
        return lambda: become(found, OPEN)

    return inflict


def lose(between: t.Mapping[t.Tuple[str, str], Wire], lost: t.Callable[[str, str], bool]) -> Undo:
    """Have all be lost that one server says to another, in a request or in an answer, where *lost* says so of the two; how it ends."""
    for (one, other), wire in between.items():
        states = {(True, True): CUT, (True, False): DEAF, (False, True): MUTE, (False, False): OPEN}
        wire.become(states[lost(one, other), lost(other, one)])
    return lambda: become(between.values(), OPEN)


def _between(lost: t.Callable[[str, str, str], bool]) -> t.Callable[[Cluster, Node], Undo]:
    """A fault of the network between servers, which are chosen by who speaks to whom, and the name of the node."""
    return lambda cluster, node: lose(cluster.databases.between, lambda one, other: lost(one, other, node.name))


def cut_off(cluster: Cluster, node: Node) -> Undo:
    """Cut off a machine with all that is on it: its service reaches its own server alone, and that one no other."""
    undo = [_wires(CUT, lambda one, other, name: name in (one, other))(cluster, node), _between(lambda one, other, name: name in (one, other))(cluster, node)]

    def end() -> None:
        for each in undo:
            each()

    return end


def _next(name: str) -> str:
    """Another node, always the same for a node."""
    return f"a{int(name[1:]) % 3 + 1}"


def _clock(ahead: float) -> t.Callable[[Cluster, Node], Undo]:
    def inflict(_cluster: Cluster, node: Node) -> Undo:
        node.set_clock(ahead)
        return lambda: node.set_clock(0)

    return inflict


def fill(place: Path) -> Undo:
    """Fill a disk to its last byte; how it gets room again."""
    filler = place / "filler"
    with open(filler, "wb", buffering=0) as stream:
        for size in (1 << 20, 1 << 12, 1):
            with contextlib.suppress(OSError):  # it is full, which is what was wanted
                while True:
                    stream.write(bytes(size))
    return filler.unlink


def _files_full(_cluster: Cluster, node: Node) -> Undo:
    return fill(node.directory)


def _server_full(cluster: Cluster, node: Node) -> Undo:
    return fill(cluster.databases.servers[node.name].directory)


FAULTS = (
    Fault("the service killed", _service_killed),
    Fault("the service stopped", _service_stopped),
    Fault("the server killed", _server_killed),
    Fault("the server stopped", _server_stopped),
    Fault("cut off from another node, both ways", _wires(CUT, lambda one, other, node: {one, other} == {node, _next(node)})),
    Fault("cut off from another node, one way", _wires(CUT, lambda one, other, node: (one, other) == (node, _next(node)))),
    Fault("cut off from all, both ways", _wires(CUT, lambda one, other, node: node in (one, other))),
    Fault("all held that is sent to it or by it", _wires(HELD, lambda one, other, node: node in (one, other))),
    Fault("answers of others held", _wires(MUTE, lambda one, _other, node: one == node)),
    Fault("the clock a day ahead", _clock(_DAY)),
    Fault("the clock a day back", _clock(-_DAY)),
    Fault("the disk of the files full", _files_full, wants_disks=True),
    Fault("the disk of the server full", _server_full, wants_disks=True),
    Fault("the server away until there is another master", _server_killed, lasts=True),
    Fault("its member cut off from another, both ways", _between(lambda one, other, node: {one, other} == {node, _next(node)}), wants_between=True),
    Fault("its member cut off from another, one way", _between(lambda one, other, node: (one, other) == (node, _next(node))), wants_between=True),
    Fault("its member cut off from all, both ways", _between(lambda one, other, node: node in (one, other)), wants_between=True),
    Fault("its member hears no other", _between(lambda _one, other, node: node == other), wants_between=True),
    Fault("its member is heard by no other", _between(lambda one, _other, node: node == one), wants_between=True),
    Fault("each member cut off from all", _between(lambda _one, _other, _node: True), wants_between=True),
    Fault("cut off from all, both ways, with its member", cut_off, wants_between=True),
    Fault("its member cut off until there is another master", _between(lambda one, other, node: node in (one, other)), wants_between=True, lasts=True),
)


def possible(databases: Databases, disks: bool) -> t.Dict[str, t.Optional[str]]:
    """The faults by their names; why one cannot be, in words."""
    words: t.Dict[str, t.Optional[str]] = {}
    for fault in FAULTS:
        words[fault.name] = None
        if fault.wants_disks and not disks:
            words[fault.name] = "only root can mount a small disk"
        elif fault.inflict is _server_full and not (databases.copies and databases.real):
            words[fault.name] = "only real CouchDB is given a small disk"
        elif fault.wants_between and not databases.between:
            words[fault.name] = "only etcd's members speak with each other"
    return words


def mount(place: Path) -> bool:
    """Give a directory a small disk of its own; whether that could be."""
    place.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0:
        return False
    return subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_DISK},mode=0755", "soak", str(place)], check=False, capture_output=True).returncode == 0


def unmount(place: Path) -> None:
    """Take it away. What ended a moment ago may have it open still."""
    subprocess.run(["umount", "-l", str(place)], check=True)
