# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lease, with its real program as processes of this machine: one holds it, and it ends with its controller."""

from __future__ import annotations

import ast
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import ConnectionFailed, LeaseLost, LeaseTaken
from ansible_collections.ganeti.cluster.plugins.module_utils.lease import holder, lease

from .holding import NODE, WORDS, Local

pytestmark = pytest.mark.functional

TOLD = "web.example.com is being moved by process"


class Master:
    """Starts programs; with another file in the place of ssconf_master_node, as these tests do not run on a cluster."""

    def __init__(self, path, name=NODE):
        self.ssconf = path
        self.ssconf.write_text(name + "\n")
        self.started = []

    def popen(self, argv):
        self.started.append(Local([sys.executable, *argv[1:]]))
        return self.started[-1]


@pytest.fixture
def name():
    return str(uuid.uuid4())


@pytest.fixture
def master(tmp_path, monkeypatch):
    made = Master(tmp_path / "ssconf_master_node")
    text = lease._program().replace(b"/var/lib/ganeti/ssconf_master_node", str(made.ssconf).encode())
    monkeypatch.setattr(lease, "_program", lambda: text)
    yield made
    for each in made.started:
        each.process.kill()
        each.process.wait()
        for pipe in (each.process.stdin, each.process.stderr):
            pipe.close()


def held(name):
    """Whether the kernel knows of the lease."""
    return f"@ganeti-move/{name}" in Path("/proc/net/unix").read_text().split()


def free(name, seconds=60.0):
    """Wait until the lease is free."""
    deadline = time.monotonic() + seconds
    while held(name):
        assert time.monotonic() < deadline, "the lease is still held"
        time.sleep(0.02)


def test_one_holds_it_and_another_is_told_who(master, name):
    first, second = (lease.Lease(master.popen, NODE, name, WORDS) for _number in range(2))
    first.acquire()
    assert first.fresh and held(name)
    with pytest.raises(LeaseTaken) as refusal:
        second.acquire()
    assert refusal.value.message.startswith(f"{TOLD} {os.getpid()} on {socket.gethostname()} (since 20")
    assert "to web.example.com on beta.example.com" in refusal.value.message and not second.fresh
    first.check()
    first.release()
    free(name)
    second.acquire()
    second.check()
    second.release()
    free(name)


def test_a_zeroing_and_a_move_exclude_each_other(master, name):
    zeroing = lease.Lease(master.popen, NODE, name, {"name": "web.example.com", "doing": lease.ZEROED})
    zeroing.acquire()
    with pytest.raises(LeaseTaken, match="is being zeroed by process") as refusal:
        lease.Lease(master.popen, NODE, name, WORDS).acquire()
    assert ", to " not in refusal.value.message
    zeroing.release()
    free(name)


def test_another_instance_is_another_lease(master, name):
    first, second = (lease.Lease(master.popen, NODE, each, WORDS) for each in (name, str(uuid.uuid4())))
    first.acquire()
    second.acquire()
    first.check()
    second.check()
    first.release()
    second.release()


def test_it_leaves_nothing_behind(master, name):
    mine = lease.Lease(master.popen, NODE, name, WORDS)
    mine.acquire()
    assert sorted(os.listdir(master.ssconf.parent)) == ["ssconf_master_node"]
    mine.release()
    free(name)
    assert master.started[0].process.wait(10) == 0
    assert master.started[0].process.stderr.read() == b""
    assert sorted(os.listdir(master.ssconf.parent)) == ["ssconf_master_node"]


CONTROLLER = """
import sys, time
sys.path.insert(0, {here!r})
from tests.unit import source_tree
from tests.unit.plugins.module_utils.lease import holding
from ansible_collections.ganeti.cluster.plugins.module_utils._errors import LeaseLost
from ansible_collections.ganeti.cluster.plugins.module_utils.lease import lease
from pathlib import Path
lease._program = lambda: Path({program!r}).read_bytes()
lease._BEAT = 0.05
mine = lease.Lease(holding.Local, holding.NODE, {name!r}, holding.WORDS, limit={limit})
mine.acquire()
print("held", flush=True)
for line in sys.stdin:
    try:
        if line == "beat\\n":  # wait until one was answered that is sent from now on
            number = mine._number
            while mine._answers.get(timeout=60)["number"] <= number:
                pass
        else:
            mine.check()
        print(line.strip(), "passed", flush=True)
    except LeaseLost as error:
        print("lost:", error, flush=True)
"""
LIMIT = 600.0
CLOCK = 'time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))'


class Clock:
    """A clock of the holder's, which goes when it is told to."""

    def __init__(self, path):
        self._path = path
        self._path.write_text("1000.0")

    def within(self, program):
        """The holder's program with this clock in it."""
        assert program.count(CLOCK.encode()) == 1
        return program.replace(CLOCK.encode(), f"float(open({str(self._path)!r}).read())".encode())

    def forward(self, seconds):
        """Let it go on."""
        new = self._path.with_suffix(".new")
        new.write_text(str(float(self._path.read_text()) + seconds))
        new.rename(self._path)


@pytest.fixture
def clock(tmp_path):
    (tmp_path / "clock").mkdir()
    return Clock(tmp_path / "clock/now")


@pytest.fixture
def controller(master, name, clock, tmp_path):
    """A controller in a process of its own."""
    here = str(Path(__file__).resolve().parents[5])
    program = tmp_path / "holder"
    program.write_bytes(clock.within(lease._program()))
    text = CONTROLLER.format(here=here, program=str(program), name=name, limit=LIMIT)
    process = subprocess.Popen([sys.executable, "-c", text], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def ask(controller, what="check"):
    controller.stdin.write(f"{what}\n")
    controller.stdin.flush()
    return controller.stdout.readline()


def test_a_living_controller_keeps_it_by_its_beats(controller, clock, name):
    for _turn in range(3):  # in all more than twice the limit, in which nothing is asked
        clock.forward(0.9 * LIMIT)
        assert ask(controller, "beat") == "beat passed\n"
    assert held(name) and ask(controller) == "check passed\n"


def test_a_killed_controller_frees_it_at_once(controller, name):
    """Not by the limit: the holder's clock stands still."""
    controller.kill()
    free(name)


def test_a_frozen_controller_loses_it_and_notices(controller, clock, master, name):
    controller.send_signal(signal.SIGSTOP)
    try:
        while held(name):  # again and again, as beats may be on their way that were sent before
            clock.forward(LIMIT + 1)
            time.sleep(0.02)
        other = lease.Lease(master.popen, NODE, name, WORDS)
        other.acquire()
    finally:
        controller.send_signal(signal.SIGCONT)
    assert ask(controller).startswith("lost: The lease on a1.example.com was lost:")
    other.check()
    assert ask(controller) == "lost: The lease on a1.example.com is not held.\n", "once lost it stays lost until it is taken again"
    other.release()


def test_an_answer_is_worth_something_for_a_while_only(master, name, monkeypatch):
    """Time is taken before the question, by a clock that runs on while the controller sleeps."""
    now = [1000.0]
    mine = lease.Lease(master.popen, NODE, name, WORDS)
    mine.acquire()
    monkeypatch.setattr(lease.holder, "boot", lambda: now[0])
    mine.check()
    assert mine.fresh
    now[0] += lease.WORTH + 1
    assert not mine.fresh
    mine.release()


def test_a_failover_of_the_master_makes_it_void(master, name):
    mine = lease.Lease(master.popen, NODE, name, WORDS)
    mine.acquire()
    master.ssconf.write_text("a2.example.com\n")
    with pytest.raises(LeaseLost, match=r"a1\.example\.com is not the master of its cluster any more, a2\.example\.com is"):
        mine.check()
    free(name)


def test_another_node_than_the_master_gives_none(master, name):
    with pytest.raises(LeaseLost, match="is not the master"):
        lease.Lease(master.popen, "a2.example.com", name, WORDS).acquire()
    free(name)


def test_a_silent_holder_is_told_as_such(master, name, monkeypatch):
    """One that is stopped does not answer; it is not taken for gone."""
    hurried = lease._program().replace(b"_ANSWER = 3.0", b"_ANSWER = 0.2")
    assert hurried != lease._program()
    monkeypatch.setattr(lease, "_program", lambda: hurried)
    first = lease.Lease(master.popen, NODE, name, WORDS)
    first.acquire()
    master.started[0].process.send_signal(signal.SIGSTOP)
    with pytest.raises(LeaseTaken, match="another run, which does not answer just now"):
        lease.Lease(master.popen, NODE, name, WORDS).acquire()
    master.started[0].process.send_signal(signal.SIGCONT)
    first.check()
    first.release()


@pytest.mark.parametrize("how", ["stands still", "has not heard of its end"])
def test_the_runs_own_process_of_before_is_waited_for(master, name, monkeypatch, how):
    """Its run takes the lease again once it has ended, and is not told to wait for itself."""
    text = lease._program().replace(b"_ANSWER = 3.0", b"_ANSWER = 0.3")
    monkeypatch.setattr(lease, "_program", lambda: text)
    monkeypatch.setattr(lease, "_PAUSE", 0.05)

    def start(argv):
        if len(master.started) == 3:  # it was asked for twice in vain
            before.send_signal(signal.SIGCONT)
            before.stdin.close()
        return master.popen(argv)

    mine = lease.Lease(start, NODE, name, WORDS)
    mine.acquire()
    before = master.started[0].process
    if how == "stands still":
        before.send_signal(signal.SIGSTOP)
    else:
        monkeypatch.setattr(master.started[0], "kill", lambda: None)  # the connection broke, which the node does not know yet
    mine.release()
    mine.acquire()
    mine.check()
    assert len(master.started) > 3 and before.wait(10) == 0
    mine.release()
    free(name)


def test_the_runs_own_process_of_before_is_not_waited_for_for_ever(master, name, monkeypatch):
    text, ahead, now, may_be_own = lease._program().replace(b"_ANSWER = 3.0", b"_ANSWER = 0.1"), [0.0], holder.boot, lease.Lease._may_be_own

    def half_a_minute_later(self, told):
        ahead[0] += 30.0
        return may_be_own(self, told)

    mine = lease.Lease(master.popen, NODE, name, WORDS)
    mine.acquire()
    mine.release()
    free(name)
    monkeypatch.setattr(lease, "_program", lambda: text)
    monkeypatch.setattr(lease.holder, "boot", lambda: now() + ahead[0])
    monkeypatch.setattr(lease.Lease, "_may_be_own", half_a_minute_later)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as squatter:
        squatter.bind(f"\0ganeti-move/{name}")
        squatter.listen(16)
        with pytest.raises(LeaseTaken):
            mine.acquire()
    assert len(master.started) > 2


@pytest.mark.parametrize("said", [b"", b"[]", b"{", b'{"controller": "' + b"x" * 100000 + b'"}', json.dumps({"controller": "c1", "pid": {"a": 1}}).encode()])
def test_whatever_a_holder_says_is_only_words(master, name, said):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as squatter:
        squatter.bind(f"\0ganeti-move/{name}")
        squatter.listen(1)
        mine = lease.Lease(master.popen, NODE, name, WORDS)
        answered = []

        def answer():
            client, _peer = squatter.accept()
            answered.append(client)
            client.settimeout(5)
            try:
                client.sendall(said)
                client.close()
            except OSError:
                return

        import threading

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(LeaseTaken) as refusal:
            mine.acquire()
        thread.join()
    assert len(refusal.value.message) < 600


def test_a_stranger_who_says_nothing_costs_nothing(master, name):
    mine = lease.Lease(master.popen, NODE, name, WORDS)
    mine.acquire()
    strangers = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) for _number in range(5)]
    for stranger in strangers:
        stranger.connect(f"\0ganeti-move/{name}")
    mine.check()
    for stranger in strangers:
        assert json.loads(stranger.recv(4096))["controller"] == socket.gethostname()
        stranger.close()
    mine.release()


def test_where_no_process_can_be_had_it_says_so(name):
    def nowhere(argv):
        return Local(["/bin/sh", "-c", "exit 127"])

    with pytest.raises(ConnectionFailed, match=r"No lease can be held on the master a1\.example\.com"):
        lease.Lease(nowhere, NODE, name, WORDS).acquire()


def test_a_login_script_that_prints_is_named(name):
    with pytest.raises(ConnectionFailed, match="does a login script print something"):
        lease.Lease(lambda argv: Local(["/bin/sh", "-c", "echo Welcome; cat >/dev/null"]), NODE, name, WORDS).acquire()


def test_the_holder_runs_on_a_bare_node():
    tree = ast.parse(Path(holder.__file__).read_text(), feature_version=(3, 9))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert imported <= sys.stdlib_module_names
    assert {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)} == {"__future__"}
