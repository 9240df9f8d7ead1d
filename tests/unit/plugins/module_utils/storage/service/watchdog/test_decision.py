# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every view that three and five nodes can have of a master, and what follows; by the numbers of decision.py."""

from __future__ import annotations

import itertools

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.watchdog import decision
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.watchdog.decision import (
    ACT,
    ALIVE,
    GONE,
    MASTER,
    NO,
    UNKNOWN,
    WAIT,
    WATCH,
    Situation,
    View,
    decide,
)

GOOD = View(GONE, "a1", True, 20, 7)
VIEWS = {
    "silent": None,
    "alive": View(ALIVE, "a1"),
    "unknown": View(UNKNOWN, "a1"),
    "gone": GOOD,
    "newer": GOOD._replace(serial=21),
    "unarmed": GOOD._replace(armed=False),
    "unfit": GOOD._replace(serial=22, problem="it has an older Ganeti"),
    "another": View(GONE, "a9", True, 20, 7),
}


def nodes(count):
    """Their names; the first one is the master."""
    return tuple(f"a{number}" for number in range(1, count + 1))


def situation(count, views, me="a2", acknowledge=0):
    """What a node knows where the others have these views, those that are silent left out."""
    return Situation(me, nodes(count), "a1", {name: view for name, view in views.items() if view is not None}, acknowledge)


@pytest.mark.parametrize("count", [3, 5])
def test_whatever_they_see_one_acts_at_most_and_only_with_a_majority(count):
    standbys = nodes(count)[1:]
    acted = 0
    for chosen in itertools.product(VIEWS.values(), repeat=count - 1):
        views = dict(zip(standbys, chosen))
        there = {name: view for name, view in views.items() if view is not None}
        verdicts = {name: decide(situation(count, views, name)) for name in there}
        actors = [name for name, verdict in verdicts.items() if verdict.step == ACT]
        votes = [name for name, view in there.items() if view.votes]
        allowed = 2 * len(votes) > count and {view.sees for view in there.values()} <= {GONE, UNKNOWN} and {view.master for view in there.values()} == {"a1"}
        assert len(actors) <= 1 and (allowed or not actors), views
        for name in actors:
            newest = max(view.serial or 0 for view in there.values())
            assert there[name].votes and there[name].problem is None and there[name].serial == newest, views
        for name, verdict in verdicts.items():
            assert there[name].sees == GONE or verdict.step != ACT, "1: unknown is no vote, and nobody who has none acts"
        if allowed and VIEWS["unfit"] not in chosen and VIEWS["unarmed"] not in chosen:
            assert actors and all(verdicts[name].step == WAIT for name in votes if name not in actors), "where nothing speaks against it, somebody acts"
        acted += bool(actors)
    assert acted


@pytest.mark.parametrize("count", [2, 4])
def test_half_of_the_nodes_is_no_majority(count):
    views = dict.fromkeys(nodes(count)[1 : count // 2 + 1], GOOD)
    verdict = decide(situation(count, views))
    assert verdict.step == NO and "more than half have to" in verdict.why and "a1 has no vote" in verdict.why


@pytest.mark.parametrize(
    ("views", "step", "words"),
    [
        ({"a2": GOOD, "a3": GOOD}, ACT, "a2, a3 see a1 gone, and a2 has the newest"),
        ({"a2": GOOD, "a3": GOOD._replace(serial=21)}, WAIT, "a3 has the newest and acts"),
        ({"a2": GOOD, "a3": GOOD._replace(job=8)}, WAIT, "a3 has the newest"),
        ({"a2": VIEWS["alive"], "a3": GOOD}, WATCH, "a1 is not seen to be gone from here"),
        ({"a2": GOOD, "a3": VIEWS["alive"]}, NO, "a3 sees a1 alive"),
        ({"a2": GOOD, "a3": View(MASTER, "a1")}, NO, "a3 sees a1 alive"),
        ({"a2": GOOD}, NO, "1 of 3 nodes see a1 gone, and more than half have to (a3 does not answer; a1 has no vote)"),
        ({"a2": GOOD, "a3": VIEWS["unknown"]}, NO, "a3 cannot tell"),
        ({"a2": GOOD, "a3": VIEWS["unarmed"]}, NO, "a3 is not armed"),
        ({"a2": VIEWS["unarmed"], "a3": GOOD}, NO, "a2 is not armed for a1"),
        ({"a2": GOOD, "a3": VIEWS["another"]}, NO, "a3 takes a9 for the master, and a2 a1"),
        ({"a2": GOOD, "a3": VIEWS["unfit"]}, NO, "a3 has the newest set, 22, and cannot be the master (it has an older Ganeti)"),
        ({"a2": VIEWS["unfit"], "a3": GOOD._replace(serial=None)}, NO, "a2 cannot be the master (it has an older Ganeti); a3 cannot be"),
    ],
)
def test_it_says_why(views, step, words):
    verdict = decide(situation(3, views))
    assert verdict.step == step and words in verdict.why


def test_jobs_that_were_acknowledged_may_not_be_on_those_alone_that_are_silent():
    """4: with two servers for each job, the second one may be any of the others."""
    three = {"a2": GOOD, "a3": GOOD, "a4": GOOD}
    assert decide(situation(5, three)).step == ACT and decide(situation(5, three, acknowledge=3)).step == ACT
    refused = decide(situation(5, three, acknowledge=2))
    assert refused.step == NO and "acknowledged by 2 servers, which may be those of a1 and of a5 alone" in refused.why
    assert decide(situation(5, {**three, "a5": GOOD}, acknowledge=2)).step == ACT
    split = {"a2": GOOD._replace(serial=21), "a3": GOOD._replace(job=8)}
    assert decide(situation(3, split)).step == ACT
    assert "a3 knows of job 8" in decide(situation(3, split, acknowledge=2)).why


def test_who_is_no_node_of_the_service_says_so():
    assert "a9 is none of the nodes" in decide(Situation("a2", nodes(3), "a9", {"a2": GOOD._replace(master="a9")})).why
    assert decide(Situation("a1", nodes(3), "a1", {"a1": View(MASTER, "a1")})) == (WATCH, "a1 is the master")


def test_two_who_see_different_nodes_may_both_decide_to_act():
    """So it is not the decision that keeps the cluster at one master, but the election: see test_takeover.py."""
    views = dict.fromkeys(nodes(5)[1:], GOOD)
    first, second = ({name: view for name, view in views.items() if name != away} for away in ("a5", "a2"))
    assert decide(situation(5, first, "a2")).step == ACT and decide(situation(5, second, "a3")).step == ACT


def test_no_rule_is_left_out():
    """Each of them decides somewhere in this file."""
    assert len(decision.RULES) == len(set(decision.RULES)) == 11
