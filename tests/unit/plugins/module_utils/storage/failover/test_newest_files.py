# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Out of which nodes' files a master is made: the decisions, and what they are held against whatever the nodes have."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.epochs import EPOCH
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.failover.newest_files import Held, Job, newer, plan, problems

QUEUED, RUNNING, ENDED = Job("q", (0, 0, 0), False), Job("r", (3, 1, 0), False), Job("e", (4, 2, 1), True)


def held(serial=20, job=7, queue=None, archived=(), raised=None, damaged=(), candidates=("a1", "a2", "a3"), offline=()):
    """What a node's files hold."""
    nodes = {name: {"master_candidate": name in candidates, "offline": name in offline} for name in ("a1", "a2", "a3", "a4")}
    cluster = {"nodes": nodes}
    return Held(serial, raised or serial, job, {7: QUEUED} if queue is None else queue, frozenset(damaged), frozenset(archived), cluster)


def brought(made):
    """What is brought, as pairs of kind and node with the jobs."""
    return {(kind, name): set(jobs) for kind, owners in (("queue", made.queue), ("archive", made.archived)) for name, jobs in owners.items()}


def test_nothing_is_brought_to_who_has_all():
    made = plan("a2", {"a2": held(), "a3": held()})
    assert (made.source, brought(made), made.aside, made.doubtful, made.seen, made.job) == ("a2", {}, frozenset(), {}, 20, 7)
    assert newer(made, {"a2": held(), "a3": held()}, "a2") is None


@pytest.mark.parametrize(
    ("found", "source", "jobs", "aside"),
    [
        ({"a2": held(20), "a3": held(25)}, "a3", {}, set()),
        ({"a2": held(99), "a3": held(EPOCH + 1)}, "a3", {}, set()),
        ({"a3": held(20)}, "a3", {("queue", "a3"): {7}}, set()),
        ({"a2": held(25, queue={7: QUEUED}), "a3": held(20, queue={7: RUNNING})}, "a2", {("queue", "a3"): {7}}, set()),
        ({"a2": held(20, queue={7: RUNNING}), "a3": held(25, queue={7: QUEUED})}, "a3", {}, set()),
        ({"a2": held(25), "a3": held(20, job=8, queue={7: QUEUED, 8: QUEUED})}, "a2", {("queue", "a3"): {8}}, set()),
        ({"a2": held(25), "a3": held(20, queue={7: QUEUED, 5: ENDED})}, "a2", {("queue", "a3"): {5}}, set()),
        ({"a2": held(25), "a3": held(20, queue={}, archived={3, 7})}, "a2", {("archive", "a3"): {3, 7}}, {7}),
        ({"a2": held(25, queue={}, archived={7}), "a3": held(20)}, "a2", {}, set()),
        ({"a2": held(25), "a4": held(20, job=9, queue={9: RUNNING})}, "a2", {}, set()),
    ],
)
def test_what_is_brought_when_the_master_is_dead(found, source, jobs, aside):
    """The newest configuration, of each job the state that has got furthest, and what has been archived anywhere; nothing of who is no candidate."""
    made = plan("a2", found)
    assert (made.source, brought(made), set(made.aside), made.doubtful) == (source, jobs, aside, {})


def test_a_job_that_may_be_of_an_earlier_time_is_nobodys_guess():
    found = {"a2": held(20, job=5, queue={5: QUEUED}), "a3": held(25, job=9, queue={9: QUEUED})}
    made = plan("a2", found)
    assert made.doubtful == {5: "a2"} and made.aside == {5} and brought(made) == {("queue", "a3"): {9}}
    assert "job 5 on a2" in problems(made, found, {}, ["a1"])[0] and "set accept_loss, and none of them runs" in problems(made, found, {}, ["a1"])[0]
    assert problems(plan("a2", {"a3": found["a3"]}), {"a3": found["a3"]}, {}, ["a1"]) == []


def test_a_stopped_masters_files_are_the_truth():
    found = {"a1": held(20, 8, {8: RUNNING}, {7}), "a2": held(31, 12, {3: QUEUED, 7: QUEUED}), "a3": held(40, 15, {15: QUEUED})}
    made = plan("a2", found, "a1")
    assert made.source == "a1" and brought(made) == {("queue", "a1"): {8}, ("archive", "a1"): {7}}
    assert made.aside == {3, 7} and made.doubtful == {} and (made.seen, made.job) == (40, 15), "no number is used again"
    damaged = {"a1": held(20, queue={}, damaged={7}), "a2": held(20)}
    assert plan("a2", damaged, "a1").aside == set(), "the copy of a job that is damaged at the master stays"


def test_an_epoch_that_nobody_has_used_says_nothing_of_how_new_it_is():
    found = {"a2": held(20, raised=EPOCH), "a3": held(25)}
    made = plan("a2", found)
    assert made.source == "a3" and made.seen == EPOCH
    assert newer(made, found, "a2") == "serial number 20, a3 has 25, so 5 changes are brought"


def test_who_does_not_tell_is_named():
    found = {"a2": held()}
    words = problems(plan("a2", found), found, {"a1": "is off", "a3": "a3 does not answer.", "a4": "is away"}, ["a1"])
    assert len(words) == 1 and words[0].startswith("The master candidate a3 does not tell what it has (a3 does not answer), and it may be newer")
    assert words[0].endswith("Repair a3, or set accept_loss")
    gone = {"a2": held(offline=["a3"])}
    assert problems(plan("a2", gone), gone, {"a3": "is off"}, []) == []


JOBS = st.dictionaries(st.integers(1, 9), st.sampled_from([QUEUED, RUNNING, ENDED]), max_size=5)
HELD = st.builds(
    lambda serial, queue, archived: held(serial, max([*queue, *archived, 1]), {n: j for n, j in queue.items() if n not in archived}, archived),
    st.integers(1, 9),
    JOBS,
    st.frozensets(st.integers(1, 9), max_size=3),
)


@settings(max_examples=60)
@given(st.dictionaries(st.sampled_from(["a2", "a3", "a1"]), HELD, min_size=1))
def test_whatever_the_nodes_have(found):
    """No job that has ended anywhere is to run; none is lost but what is named; the newest configuration counts."""
    made = plan("a2", found)
    own = found.get("a2", held(queue={}))
    after = {number: job for number, job in own.queue.items() if number not in made.aside}
    after.update({number: found[name].queue[number] for name, jobs in made.queue.items() for number in jobs})
    archived = own.archived.union(*made.archived.values())
    everything = {number for each in found.values() for number in each.queue.keys() | each.archived}
    assert everything == after.keys() | archived | made.doubtful.keys() and not after.keys() & archived
    for number, job in after.items():
        assert job.progress == max(each.queue[number].progress for each in found.values() if number in each.queue)
    assert found[made.source].serial == max(each.serial for each in found.values())
    assert made.job >= max(everything, default=0)
    for number, name in made.doubtful.items():
        assert number not in after and name != made.source and not found[name].queue[number].ended
