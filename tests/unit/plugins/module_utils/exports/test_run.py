# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whole runs of an export, with a fault at each of its calls, and another run after it, or in between."""

from __future__ import annotations

import contextlib
import typing as t

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import GanetiError, PreflightFailed

from .fakes import NAME, NODE, Death, World, dies, lost, play

KINDS = [{}, {"remove_instance": True}]
IDS = ["kept", "removed"]


def length(kind: dict[str, t.Any], monkeypatch: pytest.MonkeyPatch, runs: bool) -> int:
    """How many calls an undisturbed run makes."""
    world = World(runs)
    with monkeypatch.context() as patched:
        play(world, patched)(**kind)
    assert world.events > 5
    return world.events


def exported(world: World, kind: dict[str, t.Any], runs: bool) -> None:
    """Assert that the export is there, and the instance as it is to be."""
    world.whole()
    assert world.exported and world.there is not bool(kind)
    assert not world.there or (world.runs, world.admin) == (runs, "up" if runs else "down")


@pytest.mark.parametrize("runs", [True, False])
@pytest.mark.parametrize("kind", KINDS, ids=IDS)
def test_an_undisturbed_export(monkeypatch: pytest.MonkeyPatch, kind: dict[str, t.Any], runs: bool) -> None:
    world = World(runs)
    act = play(world, monkeypatch)
    assert act(**kind)["exports"] == [{"instance": NAME, "node": NODE}]
    exported(world, kind, runs)
    assert not act(**kind)["changed"]
    exported(world, kind, runs)


@pytest.mark.parametrize("runs", [True, False])
@pytest.mark.parametrize("kind", KINDS, ids=IDS)
def test_a_run_that_dies_anywhere_is_taken_up_or_says_what_decides(monkeypatch: pytest.MonkeyPatch, kind: dict[str, t.Any], runs: bool) -> None:
    said = set()
    for at in range(1, length(kind, monkeypatch, runs) + 1):
        world = World(runs)
        world.at, world.then = at, dies
        act = play(world, monkeypatch)
        with contextlib.suppress(Death):
            act(**kind)
        world.whole()
        try:
            act(**kind)
            said.add("taken up")
        except PreflightFailed as refused:
            assert f"gnt-instance remove {NAME}, or gnt-instance modify --online {NAME}" in refused.message or "set replace if it may" in refused.message
            said.add("refused")
            act(**kind, replace=True)
        world.whole()
        assert world.exported and world.there is not bool(kind)
    assert said == ({"taken up", "refused"} if kind else {"taken up"})


@pytest.mark.parametrize("runs", [True, False])
@pytest.mark.parametrize("kind", KINDS, ids=IDS)
def test_an_answer_that_is_lost_leaves_nothing_stopped_without_a_word(monkeypatch: pytest.MonkeyPatch, kind: dict[str, t.Any], runs: bool) -> None:
    for at in range(1, length(kind, monkeypatch, runs) + 1):
        world = World(runs)
        world.at, world.then = at, lost
        with pytest.raises(GanetiError) as failed:
            play(world, monkeypatch)(**kind)
        world.whole()
        if world.there and world.admin == "offline":
            assert f"gnt-instance modify --online {NAME}" in failed.value.message, at
        if world.there and runs and not world.runs:
            assert f"gnt-instance start {NAME}" in failed.value.message, at


@pytest.mark.parametrize("runs", [True, False])
@pytest.mark.parametrize("other", KINDS, ids=IDS)
@pytest.mark.parametrize("kind", KINDS, ids=IDS)
def test_another_run_in_between_costs_nothing(monkeypatch: pytest.MonkeyPatch, kind: dict[str, t.Any], other: dict[str, t.Any], runs: bool) -> None:
    for at in range(1, length(kind, monkeypatch, runs) + 1):
        world = World(runs)
        act = play(world, monkeypatch)

        def between(act: t.Callable[..., t.Any] = act) -> None:
            with contextlib.suppress(GanetiError):
                act(**other)

        world.at, world.then = at, between
        with contextlib.suppress(GanetiError):
            act(**kind)
        world.whole()
        assert world.exported and (not world.there or world.admin == "offline" or world.runs is runs)


@pytest.mark.parametrize("fault", ["fails", "writes"])
@pytest.mark.parametrize("runs", [True, False])
@pytest.mark.parametrize("kind", KINDS, ids=IDS)
def test_an_export_that_fails_or_holds_nothing_leaves_the_instance_as_it_was(
    monkeypatch: pytest.MonkeyPatch, kind: dict[str, t.Any], runs: bool, fault: str
) -> None:
    world = World(runs)
    setattr(world, fault, fault == "fails")
    with pytest.raises(GanetiError):
        play(world, monkeypatch)(**kind)
    assert world.there and (world.runs, world.admin) == (runs, "up" if runs else "down")


def test_one_that_was_offline_before_stays_so_and_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(runs=False)
    world.admin, world.fails = "offline", True
    with pytest.raises(GanetiError, match=f"was marked offline before, and is so still.*gnt-instance modify --online {NAME}"):
        play(world, monkeypatch)(remove_instance=True)
    assert (world.there, world.admin) == (True, "offline")


@pytest.mark.parametrize("stops", [False, True])
def test_what_somebody_starts_before_the_removal_is_not_removed(monkeypatch: pytest.MonkeyPatch, stops: bool) -> None:
    """One that he has stopped again looks like any other to the job that removes it, so it is known by its mark alone, until the last look."""
    undisturbed = World()
    with monkeypatch.context() as patched:
        play(undisturbed, patched)(remove_instance=True)
    last = undisturbed.looks[-2] if stops else undisturbed.events
    for at in range(1, last + 1):
        world = World()

        def starts(world: World = world) -> None:
            world.admin = "down" if world.admin == "offline" else world.admin
            if world.there:
                world.instance_startup({})
            if stops:
                world.instance_shutdown({})

        world.at, world.then = at, starts
        with contextlib.suppress(GanetiError):
            play(world, monkeypatch)(remove_instance=True)
        world.whole()
