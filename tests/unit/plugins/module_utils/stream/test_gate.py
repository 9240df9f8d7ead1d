# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whoever else comes to the port costs nothing: the source gets in, at once, and the move goes on."""

from __future__ import annotations

import contextlib
import datetime
import os
import socket
import struct
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ganeti.cluster.plugins.module_utils.move.certificates import identities
from ansible_collections.ganeti.cluster.plugins.module_utils.stream import connection, frames, tls
from ansible_collections.ganeti.cluster.plugins.module_utils.stream.errors import EndpointError

from .endpoints import MIB, MOVE, Intruder, disk, empty, requests

pytestmark = pytest.mark.functional

NAME = tls.certificate_names(MOVE)[1]
HELLO = frames.pack_hello(MOVE, 0, 1)


@contextlib.contextmanager
def crowd(port, count, first=b""):
    """So many connections that say no more than *first*."""
    with contextlib.ExitStack() as stack:
        for _each in range(count):
            stranger = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            stranger.sendall(first)
        yield


def resets(port, count):
    """Connections that are broken off after a byte."""
    for _each in range(count):
        stranger = socket.create_connection(("127.0.0.1", port), timeout=10)
        stranger.sendall(b"\x16")
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        stranger.close()


@pytest.fixture
def receiving(endpoints, keys, tmp_path):
    """A receiver that listens, and a way to let the source come and move its disk."""
    source, target = disk(tmp_path / "source", 4 * MIB, 1), empty(tmp_path / "target", 4 * MIB)
    send, receive = requests(keys, [source], [target], lanes=2)
    receiver = endpoints(receive)
    port = receiver.until("listening")["port"]

    def move():
        sender = endpoints(send)
        assert sender.event()["event"] == "started"
        sender.say(port=port)
        begun = time.monotonic()
        assert sender.event() == {"event": "ready"}
        seconds = time.monotonic() - begun
        sender.say(paths=[source])
        assert sender.last()["digests"] == receiver.last()["digests"]
        return seconds

    return port, move


def test_a_byte_and_a_reset_kill_no_lane(receiving):
    port, move = receiving
    resets(port, 50)
    move()


@pytest.mark.parametrize("first", [b"", b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/1.0\r\n\r\n"], ids=["silent", "slow", "other"])
def test_a_crowd_does_not_hold_the_source_up(receiving, first):
    """More than may shake hands at a time, and none of them goes: one after another they would take hours."""
    port, move = receiving
    with crowd(port, connection._MOST_CALLERS + 50, first):
        assert move() < 10 * connection._HANDSHAKE


def test_a_flood_does_not_keep_the_source_out(receiving):
    port, move = receiving
    over = threading.Event()

    def flood():
        while not over.is_set():
            with contextlib.suppress(OSError):
                resets(port, 10)

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        move()
    finally:
        over.set()
        thread.join()


def test_who_is_not_the_source_is_turned_away(receiving, keys):
    port, move = receiving
    stranger = identities(MOVE)[0]._replace(ca=keys[0].ca)
    assert Intruder(port, stranger, NAME).speak(frames.pack_hello(MOVE, 0, 2)) is None  # another authority
    assert Intruder(port, keys[1], NAME).speak(frames.pack_hello(MOVE, 0, 2)) is None  # the destination's own certificate
    assert Intruder(port, keys[0], NAME).speak(frames.pack_hello("another move", 0, 2)) is None
    assert Intruder(port, keys[0], NAME).speak(frames.pack_hello(MOVE, 2, 2)) is None
    assert Intruder(port, keys[0], NAME).speak(HELLO) is None  # another number of lanes
    move()


def test_a_lane_that_broke_is_dialled_again(receiving, keys):
    """The source's own second connection takes the place of its first."""
    port, move = receiving
    assert Intruder(port, keys[0], NAME).speak(frames.pack_hello(MOVE, 0, 2)) == frames.ACCEPTED
    move()


def test_the_port_is_closed_once_the_lanes_are_in(endpoints, keys, tmp_path):
    source, target = disk(tmp_path / "source", MIB, 1), empty(tmp_path / "target", MIB)
    send, receive = requests(keys, [source], [target], lanes=1)
    receiver, sender = endpoints(receive), endpoints(send)
    port = receiver.until("listening")["port"]
    sender.say(port=port)
    assert sender.event()["event"] == "started" and sender.event()["event"] == "ready"
    assert receiver.event()["phase"] == "receive"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=10)


PROBE = {"move_id": MOVE, "address": "127.0.0.1", "seconds": 60.0}


def test_strangers_do_not_end_a_probe(endpoints, keys):
    listener = endpoints({**PROBE, **keys[1]._asdict(), "command": "echo", "port": 0})
    port = listener.until("listening")["port"]
    resets(port, 20)
    with crowd(port, 50):
        assert endpoints({**PROBE, **keys[0]._asdict(), "command": "ping", "port": port}).last() == {"event": "finished"}
    assert listener.last() == {"event": "finished"}


def test_a_closed_way_is_told(endpoints, keys):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    answer = endpoints({**PROBE, **keys[0]._asdict(), "command": "ping", "port": port, "seconds": 0.5}).last()
    assert answer["message"] == f"Cannot connect to the destination node at 127.0.0.1 port {port}: Connection refused." and not answer["secondary"]


class BlackHole(threading.Thread):
    """Stands between two ends and loses all that follows the first bytes to the listener, as a way does that drops large packets."""

    def __init__(self, port, lets_through):
        super().__init__(daemon=True)
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self._target, self._left = port, lets_through

    def run(self):
        here = self.server.accept()[0]
        there = socket.create_connection(("127.0.0.1", self._target))
        back = threading.Thread(target=self._pass, args=(there, here, 1 << 30), daemon=True)
        back.start()
        self._pass(here, there, self._left)
        back.join()
        self.server.close()

    @staticmethod
    def _pass(source, target, left):
        with contextlib.suppress(OSError):
            while data := source.recv(4096):
                target.sendall(data[:left])
                left -= min(left, len(data))


def test_packets_that_are_lost_for_their_size_are_named(endpoints, keys):
    listener = endpoints({**PROBE, **keys[1]._asdict(), "command": "echo", "port": 0})
    between = BlackHole(listener.until("listening")["port"], 8192)
    between.start()
    answer = endpoints({**PROBE, **keys[0]._asdict(), "command": "ping", "port": between.port, "seconds": 1.0}).last()
    assert answer["message"].endswith("is reached, but 65536 bytes do not get through: a packet size (MTU) is set too large on the way.")


@pytest.mark.parametrize("days", [-40, 3], ids=["expired", "not yet valid"])
@pytest.mark.parametrize("wrong", ["echo", "ping"])
def test_a_wrong_clock_says_so(endpoints, days, wrong):
    """One end's certificate is not valid by the other's clock; both are by the same authority."""
    fine = identities(MOVE)
    off = identities(MOVE, datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days))
    keys = {"echo": (off[0], off[1]._replace(ca=off[0].ca)), "ping": (off[0], off[1])}[wrong]
    assert fine[0] != keys[0]
    listener = endpoints({**PROBE, **keys[1]._asdict(), "command": "echo", "port": 0})
    caller = endpoints({**PROBE, **keys[0]._asdict(), "command": "ping", "port": listener.until("listening")["port"]})
    answers = [caller.last()]
    (clock,) = [answer["clock"] for answer in answers if answer["clock"] is not None]
    assert abs(clock - time.time()) < 60


@given(st.binary(max_size=2 * frames.HELLO.size))
def test_no_greeting_but_the_right_one_is_taken(data):
    whole = data[: frames.HELLO.size].ljust(frames.HELLO.size, b"\0")
    with pytest.raises(EndpointError):
        frames.check_hello(whole, MOVE, 2)


@given(st.integers(0, frames.HELLO.size - 1), st.integers(1, 255))
def test_a_greeting_with_a_wrong_byte_is_another_lane_at_most(place, change):
    hello = bytearray(frames.pack_hello(MOVE, 0, 2))
    hello[place] ^= change
    try:
        assert frames.check_hello(bytes(hello), MOVE, 2) == 1
    except EndpointError:
        return
    assert place == 37


@pytest.mark.parametrize(
    ("unanswered", "silent", "dead"), [(0, 3600.0, False), (1, 100.0, False), (2, 29.0, False), (2, 30.0, True), (9, 45.0, True)]
)  # fmt: skip
def test_a_peer_that_takes_nothing_lives_as_long_as_it_answers(unanswered, silent, dead):
    assert connection.Liveness(unanswered, silent).dead is dead


def test_a_pause_of_the_peer_is_no_broken_connection():
    """The kernel's own limit counts the time in which a living peer takes nothing; and what it knows of the peer can be read."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as here, server.accept()[0] as there:
        connection.make_ready(here)
        assert here.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 0
        assert here.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        here.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                here.send(os.urandom(MIB))  # until nothing more is taken
        found = connection.liveness(here)
        assert found.silent < 30 and not found.dead
        there.close()
