# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's side of a copy, with real endpoints on this machine."""

from __future__ import annotations

import datetime
import os
import queue
import socket
import sys
import time
import types

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import StreamFailed
from ansible_collections.ganeti.cluster.plugins.module_utils._progress import Progress
from ansible_collections.ganeti.cluster.plugins.module_utils.move import nodes
from ansible_collections.ganeti.cluster.plugins.module_utils.move.certificates import identities
from ansible_collections.ganeti.cluster.plugins.module_utils.move.steps import skipped
from ansible_collections.ganeti.cluster.plugins.module_utils.move.transfer import Transfer, TransferPlan

from ..zeroing import images
from .local import Host
from .samples import MIB, MOVE

pytestmark = pytest.mark.functional


class Shown(Progress):
    """Keeps what would be shown."""

    def __init__(self):
        super().__init__()
        self.events = []

    def emit(self, event, **fields):
        """Keep it."""
        self.events.append({"event": event, **fields})


@pytest.fixture
def host():
    """Makes nodes, and ends what runs on them."""
    made = []

    def make(name, program=None):
        made.append(Host(name, program))
        return made[-1]

    yield make
    for each in made:
        each.end()


def plan(target, size, **changes):
    """A copy of one disk."""
    return TransferPlan(MOVE, "127.0.0.1", 0, 2, "none", (), "crc32", False, [size], [str(target)])._replace(**changes)


@pytest.fixture
def disks(tmp_path):
    """A source with data at its ends, and a destination with another's data."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"first" + bytes(4 * MIB) + b"last")
    os.truncate(source, 8 * MIB)
    target.write_bytes(os.urandom(8 * MIB))
    return source, target


def test_all_but_the_copy_is_done_before_the_source_is_named(host, disks):
    source, target = disks
    shown = Shown()
    with Transfer(shown, 30.0) as transfer:
        transfer.prepare(host("b2"), host("a2"), plan(target, 8 * MIB, readback=True, checksum="sha256"))
        assert not any(target.read_bytes())
        transfer.check()
        sent, received = transfer.run([str(source)])
    assert sent["digests"] == received["digests"] and sent["payload"] >= 9
    assert target.read_bytes() == source.read_bytes()
    order = [event["phase"] for event in shown.events]
    assert list(dict.fromkeys(order)) == ["copy", "make the copy durable", "read the copy back"]
    assert order == sorted(order, key=list(dict.fromkeys(order)).index)
    assert [event["percent"] for event in shown.events if event["phase"] == "copy"][-1] == 100


def test_free_space_is_left_out_if_that_is_wanted(host, tmp_path):
    """The reader goes along with the request, and what it tells comes back through the checks of events."""
    source, target = images.ext(tmp_path / "source", 24 * MIB), tmp_path / "target"
    images.empty(target, 24 * MIB)
    for wanted in (False, True):
        with Transfer(Shown(), 30.0) as transfer:
            transfer.prepare(host("b2"), host("a2"), plan(target, 24 * MIB, skip_free=wanted))
            sent, received = transfer.run([str(source)])
        assert sent["digests"] == received["digests"]
        told = skipped(sent["free_space"])
        assert [(part["disk"], part["file_system"], part["skipped"] > 10 * MIB) for part in told] == ([(0, "ext4", True)] if wanted else [])


def test_what_is_told_of_free_space_is_fit_to_be_shown():
    part = {"partition": "1, vg\x1b[2J", "file_system": None, "size": 5, "skipped": 0, "reason": "a\tb"}
    assert skipped([[], [part]]) == [{"disk": 1, "partition": "1, vg?[2J", "file_system": None, "size": 5, "skipped": 0, "reason": "a?b"}]


def test_an_endpoint_that_ended_is_noticed_before_the_source_is_stopped(host, disks, monkeypatch):
    monkeypatch.setattr(nodes, "_OPINION", 0.1)  # the other end has none
    there = host("b2")
    with Transfer(Shown(), 30.0) as transfer:
        transfer.prepare(there, host("a2"), plan(disks[1], 8 * MIB))
        there.processes[0].process.kill()
        there.processes[0].process.wait()
        deadline = time.monotonic() + 60
        with pytest.raises(StreamFailed, match="The copy failed on the (destination|source) node"):
            while time.monotonic() < deadline:  # it takes a moment to get here, and other words may be before it
                transfer.check()
                time.sleep(0.05)


def test_an_endpoint_that_takes_nothing_says_why(host, disks):
    """It ends before it has read its program, which fills the pipe: the words are those of the node, not of the pipe."""
    absent = host("b2", ["sh", "-c", "echo python3: not found >&2; exit 127"])
    with Transfer(Shown(), 30.0) as transfer, pytest.raises(StreamFailed, match="destination node b2: its endpoint ended early: python3: not found"):
        transfer.prepare(absent, host("a2"), plan(disks[1], 8 * MIB))


@pytest.mark.parametrize("size", [18 * MIB, 6 * MIB])
def test_a_source_of_another_size_ends_the_move(host, disks, size):
    source, target = disks
    os.truncate(source, size)
    with Transfer(Shown(), 30.0) as transfer:
        transfer.prepare(host("b2"), host("a2"), plan(target, 8 * MIB))
        with pytest.raises(StreamFailed, match=rf"on the source node a2: .* holds {size} bytes, not the {8 * MIB} that were agreed.*repair-disk-sizes"):
            transfer.run([str(source)])


def test_a_node_that_stands_still_is_given_up(host, disks):
    deaf = host("a2", [sys.executable, "-c", "import sys; sys.stdin.read()"])
    with Transfer(Shown(), 1.0) as transfer, pytest.raises(StreamFailed, match="Nothing has moved for 1 seconds while preparing the copy.*b2 and a2"):
        transfer.prepare(host("b2"), deaf, plan(disks[1], 8 * MIB))


def test_the_way_between_nodes_is_gone_for_real(host, monkeypatch):
    monkeypatch.setattr(nodes, "_PROBE_SECONDS", 60.0)  # of a busy machine
    assert nodes.reachable(host("b2"), "127.0.0.1", 0, host("a2")) is None


@pytest.mark.parametrize(("days", "node"), [(3, "a2"), (-40, "a2")])
def test_a_wrong_clock_is_named_and_no_firewall(host, monkeypatch, days, node):
    """Certificates of another time stand for a node's wrong clock; both ends would find them, and one is enough to know."""
    when = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)
    monkeypatch.setattr(nodes, "identities", lambda move_id: identities(move_id, when))
    monkeypatch.setattr(nodes, "_PROBE_SECONDS", 60.0)
    why = nodes.reachable(host("b2"), "127.0.0.1", 0, host(node))
    assert why.startswith(f"The clock of node {node} is ") and "controller's" in why and "firewall" not in why


@pytest.mark.parametrize(("seconds", "words"), [(-172800, "is 172800 seconds behind the controller's"), (86400, "is 86400 seconds ahead of the controller's")])
def test_how_wrong_a_clock_is_stands_in_the_message(host, seconds, words):
    end = types.SimpleNamespace(host=host("b2"), role="destination")
    event = {"event": "failed", "message": "x", "secondary": False, "clock": time.time() + seconds}
    assert words in nodes.failure(queue.Queue(), end, event, "The copy failed").message


def test_a_way_that_is_closed_says_what_to_do(host, monkeypatch):
    monkeypatch.setattr(nodes, "_PROBE_SECONDS", 0.5)
    with socket.create_server(("127.0.0.2", 0)) as server:
        port = server.getsockname()[1]
        why = nodes.reachable(host("b2"), "127.0.0.2", port, host("a2"))
    assert f"Cannot listen on 127.0.0.2 port {port}" in why and "set data_port" in why


def test_the_words_of_who_knows_are_taken(host, monkeypatch):
    """A broken connection is an echo; the other end says what broke it."""
    ends = [types.SimpleNamespace(host=host(name), role=role) for name, role in (("a2", "source"), ("b2", "destination"))]
    echo = {"event": "failed", "message": "It broke.", "secondary": True, "clock": None}
    arriving = queue.Queue()
    arriving.put((ends[1], {**echo, "message": "No room.", "secondary": False}))
    assert nodes.failure(arriving, ends[0], echo, "The copy failed").message == "The copy failed on the destination node b2: No room."
    monkeypatch.setattr(nodes, "_OPINION", 0.1)
    assert nodes.failure(arriving, ends[0], echo, "The copy failed").message == "The copy failed on the source node a2: It broke."


def progress(phase, done, work=0, total=10):
    """What an endpoint tells of a phase."""
    return {"event": "progress", "phase": phase, "done": done, "wire": 0, "work": work, "total": total}


def told(*events):
    """The phases and percents that are shown of these events, and whether each counted as progress."""
    shown, moved = Shown(), []
    end = types.SimpleNamespace(role="destination")
    with Transfer(shown, 30.0) as transfer:
        for event in events:
            transfer._moved = 0.0
            transfer._take(end, event)
            moved.append(transfer._moved > 0.0)
    return [f"{event['phase']} {event['percent']}" for event in shown.events], moved


def test_emptying_is_shown_where_it_takes_time():
    assert told(progress("clear", 10))[0] == []
    assert told(progress("clear", 0), progress("clear", 5), progress("clear", 10))[0] == [f"empty the destination's disks {done}" for done in (50, 100)]


def test_what_is_over_is_not_shown_again():
    """The two ends' words cross; once "copy 100 %" came after the copy was durable."""
    shown = told(progress("copy", 0), progress("copy", 5), progress("sync", 5), progress("copy", 10), progress("sync", 10))[0]
    assert shown == ["copy 50", "copy 100", "make the copy durable 50", "make the copy durable 100"]
    assert told(progress("copy", 0), progress("sync", 10), progress("copy", 10))[0] == ["copy 100", "make the copy durable 100"]


def test_work_without_bytes_counts_as_progress_and_the_same_again_does_not():
    assert told(progress("sync", 10), progress("sync", 10), progress("sync", 10, work=1), progress("receive", 1), progress("receive", 1))[1] == [
        True, False, True, True, False,
    ]  # fmt: skip
