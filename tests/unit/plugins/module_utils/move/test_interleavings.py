# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every order of two runs and a fault, opcode by opcode: never do both copies run, nothing is lost, and every end leads on.

What must never be is asserted at every opcode (`fakes`). Here it is looked at what the ends are good for: from each of them, the same task
comes to a finished move, and ``state: aborted`` to what was before, or to a message with the command that decides.
"""

from __future__ import annotations

import re

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils.move.planner import Goal

from . import explore, fakes
from .explore import Here, Task

SAME, DOWN = fakes.world(), fakes.world(False)
NO_START = SAME._replace(starts_fail=True)
BETA, GAMMA, INSIDE, RAPI, REMOVED = Task(), Task("gamma"), Task("alpha"), Task(rapi=True), Task(source_after="removed")
INSIDE_RAPI = Task("alpha", rapi=True)


def aborted(task):
    """The task with ``state: aborted``."""
    return task._replace(goal=Goal.BACK)


CASES = {
    # killed at any moment, what was sent arriving later; another run beside it or after it
    "killed": (SAME, (BETA, BETA), "kill"),
    "killed, it was down": (DOWN, (BETA, BETA), "kill"),
    "killed, another destination": (SAME, (BETA, GAMMA), "kill"),
    "killed, aborted": (SAME, (BETA, aborted(BETA)), "kill"),
    "killed, the source removed": (SAME, (REMOVED, REMOVED), "kill"),
    "killed, within": (SAME, (INSIDE, INSIDE), "kill"),
    "killed, within, aborted": (SAME, (INSIDE, aborted(INSIDE)), "kill"),
    "killed, RAPI": (SAME, (RAPI, RAPI), "kill"),
    "killed, within, RAPI": (SAME, (INSIDE_RAPI, INSIDE_RAPI), "kill"),
    # an answer is lost, of something that was done, is done later, or never
    "lost": (SAME, (BETA, BETA), "lost"),
    "lost twice": (SAME, (BETA,), "lost", 2),
    "lost, within": (SAME, (INSIDE, INSIDE), "lost"),
    "lost, RAPI": (SAME, (RAPI, RAPI), "lost"),
    # an opcode fails
    "failing": (SAME, (BETA, BETA), "fail"),
    "failing, the source removed": (SAME, (REMOVED, REMOVED), "fail"),
    "failing, within, RAPI": (SAME, (INSIDE_RAPI, INSIDE_RAPI), "fail"),
    "failing twice": (SAME, (BETA, BETA), "fail", 2),
    "no start at the destination": (NO_START, (BETA, BETA), "kill lost fail"),
    # a node falls silent, and answers again at some time
    "silent": (SAME, (BETA, BETA), "silent"),
    "silent, the source removed": (SAME, (REMOVED, REMOVED), "silent"),
    "silent, within": (SAME, (INSIDE, INSIDE), "silent"),
    # the first run sleeps at any moment, loses the lease, and wakes at any moment
    "asleep": (SAME, (BETA, BETA), "freeze"),
    "asleep, another destination": (SAME, (BETA, GAMMA), "freeze"),
    "asleep, aborted": (SAME, (BETA, aborted(BETA)), "freeze"),
    "asleep, within": (SAME, (INSIDE, INSIDE), "freeze"),
    # an administrator takes the source up again by hand
    "by hand": (SAME, (BETA, BETA), "kill", 1, 1),
    "by hand, aborted": (SAME, (BETA, aborted(BETA)), "kill lost", 1, 1),
    "by hand, within": (SAME, (INSIDE, INSIDE), "kill", 1, 1),
}

LEADS_ON = re.compile(r"same task again|gnt-|The move was undone|for good|vanished while it was under way|being moved by")


@pytest.mark.parametrize("name", CASES)
def test_all_orders(name):
    begun, tasks, kinds, *more = CASES[name]
    faults, hands = (*more, *(1, 0)[len(more):])
    runs = tuple(explore.run_of(task, number) for number, task in enumerate(tasks))
    came, ends = explore.all_of(Here(begun, runs, faults=faults, hands=hands), kinds.split())
    assert len(came) > 1000 and len(ends) > 10, "there was nothing to see"
    for here in ends:
        for run in here.runs:
            assert run.end is None or run.end.well or LEADS_ON.search(run.end.message) or run.end.message.startswith("Job failed"), run.end
    worlds = {here.world._replace(holder=None, silent=frozenset(), starts_fail=False): here for here in ends}
    for world, here in worlds.items():
        assert_leads_on(world, tasks, explore.story(here, came), hands)


def assert_leads_on(world, tasks, story, hands):
    """Assert that from this world the tasks come to their ends, each alone and undisturbed."""
    elsewhere = [each.cluster for each in world.machines if each.uuid != "u-web" and each.runs]
    task = next((each for each in tasks if each.to in elsewhere), tasks[0])._replace(goal=Goal.FORWARD)
    after, end = explore.alone(world, task)
    assert end.well, f"{end.message}\n{story}"
    assert_moved(after, task, story)
    after, end = explore.alone(world, aborted(task))
    if end.well and not any(each.uuid != "u-web" for each in after.machines):
        assert_before(after, story)
    elif not end.well:
        assert re.search(r"for good|gnt-instance remove-tags", end.message), f"{end.message}\n{story}"


def assert_moved(world, task, story):
    """Assert that the copy is used and the source is not, and that no more is left."""
    (copy,) = [each for each in world.machines if each.uuid != "u-web" and each.admin != "offline"]
    assert (copy.name, copy.cluster, copy.tags, copy.complete) == ("web", task.to, {"prod"}, True), story
    assert (copy.admin, copy.runs) in (("up", True), ("down", False)) and copy.nics == fakes.source().nics, story
    old = world.by_uuid("u-web")
    assert (old is None) == (task.source_after == "removed"), story
    if old is not None:
        assert (old.admin, old.runs) == ("offline", False), story
        assert [tag.split(":")[2] for tag in old.tags if tag != "prod"] == ["moved-to"], story
    assert len(world.machines) == (1 if old is None else 2), story


def assert_before(world, story):
    """Assert that the source is as it was, and alone."""
    (source,) = world.machines
    expected = (("up", True), ("down", False))
    assert source._replace(version=1, admin="up", runs=True) == fakes.source() and (source.admin, source.runs) in expected, story
