# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two nodes begin the same epoch at once: all orders of their steps, on two servers and on three, with a death at each, and whatever each can reach.

A promotion claims its own server, has Ganeti hand over, and claims the other servers that it reaches; whoever is refused by its own server ends. What is
tried here, with the rules of epochs.py themselves:

1. A master is believed, by itself, where no claim that it sees is newer. Each server keeps the greatest claim that came to it.
2. u2's claim is greater than u1's. So u2 is never outdone, and u1 is as soon as it sees u2's claim anywhere.
3. Hence of two that run both are believed only while u1 sees no server with a claim of u2's: it is cut off from all of those.
4. u1 cannot tell whether whoever claimed runs. If u2 died before Ganeti handed over, u1 is the only master, and out of service by (2) nevertheless.
5. To ignore a claim with the same number that is seen on one server alone would mend (4). But u2 may run, and have its claim on its own server alone, because
   it reaches no other one: the cut may let u1 read there and not u2 here. Then both are believed, and no step is left that would change it. Where all reach
   all it is so for seconds. So by (5) more than one is believed where by (2) one is: a claim is not ignored.
6. Whoever knows that u2 is no master says so on u1: --reclaim begins above all claims, and is never outdone by an older one.
"""

from __future__ import annotations

import itertools
import typing as t

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.epochs import EPOCH, Claim, kept, newer, raised

OLD = Claim(20, "u0")
NAMES = ("u1", "u2")
WANTED = {name: Claim(EPOCH, name) for name in NAMES}
OWN = {"u1": 0, "u2": 1}


class Node(t.NamedTuple):
    """How many steps it has done, and whether it runs. The second step makes it a master."""

    done: int = 0
    runs: bool = True

    @property
    def is_master(self):
        return self.runs and self.done > 1


class State(t.NamedTuple):
    """What stands on each server, and both nodes."""

    servers: t.Tuple[Claim, ...]
    nodes: t.Tuple[Node, Node] = (Node(), Node())


def claimed(state, name, server):
    """What stands on the servers when one is asked; None where it refuses."""
    standing, wanted = state.servers[server], WANTED[name]
    if kept(standing, wanted):
        return state.servers
    if newer([standing], wanted):
        return None
    return (*state.servers[:server], wanted, *state.servers[server + 1 :])


def following(state, plans):
    """All that may happen next: a node does its next step, or dies."""
    for number, name in enumerate(NAMES):
        node = state.nodes[number]
        if not node.runs:
            continue
        servers, after = state.servers, [node._replace(runs=False)]
        if node.done == 1:
            after.append(node._replace(done=2))
        elif node.done < len(plans[name]) + 1:
            server = plans[name][max(node.done - 1, 0)]
            made = claimed(state, name, server)
            servers = state.servers if made is None else made
            after.append(Node(node.done, False) if made is None and node.done == 0 else node._replace(done=node.done + 1))
        for number_of, each in enumerate(after):
            nodes = (each, state.nodes[1]) if number == 0 else (state.nodes[0], each)
            yield State(servers if number_of else state.servers, nodes)


def worlds(count):
    """Who reaches which of so many servers, the own one always, in each order; and all states that there may be then."""
    others = {name: [each for each in range(count) if each != OWN[name]] for name in NAMES}
    orders = {name: [each for size in range(count) for each in itertools.permutations(others[name], size)] for name in NAMES}
    for first, second in itertools.product(orders["u1"], orders["u2"]):
        plans = {"u1": (OWN["u1"], *first), "u2": (OWN["u2"], *second)}
        found, left = set(), [State((OLD,) * count)]
        while left:
            state = left.pop()
            if state not in found:
                found.add(state)
                left.extend(following(state, plans))
        yield plans, found


def as_it_is(found, mine):
    """The claims by which a master is outdone."""
    return newer(found, mine)


def but_for_lone_ones(found, mine):
    """The same where equal numbers on one server alone are ignored, as was proposed."""
    return [each for each in newer(found, mine) if each.serial > mine.serial or found.count(each) > 1]


def believed(state, plans, rule):
    """Who is a master that believes itself to be it, by what it can reach, and may write to its own server."""
    masters = [name for name, node in zip(NAMES, state.nodes) if node.is_master and state.servers[OWN[name]] == WANTED[name]]
    return [name for name in masters if not rule([state.servers[each] for each in plans[name]], WANTED[name])]


@pytest.fixture(scope="module", params=[2, 3])
def every(request):
    """All states of that many servers."""
    return [(plans, state) for plans, states in worlds(request.param) for state in states]


def test_3_both_are_believed_only_while_one_is_cut_off_from_all_that_the_other_has_claimed(every):
    both = 0
    for plans, state in every:
        found = believed(state, plans, as_it_is)
        if found == ["u1", "u2"]:
            both += 1
            assert WANTED["u2"] not in [state.servers[each] for each in plans["u1"]]
        assert not (state.nodes[1].is_master and "u2" not in found), "2: the greater one is never outdone"
    assert both, "which a fence on each server alone cannot prevent"


def test_4_a_promotion_that_came_to_nothing_takes_the_only_master_out_of_service(every):
    alone = [(plans, state) for plans, state in every if state.nodes[0].is_master and not state.nodes[1].runs and state.nodes[1].done == 1]
    assert alone and any(believed(state, plans, as_it_is) == [] for plans, state in alone)


def test_5_ignoring_what_is_seen_on_one_server_would_have_two_believed_for_good(every):
    worse = for_good = moments = 0
    for plans, state in every:
        if believed(state, plans, but_for_lone_ones) == ["u1", "u2"] and believed(state, plans, as_it_is) == ["u2"]:
            worse += 1
            ended = all(node.done == len(plans[name]) + 1 for name, node in zip(NAMES, state.nodes))
            for_good += ended
            moments += all(len(each) == len(state.servers) for each in plans.values())
            assert not (ended and OWN["u1"] in plans["u2"]), "it is the cut in one way, or that a step is still to come"
    assert worse > for_good > 0 and moments > 0


def test_6_whoever_says_that_it_is_the_master_is_believed_and_nobody_else_who_sees_it(every):
    """Wherever the master that says so is out of service, or not; what it claims with is above all that it sees."""
    for plans, state in every:
        if not state.nodes[0].is_master:
            continue
        seen = [state.servers[each] for each in plans["u1"]]
        anew = Claim(raised(max(seen).serial), "u1")
        assert not newer([anew, *seen], anew)
        assert newer([anew, *state.servers], WANTED["u2"]) == [anew] and not newer(state.servers, anew)
