# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whole runs of the real code, with a fault at each of its calls, and another run after it, or in between."""

from __future__ import annotations

import contextlib
import os
import signal

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import (
    ConnectionFailed,
    GanetiError,
    JobFailed,
    LeaseTaken,
    MoveInterrupted,
    NotAcknowledged,
    PreflightFailed,
)
from ansible_collections.ganeti.cluster.plugins.module_utils.move import run, steps
from ansible_collections.ganeti.cluster.plugins.module_utils.move.configuration import Hidden

from . import fakes
from .driven import FREE, FakeCluster, FakeLease, Killed, Stage, killed, killed_after, lost, lost_after, play

KINDS = [{}, {"transport": "rapi"}, {"to": "alpha"}, {"to": "alpha", "transport": "rapi"}, {"source_after": "removed"}, {"start": "no"}]
IDS = [" ".join(str(value) for value in kind.values()) or "ssh" for kind in KINDS]


def moved(world, kind):
    """Assert that the move is done in this world, and nothing is left of it but the source where that is to be kept."""
    to, old = kind.get("to", "beta"), world.by_uuid("u-web")
    copy = world.find(to, "web")
    assert copy is not None and copy.uuid != "u-web" and copy.complete and copy.tags == {"prod"}
    assert (copy.admin, copy.runs) == (("down", False) if kind.get("start") == "no" else ("up", True))
    assert copy.nics == (("aa:01", "10.1"),)
    assert (old is None) == (kind.get("source_after") == "removed")
    if old is not None:
        assert (old.admin, old.runs) == ("offline", False)
        assert [tag.split(":")[2] for tag in old.tags if tag != "prod"] == ["moved-to"]
    assert len(world.machines) == (1 if old is None else 2)


def as_before(world):
    """Assert that the source is as it was, and that nothing else is there."""
    (machine,) = world.machines
    assert machine._replace(version=1) == fakes.source()


def calls(kind, monkeypatch):
    """What an undisturbed run calls."""
    stage = Stage(fakes.world())
    with monkeypatch.context() as patched:
        play(stage, patched)(**kind)
    return stage.seen


def length(kind, monkeypatch):
    """How many calls an undisturbed run makes."""
    return len(calls(kind, monkeypatch))


def deaths(kind, monkeypatch):
    """The calls at which a run can die with different consequences: of those that only read, one after another, the first stands for all."""
    reads = [event.kind in ("info", "query") for event in calls(kind, monkeypatch)]
    return [at for at, read in enumerate(reads) if not (read and at and reads[at - 1])]


def after_a_death(kind, monkeypatch, at, fault):
    """The stage after a run that died at a call, and what begins the next run."""
    stage = Stage(fakes.world())
    stage.at, stage.happens = at, fault
    act = play(stage, monkeypatch)
    with pytest.raises(Killed):
        act(**kind)
    stage.holder = None
    return stage, act


class Begun(set):
    """The worlds in which a test has let the same task begin: what comes of it in the same world again is the same again, so it need not be seen twice."""

    def is_new(self, stage, *more):
        """Whether this is another world than all before, or *more* that counts is different."""
        known = len(self)
        self.add((stage.world, stage.holder is None, more))
        return len(self) > known


@pytest.mark.parametrize("kind", KINDS, ids=IDS)
def test_an_undisturbed_move(monkeypatch, kind):
    stage = Stage(fakes.world())
    act = play(stage, monkeypatch)
    result = act(**kind)
    moved(stage.world, kind)
    assert result["changed"] and result["action"] == "move" and len(result["move_id"]) == 16
    assert stage.holder is None
    again = act(**kind)
    assert (again["changed"], again["action"]) == (False, "none")
    moved(stage.world, kind)


@pytest.mark.parametrize("template", ["plain", "file"])
def test_few_jobs(monkeypatch, template):
    """Each costs about half a second on real Ganeti, and three of them are in the downtime; and each opcode a part of one. Files are not activated."""
    stage = Stage(fakes.world()._replace(template=template))
    activated, freed = (["INSTANCE_ACTIVATE_DISKS"], ["INSTANCE_DEACTIVATE_DISKS"]) if template == "plain" else ([], [])
    play(stage, monkeypatch)()
    jobs = [event.opcodes for event in stage.seen if event.kind == "submit"]
    kept = [[name[3:] for name in opcodes] for opcodes in jobs]
    assert kept == [
        ["INSTANCE_QUERY_DATA"],
        ["TAGS_SET"],
        ["INSTANCE_CREATE", "INSTANCE_SET_PARAMS", "INSTANCE_ACTIVATE_DISKS"],
        ["TAGS_DEL", "INSTANCE_SHUTDOWN", "INSTANCE_SET_PARAMS", "INSTANCE_QUERY_DATA", *activated],
        ["TAGS_DEL", "TAGS_SET", "INSTANCE_SET_PARAMS", "INSTANCE_STARTUP"],
        ["INSTANCE_STARTUP"],
        ["TAGS_DEL", "TAGS_SET", *freed, "TAGS_DEL"],
        ["TAGS_DEL"],
    ]


def test_the_lease_comes_before_every_change(monkeypatch):
    stage = Stage(fakes.world())
    play(stage, monkeypatch)()
    for before, event in zip(stage.seen, stage.seen[1:]):
        if event.kind == "submit" and event.opcodes != ("OP_INSTANCE_QUERY_DATA",):
            assert before.kind == "lease"


@pytest.mark.parametrize("fault", [killed, killed_after])
@pytest.mark.parametrize("kind", KINDS, ids=IDS)
def test_a_run_that_dies_anywhere_is_taken_up(monkeypatch, kind, fault):
    begun = Begun()
    for at in deaths(kind, monkeypatch):
        stage, act = after_a_death(kind, monkeypatch, at, fault)
        if not begun.is_new(stage):
            continue
        result = act(**kind)
        moved(stage.world, kind)
        assert result["action"] in ("move", "finish", "none")
        assert not act(**kind)["changed"]


@pytest.mark.parametrize("kind", KINDS, ids=IDS)
def test_a_run_that_dies_anywhere_is_undone_or_was_released(monkeypatch, kind):
    told, begun = set(), Begun()
    for at in deaths(kind, monkeypatch):
        stage, act = after_a_death(kind, monkeypatch, at, killed_after)
        if not begun.is_new(stage):
            continue
        try:
            act(**kind, state="aborted")
            told.add("undone")
            left = stage.world.find("alpha", "web")
            if left is not None and left.uuid == "u-web":
                as_before(stage.world)
            else:
                moved(stage.world, kind)  # which nothing tells from one that never was anywhere else
        except GanetiError as error:
            told.add(error.message.partition(" is ")[2][:9])
            assert "for good" in error.message or ("so nothing was undone" in error.message and "gnt-instance remove-tags" in error.message)
            act(**kind)
            moved(stage.world, kind)
    assert "undone" in told and len(told) > 1


@pytest.mark.parametrize("fault", [lost, lost_after])
@pytest.mark.parametrize("kind", KINDS, ids=IDS)
def test_a_lost_answer_leads_to_one_of_two_ends(monkeypatch, kind, fault):
    begun = Begun()
    for at in range(length(kind, monkeypatch)):
        stage = Stage(fakes.world())
        stage.at, stage.happens = at, fault
        act = play(stage, monkeypatch)
        try:
            act(**kind)
            moved(stage.world, kind)
            continue
        except ConnectionFailed as error:
            if "The move was undone" in error.message:
                as_before(stage.world)
            else:
                assert stage.world == fakes.world() or "same task again" in error.message or error.message == "The connection was lost."
        if begun.is_new(stage):
            act(**kind)
            moved(stage.world, kind)


def unacknowledged(_does):
    """The job is done, and too few servers of the backend storage are known to have it."""
    raise NotAcknowledged("Job 1 (success) is not on 2 servers within 5 s: nobody has it.")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.get("transport") != "rapi"], ids=[name for name in IDS if "rapi" not in name])
def test_a_job_that_is_not_acknowledged_leads_to_one_of_two_ends(monkeypatch, kind):
    """At each job: it is done all the same, so what a run goes by is what it sees then."""
    ends = set()
    with monkeypatch.context() as patched:
        patched.setattr(FakeCluster, "acknowledge", lambda self, _job, _status: self.stage.event("acknowledge", self.name))
        for at in [at for at, event in enumerate(calls(kind, monkeypatch)) if event.kind == "acknowledge"]:
            stage = Stage(fakes.world())
            stage.at, stage.happens = at, unacknowledged
            act = play(stage, monkeypatch)
            try:
                act(**kind)
                ends.add("moved")
            except NotAcknowledged as error:
                as_before(stage.world)
                ends.add("undone" if "The move was undone" in error.message else "not begun")
                act(**kind)
            moved(stage.world, kind)
    assert ends == {"moved", "undone", "not begun"}


@pytest.mark.parametrize("other", [{}, {"to": "gamma"}, {"to": "alpha"}, {"state": "aborted"}])
def test_another_run_in_between_is_refused_while_this_one_lives(monkeypatch, other):
    """At each call of the first; before it has the lease the second is first."""
    refused = 0
    for at in range(length({}, monkeypatch)):
        stage = Stage(fakes.world())
        act = play(stage, monkeypatch)
        ends = []

        def come_between(does, act=act, note=ends.append):
            try:
                note(act(**other)["action"])
            except GanetiError as error:
                note(error)
            return does()

        stage.at, stage.happens = at, come_between
        try:
            act()
        except GanetiError as error:
            assert not isinstance(ends[0], GanetiError), error
            continue
        if other == {"to": "alpha"} and ends[0] == "move":
            assert [each.cluster for each in stage.world.machines if each.runs] == ["beta"]  # the first began after the second had ended
            continue
        moved(stage.world, {"to": other["to"]} if ends[0] == "move" and "to" in other else {})
        refused += isinstance(ends[0], LeaseTaken)
    assert refused > 40


@pytest.mark.parametrize("other", [{}, {"to": "gamma"}, {"state": "aborted"}])
@pytest.mark.parametrize("kind", [{}, {"transport": "rapi"}], ids=["ssh", "rapi"])
def test_a_run_that_slept_changes_nothing_that_another_has_done(monkeypatch, kind, other):
    """It sleeps at each of its calls, long enough to lose the lease, and another does its whole work meanwhile."""
    begun = Begun()
    for at in range(length(kind, monkeypatch)):
        stage = Stage(fakes.world())
        act = play(stage, monkeypatch)
        ends = []

        def sleep(does, stage=stage, act=act, note=ends.append):
            stage.holder = None
            try:
                act(**other)
            except GanetiError as error:
                note(error)
            note(stage.world)
            return does()

        stage.at, stage.happens = at, sleep
        with contextlib.suppress(GanetiError):
            act(**kind)
        if other.get("to") == "gamma" and ends[-1].find("gamma", "web") is not None:
            running = [each.cluster for each in stage.world.machines if each.runs]
            assert running == ["gamma"]
            continue
        late = stage.seen[at].kind == "submit" and bool(kind)
        if not begun.is_new(stage, late):
            continue
        act(**kind)
        # Over RAPI each opcode is a job of its own, so a shutdown that was sent in the very moment of falling asleep has no ticket.
        down = late and stage.world.find("beta", "web").admin == "down"
        moved(stage.world, {**kind, "start": "no"} if down else kind)


@pytest.mark.parametrize(
    ("source_after", "name", "words"),
    [
        ("fenced", "web2", "Another run has moved web to web2 on beta"),
        ("removed", "web2", "There is no instance web on alpha"),
        ("removed", "web", "another run seems to have moved it"),
    ],
)
def test_what_a_run_says_that_slept_is_true(monkeypatch, source_after, name, words):
    """Another one moves the instance meanwhile; the source, and the name that it had, may be gone when the first wakes up."""
    kind, told = {"source_after": source_after}, 0
    for at in range(length(kind, monkeypatch)):
        stage = Stage(fakes.world())
        act = play(stage, monkeypatch)

        def sleep(does, stage=stage, act=act):
            stage.holder = None
            with contextlib.suppress(GanetiError):
                act(**kind, destination_name=name)
            return does()

        stage.at, stage.happens = at, sleep
        try:
            said = " ".join(act(**kind).get("warnings", ()))
        except GanetiError as error:
            said, source = error.message, stage.world.by_uuid("u-web")
            assert "The move was undone" not in said or (source is not None and source.runs), f"{at}: {said}"
        told += words in said
    assert told > 5


def test_a_disk_that_is_added_between_two_runs_is_not_lost(monkeypatch):
    """The first dies at each of its calls; the one that finishes its move was not there when the disks were read."""
    kind, kept = {"source_after": "removed"}, 0
    for at in deaths(kind, monkeypatch):
        stage, act = after_a_death(kind, monkeypatch, at, killed_after)
        source, copy = stage.world.by_uuid("u-web"), stage.world.find("beta", "web")
        if source is None or copy is None or copy.admin == "offline":
            continue  # gone with the disks that it had, or undone and begun anew
        stage.world = stage.world.replace(source, disks=2)
        with pytest.raises(GanetiError, match="its disks are not those any more that were copied.*source_after: fenced"):
            act(**kind)
            act(**kind)  # the first may have had the copy's tags to take away
        assert stage.world.by_uuid("u-web").disks == 2
        assert not act(source_after="fenced")["changed"] or stage.world.by_uuid("u-web") is not None
        kept += 1
    assert kept > 5


@pytest.mark.parametrize("cluster", ["alpha", "beta"])
def test_a_disk_that_somebody_adds_is_not_lost(monkeypatch, cluster):
    """It is added to the source, or to the copy, at each call. Unless nothing was read in between, the one is not removed, and the other is not used."""
    kind, stopped = {"source_after": "removed"}, 0
    for at in range(length(kind, monkeypatch)):
        stage = Stage(fakes.world())
        act = play(stage, monkeypatch)

        def add(does, stage=stage):
            found = stage.world.find(cluster, "web")
            stage.world = stage.world.replace(found, disks=2) if found is not None else stage.world
            return does()

        stage.at, stage.happens = at, add
        try:
            act(**kind)
        except GanetiError as error:
            # The fake copies one disk, whatever was planned.
            assert any(words in error.message for words in ("was changed while it was", "source_after: fenced", "on the number of disks")), error
            stopped += 1
        source, copy = stage.world.by_uuid("u-web"), stage.world.find("beta", "web")
        if cluster == "alpha" and source is None:
            assert copy.disks == 2 or not looked_between(stage, at, "alpha", "OP_INSTANCE_REMOVE")
        prepared = "prepare" in [event.kind for event in stage.seen[:at]]  # before that no data has gone to a disk of the copy
        if cluster == "beta" and prepared and copy is not None and copy.disks == 2 and copy.admin != "offline":
            assert not looked_between(stage, at, "beta", "OP_INSTANCE_STARTUP")
    assert stopped > 5


def looked_between(stage, at, cluster, op_id):
    """Whether a cluster's instances were read between a call and the job with an opcode."""
    last = next(number for number, event in enumerate(stage.seen) if event.kind == "submit" and event.where == cluster and op_id in event.opcodes)
    return any(event.kind == "query" and event.where == cluster for event in stage.seen[at:last])


def at_source(world):
    return frozenset(("a2",))


def at_destination(world):
    return frozenset(("b1",))


@pytest.mark.parametrize("node", [at_source, at_destination])
@pytest.mark.parametrize("kind", KINDS[:2] + KINDS[4:5], ids=IDS[:2] + IDS[4:5])
def test_a_silent_node_leads_to_no_removal_and_no_start(monkeypatch, kind, node):
    """It is silent from each call on until the run's end; then it answers again."""
    begun = Begun()
    for at in range(length(kind, monkeypatch)):
        stage = Stage(fakes.world())
        act = play(stage, monkeypatch)

        def fall_silent(does, stage=stage):
            stage.world = stage.world._replace(silent=node(stage.world))
            return does()

        stage.at, stage.happens = at, fall_silent
        try:
            act(**kind)
        except GanetiError as error:
            assert "run the same task again" in error.message.lower() or "The move was undone" in error.message or not stage.world.machines[1:]
            assert "somebody else uses it" not in error.message, error.message
        stage.world = stage.world._replace(silent=frozenset())
        if begun.is_new(stage):
            act(**kind)
            moved(stage.world, kind)


@pytest.mark.parametrize("node", [at_source, at_destination])
@pytest.mark.parametrize("kind", KINDS[:2] + KINDS[4:5], ids=IDS[:2] + IDS[4:5])
def test_a_node_that_is_silent_for_a_moment_leaves_nothing_half_done(monkeypatch, kind, node):
    """Its daemon is restarted, at each call: the move goes on, or is undone, and nobody has to run the task again for the instance to be up."""
    for at in range(length(kind, monkeypatch)):
        stage = Stage(fakes.world())
        act = play(stage, monkeypatch)
        monkeypatch.setattr("time.sleep", lambda _seconds, stage=stage: setattr(stage, "world", stage.world._replace(silent=frozenset())))

        def fall_silent(does, stage=stage):
            stage.world = stage.world._replace(silent=node(stage.world))
            return does()

        stage.at, stage.happens = at, fall_silent
        try:
            act(**kind)
            moved(stage.world, kind)
        except GanetiError as error:
            if ". web on beta is moved and in use" in error.message or ". web on alpha is moved and in use" in error.message:
                assert [each.cluster for each in stage.world.machines if each.runs] == [kind.get("to", "beta")]
                continue
            assert ". The move was undone" in error.message or "odd state" in error.message, error.message
            as_before(stage.world)


def renaming(stage, which, before):
    """Renames the source, or the copy, before a call; *before* gets the names by UUID."""

    def renamed(does):
        found = [each for each in stage.world.machines if (each.uuid == "u-web") == (which == "source") and not each.runs and each.admin != "up"]
        for machine in found:
            before[machine.uuid] = machine.name
            stage.world = stage.world.replace(machine, name="odd")
        return does()

    return renamed


@pytest.mark.parametrize("which", ["source", "copy"])
@pytest.mark.parametrize("kind", KINDS[:5], ids=IDS[:5])
def test_a_rename_under_way_loses_nothing(monkeypatch, kind, which):
    """An administrator renames one of the two at each call, as Ganeti allows it while that does not run; and gives it its name back after the run."""
    told, begun = set(), Begun()
    for at in range(length(kind, monkeypatch)):
        stage, before = Stage(fakes.world()), {}
        act = play(stage, monkeypatch)
        stage.at, stage.happens = at, renaming(stage, which, before)
        try:
            told.add(act(**kind)["action"])
        except GanetiError as error:
            told.add("failed")
            assert "mistake in this collection" not in error.message, error.message
        for machine in [each for each in stage.world.machines if each.name == "odd"]:
            told.add("renamed")
            stage.world = stage.world.replace(machine, name=before[machine.uuid])
        if begun.is_new(stage):
            act(**kind)
            moved(stage.world, kind)
    assert {"move", "failed"} <= told
    assert "renamed" in told or kind.get("to") == "alpha"  # where names change hands, so that the run itself puts most right


@pytest.mark.parametrize("state", ["moved", "aborted"])
@pytest.mark.parametrize("kind", KINDS[:4], ids=IDS[:4])
def test_a_replaced_source_that_somebody_has_started_is_told_and_not_passed_over(monkeypatch, kind, state):
    stage = Stage(fakes.world())
    act = play(stage, monkeypatch)
    act(**kind)
    rests = stage.world.by_uuid("u-web")
    stage.world = stage.world.replace(rests, admin="up", runs=True)._replace(tampered=True)
    with pytest.raises(GanetiError, match=rf"was moved to .*, and both run.* gnt-instance shutdown {rests.name}; gnt-instance modify --offline"):
        act(**kind, state=state)
    stage.world = stage.world.replace(stage.world.by_uuid("u-web"), admin="offline", runs=False)
    assert not act(**kind)["changed"]


@pytest.mark.parametrize("kind", KINDS[:4], ids=IDS[:4])
def test_a_copy_that_does_not_start_is_taken_back(monkeypatch, kind):
    stage = Stage(fakes.world()._replace(starts_fail=True))
    act = play(stage, monkeypatch)
    with pytest.raises(JobFailed, match=r"Could not start instance.* The move was undone: the source is as it was"):
        act(**kind)
    assert stage.world.find("alpha", "web").runs and len(stage.world.machines) == 1
    assert stage.world.by_uuid("u-web").nics == fakes.source().nics and stage.world.by_uuid("u-web").tags == {"prod"}


@pytest.mark.parametrize("kind", KINDS[:4], ids=IDS[:4])
def test_a_released_copy_that_does_not_start_can_be_finished_and_given_up(monkeypatch, kind):
    """A run dies right after the release; whether the copy ran is not known to the next one."""
    stage = Stage(fakes.world()._replace(starts_fail=True))
    ends = Stage(fakes.world()._replace(starts_fail=True))
    with monkeypatch.context() as patched, pytest.raises(JobFailed):
        play(ends, patched)(**kind)
    stage.at = next(number for number, event in enumerate(ends.seen) if "OP_INSTANCE_STARTUP" in event.opcodes)
    stage.happens = killed_after
    act = play(stage, monkeypatch)
    with pytest.raises(Killed):
        act(**kind)
    stage.holder = None
    with pytest.raises(JobFailed, match="Could not start"):
        act(**kind)
    with pytest.raises(GanetiError, match="may have run, so nothing was undone") as told:
        act(**kind, state="aborted")
    _before, _found, command = told.value.message.partition("gnt-instance remove-tags ")
    name, tag = command.partition(";")[0].split()
    copy = stage.world.find(kind.get("to", "beta"), name)
    decided = stage.world.replace(copy, tags=copy.tags - {tag})
    finished = stage.world._replace(starts_fail=False)
    stage.world = decided
    act(**kind, state="aborted")
    assert stage.world.find("alpha", "web").runs and len(stage.world.machines) == 1 and stage.world.by_uuid("u-web").tags == {"prod"}
    stage.world = finished
    act(**kind)
    moved(stage.world, kind)


def shutdowns_that_fail(monkeypatch, times):
    """Have Ganeti's first shutdowns fail, though the last of them stops the guest: it was just ending when it was asked to."""
    real, left = fakes.run_opcode, list(range(times))

    def run_opcode(world, name, op):
        if op["OP_ID"] != "OP_INSTANCE_SHUTDOWN" or not left:
            return real(world, name, op)
        left.pop()
        failed = fakes.Refused("Could not shutdown instance")
        failed.answer = ["OpExecError", ["Could not shutdown instance 'web'"]]
        failed.world = real(world, name, op)[0] if not left else world
        raise failed

    monkeypatch.setattr(fakes, "run_opcode", run_opcode)


@pytest.mark.parametrize("kind", KINDS, ids=IDS)
def test_a_guest_that_is_just_ending_as_it_is_asked_to_stop_is_asked_again(monkeypatch, kind):
    shutdowns_that_fail(monkeypatch, 1)
    stage = Stage(fakes.world())
    assert play(stage, monkeypatch)(**kind)["action"] == "move"
    moved(stage.world, kind)


@pytest.mark.parametrize("kind", KINDS, ids=IDS)
def test_a_guest_that_does_not_stop_when_asked_twice_ends_the_move(monkeypatch, kind):
    shutdowns_that_fail(monkeypatch, 3)
    stage = Stage(fakes.world())
    with pytest.raises(JobFailed, match="Could not shutdown instance.* The move was undone: the source is as it was"):
        play(stage, monkeypatch)(**kind)
    as_before(stage.world)


AGAIN = 14
"""More calls than a run makes from a shutdown that fails until the next one has ended."""


def stopped_again(kind, monkeypatch, at, fault):
    """The stage after a run with a fault at a call that comes *at* calls after its shutdown, which failed; and what begins the next run."""
    first = next(number for number, event in enumerate(calls(kind, monkeypatch)) if "OP_INSTANCE_SHUTDOWN" in event.opcodes)
    stage = Stage(fakes.world())
    stage.at, stage.happens = first + at, fault
    with monkeypatch.context() as patched:
        shutdowns_that_fail(patched, 1)
        with contextlib.suppress(Killed, GanetiError):
            play(stage, patched)(**kind)
    stage.holder = None
    return stage, play(stage, monkeypatch)


@pytest.mark.parametrize("fault", [killed, killed_after, lost, lost_after])
@pytest.mark.parametrize("kind", KINDS, ids=IDS)
def test_a_run_that_dies_as_it_asks_a_guest_again_is_taken_up_or_undone(monkeypatch, kind, fault):
    begun = Begun()
    for at in range(AGAIN):
        stage, act = stopped_again(kind, monkeypatch, at, fault)
        if not begun.is_new(stage):
            continue
        left = stage.world
        act(**kind)
        moved(stage.world, kind)
        marks = {tag.split(":")[2] for machine in left.machines for tag in machine.tags if tag != "prod"}
        if "restorable" in marks and "released" not in marks:
            stage.world = left
            act(**kind, state="aborted")
            as_before(stage.world)


def test_a_second_shutdown_that_comes_late_stops_nothing(monkeypatch):
    """The job was sent, and its controller died; it waits for a lock while another one undoes the move."""
    late, sent = [], FakeCluster.submit

    def submit(self, opcodes):
        if opcodes[0]["OP_ID"] == "OP_TAGS_DEL" and any(":disks:" in tag for tag in opcodes[0]["tags"]) and not late:
            late.extend(opcodes)
            raise Killed
        return sent(self, opcodes)

    stage = Stage(fakes.world())
    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(FakeCluster, "submit", submit)
        shutdowns_that_fail(patched, 1)
        play(stage, patched)()
    assert [op["OP_ID"][3:] for op in late[:3]] == ["TAGS_DEL", "TAGS_SET", "INSTANCE_SHUTDOWN"]
    stage.holder = None
    act = play(stage, monkeypatch)
    act(state="aborted")
    as_before(stage.world)
    FakeCluster(stage, "alpha", "ssh").submit(late)
    as_before(stage.world)


def test_an_interruption_undoes_and_says_so(monkeypatch):
    told, begun = set(), Begun()

    def interrupted(does):
        os.kill(os.getpid(), signal.SIGINT)
        return does()

    for at in range(length({}, monkeypatch)):
        stage = Stage(fakes.world())
        stage.at, stage.happens = at, interrupted
        act = play(stage, monkeypatch)
        try:
            act()
            moved(stage.world, {})
            told.add("moved")
        except MoveInterrupted as error:
            told.add(error.message)
            as_before(stage.world)
        if begun.is_new(stage):
            act()
            moved(stage.world, {})
    assert told == {
        "moved",  # it came when the way back was longer than the way forward
        "The move was interrupted (SIGINT).",
        "The move was interrupted (SIGINT). The move was undone: the source is as it was, and nothing is left at the destination.",
    }


def test_a_short_name_is_completed(monkeypatch):
    stage = Stage(fakes.World((fakes.source()._replace(name="web.example.com"),)))
    act = play(stage, monkeypatch)
    act(name="web")
    assert stage.world.find("beta", "web.example.com").runs and stage.world.find("beta", "web") is None
    assert not act(name="web")["changed"]


def test_check_mode_changes_nothing_and_says_what_would_be(monkeypatch):
    stage = Stage(fakes.world())
    act = play(stage, monkeypatch)
    assert act(check_mode=True)["action"] == "move" and stage.world == fakes.world() and stage.holder is None
    stage.at, stage.happens = length({}, monkeypatch) // 2 + len(stage.seen), killed
    with pytest.raises(Killed):
        act()
    stage.holder = None
    before = stage.world
    assert act(check_mode=True)["action"] == "undo" and stage.world == before


@pytest.mark.parametrize(
    ("wanted", "told"),
    [({"check_mode": True}, "web on beta, in check mode"), ({"state": "aborted"}, "web on beta, with state: aborted"), ({}, "web on beta")],
)
def test_whoever_is_refused_is_told_what_the_other_run_is_for(monkeypatch, wanted, told):
    stage, seen = Stage(fakes.world()), []
    act = play(stage, monkeypatch)
    monkeypatch.setattr(run, "Lease", lambda _start, node, _instance, words: seen.append(words) or FakeLease(stage, node, words))
    act(**wanted)
    assert [words["to"] for words in seen] == [told]


def test_another_master_than_at_the_beginning(monkeypatch):
    stage = Stage(fakes.world())
    act = play(stage, monkeypatch)
    monkeypatch.setattr(run, "Lease", lambda _start, _node, _instance, words: FakeLease(stage, "another", words))
    with pytest.raises(GanetiError, match="another is not the master of alpha any more, alpha-master is"):
        act()
    as_before(stage.world)


def test_disks_that_change_while_it_is_prepared_end_the_move(monkeypatch):
    stage = Stage(fakes.world())
    act = play(stage, monkeypatch)
    places = Stage(fakes.world())
    with monkeypatch.context() as patched:
        play(places, patched)()
    stage.at = next(number for number, event in enumerate(places.seen) if "OP_INSTANCE_SHUTDOWN" in event.opcodes)

    def add_a_disk(does):
        source = stage.world.by_uuid("u-web")
        stage.world = stage.world.replace(source, disks=2)
        return does()

    stage.happens = add_a_disk
    with pytest.raises(GanetiError, match=r"web was changed while it was being moved: the number of disks was 1 and is 2 now\..* The move was undone"):
        act()
    assert stage.world.by_uuid("u-web").runs and len(stage.world.machines) == 1


def test_a_name_that_is_taken_is_nobodys_copy(monkeypatch):
    stranger = fakes.source()._replace(cluster="beta", uuid="u-other", node="b1", runs=False, admin="down")
    stage = Stage(fakes.World((stranger, fakes.source())))
    act = play(stage, monkeypatch)
    before = stage.world
    with pytest.raises(PreflightFailed):
        act()
    assert stage.world == before
    assert act(state="aborted")["action"] == "none"


def before(stage, kind):
    """The positions of the calls of one kind, in a run that was undisturbed."""
    return [number for number, event in enumerate(stage.seen) if event.kind == kind]


def test_the_lease_is_asked_before_disks_are_emptied_or_written(monkeypatch):
    stage = Stage(fakes.world())
    play(stage, monkeypatch)()
    for kind in ("prepare", "copy"):
        (place,) = before(stage, kind)
        assert stage.seen[place - 1].kind == "lease", f"nobody asked before {kind}"


def test_a_copy_that_somebody_starts_is_not_emptied(monkeypatch):
    undisturbed = Stage(fakes.world())
    with monkeypatch.context() as patched:
        play(undisturbed, patched)()
    stage = Stage(fakes.world())
    act = play(stage, monkeypatch)
    made = next(number for number, event in enumerate(undisturbed.seen) if "OP_INSTANCE_CREATE" in event.opcodes)

    def start(does):
        answer = does()
        stage.world = stage.world.replace(stage.world.find("beta", "web"), admin="up", runs=True)
        return answer

    stage.at, stage.happens = made, start
    with pytest.raises(GanetiError, match="somebody else"):
        act()
    assert not before(stage, "prepare") and stage.world.find("beta", "web").runs
    assert stage.world.by_uuid("u-web").runs, "the source was not stopped for it"


def test_private_parameters_that_change_meanwhile_end_the_move(monkeypatch):
    stage = Stage(fakes.world())
    stage.hidden = Hidden({"region": "moon"}, {})
    act = play(stage, monkeypatch)
    undisturbed = Stage(fakes.world())
    with monkeypatch.context() as patched:
        play(undisturbed, patched)()
    stage.at = next(number for number, event in enumerate(undisturbed.seen) if "OP_INSTANCE_SHUTDOWN" in event.opcodes)

    def change(does):
        stage.hidden = Hidden({"region": "mars"}, {})
        return does()

    stage.happens = change
    with pytest.raises(GanetiError, match=r"private OS parameters are others now\. .*The move was undone") as caught:
        act()
    assert "moon" not in caught.value.message and "mars" not in caught.value.message
    assert stage.world.by_uuid("u-web").runs and len(stage.world.machines) == 1


def test_a_mistake_of_ours_is_undone_and_told(monkeypatch):
    stage = Stage(fakes.world())
    act = play(stage, monkeypatch)

    def stumble(_digests, _other, _count):
        raise KeyError("nobody thought of it")

    monkeypatch.setattr(steps, "compare", stumble)
    with pytest.raises(GanetiError, match=r"A mistake in this collection .*KeyError.*The move was undone") as caught:
        act()
    assert "Traceback" in caught.value.details["exception"]
    as_before(stage.world)


@pytest.mark.parametrize(("kind", "told"), [({}, True), ({"start": "no"}, False)], ids=["started", "not started"])
def test_downtime_is_from_a_stop_to_a_start(monkeypatch, kind, told):
    stage = Stage(fakes.world())
    assert ("downtime_seconds" in play(stage, monkeypatch)(**kind)) is told


def test_free_space_is_left_out_and_told_of_if_that_is_asked_for(monkeypatch):
    stage = Stage(fakes.world())
    assert play(stage, monkeypatch)(skip_free_space=True)["free_space_skipped"] == [{"disk": 0, **FREE}]
    stage = Stage(fakes.world())
    assert "free_space_skipped" not in play(stage, monkeypatch)()


def test_a_record_that_cannot_be_written_ends_no_move(monkeypatch):
    stage = Stage(fakes.world())
    act = play(stage, monkeypatch)
    monkeypatch.setattr(run.Journal, "__init__", lambda self, *where: self.__dict__.update(_entries=[], problem="It is not complete."))
    assert act()["warnings"] == ["It is not complete."]
    moved(stage.world, {})
