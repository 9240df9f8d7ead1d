# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Moves with a zeroing before them: whatever dies, is lost or comes between, the same task ends both, and no move begins on what is half zeroed."""

from __future__ import annotations

import os
import signal

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import (
    ConnectionFailed,
    GanetiError,
    LeaseLost,
    LeaseTaken,
    MoveInterrupted,
    PreflightFailed,
    StreamFailed,
)
from ansible_collections.ganeti.cluster.plugins.module_utils.move import zero_first
from ansible_collections.ganeti.cluster.plugins.module_utils.zeroing import choose
from ansible_collections.ganeti.cluster.plugins.module_utils.zeroing import tags as zeroing_tags
from ansible_collections.ganeti.cluster.plugins.module_utils.zeroing.choose import Facts, Numbers

from . import fakes
from .driven import Killed, Stage, killed, lost, play
from .zeroed import MIB, zeroable

TIMES = {"zeroing_timeout_fixed": 60.0, "zeroing_timeout_per_mib": 0.0, "shutdown_timeout": 10}
YES = {"zero_free_space": "yes", **TIMES}
AUTO = {"zero_free_space": "auto", **TIMES}
TAG = "ganeti-zeroing:0123456789abcdef"


def scene(monkeypatch, up=True, **how):
    """A stage, what begins a task on it, and the zeroing's side of it."""
    stage = Stage(fakes.world(up)._replace(template="file"))
    act = play(stage, monkeypatch)
    return stage, act, zeroable(stage, monkeypatch, **how)


def moved(stage, up=True, to="beta"):
    """Assert that the move is done and nothing of a zeroing is left."""
    old, copy = stage.world.by_uuid("u-web"), stage.world.find(to, "web")
    assert copy.uuid != "u-web" and copy.complete and copy.tags == {"prod"}
    assert (copy.admin, copy.runs) == (("up", True) if up else ("down", False))
    assert (old.admin, old.runs) == ("offline", False) and not zeroing_tags.own(old.tags)


def as_before(stage, up=True):
    """Assert that the source is as it was, and nothing else is there."""
    (machine,) = stage.world.machines
    assert machine._replace(version=1) == fakes.source(up)


def begun(stage):
    """Whether anything of a move was sent."""
    return any("OP_INSTANCE_CREATE" in (event.opcodes or ()) for event in stage.seen)


@pytest.mark.parametrize("to", ["beta", "alpha"])
@pytest.mark.parametrize("up", [True, False])
def test_it_is_zeroed_before_it_is_moved_and_not_again(monkeypatch, up, to):
    stage, act, world = scene(monkeypatch, up)
    result = act(to=to, **YES)
    moved(stage, up, to)
    assert result["action"] == "move" and result["changed"] and not result["warnings"]
    told = result["zeroing"]
    assert (told["done"], told["method"], told["freed"]) == (True, "discard", 600 * MIB)
    assert told["reason"] == f"The disks take {600 * MIB} bytes less, by discarding."
    assert world.started == 1 and stage.holder is None
    last = max(number for number, event in enumerate(stage.seen) if event.kind == "zeroing")
    assert not any(event.kind == "submit" and "OP_TAGS_SET" in event.opcodes for event in stage.seen[:last])
    again = act(to=to, **YES)
    assert (again["changed"], again["action"], world.started) == (False, "none", 1) and "zeroing" not in again


def test_without_it_nothing_of_it_is_done_or_told(monkeypatch):
    stage, act, world = scene(monkeypatch)
    result = act()
    moved(stage)
    assert "zeroing" not in result and not world.started and not any(event.kind == "zeroing" for event in stage.seen)


@pytest.mark.parametrize("check_mode", [False, True])
def test_it_is_not_stopped_for_a_move_that_cannot_be(monkeypatch, check_mode):
    stage, act, world = scene(monkeypatch)
    taken = fakes.source(name="web", uuid="u-other", cluster="beta", runs=False, admin="down")
    stage.world = stage.world._replace(machines=tuple(sorted((*stage.world.machines, taken))))
    world.missing = ["a2 has no /k."]
    with pytest.raises(PreflightFailed) as refused:
        act(check_mode=check_mode, **YES)
    assert refused.value.problems == ["the name is taken.", "a2 has no /k."]
    assert stage.world.by_uuid("u-web") == fakes.source() and not world.jobs


def test_what_stands_against_it_stands_against_the_move(monkeypatch):
    stage, act, world = scene(monkeypatch)
    world.hypervisor = "xen-pvm"
    with pytest.raises(PreflightFailed, match="kvm alone"):
        act(**YES)
    as_before(stage)
    assert not begun(stage)


def test_an_instance_without_disks_is_moved_as_it_is(monkeypatch):
    for wish in (YES, AUTO):
        stage, act, world = scene(monkeypatch)
        stage.world = stage.world.replace(stage.world.by_uuid("u-web"), disks=0)
        world.hypervisor = "fake"
        result = act(check_mode=True, **wish)
        assert result["zeroing"] == {"done": False, "reason": "There are no disks."} and result["action"] == "move"


@pytest.mark.parametrize("up", [True, False])
@pytest.mark.parametrize(
    ("behaviour", "words"), [("hangs", "did not end within"), ("panics", "ended without having finished"), ("interrupted", "was shut down")]
)
def test_where_it_fails_the_move_is_not_begun(monkeypatch, up, behaviour, words):
    stage, act, world = scene(monkeypatch, up)
    world.behaviour = behaviour
    with pytest.raises(GanetiError, match=words) as failure:
        act(**{**YES, "zeroing_timeout_fixed": 0.01})
    as_before(stage, up)
    assert not begun(stage) and "web is as it was. The move was not begun" in failure.value.message and "zero_free_space to no" in failure.value.message


@pytest.mark.parametrize("behaviour", ["hangs", "panics", "interrupted"])
def test_where_it_fails_by_auto_the_move_goes_on_and_warns(monkeypatch, behaviour):
    stage, act, world = scene(monkeypatch, up=False)
    world.behaviour = behaviour
    result = act(**{**AUTO, "zeroing_timeout_fixed": 0.01})
    moved(stage, up=False)
    (warning,) = result["warnings"]
    assert warning.startswith("The free space of web was not zeroed before the move: ") and world.started == 1
    assert result["zeroing"] == {"done": False, "reason": warning.partition("move: ")[2]}


def test_auto_zeroes_what_is_down_where_it_pays(monkeypatch):
    stage, act, world = scene(monkeypatch, up=False)
    result = act(**AUTO)
    moved(stage, up=False)
    assert result["zeroing"]["done"] and result["zeroing"]["freed"] == 600 * MIB and world.started == 1


@pytest.mark.parametrize(
    ("idle", "up", "more", "words"),
    [
        (6000 * MIB, True, {}, "would be stopped"),
        (100 * MIB, False, {}, "100 MiB are free and take storage: to copy them takes 1 s at 100 MiB/s, to give them back 30 s."),
        (6000 * MIB, False, {"skip_free_space": True}, "skip_free_space"),
        (6000 * MIB, False, {"zeroing_method": "write"}, "written"),
        (6000 * MIB, False, {"transport": "rapi"}, "remote API"),
    ],
)
@pytest.mark.parametrize("check_mode", [False, True])
def test_auto_leaves_it_and_says_why(monkeypatch, idle, up, more, words, check_mode):
    stage, act, world = scene(monkeypatch, up, idle=idle)
    result = act(check_mode=check_mode, **AUTO, **more)
    assert not result["zeroing"]["done"] and words in result["zeroing"]["reason"] and not result["warnings"]
    assert not world.started and not world.jobs
    if not check_mode:
        moved(stage, up)


TOLD = {
    "helper": "a2 has no /k.",
    "path": "What is free on the disks cannot be told without booting anything: the disks are not kept in files.",
    "answer": "What is free on the disks cannot be told without booting anything: On node a2: no.",
    "map": "What is free on the disks cannot be told without booting anything: it was not unmounted in order.",
}


@pytest.mark.parametrize("lacks", TOLD)
def test_auto_leaves_it_where_it_cannot_be_done_or_counted(monkeypatch, lacks):
    stage, act, world = scene(monkeypatch, up=False, idle=0, reason="it was not unmounted in order")
    if lacks == "helper":
        world.missing = ["a2 has no /k."]
    elif lacks == "path":
        stage.world = stage.world._replace(template="plain")
    elif lacks == "answer":
        monkeypatch.setattr(zero_first, "ask", refuse)
    result = act(**AUTO)
    moved(stage, up=False)
    assert result["zeroing"] == {"done": False, "reason": TOLD[lacks]} and not result["warnings"]


def refuse(*_asked):
    raise StreamFailed("On node a2: no.")


@pytest.mark.parametrize(("up", "wish"), [(True, YES), (False, YES), (False, AUTO)])
def test_check_mode_says_what_would_be_and_changes_nothing(monkeypatch, up, wish):
    stage, act, world = scene(monkeypatch, up)
    result = act(check_mode=True, **wish)
    assert result["action"] == "move" and result["zeroing"]["done"] and result["zeroing"]["reason"]
    as_before(stage, up)
    assert not world.jobs and stage.holder is None


def calls(monkeypatch, up, wish, **kind):
    """What an undisturbed run calls."""
    with monkeypatch.context() as patched:
        stage, act, _world = scene(patched, up)
        act(**kind, **wish)
    return stage.seen


def moments(monkeypatch, up, wish, **kind):
    """The calls of a zeroing and around it; the move itself has tests of its own. Of those that change nothing, one after another, the first stands for all."""
    heard = calls(monkeypatch, up, wish, **kind)
    kinds = [event.kind for event in heard]
    first, last = kinds.index("zeroing"), max(number for number, found in enumerate(kinds) if found == "zeroing")
    steady = [event.kind != "submit" and event.where != "job" for event in heard]
    return [at for at in range(first - 1, last + 12) if not (steady[at] and steady[at - 1])]


def deaths(monkeypatch, up, wish, to):
    """For each of these moments what a run has left that died there, its lease included."""
    for at in moments(monkeypatch, up, wish, to=to):
        stage, act, world = scene(monkeypatch, up)
        stage.at, stage.happens = at, killed
        with pytest.raises(Killed):
            act(to=to, **wish)
        stage.holder = None
        yield at, stage, act, world


CASES = [(True, YES, "beta"), (False, AUTO, "alpha")]


@pytest.mark.parametrize(("up", "wish", "to"), CASES)
def test_a_run_that_dies_anywhere_is_taken_up_by_the_same_task(monkeypatch, up, wish, to):
    left = 0
    for at, stage, act, world in deaths(monkeypatch, up, wish, to):
        left += bool(zeroing_tags.own(stage.world.by_uuid("u-web").tags))
        act(to=to, **wish)
        moved(stage, up, to)
        assert world.free == 0, at
        assert not act(to=to, **wish)["changed"]
    assert left > 5


@pytest.mark.parametrize(("up", "wish", "to"), CASES)
def test_a_run_that_dies_anywhere_is_undone_by_aborted(monkeypatch, up, wish, to):
    ended = 0
    for _at, stage, act, world in deaths(monkeypatch, up, wish, to):
        before = world.started
        tags = zeroing_tags.own(stage.world.by_uuid("u-web").tags)
        result = act(to=to, state="aborted", **wish)
        as_before(stage, up)
        assert world.started == before and (not tags or (result["action"], result["changed"]) == ("undo", True))
        ended += bool(tags)
    assert ended > 5


@pytest.mark.parametrize(("up", "wish", "to"), CASES)
def test_a_lost_answer_is_made_good_by_the_same_task(monkeypatch, up, wish, to):
    for at in moments(monkeypatch, up, wish, to=to):
        stage, act, _world = scene(monkeypatch, up)
        stage.at, stage.happens = at, lost
        try:
            act(to=to, **wish)
        except ConnectionFailed as error:
            if zeroing_tags.own(stage.world.by_uuid("u-web").tags):
                assert "Run the same task again" in error.message and "The move was not begun." in error.message
            act(to=to, **wish)
        moved(stage, up, to)


def test_a_signal_in_it_ends_the_move_too_and_brings_the_instance_back(monkeypatch):
    for up, wish in ((True, YES), (False, AUTO)):
        ended = 0
        heard = calls(monkeypatch, up, wish)
        for at in [at for at in moments(monkeypatch, up, wish) if heard[at].kind == "zeroing"]:
            stage, act, _world = scene(monkeypatch, up)

            def interrupt(does):
                os.kill(os.getpid(), signal.SIGTERM)
                return does()

            stage.at, stage.happens = at, interrupt
            try:
                act(**wish)
            except MoveInterrupted:
                as_before(stage, up)
                assert not begun(stage)
                ended += 1
        assert ended > 5


def test_a_signal_after_a_failure_is_not_forgotten(monkeypatch):
    """By auto the failure alone would be no reason to end."""
    stage, act, world = scene(monkeypatch, up=False)
    world.behaviour = "panics"
    real = world.job

    def job(opcodes, label):
        if label.startswith("restore"):
            os.kill(os.getpid(), signal.SIGTERM)
        return real(opcodes, label)

    world.job = job
    with pytest.raises(MoveInterrupted, match="ended without having finished.*The move was not begun"):
        act(**AUTO)
    as_before(stage, up=False)


@pytest.mark.parametrize("other", [{}, YES, {"state": "aborted"}])
def test_no_other_controller_comes_between(monkeypatch, other):
    """The lease is held over both: from before the preflight to the end of the move."""
    for at in moments(monkeypatch, True, YES):
        stage, act, _world = scene(monkeypatch)
        ends = []

        def between(does, act=act, note=ends.append):
            with pytest.raises(LeaseTaken):
                act(**other)
            note("refused")
            return does()

        stage.at, stage.happens = at, between
        act(**YES)
        moved(stage)
        assert ends == ["refused"]


def test_a_run_that_slept_in_it_changes_nothing_that_another_has_done(monkeypatch):
    for at in moments(monkeypatch, True, YES):
        stage, act, _world = scene(monkeypatch)
        seen = []

        def sleep(does, stage=stage, act=act, note=seen.append):
            stage.holder = None
            act(**YES)
            note(stage.world)
            return does()

        stage.at, stage.happens = at, sleep
        try:
            act(**YES)
        except (GanetiError, fakes.Refused):
            pass
        act(**YES)
        assert seen
        old, copy = stage.world.by_uuid("u-web"), stage.world.find("beta", "web")
        assert old.admin == "offline" and not old.runs and copy.complete
        if stage.seen[at].where != "job":
            moved(stage)
        # A shutdown that was sent in the very moment of falling asleep has no ticket, as that of a move over RAPI; nor have the first tags.


def left(stage, *, was="up", runs=False):
    """A zeroing that a run has left behind."""
    machine = stage.world.by_uuid("u-web")
    stage.world = stage.world.replace(machine, admin="down", runs=runs, tags=machine.tags | {f"{TAG}:was:{was}", f"{TAG}:discard:allocated:{900 * MIB}"})


def test_what_is_left_is_refused_where_no_zeroing_is_wanted(monkeypatch):
    stage, act, world = scene(monkeypatch)
    left(stage)
    with pytest.raises(PreflightFailed, match="it is being zeroed"):
        act()
    assert not world.jobs and not begun(stage)


@pytest.mark.parametrize("wish", [YES, AUTO, {"state": "aborted"}])
def test_what_is_left_is_told_by_check_mode(monkeypatch, wish):
    stage, act, world = scene(monkeypatch)
    left(stage)
    result = act(check_mode=True, **wish)
    assert (result["action"], result["changed"]) == ("undo", True) and result["diff"]["after"] == {"zeroing": "ended"}
    assert not world.jobs


def test_a_helper_that_still_runs_is_followed(monkeypatch):
    stage, act, world = scene(monkeypatch)
    left(stage)
    world.runs, world.discards, world.started = "zeroing.id=0123456789abcdef zeroing.mode=discard", True, 0
    assert act(**YES)["zeroing"]["freed"] == 600 * MIB
    moved(stage)
    assert (world.started, world.helper, world.free) == (0, "", 0)


@pytest.mark.parametrize("wish", [AUTO, {"state": "aborted"}])
def test_a_helper_that_still_runs_is_stopped_where_it_is_not_wanted(monkeypatch, wish):
    stage, act, world = scene(monkeypatch)
    left(stage)
    world.runs, world.behaviour, world.started = "zeroing.id=0123456789abcdef zeroing.mode=discard", "hangs", 0
    result = act(**wish)
    assert (world.started, world.helper) == (0, "")
    if "state" in wish:
        as_before(stage)
    else:
        moved(stage)
        assert not result["zeroing"]["done"] and "would be stopped" in result["zeroing"]["reason"]


def test_what_somebody_has_started_meanwhile_is_zeroed_anew_after_the_preflight(monkeypatch):
    stage, act, world = scene(monkeypatch)
    left(stage)
    stage.world = fakes.start(stage.world, stage.world.by_uuid("u-web"))
    assert act(**YES)["zeroing"]["done"] and world.started == 1
    moved(stage)


def test_the_remote_api_cannot_end_what_is_left(monkeypatch):
    stage, act, world = scene(monkeypatch)
    left(stage)
    with pytest.raises(GanetiError, match="set source.transport to ssh"):
        act(transport="rapi", state="aborted")
    assert not world.jobs


def test_a_lease_that_is_lost_in_it_ends_the_run(monkeypatch):
    stage, act, _world = scene(monkeypatch)

    def lose(does):
        stage.holder = "another"
        return does()

    stage.at = next(at for at, event in enumerate(calls(monkeypatch, True, YES)) if event.kind == "zeroing") + 8
    stage.happens = lose
    with pytest.raises((LeaseLost, LeaseTaken), match="Run the same task again"):
        act(**YES)
    assert not begun(stage)


GOOD = Facts(remote=False, disks=1, up=False, skipped=False, method="auto")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"remote": True}, "remote API"), ({"disks": 0}, "no disks"), ({"up": True}, "stopped"), ({"skipped": True}, "skip_free_space"),
        ({"method": "write"}, "zeros"),
    ],
)  # fmt: skip
def test_what_stands_against_it_is_a_table(changes, words):
    assert choose.obstacle(GOOD) is None and choose.obstacle(GOOD._replace(method="discard")) is None
    found = choose.obstacle(GOOD._replace(**changes))
    assert not found.zero and words in found.reason


@pytest.mark.parametrize(
    ("idle", "speed", "zero"),
    [
        (None, 100.0, False), (6000 * MIB, None, False), (6000 * MIB, 0.0, False), (0, 1.0, False),
        (2300 * MIB, 110.0, False),  # about as long as the helper takes under emulation
        (2300 * MIB, 50.0, True), (300 * MIB, 9.0, True), (300 * MIB, 11.0, False), (20000 * MIB, 110.0, True),
        (1000000 * MIB, 600.0, False),  # faster than what was seen of discards
    ],
)  # fmt: skip
def test_what_pays_is_a_table(idle, speed, zero):
    found = choose.pays(Numbers(idle, speed))
    assert found.zero == zero and found.reason.endswith(".")
