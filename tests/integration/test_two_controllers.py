# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two controllers that want the same instance: one has it, the other is told so, whatever it wants and wherever it keeps its journal."""

from __future__ import annotations

import os
import signal
import socket

import pytest

from . import allot
from .lab import eventually
from .moves import Move

WIRES = pytest.mark.apart(allot.WIRES)
HELD = "is being moved by process "


@pytest.fixture
def elsewhere(lab, name, tmp_path, way):
    """Another controller's task: with a journal of its own, and in a process of its own."""
    started = []

    def begin(**arguments):
        journal = tmp_path / str(len(started))
        started.append(Move(lab, journal, {"name": name, **way.node, **arguments}))
        return started[-1]

    yield begin
    for each in started:
        if each.process.poll() is None:
            each.kill()


def leases(lab, name):
    """The lease of an instance, as the kernel of alpha's master lists it."""
    uuid = lab.fields("alpha", name, "uuid")[0]
    return [line for line in lab.master("alpha", "cat", "/proc/net/unix").splitlines() if line.endswith(f"@ganeti-move/{uuid}")]


def holders(lab):
    """The processes on alpha's master that hold leases."""
    return lab.master("alpha", "pgrep", "-f", "compile.text..-1., .leas[e]", check=False).split()


def assert_moved(lab, name, digests, way):
    assert lab.fields("beta", name, "status", "tags") == ["running", ""]
    assert lab.fields("alpha", name, "status") == ["ADMIN_offline"]
    assert lab.digests(way.destination, name)["0"][0] == digests["0"][0]


@WIRES
@pytest.mark.parametrize("what", ["the same", "within", "aborted"])
def test_a_living_move_is_left_alone(lab, instance, move, elsewhere, crawling, way, what):
    name = instance()
    digests = lab.digests(way.source, name)
    wanted = {"the same": {}, "within": {"destination": None, "primary_node": f"{way.within}.lab.example"}, "aborted": {"state": "aborted"}}[what]
    first = move(shown=True, **way.node)
    first.wait_for(" %, ", times=2)
    assert len(leases(lab, name)) == 1
    tags = lab.fields("alpha", name, "tags"), lab.fields("beta", name, "tags")
    refused = elsewhere(**wanted).result()
    assert refused["failed"] and f"{name} {HELD}" in refused["msg"], refused
    assert f" on {socket.gethostname()} (since 20" in refused["msg"] and f"to {name} on beta.lab.example" in refused["msg"]
    assert tags == (lab.fields("alpha", name, "tags"), lab.fields("beta", name, "tags")), "it changed what is not its own"
    crawling()
    result = first.result()
    assert result["changed"] and not result["failed"], result
    assert_moved(lab, name, digests, way)
    assert leases(lab, name) == []
    late = elsewhere().result()
    assert not late["failed"] and not late["changed"], late


@WIRES
def test_of_two_that_begin_at_once_one_moves_it(lab, instance, elsewhere, way):
    name = instance()
    digests = lab.digests(way.source, name)
    results = [each.result() for each in [elsewhere(), elsewhere(), elsewhere()]]
    assert [result["changed"] for result in results if not result["failed"]].count(True) == 1, results
    assert all(HELD in result["msg"] for result in results if result["failed"]), results
    assert_moved(lab, name, digests, way)
    assert leases(lab, name) == []


@WIRES
def test_a_move_that_died_is_undone_on_request_and_at_once(lab, instance, move, elsewhere, crawling, untouched, way):
    name = instance()
    first = move(shown=True, **way.node)
    first.wait_for(" %, ", times=2)
    first.kill()
    eventually(lambda: not leases(lab, name), 120, "the lease has ended with its controller")
    undone = elsewhere(state="aborted").result()
    assert undone["changed"] and not undone["failed"] and undone["action"] == "undo", undone
    untouched()
    again = elsewhere(state="aborted").result()
    assert not again["changed"] and not again["failed"], again


@WIRES
def test_a_controller_that_slept_changes_nothing_any_more(lab, instance, elsewhere, crawling, way):
    """It is stopped in the midst of the copy for longer than a lease lives; meanwhile another moves the instance."""
    name = instance()
    digests = lab.digests(way.source, name)
    first = elsewhere()
    eventually(lambda: lab.fields("alpha", name, "status") == ["ADMIN_offline"], 120, "the source is fenced")
    os.kill(first.process.pid, signal.SIGSTOP)
    try:
        eventually(lambda: not leases(lab, name), 240, "the lease has ended")
        crawling()
        second = elsewhere().result()
        assert second["changed"] and not second["failed"], second
        described = lab.fields("beta", name, "uuid", "status", "tags"), lab.fields("alpha", name, "uuid", "status", "tags")
    finally:
        os.kill(first.process.pid, signal.SIGCONT)
    result = first.result()
    assert not result["failed"] and not result["changed"] and result["action"] == "none", result
    assert f"Another run has moved {name}" in str(result["warnings"]) and second["move_id"] in str(result["warnings"]), result
    assert described == (lab.fields("beta", name, "uuid", "status", "tags"), lab.fields("alpha", name, "uuid", "status", "tags"))
    assert_moved(lab, name, digests, way)


@WIRES
def test_a_lease_leaves_nothing_behind(lab, instance, elsewhere, way):
    instance()
    before = set(holders(lab))
    files = lab.master("alpha", "find", "/tmp", "/run", "/root", "-newer", "/proc/self", "-name", "*lease*")
    assert not elsewhere().result()["failed"]
    # Moves of other tests hold leases, too, and end at some time.
    since = set(holders(lab)) - before
    eventually(lambda: not since & set(holders(lab)), 600, "its process has ended")
    assert lab.master("alpha", "find", "/tmp", "/run", "/root", "-newer", "/proc/self", "-name", "*lease*") == files
