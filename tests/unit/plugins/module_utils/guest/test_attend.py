# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Staying with a guest, by the program as nodes run it: a process of this machine is the guest, and a socket its console."""

from __future__ import annotations

import socket
import subprocess
import sys
import time

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import ConnectionFailed
from ansible_collections.ganeti.cluster.plugins.module_utils.guest import attend, follow, on_node

from ..zeroing.local import Local

pytestmark = pytest.mark.functional

NAME, MARK = "web.example.com", "zeroing.id=abc"


@pytest.fixture
def node(tmp_path, monkeypatch):
    """The directory that Ganeti's KVM hypervisor has on a node, elsewhere."""
    for name in ("pid", "ctrl"):
        (tmp_path / name).mkdir()
    text = on_node.text_of(attend).replace(attend.PLACE, str(tmp_path))
    assert str(tmp_path) in text
    monkeypatch.setattr(on_node, "text_of", lambda _module: text)
    return tmp_path


class Guest:
    """A process with a command line as QEMU's, which ends when it is told to; and its console."""

    def __init__(self, node, arguments, name=NAME):
        self.process = subprocess.Popen([sys.executable, "-c", "input()", "-name", name, "-append", arguments], stdin=subprocess.PIPE)
        (node / "pid" / NAME).write_text(f"{self.process.pid}\n")
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(str(node / "ctrl" / f"{NAME}.serial"))
        self.server.listen(1)
        self.server.settimeout(60)

    def console(self):
        return self.server.accept()[0]

    def end(self):
        if not self.process.stdin.closed:
            self.process.communicate(b"\n", 60)
        self.server.close()


@pytest.fixture
def guest(node):
    made = []

    def make(arguments=f"root=/dev/none {MARK} quiet", **how):
        made.append(Guest(node, arguments, **how))
        return made[-1]

    yield make
    for each in made:
        each.end()


def soon():
    return time.monotonic() + 60


def following(clock=None):
    return follow.Following(Local, NAME, MARK, *([clock] if clock else []))


def test_its_lines_come_until_its_end(guest):
    one = guest()
    follower = following()
    assert follower.found == follow.ATTENDING
    with one.console() as console:
        console.sendall(b"first\r\n\nsecond\nthi")
        lines = follower.lines(soon())
        assert [next(lines), next(lines)] == ["first", "second"]
        console.sendall(b"rd\n" + b"x" * 20000 + b"\nlast\nnot ended")
        assert [next(lines), next(lines)] == ["third", "last"]
    one.end()
    assert list(lines) == [] and not follower.unheard
    follower.close()


@pytest.mark.parametrize(
    "arguments, name", [("root=/dev/none zeroing.id=other", NAME), ("quiet", NAME), (f"x{MARK}", NAME), (f"root=/dev/none {MARK}", "other.example.com")]
)
def test_another_system_is_told_from_it(guest, arguments, name):
    guest(arguments, name=name)
    follower = following()
    assert follower.found == follow.ANOTHER and list(follower.lines(0)) == []
    follower.close()


def test_nothing_that_runs_is_told(node):
    follower = following()
    assert follower.found == follow.ABSENT
    follower.close()


def test_a_number_of_a_process_that_is_gone_is_nothing(node, guest):
    one = guest()
    one.end()
    follower = following()
    assert follower.found == follow.ABSENT
    follower.close()


def test_its_end_is_seen_without_a_console(node, guest):
    one = guest()
    one.server.close()
    follower = following()
    assert follower.found == follow.ATTENDING
    one.end()
    assert list(follower.lines(soon())) == [] and follower.unheard == "Connection refused"
    follower.close()


def test_the_deadline_ends_the_waiting_and_not_the_guest(guest):
    one = guest()
    follower = following()
    with pytest.raises(TimeoutError):
        list(follower.lines(0.0))
    follower.close()
    assert one.process.poll() is None


def test_a_node_that_says_something_else_is_not_believed(node, monkeypatch):
    monkeypatch.setattr(on_node, "text_of", lambda _module: "print('welcome')")
    with pytest.raises(ConnectionFailed):
        following()


def test_lines_are_cut_where_they_end_and_bounded():
    lines = attend.Lines()
    assert list(lines.add(b"a\nb")) == ["a"] and list(lines.add(b"c\n")) == ["bc"]
    assert list(lines.add(b"x" * 5000)) == [] and list(lines.add(b"y\nnext\n")) == ["next"]
