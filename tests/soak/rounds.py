# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rounds of the soak, out of a seed: a master works, something goes wrong, another node takes its place, and all come together again."""

from __future__ import annotations

import collections
import contextlib
import json
import random
import shutil
import time
import typing as t
from pathlib import Path

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import GanetiError
from ansible_collections.ganeti.cluster.tests.unit.plugins.module_utils.storage.samples import cluster as sample

from .checker import Checker, Seen
from .databases import databases
from .faults import FAULTS, Cluster, Fault, Undo, mount, possible, unmount
from .nodes import GHOST, SETTLED, Ganeti, Node
from .promotions import CLOCKS, LOST, MOMENTS, WAYS, Clocks, Promotion, Way, ways_to_lose

NAMES = ("a1", "a2", "a3")


class Chosen(t.NamedTuple):
    """By their names: what goes wrong in a round, how the promotion goes, how the old master is then, and the clocks. What is not given is drawn."""

    fault: t.Optional[str] = None
    way: t.Optional[str] = None
    lost: t.Optional[str] = None
    clocks: t.Optional[str] = None


DRAWN = Chosen()


class Soak:
    """Three nodes, of which one is the master. With *disks* they get small ones of their own, where that can be; *load* is how much masters work."""

    def __init__(self, seed: int, directory: Path, storage: str, disks: bool = True, load: float = 1.0) -> None:
        self._draw = random.Random(seed)
        self._load = load
        self.counts: t.Dict[str, t.Counter[str]] = collections.defaultdict(collections.Counter)
        self._mounted: t.List[Path] = []
        nodes = {name: Node(name, directory / name) for name in NAMES}
        servers = {name: directory / name / "server" for name in NAMES}
        places = [node.directory for node in nodes.values()] + (list(servers.values()) if storage != "etcd" else [])
        self._disks = disks and all(map(self._mount, places))
        for node in nodes.values():
            node.make()
        self._cluster = Cluster(nodes, databases(storage, servers))
        self._master = nodes["a1"]
        self._seen: t.Optional[Seen] = None
        """What the new master's server held before it was promoted."""
        self._checker = Checker(nodes, self._cluster.databases)
        self.database = self._cluster.databases.name
        self.skipped = {name: why for name, why in possible(self._cluster.databases, self._disks).items() if why}
        for node in nodes.values():
            node.settle(self._cluster.databases.settings(node.name), "a1")
        self._master.put("config.data", json.dumps(sample(20)))
        self._master.put("queue/serial", "0\n")
        for node in nodes.values():
            node.start()

    def _mount(self, place: Path) -> bool:
        mounted = mount(place)
        self._mounted += [place] if mounted else []
        return mounted

    def round(self, chosen: Chosen = DRAWN) -> None:
        """Work, harm, another master, and all that has to hold then."""
        self._work(self._master, 100)
        fault, node, undo = self._harm(chosen)
        self._work(self._master, 60)
        away = [node.name] if fault.lasts else []
        if not fault.lasts:
            undo()
        with contextlib.ExitStack() as ends:
            self._fail_over(away, chosen, ends)
            self._come_together(fault, away, undo)

    def _come_together(self, fault: Fault, away: t.Sequence[str], undo: Undo) -> None:
        """Wait until servers hold the same, with what is away and without, and see whether all holds."""
        if fault.lasts:
            self._wait("the others hold the master's files", lambda: not self._checker.differences(self._master, away))
            undo()
        self._wait("all servers hold the master's files", lambda: not self._checker.differences(self._master))
        self._checker.settled(self._master)

    def _work(self, node: Node, steps: int) -> None:
        ganeti = Ganeti(node, self._draw)
        ganeti.work(int(steps * self._load))
        self._checker.given_out(ganeti.given_out)
        self.counts["jobs"]["submitted"] += len(ganeti.given_out)

    def _haunt(self, node: Node, steps: int = 40) -> None:
        """What a master does that was replaced and does not know it. Nobody has to keep it."""
        Ganeti(node, self._draw, GHOST).work(int(steps * self._load))

    def _harm(self, chosen: Chosen) -> t.Tuple[Fault, Node, Undo]:
        """Do some harm; to whom, and how to end it."""
        fault = self._draw.choice([each for each in FAULTS if each.name not in self.skipped and chosen.fault in (None, each.name)])
        nodes = [node for node in self._cluster.nodes.values() if not (fault.lasts and node is self._master)]
        node = self._draw.choice(nodes)
        self.counts["faults"][fault.name] += 1
        return fault, node, fault.inflict(self._cluster, node)

    def _fail_over(self, away: t.Sequence[str], chosen: Chosen, ends: contextlib.ExitStack) -> None:
        """As master_failover and Ganeti's own failover do it. The clocks are right again at the end of *ends*."""
        old = self._master
        standbys = [node for node in self._cluster.nodes.values() if node is not old and node.name not in away]
        self._draw.shuffle(standbys)
        for node in standbys:
            self._wait(f"{node.name} has a configuration", lambda node=node: self._newest(node) > 0)
        ways = [each for each in WAYS if (self._disks or not each.wants_disks) and len(standbys) >= 1 + each.wants_two]
        way = self._draw.choice([each for each in ways if chosen.way in (None, each.name)])
        lost = self._draw.choice([each for each in ways_to_lose(self._cluster, away) if chosen.lost in (None, each)])
        moment = self._draw.choice(MOMENTS)
        clocks = self._draw.choice([each for each in CLOCKS if chosen.clocks in (None, each)])
        self.counts["clocks"][clocks] += 1
        ends.callback(CLOCKS[clocks](Clocks(old, standbys, self._draw)))
        self.counts["promotions"][way.name] += 1
        self.counts["old masters"][lost] += 1
        if lost != "alive":
            self.counts["old masters came back"][moment] += 1
        back = Once(LOST[lost](self._cluster, old))
        made = self._promote(way, standbys, lost == "dead", back if moment == MOMENTS[0] else None)
        back.at(moment, MOMENTS[1])
        self._haunt(old)
        self._take_over(made, lambda now: back.at(moment, now))
        back()
        self._haunt(old)
        for each in [old, *(promotion.new for promotion in made[1:])]:
            self._wait(f"{each.name} knows that it was replaced", lambda each=each: each.told()["state"] == "replaced")
            each.leave(self._master.name)

    def _promote(self, way: Way, standbys: t.Sequence[Node], dead: bool, back: t.Optional[Undo]) -> t.List[Promotion]:
        """Make the files of masters; the one who will be the master first."""
        old = self._master
        seen: t.Dict[str, Seen] = {}
        for node in standbys:  # where one that leads was cut off, etcd does not answer before there is another
            self._wait(f"{node.name}'s server tells what it holds", lambda node=node: bool(seen.setdefault(node.name, self._checker.seen(node))))
        request = {"dead": [old.name] if dead else [], "seen": old.files.configuration()["serial_no"], "job": old.files.last_job()}
        if back is not None:
            back()
        made = way.promote(self._cluster, standbys, request, self._draw)
        self._seen = seen[made[0].new.name]
        self.counts["jobs"]["seen before a promotion"] += len(self._seen.jobs)
        return made

    def _take_over(self, made: t.Sequence[Promotion], now: t.Callable[[str], None]) -> None:
        """Ganeti's own failover, and the last step of master_failover; who was promoted at the same time does the same, and loses."""
        for promotion in reversed(made):
            promotion.new.become_master()
        new = self._master = made[0].new
        now(MOMENTS[2])
        for promotion in made[1:]:
            self._haunt(promotion.new)
        new.step("archive")
        assert self._seen is not None
        self._checker.promoted(new, self._seen)
        now(MOMENTS[3])
        self._work(new, 40)
        now(MOMENTS[4])

    def _newest(self, node: Node) -> int:
        with self._cluster.databases.storage(node.name) as storage:
            return storage.newest().serial

    def _wait(self, what: str, condition: t.Callable[[], bool]) -> None:
        deadline = time.monotonic() + SETTLED
        problem = ""
        while True:
            self._cluster.databases.revive()
            try:
                if condition():
                    return
            except (GanetiError, OSError, ValueError) as error:  # a server that is not up yet, a status that is not written yet
                problem = str(error)
            if time.monotonic() > deadline:
                raise AssertionError(f"within {SETTLED:.0f} s it did not come to be that {what}. {problem} {self.words()}")
            time.sleep(0.3)

    def words(self) -> str:
        """How all are, in words."""
        words = [f"{self._master.name} is the master"]
        words += [f"{node.name}: {(node.place / 'run/status.json').read_text()}" for node in self._cluster.nodes.values()]
        return "; ".join([*words, *self._checker.differences(self._master)])

    def close(self, keep: bool = False) -> None:
        """End all that was started; with *keep*, what is on small disks is copied beside them, for whoever looks into it."""
        for node in self._cluster.nodes.values():
            node.kill()
        self._cluster.databases.close()
        for place in self._mounted:
            if keep:
                shutil.copytree(place, place.with_name(f"{place.name}-as-it-was"), symlinks=True)
            unmount(place)


def play(directory: Path, database: str, chosen: Chosen) -> t.Dict[str, t.Counter[str]]:
    """One round, for a test that runs with all others: without disks of its own, and with little work; what was counted."""
    soak = Soak(1, directory, database, disks=False, load=0.3)
    try:
        soak.round(chosen)
    finally:
        soak.close()
    return soak.counts


class Once:
    """Something that is done once, whoever asks for it first."""

    def __init__(self, what: Undo) -> None:
        self._what: t.Optional[Undo] = what

    def __call__(self) -> None:
        """Do it, where it is not done."""
        what, self._what = self._what, None
        if what is not None:
            what()

    def at(self, moment: str, now: str) -> None:
        """Do it where this is the moment."""
        if moment == now:
            self()
