# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever takes long is seen to go on where it is done, and hears its controller; reading leaves a node's memory alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils.stream.control import Controller
from ansible_collections.ganeti.cluster.plugins.module_utils.stream.dealer import BlockReader, Dealer
from ansible_collections.ganeti.cluster.plugins.module_utils.stream.disks import Disk
from ansible_collections.ganeti.cluster.plugins.module_utils.stream.errors import EndpointError
from ansible_collections.ganeti.cluster.plugins.module_utils.stream.extents import BLOCK

from .endpoints import MIB, disk, empty, requests, start

pytestmark = pytest.mark.functional


def read(path, size):
    """Read a disk as a lane does: the blocks with data, and how often the reader told that it goes on."""
    disks = [Disk(str(path), size)]
    dealer = Dealer(disks, 1)
    dealer.deal()
    calls = []
    blocks = list(BlockReader(disks, dealer, calls.append))
    return blocks, calls


def test_zeros_that_are_read_are_work_that_is_told(tmp_path):
    """A device without holes may hold them for hours; they were told only with the next data."""
    (tmp_path / "disk").write_bytes(bytes(64 * BLOCK))
    blocks, calls = read(tmp_path / "disk", 64 * BLOCK)
    assert not blocks
    assert calls == [count * BLOCK for count in range(1, 65)]


def resident(path):
    """Bytes of a file that are in the page cache."""
    shown = subprocess.run(["fincore", "--bytes", "--noheadings", "--output", "RES", str(path)], check=True, capture_output=True, text=True, timeout=30)
    return int(shown.stdout)


def test_what_was_read_does_not_stay_in_memory(tmp_path):
    path = tmp_path / "disk"
    path.write_bytes(b"x" * 32 * MIB)
    with open(path, "rb") as stream:
        os.fsync(stream.fileno())
    assert resident(path) == 32 * MIB
    read(path, 32 * MIB)
    assert resident(path) == 0


SLEEP = "import os, time; os.{} = lambda *_arguments: time.sleep(600)"


@pytest.mark.parametrize(("function", "phase"), [("pread", "clear"), ("fsync", "sync")])
def test_long_work_on_a_disk_hears_the_controller(endpoints, keys, tmp_path, function, phase):
    """Its end is the endpoint's, whatever the endpoint waits for in the kernel."""
    source, target = disk(tmp_path / "source", MIB, 1), disk(tmp_path / "target", MIB, 2)
    send, receive = requests(keys, [source], [target])
    faults = SLEEP.format(function)
    if phase == "clear":
        receiver = endpoints(receive, faults=faults)
    else:
        sender, receiver = start(endpoints, send, receive, faults=faults)
        sender.say(paths=send["paths"])
    while receiver.event().get("phase") != phase:
        pass
    receiver.process.stdin.close()
    assert receiver.process.wait(timeout=60) == 1
    assert json.loads(receiver.process.stdout.readlines()[-1])["message"] == "The controller is gone."


def test_an_error_of_the_last_fsync_is_a_sentence(endpoints, keys, tmp_path):
    source, target = disk(tmp_path / "source", MIB, 1), empty(tmp_path / "target", MIB)
    faults = "import os, errno\ndef fsync(_descriptor): raise OSError(errno.EIO, os.strerror(errno.EIO))\nos.fsync = fsync"
    send, receive = requests(keys, [source], [target])
    sender, receiver = start(endpoints, send, receive, faults=faults)
    sender.say(paths=send["paths"])
    told = receiver.last()
    assert told["message"] == f"The disk {target} on the destination node could not be brought to stable storage: Input/output error."


def test_a_process_that_is_killed_is_missed(endpoints, keys, tmp_path):
    """The others hold its pipe open, so that its end does not tell."""
    source, target = disk(tmp_path / "source", MIB, 1), empty(tmp_path / "target", MIB)
    send, receive = requests(keys, [source], [target], lanes=2)
    _sender, receiver = start(endpoints, send, receive)
    while receiver.event()["phase"] != "receive":
        pass
    pid = receiver.process.pid
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as stream:
        os.kill(int(stream.read().split()[0]), 9)
    assert "A process of the copy was killed" in receiver.last()["message"]


def test_nobody_reading_holds_no_work_up(monkeypatch):
    """Progress is left out where its pipe is full; what comes first is still heard then: messages, and the controller's end."""
    pipes = os.pipe(), os.pipe()
    with open(pipes[0][0], "rb") as stdin, open(pipes[1][1], "w", encoding="ascii") as stdout, open(pipes[1][0], "rb") as reader:
        monkeypatch.setattr(sys, "stdin", stdin)
        monkeypatch.setattr(sys, "stdout", stdout)
        controller = Controller()
        for number in range(10000):
            controller.progress(phase="copy", done=number)
        os.write(pipes[0][1], b'\n\n{"port": 7}\n\n{"paths"')
        assert controller.message() == {"port": 7}
        os.write(pipes[0][1], b": []}\n")
        assert controller.message() == {"paths": []}
        os.close(pipes[0][1])
        with pytest.raises(EndpointError, match="The controller is gone"):
            controller.message()
        stdout.close()
        lines = reader.read().splitlines()
    assert 1 < len(lines) < 10000 and [json.loads(text)["done"] for text in lines] == list(range(len(lines)))
