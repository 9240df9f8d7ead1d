# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The user's command: who may change it, how it is run, and that nothing but success is a yes."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import InvalidInput
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.disk import DiskStorage
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.watchdog import arming, fence_command, options

ME = os.geteuid()


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Makes a command; directories above the test's own are taken for root's, as they may be anybody's where tests run."""
    parts = fence_command._parts
    monkeypatch.setattr(fence_command, "_parts", lambda path: (each for each in parts(path) if each.startswith(str(tmp_path))))

    def make(text, mode=0o700):
        file = tmp_path / "fence"
        file.write_text(f"#!/bin/sh\n{text}\n")
        file.chmod(mode)
        return str(file)

    return make


def test_success_is_the_only_yes(command, tmp_path):
    assert fence_command.prove(command(f'echo "$# $1 $HOME" >{tmp_path}/said; exit 0'), "node1.example.com", 60, ME) is None
    assert (tmp_path / "said").read_text() == "1 node1.example.com \n", "one argument, and an environment that says nothing"
    assert fence_command.prove(command("echo off; echo no contact >&2; exit 3"), "node1", 60, ME) == "fence_command ended with 3: no contact"
    assert fence_command.prove(command("exit 1"), "node1", 60, ME) == "fence_command ended with 1: it said nothing"
    assert fence_command.prove(command("kill -9 $$"), "node1", 60, ME) == "fence_command was ended by signal 9: it said nothing"
    file = command("")
    with open(file, "w", encoding="ascii") as stream:
        stream.write("#!/nowhere/at/all\n")
    assert "cannot be run: No such file" in fence_command.prove(file, "node1", 60, ME)


def test_one_that_does_not_end_is_a_no_and_is_ended_with_all_that_it_has_begun(command, tmp_path, monkeypatch):
    def late(_self, timeout):
        eventually(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text().endswith("\n"))
        raise subprocess.TimeoutExpired("fence", timeout)

    monkeypatch.setattr(subprocess.Popen, "wait", late)  # also after the kill, as of one that hangs in the kernel
    path = command(f"sleep 3600 & echo $! >{tmp_path}/child; wait")
    assert fence_command.prove(path, "node1", 7, ME) == "fence_command did not end within 7 s"
    child = (tmp_path / "child").read_text().strip()
    eventually(lambda: has_ended(child))


def test_what_it_leaves_behind_with_its_output_is_not_waited_for(command, tmp_path):
    path = command(f"sleep 3600 & echo $! >{tmp_path}/child; exit 0")
    assert fence_command.prove(path, "node1", 3000, ME) is None
    child = int((tmp_path / "child").read_text())
    assert not has_ended(child)
    os.kill(child, signal.SIGKILL)


def test_no_more_than_the_end_of_what_it_says_is_kept(command, tmp_path):
    path = command('head -c 10000000 /dev/zero | tr "\\0" x; echo; echo no contact; exit 3')
    assert fence_command.prove(path, "node1", 3000, ME) == "fence_command ended with 3: no contact"
    (tmp_path / "much").write_bytes(b"x" * 10**6 + b"end")
    with open(tmp_path / "much", "rb") as stream:
        output = fence_command._Output(stream)
        output.run()
    assert output.end.endswith(b"xend") and len(output.end) == fence_command._BYTES


def test_one_that_prints_without_end_is_ended(command):
    assert fence_command.prove(command("exec yes"), "node1", 0.2, ME) == "fence_command did not end within 0.2 s"


def has_ended(number):
    """Whether a process runs no more, be it still in the table."""
    try:
        return Path(f"/proc/{number}/stat").read_text(encoding="ascii").split()[2] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def eventually(holds):
    """Wait until it does."""
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("name", ["", "-f", "a b", "a;b", "../x", "a/b", "a\nb"])
def test_a_strange_name_comes_near_no_command(command, tmp_path, name):
    assert "is no name of a node" in fence_command.prove(command(f"touch {tmp_path}/ran"), name, 60, ME)
    assert not (tmp_path / "ran").exists()


def test_nobody_else_may_be_able_to_change_it(command, tmp_path):
    path = command("exit 0")
    assert fence_command.problem(path, ME) is None
    assert "no absolute path" in fence_command.problem("fence", ME) and "cannot be used" in fence_command.problem("/nowhere/fence", ME)
    for mode, words in ((0o720, "can be changed by others"), (0o702, "can be changed by others"), (0o600, "no file that can be run")):
        os.chmod(path, mode)
        assert words in fence_command.problem(path, ME)
        assert words in fence_command.prove(path, "node1", 60, ME)
    os.chmod(path, 0o700)
    os.chmod(tmp_path, 0o777)
    assert f"as {tmp_path} is theirs" in fence_command.problem(path, ME)
    os.chmod(tmp_path, 0o700)
    os.symlink(path, tmp_path / "link")
    assert fence_command.problem(str(tmp_path / "link"), ME) is None, "what counts is where it leads"
    assert "no file that can be run" in fence_command.problem(str(tmp_path), ME)


def test_all_that_leads_to_it_is_looked_at():
    assert list(fence_command._parts("/usr/local/sbin/fence")) == ["/usr/local/sbin/fence", "/usr/local/sbin", "/usr/local", "/usr", "/"]


@pytest.mark.skipif(ME != 0, reason="only root can give files away")
def test_a_file_of_somebody_else_is_refused(command):
    path = command("exit 0")
    os.chown(path, 1234, -1)
    assert "can be changed by others than root" in fence_command.problem(path)


# --- Armed, and the options --------------------------------------------------------------------------------------------


def test_armed_is_who_was_armed_for_this_very_master(tmp_path):
    directory = str(tmp_path)
    assert arming.armed_for(directory) is None
    with pytest.raises(InvalidInput, match="knows of no master"):
        arming.arm(directory)
    (tmp_path / "ssconf_master_node").write_text("a1\n")
    assert arming.arm(directory).startswith("Armed: should a1 be gone") and arming.armed_for(directory) == "a1" == DiskStorage(directory).master()
    (tmp_path / "ssconf_master_node").write_text("a2\n")
    assert arming.armed_for(directory) == "a1", "another master, so nobody is armed for it"
    arming.disarm(directory)
    assert arming.armed_for(directory) is None and (tmp_path / arming.NAME).exists(), "the file says that it was armed once"
    (tmp_path / arming.NAME).write_text("[]")
    assert arming.armed_for(directory) is None


def test_options_that_are_not_safe_or_make_no_sense_are_refused(tmp_path):
    file = tmp_path / "watchdog.json"

    def given(text, mode=0o600):
        file.write_text(text)
        file.chmod(mode)
        return options.read(str(file))

    assert given('{"fence_command": "/sbin/fence"}') == options.Options("/sbin/fence", 30.0, 60.0)
    assert given('{"fence_command": "/sbin/fence", "silent_for": 5, "fence_timeout": 9}') == ("/sbin/fence", 5.0, 9.0)
    wrong = {
        "{}": "has no options",
        "[]": "has no options",
        "{": "has no options",
        '{"fence_command": "/x", "other": 1}': "has no options",
        '{"fence_command": "/x", "silent_for": 2}': "3 seconds or more",
        '{"fence_command": "/x", "fence_timeout": 0}': "more than none",
    }
    for text, words in wrong.items():
        with pytest.raises(InvalidInput, match=words):
            given(text)
    with pytest.raises(InvalidInput, match="can be changed by others"):
        given('{"fence_command": "/x"}', 0o622)
    with pytest.raises(InvalidInput, match="cannot be read"):
        options.read(str(tmp_path / "none"))
