# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All orders in which two takeovers can meet, with a master that comes back, a proof that fails, and a death, between any two steps.

The world follows the rules of what the steps use: decision.py decides, servers name one node for an epoch (test_ballot.py tests the real ones).
"""

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import StorageFailed
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.watchdog import takeover
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.watchdog.decision import ACT, ALIVE, GONE, Situation, View, decide
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.watchdog.takeover import STEPS, steps

NAMES = [step.name for step in STEPS]


@dataclasses.dataclass(frozen=True)
class World:
    """All that there is. What a takeover has done is by its node: the next step, None where it has ended or died, and what it knows."""

    nodes: t.Tuple[str, ...]
    cut: t.FrozenSet[t.FrozenSet[str]]
    off: bool = True
    master: str = "a1"
    next: t.Tuple[t.Tuple[str, t.Optional[int]], ...] = ()
    proven: t.FrozenSet[str] = frozenset()
    armed: t.FrozenSet[str] = frozenset()
    named: t.Tuple[t.Tuple[str, str], ...] = ()
    wrote: t.FrozenSet[str] = frozenset()
    asked_off: t.FrozenSet[str] = frozenset()
    """Who has found the master off when it asked last."""
    handed: t.Tuple[str, ...] = ()
    back: bool = False
    died: bool = False
    refuses: bool = False
    """Whether the user's command says no."""

    def reaches(self, one, other):
        """Whether two nodes reach each other."""
        return one == other or frozenset({one, other}) not in self.cut

    def views(self, me):
        """What those see that a node reaches; each looks when it is asked."""
        seen = View(GONE if self.off else ALIVE, self.master, serial=20, job=7)
        return {name: seen._replace(armed=name in self.armed) for name in self.nodes if name != "a1" and self.reaches(me, name)}


def carry_out(world, me, name):
    """A step of a node's takeover; the world after it, and whether it was done."""
    if name.startswith("ask"):
        views = world.views(me)
        if name == "ask last":
            views[me] = views[me]._replace(armed=True)
        done = world.master == "a1" and decide(Situation(me, world.nodes, "a1", views)).step == ACT
        return dataclasses.replace(world, asked_off=world.asked_off | {me} if world.off else world.asked_off - {me}), done
    if name == "prove":
        return dataclasses.replace(world, proven=world.proven | {me}), world.off and not world.refuses
    if name == "judge":
        return world, not any(world.reaches(me, server) for server, _named in world.named) and world.master == "a1"
    if name == "disarm":
        return dataclasses.replace(world, armed=world.armed - {me}), True
    if name == "write":
        return dataclasses.replace(world, wrote=world.wrote | {me}), True
    if name == "admit":
        return world, 2 * sum(world.reaches(me, other) for other in world.nodes if other != "a1") > len(world.nodes)
    if name == "hand over":
        return dataclasses.replace(world, handed=(*world.handed, me), master=me, armed=frozenset()), True
    return world, True


def ask_server(world, me, server):
    """A server is asked to name a node, as in ballot.py; None where it refuses."""
    named = dict(world.named)
    if not world.reaches(me, server):
        return world
    if named.setdefault(server, me) != me:
        return None
    return dataclasses.replace(world, named=tuple(sorted(named.items())))


MICRO = [(name, server) for name in NAMES for server in (range(5) if name == "elect" else [None])]
"""The steps as they can be cut: an election asks one server after the other."""


def moves(world):
    """Every world that can follow."""
    if not world.back:
        yield dataclasses.replace(world, back=True, off=False)
    for me, position in world.next:
        if position is None:
            continue
        if not world.died:
            yield dataclasses.replace(at(world, me, None), died=True)
        name, server = MICRO[position]
        if name == "elect":
            after = elect(world, me, server)
            yield at(world if after is None else after, me, None if after is None else position + 1)
        else:
            after, done = carry_out(world, me, name)
            yield at(after, me, position + 1 if done and position + 1 < len(MICRO) else None)


def elect(world, me, number):
    """Ask the server of this number; after the last one it has to be a majority. None where this is the end of it."""
    servers = world.nodes
    if number < len(servers) and servers[number] != "a1":
        world = ask_server(world, me, servers[number])
    if world is not None and number == 4:
        world = world if 2 * sum(named == me for _server, named in world.named) > len(servers) else None
    return world


def at(world, me, position):
    return dataclasses.replace(world, next=tuple((name, position if name == me else was) for name, was in world.next))


def explore(start):
    """Every world that can be reached."""
    seen, todo = {start}, [start]
    while todo:
        for after in moves(todo.pop()):
            if after not in seen:
                seen.add(after)
                todo.append(after)
    return seen


def world(count, cut=(), who=("a2", "a3"), **more):
    """Armed nodes of which these have begun a takeover, whose master is dead."""
    nodes = tuple(f"a{number}" for number in range(1, count + 1))
    pairs = frozenset(frozenset(pair) for pair in cut)
    return World(nodes, pairs, next=tuple((name, 0) for name in who), armed=frozenset(nodes[1:]), **more)


@pytest.mark.parametrize(
    ("count", "cut", "who"),
    [
        (3, [], ("a2", "a3")),
        (5, [], ("a2", "a3")),
        (5, [("a2", "a5")], ("a2", "a3")),
        (5, [("a2", "a5"), ("a2", "a3")], ("a2", "a3")),
        (5, [("a2", "a3")], ("a2", "a3")),
    ],
)
def test_there_is_one_new_master_at_most_whatever_happens_between_two_steps(count, cut, who):
    """Here both have begun, whatever they had decided by: 5, 6, 7 and 8 of decision.py hold by themselves."""
    found = explore(world(count, cut, who))
    for each in found:
        assert len(each.handed) <= 1, each
        for name in each.handed:
            holders = [server for server, named in each.named if named == name]
            assert 2 * len(holders) > count and name in each.proven and name in each.wrote and name in each.asked_off, each
            assert not each.armed
        for name, position in each.next:
            if position is not None and MICRO[position][0] in NAMES[NAMES.index("elect") :] and not each.handed:
                assert name not in each.armed, "it is disarmed before anything that cannot be undone"
    assert any(each.handed for each in found), "it comes to an end where nothing is in its way"


def test_a_master_that_is_back_before_the_last_question_stays_the_master():
    for each in explore(world(3)):
        if each.back and each.handed and not each.off:
            assert each.handed[0] in each.asked_off, "it was off when it was asked for the last time"
    back = explore(dataclasses.replace(world(3), back=True, off=False))
    assert not any(each.handed or each.proven or each.named for each in back)


def test_without_the_proof_nothing_happens():
    for each in explore(world(3, refuses=True)):
        assert not each.named and not each.wrote and not each.handed and each.armed == {"a2", "a3"}


def test_the_smaller_part_of_a_network_elects_nobody():
    alone = explore(world(5, [("a2", "a4"), ("a2", "a5"), ("a3", "a4"), ("a3", "a5")]))
    assert not any(each.handed or each.named for each in alone)


class Deeds:
    """Steps that are done, but for one."""

    def __init__(self, fails=None, error=None):
        self.done = []
        self._fails, self._error = fails, error

    def __getattr__(self, name):
        def do():
            self.done.append(name)
            if name == self._fails:
                if self._error:
                    raise self._error
                return "there is a reason"
            return None

        return do


def test_the_steps_are_done_in_their_order():
    deeds = Deeds()
    assert [done.step.name for done in steps(deeds) if done.why is None] == NAMES
    assert deeds.done == ["ask", "judge", "prove", "ask", "judge", "disarm", "elect", "write", "admit", "ask", "hand_over", "finish"]


@pytest.mark.parametrize("fails", ["prove", "judge", "disarm", "elect", "write", "admit", "hand_over", "finish"])
def test_a_step_that_says_no_is_the_last_and_says_what_to_do(fails):
    found = list(steps(Deeds(fails)))
    assert found[-1].step.name == fails.replace("_", " ") and "no, there is a reason; " in found[-1].words and found[-1].step.todo
    broken = list(steps(Deeds(fails, StorageFailed("CouchDB is away."))))
    assert broken[-1].why == "CouchDB is away" and len(broken) == len(found)


def test_the_table_of_the_steps_is_the_one_that_is_told():
    told = takeover.__doc__.splitlines()
    for name in NAMES:
        assert any(line.startswith(name) for line in told), name
