# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a master of the soak is lost, when it comes back, what clocks say, and what goes wrong while another node takes its place: four tables."""

from __future__ import annotations

import concurrent.futures
import random
import signal
import threading
import typing as t

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import GanetiError
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.documents import Json

from .faults import Cluster, Undo, cut_off, fill
from .nodes import Killed, Node
from .wires import CUT, OPEN, become

MOMENTS = ("before the promotion's end", "after the promotion", "after Ganeti's own failover", "after the archive", "after the new master's first work")
"""When an old master comes back: its service, its server, its network."""


def _dead(cluster: Cluster, old: Node) -> Undo:
    server = cluster.databases.servers[old.name]
    old.kill()
    server.kill()

    def undo() -> None:
        server.start()
        old.start()

    return undo


def _stopped(_cluster: Cluster, old: Node) -> Undo:
    old.send(signal.SIGSTOP)
    return lambda: old.send(signal.SIGCONT)


def _alive(_cluster: Cluster, _old: Node) -> Undo:
    return lambda: None


def _cut_off(cluster: Cluster, old: Node) -> Undo:
    """With its own server, to which it writes on."""
    found = [wire for way, wire in cluster.databases.wires.items() if old.name in way and way != (old.name, old.name)]
    become(found, CUT)
    return lambda: become(found, OPEN)


LOST: t.Mapping[str, t.Callable[[Cluster, Node], Undo]] = {
    "dead": _dead,
    "stopped": _stopped,
    "alive": _alive,
    "cut off": _cut_off,
    "cut off, with its member": cut_off,
}
"""How a master is when another node takes its place."""


def ways_to_lose(cluster: Cluster, away: t.Collection[str]) -> t.List[str]:
    """How a master can be lost, by names, while some servers are away."""
    majority = cluster.databases.copies or not away  # an etcd that has lost two of three members does nothing, and is to do nothing
    states = {**dict.fromkeys(LOST, True), "dead": majority, "cut off, with its member": majority and bool(cluster.databases.between)}
    return [name for name, possible in states.items() if possible]


_HOUR = 3600.0
_FURTHEST = 48
"""By how many hours clocks are wrong at most."""
_TICK = 0.05


class Clocks(t.NamedTuple):
    """The nodes whose clocks are wrong: the master that is lost, and those that may take its place."""

    old: Node
    standbys: t.Sequence[Node]
    draw: random.Random


def _wrong(nodes: t.Sequence[Node], draw: random.Random, way: int) -> Undo:
    for node in nodes:
        node.set_clock(way * draw.uniform(1, _FURTHEST) * _HOUR)
    return lambda: _right(nodes)


def _right(nodes: t.Sequence[Node]) -> None:
    for node in nodes:
        node.set_clock(0)


def _jumping(clocks: Clocks) -> Undo:
    """Each clock jumps by hours, to and fro, for as long as it lasts."""
    nodes, ended, draw = [clocks.old, *clocks.standbys], threading.Event(), random.Random(clocks.draw.random())

    def jump() -> None:
        while not ended.wait(_TICK):
            draw.choice(nodes).set_clock(draw.uniform(-_FURTHEST, _FURTHEST) * _HOUR)

    def undo() -> None:
        ended.set()
        thread.join()
        _right(nodes)

    thread = threading.Thread(target=jump)
    thread.start()
    return undo


CLOCKS: t.Mapping[str, t.Callable[[Clocks], Undo]] = {
    "right": lambda _clocks: lambda: None,
    "the old master's hours ahead": lambda clocks: _wrong([clocks.old], clocks.draw, 1),
    "the old master's hours back": lambda clocks: _wrong([clocks.old], clocks.draw, -1),
    "the new master's hours ahead": lambda clocks: _wrong(clocks.standbys, clocks.draw, 1),
    "the new master's hours back": lambda clocks: _wrong(clocks.standbys, clocks.draw, -1),
    "all jump by hours, to and fro": _jumping,
}
"""What the nodes' wall clocks say from before a promotion until all that it changed has come together again."""


class Promotion(t.NamedTuple):
    """The node that is promoted, what the step is asked, and what it said."""

    new: Node
    request: Json
    told: Json


Promote = t.Callable[[Cluster, t.Sequence[Node], Json, random.Random], t.List[Promotion]]


def _smooth(_cluster: Cluster, standbys: t.Sequence[Node], request: Json, _draw: random.Random) -> t.List[Promotion]:
    return [_promote(standbys[0], request)]


def _killed(_cluster: Cluster, standbys: t.Sequence[Node], request: Json, draw: random.Random) -> t.List[Promotion]:
    """At any moment, and the same again."""
    try:
        standbys[0].step("promote", {"name": standbys[0].name, **request}, killed_after=draw.random() * 0.6)
    except Killed:
        pass
    return [_promote(standbys[0], request)]


def _full(_cluster: Cluster, standbys: t.Sequence[Node], request: Json, _draw: random.Random) -> t.List[Promotion]:
    """There is no room for its files; and when there is, the same again."""
    release = fill(standbys[0].directory)
    try:
        standbys[0].step("promote", {"name": standbys[0].name, **request})
        raise AssertionError(f"{standbys[0].name} was promoted on a full disk")
    except GanetiError as error:
        assert "No space left on device" in error.message, error.message
    finally:
        release()
    return [_promote(standbys[0], request)]


def _both(_cluster: Cluster, standbys: t.Sequence[Node], request: Json, _draw: random.Random) -> t.List[Promotion]:
    """Two at once. Where each has a server of its own, both may come to an end, and the claims decide who is the master."""
    found, refused = [], []
    with concurrent.futures.ThreadPoolExecutor(2) as executor:
        for each in [executor.submit(_promote, standby, request) for standby in standbys[:2]]:
            try:
                found.append(each.result())
            except GanetiError as error:
                refused.append(error.message)
    assert found, f"both were refused: {refused}"
    return sorted(found, key=lambda each: (each.told["serial"], each.new.uuid), reverse=True)


def _promote(standby: Node, request: Json) -> Promotion:
    return Promotion(standby, request, standby.step("promote", {"name": standby.name, **request}))


class Way(t.NamedTuple):
    """How a promotion goes; whether it wants disks that can be full, and two standbys."""

    name: str
    promote: Promote
    wants_disks: bool = False
    wants_two: bool = False


WAYS = (
    Way("smoothly", _smooth),
    Way("killed, and again", _killed),
    Way("on a full disk, and again", _full, wants_disks=True),
    Way("on two standbys at once", _both, wants_two=True),
)
