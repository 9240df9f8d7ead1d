# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whole zeroings against a fake of Ganeti: whatever dies, is lost or comes between, the instance is as it was in the end, and nothing is left."""

from __future__ import annotations

import functools
import os
import signal

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import (
    ConnectionFailed,
    GanetiError,
    InvalidInput,
    JobFailed,
    LeaseLost,
    LeaseTaken,
    PreflightFailed,
)  # fmt: skip
from ansible_collections.ganeti.cluster.plugins.module_utils._progress import Progress
from ansible_collections.ganeti.cluster.plugins.module_utils.zeroing import run as running
from ansible_collections.ganeti.cluster.plugins.module_utils.zeroing.options import parse
from ansible_collections.ganeti.cluster.plugins.module_utils.zeroing.planner import Step, View, next_step
from ansible_collections.ganeti.cluster.plugins.module_utils.zeroing.tags import Claim

from .fakes import MIB, NAME, Death, Lease, Session, World, lost

PARAMS = {
    "name": NAME, "shutdown": True, "method": "auto", "kernel_path": "/k", "initrd_path": "/i", "zeroing_timeout_fixed": 60.0,
    "zeroing_timeout_per_mib": 0.0, "shutdown_timeout": 10, "transport": "ssh", "address": "a1", "cluster_name": None, "ssh": {}, "rapi": {},
    "lock_timeout": 1, "job_timeout": 1,
}  # fmt: skip


@pytest.fixture
def zero(monkeypatch):
    """Runs a zeroing in a world; the lease of one that died is gone."""

    def call(world, check_mode=False, **changes):
        monkeypatch.setattr(running, "Session", lambda _options: Session(world))
        monkeypatch.setattr(running, "Lease", lambda *_arguments: Lease(world))
        world.lease = ""
        return running.run(parse({**PARAMS, **changes}), check_mode, Progress())

    return call


STATES = [("down", ""), ("up", "own")]


@pytest.mark.parametrize("admin, runs", STATES)
def test_it_is_zeroed_and_as_it_was(zero, admin, runs):
    world = World(admin, runs)
    result = zero(world)
    assert (result["changed"], result["method"], result["measure"], result["freed"]) == (True, "discard", "allocated", 600 * MIB)
    assert result["diff"] == {"before": {"bytes allocated": 900 * MIB}, "after": {"bytes allocated": 300 * MIB}}
    assert result["filesystems"] == [{"disk": 0, "device": "vda1", "filesystem": "ext4", "zeroed": True, "reason": None}]
    world.as_it_was(admin, runs)
    assert not world.lease
    again = zero(world)
    assert not again["changed"] and again["freed"] == 0 and again["method"] == "discard"
    world.as_it_was(admin, runs)


def test_zeros_are_written_where_discards_change_nothing(zero):
    world = World(punches=False)
    result = zero(world)
    assert (result["method"], result["measure"], result["freed"], result["changed"]) == ("write", "data", 600 * MIB, True)
    world.as_it_was("down", "")
    world = World(punches=False)
    result = zero(world, method="discard")
    assert (result["method"], result["changed"], result["freed"]) == ("discard", False, 0) and "no less than before" in result["reason"]


@pytest.mark.parametrize("method, freed", [("auto", 600 * MIB), ("discard", 0)])
def test_zeros_are_written_where_discards_are_refused_unless_they_alone_were_asked_for(zero, method, freed):
    world = World()
    world.behaviour = "refuses"
    result = zero(world, method=method)
    assert (result["method"], result["freed"]) == ("write" if method == "auto" else "discard", freed)
    world.as_it_was("down", "")


def test_zeros_are_written_where_the_node_cannot_count_blocks(zero):
    world = World()
    world.known = False
    assert (zero(world)["method"], sum("OP_INSTANCE_STARTUP" in job for job in world.jobs)) == ("write", 1)


def test_a_disk_that_takes_nothing_is_left_alone(zero):
    world = World("up", "own")
    world.allocated = 0
    assert zero(world) == {"changed": False, "diff": {"before": {}, "after": {}}, "action": "none", "reason": "The disks take nothing, or there are none."}
    world.as_it_was("up", "own")
    world = World()
    world.disk_template = "diskless"
    assert zero(world)["action"] == "none" and not world.jobs


@pytest.mark.parametrize("admin, runs", STATES)
def test_check_mode_changes_nothing(zero, admin, runs):
    world = World(admin, runs)
    assert zero(world, check_mode=True) == {
        "changed": True, "diff": {"before": {"free space": "as it is"}, "after": {"free space": "zeroed"}}, "action": "zero",
    }  # fmt: skip
    assert not world.jobs and not world.lease


@pytest.mark.parametrize(
    "changes, options, words",
    [
        ({"runs": "own", "admin": "up"}, {"shutdown": False}, "set shutdown"),
        ({"hypervisor": "xen-pvm"}, {}, "kvm alone"),
        ({"admin": "offline"}, {}, "--online"),
        ({"tags": {"ganeti-move:0123456789abcdef:ready"}}, {}, "takes part in a move"),
    ],
)
@pytest.mark.parametrize("check_mode", [False, True])
def test_what_stands_against_it_is_told_before_anything_is_changed(zero, changes, options, words, check_mode):
    world = World()
    for name, value in changes.items():
        setattr(world, name, value)
    with pytest.raises(PreflightFailed, match=words):
        zero(world, check_mode=check_mode, **options)
    assert not world.jobs and not world.lease


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"transport": "rapi"}, "remote API"), ({"name": "-x"}, "not a host name"), ({"kernel_path": "k"}, "kernel_path"),
        ({"initrd_path": "/i,x"}, "initrd_path"),
        ({"zeroing_timeout_fixed": -1.0}, "zeroing_timeout_fixed"), ({"zeroing_timeout_per_mib": float("nan")}, "zeroing_timeout_per_mib"),
    ],
)  # fmt: skip
def test_options_that_make_no_sense_are_refused(changes, words):
    with pytest.raises(InvalidInput, match=words):
        parse({**PARAMS, **changes})


@pytest.mark.parametrize("admin, runs", STATES)
@pytest.mark.parametrize(
    "behaviour, words",
    [("hangs", "did not end within 0 s"), ("panics", "Its last words: Kernel panic"), ("interrupted", "was shut down"), ("silent", "Nothing was heard")],
)
def test_a_helper_that_fails_is_told_and_the_instance_is_as_it_was(zero, admin, runs, behaviour, words):
    world = World(admin, runs)
    world.behaviour = behaviour
    with pytest.raises(GanetiError, match=words) as failure:
        zero(world, zeroing_timeout_fixed=0.05)
    assert "is as it was" in failure.value.message
    world.as_it_was(admin, runs)


@pytest.mark.parametrize("admin, runs", STATES)
def test_what_a_helper_has_freed_that_nobody_heard_counts_for_the_run_that_finishes(zero, admin, runs):
    """Its controller died, and it has ended before the next run looks."""
    world = World(admin, runs)
    real = world.job

    def dies(opcodes, label):
        results = real(opcodes, label)
        if any(op.get("no_remember") for op in opcodes):
            raise Death
        return results

    world.job = dies
    with pytest.raises(Death):
        zero(world)
    world.job = real
    world.zero()
    result = zero(world)
    assert (result["changed"], result["before"], result["freed"]) == (True, 900 * MIB, 600 * MIB)
    world.as_it_was(admin, runs)


@pytest.mark.parametrize("admin, runs", STATES)
@pytest.mark.parametrize("ends", [True, False])
def test_a_shutdown_that_meets_a_guest_which_is_just_ending_is_looked_at_again(zero, admin, runs, ends):
    """Whichever it is, of the instance's own system or before the helper; Ganeti's job fails, and one that has not ended is asked again."""
    world = World(admin, runs)
    real, left = world.op_instance_shutdown, [1]

    def shutdown(op):
        if left:
            left.pop()
            world.admin = "down"
            if ends:
                world.runs = ""
            failed = JobFailed("Could not shutdown instance", ecode=None, opcode="INSTANCE_SHUTDOWN(web.example.com)")
            failed.before = []
            raise failed
        real(op)

    world.op_instance_shutdown = shutdown
    result = zero(world)
    assert result["changed"] and result["freed"] == 600 * MIB
    world.as_it_was(admin, runs)


def test_a_node_that_does_not_answer_is_no_reason_to_do_anything(zero):
    world = World("up", "own")
    world.answers = False
    with pytest.raises(ConnectionFailed, match="does not tell"):
        zero(world)
    assert not world.jobs


@pytest.mark.parametrize("admin, runs", STATES)
def test_what_somebody_else_has_started_is_left_alone(zero, admin, runs):
    """Ganeti's opcode that starts the helper succeeds then and does nothing."""
    world = World(admin, runs)
    real = world.job

    def between(opcodes, label):
        if any(op.get("no_remember") for op in opcodes):
            world.op_instance_startup({})
        return real(opcodes, label)

    world.job = between
    with pytest.raises(GanetiError, match="left alone") as failure:
        zero(world)
    assert "is as it was" not in failure.value.message
    world.as_it_was("up", "own")


def events(zero, make=World, **how):
    """How many moments there are in which something can happen."""
    world = make(**how)
    zero(world)
    return world.events


def die():
    raise Death


def started(world, after=False):
    """Somebody starts it while the helper runs, or, as Ganeti's watcher does, right behind its end."""
    real = world.zero

    def zero():
        if not after:
            world.op_instance_startup({})
        lines = real()
        if after:
            world.op_instance_startup({})
        return lines

    world.zero = zero
    return world


def test_a_start_while_the_helper_runs_takes_effect_when_it_has_ended(zero):
    result = zero(world := started(World()))
    assert result["freed"] == 600 * MIB and result["warnings"] == [f"Somebody has started {NAME} meanwhile, so it is running now."]
    world.as_it_was("up", "own")
    assert "warnings" not in zero(world := started(World("up", "own")))  # which would have been started anyway
    world.as_it_was("up", "own")


@pytest.mark.parametrize("behaviour", ["hangs", "panics", "interrupted", "silent"])
def test_a_start_while_a_helper_runs_that_fails_takes_effect_too(zero, behaviour):
    world = started(World())
    world.behaviour = behaviour
    with pytest.raises(GanetiError, match="has started .* meanwhile, so it is running now") as failure:
        zero(world, zeroing_timeout_fixed=0.05)
    assert "as it was" not in failure.value.message
    world.as_it_was("up", "own")


@pytest.mark.parametrize("fault", [die, lost])
def test_a_start_while_the_helper_runs_is_remembered_by_the_next_run(zero, fault):
    for moment in range(1, events(zero, make=lambda: started(World())) + 1):
        world = started(World())
        world.at, world.then = moment, fault
        try:
            zero(world)
        except (Death, ConnectionFailed):
            pass
        world.at = None
        zero(world)
        world.as_it_was("up", "own")


@pytest.mark.parametrize("admin, runs", STATES)
def test_what_runs_when_the_helper_has_ended_is_not_stopped(zero, admin, runs):
    world = started(World(admin, runs), after=True)
    with pytest.raises(GanetiError, match="left alone") as failure:
        zero(world)
    assert "is as it was" not in failure.value.message
    helped = next(number for number, job in enumerate(world.jobs) if "OP_INSTANCE_STARTUP" in job)
    assert not [job for job in world.jobs[helped:] if "OP_INSTANCE_SHUTDOWN" in job]
    world.as_it_was("up", "own")


def test_one_that_cannot_be_stopped_is_running_and_marked_so(zero):
    world = World("up", "own")
    world.fails = {"OP_INSTANCE_SHUTDOWN": 1}
    with pytest.raises(GanetiError, match="OP_INSTANCE_SHUTDOWN failed"):
        zero(world)
    world.as_it_was("up", "own")


def test_a_start_that_fails_is_tried_again_and_told_if_it_stays_so(zero):
    world = World("up", "own")
    world.fails = {"OP_INSTANCE_STARTUP": 1}
    with pytest.raises(GanetiError, match="failed. web.example.com is as it was"):
        zero(world)
    world.as_it_was("up", "own")
    world = World("up", "own")
    world.fails = {"OP_INSTANCE_STARTUP": 100}
    with pytest.raises(GanetiError, match="may not be as it was"):
        zero(world)
    assert [tag for tag in world.tags if tag.endswith("was:up")] and len(world.tags) == 2
    world.fails = {}
    zero(world)
    world.as_it_was("up", "own")


def test_a_helper_that_has_just_ended_is_not_taken_for_another_system(zero, monkeypatch):
    """Ganeti has said that it runs; its node says that nothing does."""
    world = World("up", "own")
    world.tags |= {"ganeti-zeroing:0123456789abcdef:was:up", "ganeti-zeroing:0123456789abcdef:discard:allocated:943718400"}
    world.admin, world.runs = "down", "zeroing.id=0123456789abcdef zeroing.mode=discard"

    def end():
        world.runs = ""

    world.at, world.then = 3, end  # after the instance was asked for, twice
    zero(world)
    world.as_it_was("up", "own")


@pytest.mark.parametrize("admin, runs", STATES)
@pytest.mark.parametrize("punches", [True, False])
@pytest.mark.parametrize("fault", [die, lost])
def test_a_death_or_a_lost_answer_at_any_moment_is_made_good_by_the_same_task(zero, admin, runs, punches, fault):
    for moment in range(1, events(zero, admin=admin, runs=runs, punches=punches) + 1):
        world = World(admin, runs, punches)
        world.at, world.then = moment, fault
        try:
            zero(world)
        except Death:
            pass
        except ConnectionFailed as error:
            assert world.tags == {"theirs"} or "Run the same task again" in error.message
        world.at = None
        zero(world)
        world.as_it_was(admin, runs)
        assert world.free == 0, moment


@pytest.mark.parametrize("admin, runs", STATES)
def test_a_signal_at_any_moment_brings_it_back(zero, admin, runs):
    for moment in range(1, events(zero, admin=admin, runs=runs) + 1):
        world = World(admin, runs)
        world.at, world.then = moment, lambda: os.kill(os.getpid(), signal.SIGTERM)
        before = signal.signal(signal.SIGTERM, signal.SIG_IGN)  # of what comes before the run hears, or after
        try:
            zero(world)
        except GanetiError as error:
            assert "interrupted" in error.message
        finally:
            signal.signal(signal.SIGTERM, before)
        world.as_it_was(admin, runs)


@pytest.mark.parametrize("admin, runs", STATES)
def test_a_run_that_lost_its_lease_changes_nothing_any_more(zero, admin, runs):
    def take(world):
        world.lease = "another's"
        world.jobs_then = len(world.jobs)

    for moment in range(1, events(zero, admin=admin, runs=runs) + 1):
        world = World(admin, runs)
        world.at, world.then = moment, functools.partial(take, world)
        try:
            zero(world)
        except (LeaseLost, LeaseTaken):
            assert len(world.jobs) <= world.jobs_then + 1  # the one that was on its way
        zero(world)
        world.as_it_was(admin, runs)


def test_a_start_that_comes_too_late_starts_nothing(zero):
    """Of a controller that was thought dead: the tag that its job takes away is not there any more."""
    world = World()
    late = []
    real = world.job

    def keep(opcodes, label):
        if any(op["OP_ID"] == "OP_INSTANCE_STARTUP" for op in opcodes) and not late:
            late.append(opcodes)
            raise Death
        return real(opcodes, label)

    world.job = keep
    with pytest.raises(Death):
        zero(world)
    zero(world)
    world.as_it_was("down", "")
    with pytest.raises(GanetiError, match="not found"):
        real(late[0], "late")
    world.as_it_was("down", "")


def test_tags_of_two_zeroings_are_for_people():
    world = World()
    world.tags |= {"ganeti-zeroing:0123456789abcdef:ready", "ganeti-zeroing:fedcba9876543210:ready"}
    with pytest.raises(GanetiError, match="remove-tags"):
        running._Run(Session(world), parse(PARAMS), Lease(world), Progress(), "5f1c").to_the_end(False)


CLAIM = Claim("0123456789abcdef")


@pytest.mark.parametrize(
    "view, done, step",
    [
        (View(None, None), False, Step.SILENT), (View(CLAIM, None), True, Step.SILENT),
        (View(None, True), False, Step.BEGIN), (View(None, False), False, Step.BEGIN),
        (View(CLAIM, False), False, Step.ZERO), (View(CLAIM, False), True, Step.RESTORE),
        (View(CLAIM, True, True), False, Step.RESUME), (View(CLAIM, True, True), True, Step.STOP),
        (View(CLAIM, True, False), False, Step.FORGET), (View(CLAIM, True, False), True, Step.FORGET),
    ],
)  # fmt: skip
def test_what_follows_is_a_table(view, done, step):
    assert next_step(view, done) is step
