# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tests' guest itself, before anything is proven with it: it is made reproducibly, its log outlives any death, and no damage escapes it.

Its program runs here as an ordinary process, with files as its disks.
"""

from __future__ import annotations

import json
import os
import random
import struct
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

from .guest import ramdisk_file
from .lab import MIB, ROOT

pytestmark = pytest.mark.apart("guest-program")  # so that it is made once

BLOCK = 4096
SMALL = 8 * MIB
"""A disk whose log, of 768 records, comes around within a second."""
Message = t.Dict[str, t.Any]
Damage = t.Callable[[t.BinaryIO], None]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The guest, made twice from the packages that the lab's was made from: there is no way out of where these tests run."""
    place = tmp_path_factory.mktemp("guest")
    packages = Path(os.environ["GANETI_LAB_DIR"], "images/packages/guest")
    for directory in ("one", "two"):
        command = [sys.executable, str(ROOT / "tests/guest/build"), str(place / directory), "--packages", str(packages)]
        subprocess.run(command, check=True, timeout=300)
    return place


@pytest.fixture(scope="module")
def binary(made: Path) -> str:
    """The guest's program, as the initial RAM disk has it."""
    path = made / "program"
    path.write_bytes(ramdisk_file((made / "one/initrd.img").read_bytes(), "init"))
    path.chmod(0o755)
    return str(path)


class Program:
    """The program, running."""

    def __init__(self, binary: str, rate: int, *disks: Path) -> None:
        self.process = subprocess.Popen([binary, str(rate), *map(str, disks)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.acknowledged = 0
        self.ready = self.wait_for("event", "ready")

    def wait_for(self, key: str, value: str) -> Message:
        """Read until a message has *value* as its *key*."""
        assert self.process.stdout
        for line in self.process.stdout:
            message = t.cast(Message, json.loads(line))
            if message.get("event") == "wrote":
                assert message["last"] > self.acknowledged, "acknowledged twice"
                self.acknowledged = message["last"]
            if message.get(key) == value:
                return message
        raise AssertionError(f"the program ended and never said {value}")

    def ask(self, command: str) -> Message:
        """A command's answer."""
        self._send(f"{command} #5a")
        answer = self.wait_for("answer", command.split()[0])
        assert answer["to"] == "5a"
        return answer

    def _send(self, line: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def stop(self) -> Message:
        """End it in order; return its last message."""
        self.ask("poweroff")
        stopped = self.wait_for("event", "stopped")
        self._end()
        return stopped

    def kill(self) -> None:
        """End it as a power failure would; read what it had said."""
        self.process.kill()
        assert self.process.stdout
        for line in self.process.stdout.read().splitlines(keepends=True):
            if '"wrote"' in line and line.endswith("\n"):
                self.acknowledged = json.loads(line)["last"]
        self._end()

    def _end(self) -> None:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(timeout=20)


@pytest.fixture
def start(binary: str) -> t.Iterator[t.Callable[..., Program]]:
    """Starts the program; none outlives the test."""
    running: t.List[Program] = []

    def begin(rate: int, *disks: Path) -> Program:
        running.append(Program(binary, rate, *disks))
        return running[-1]

    yield begin
    for each in running:
        if each.process.poll() is None:
            each.kill()


@pytest.fixture
def disk(tmp_path: Path) -> t.Callable[..., Path]:
    """Makes an empty disk."""

    def make(size: int = SMALL, name: str = "disk") -> Path:
        path = tmp_path / name
        path.touch()
        with path.open("r+b") as file:
            file.truncate(size)
        return path

    return make


def records(path: Path) -> t.Dict[int, t.Tuple[int, int]]:
    """The records in a log, by number: where each is, and the first number of its batch."""
    found, content = {}, path.read_bytes()
    for place in range(MIB, len(content) // 2, BLOCK):
        _magic, kind, _log, _disk, own, number, batch = struct.unpack_from("<7Q", content, place)
        if kind in (2, 3, 4) and own == place:
            found[number] = (place, batch)
    return found


def test_the_same_packages_make_the_same_bytes(made):
    for name in ("vmlinuz", "initrd.img"):
        assert (made / "one" / name).read_bytes() == (made / "two" / name).read_bytes()
    assert (made / "one/initrd.img").stat().st_size < 2 * MIB


def test_a_log_goes_on_where_it_stopped(start, disk):
    path = disk()
    first = start(500, path)
    assert first.ready["ok"] and first.ready["new"] and first.ready["last"] == 0
    first.wait_for("event", "wrote")
    stopped = first.stop()
    second = start(0, path)
    assert second.ready["ok"] and not second.ready["new"] and second.ready["stopped"]
    assert (second.ready["last"], second.ready["boot"], second.ready["log"]) == (stopped["last"], 2, first.ready["log"])
    assert second.ask("verify")["last"] == stopped["last"] + 1, "the record of the start"
    second.kill()
    third = start(0, path)
    assert third.ready["ok"] and not third.ready["stopped"] and third.ready["boot"] == 3


def test_it_writes_at_the_rate_it_is_told(start, disk):
    run = start(0, disk(64 * MIB))
    assert run.ask("status")["last"] == 1
    assert run.ask("rate 4096")["rate"] == 4096
    begin = run.wait_for("event", "wrote")
    for _round in range(4):
        end = run.wait_for("event", "wrote")
    rate = (end["last"] - begin["last"]) * 4 / (end["uptime_ms"] - begin["uptime_ms"]) * 1000
    assert 2048 < rate < 5120, "KiB/s"


@pytest.mark.parametrize("count", [1, 2])
def test_whatever_was_acknowledged_outlives_any_death(start, disk, count):
    """The log has come around many times when the last of the deaths comes."""
    paths = [disk(name=f"disk{number}") for number in range(count)]
    chance = random.Random(count)
    acknowledged, log = 0, None
    for life in range(12):
        run = start(20000, *paths)
        assert run.ready["ok"], run.ready
        assert run.ready["last"] >= acknowledged and run.ready["boot"] == life + 1
        assert log in (None, run.ready["log"])
        log = run.ready["log"]
        for _time in range(chance.randrange(1, 4)):
            run.wait_for("event", "wrote")
        run.kill()
        acknowledged = run.acknowledged
    assert acknowledged > 3 * 768


@pytest.mark.parametrize("seed", range(6))
def test_a_batch_in_pieces_is_not_damage(start, disk, seed):
    """A power failure keeps any of the blocks that were not flushed yet."""
    path, chance = disk(), random.Random(seed)
    run = start(2000, path)
    for _round in range(3):
        run.wait_for("event", "wrote")
    run.kill()
    found = records(path)
    batch = found[max(found)][1]
    lost = sorted(number for number in range(batch, max(found) + 1) if chance.random() < 0.3) or [max(found)]
    with path.open("r+b") as file:
        for number in lost:
            file.seek(found[number][0])
            file.write(chance.randbytes(BLOCK))
    for life in range(2, 4):
        run = start(0, path)
        assert run.ready["ok"] and run.ready["last"] == (lost[0] - 1 if life == 2 else lost[0]), run.ready
        assert run.ask("verify")["ok"]
        run.kill()


def overwrite(place: int, content: bytes) -> Damage:
    """Damage: other bytes at a place."""

    def damage(file: t.BinaryIO) -> None:
        file.seek(place)
        file.write(content)

    return damage


def flip(place: int) -> Damage:
    """Damage: one bit."""

    def damage(file: t.BinaryIO) -> None:
        file.seek(place)
        (byte,) = file.read(1)
        file.seek(place)
        file.write(bytes([byte ^ 1]))

    return damage


def swap(one: int, other: int) -> Damage:
    """Damage: two blocks, each at the other's place."""

    def damage(file: t.BinaryIO) -> None:
        file.seek(one)
        first = file.read(BLOCK)
        file.seek(other)
        second = file.read(BLOCK)
        for place, content in ((one, second), (other, first)):
            file.seek(place)
            file.write(content)

    return damage


RECORD = MIB + 10 * BLOCK  # record 10, long before the last
DAMAGES = {
    "a bit of a payload": (flip(RECORD + 2000), "the log lacks record 10"),
    "a bit of a header": (flip(RECORD + 70), "the log lacks record 10"),
    "a lost record": (overwrite(RECORD, bytes(BLOCK)), "the log lacks record 10"),
    "lost records": (overwrite(RECORD, bytes(20 * BLOCK)), "the log lacks record 10"),
    "swapped records": (swap(RECORD, RECORD + BLOCK), "the log lacks record 10"),
    "the first MiB": (overwrite(BLOCK, bytes(BLOCK)), f"the known pattern is missing at byte {BLOCK}"),
    "the last block": (overwrite(SMALL - BLOCK, bytes(BLOCK)), f"the known pattern is missing at byte {SMALL - BLOCK}"),
    "the end": (lambda file: file.truncate(SMALL - BLOCK), f"it was cut off at byte {SMALL - BLOCK}"),
    "what fill wrote": (flip(4 * MIB + 300 * BLOCK + 9), "what fill wrote is damaged in block 300"),
    "the very first block": (overwrite(0, bytes(BLOCK)), "no disk that is new or the guest's own"),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_no_damage_escapes(start, disk, what):
    path = disk()
    damage, words = DAMAGES[what]
    run = start(1000, path)
    assert run.ask("fill 2")["ok"]
    while run.acknowledged < 100:
        run.wait_for("event", "wrote")
    assert run.ask("verify")["ok"]
    with path.open("r+b") as file:
        damage(file)
    found = run.ask("verify")
    assert not found["ok"] and found["what"]
    run.kill()
    again = start(1000, path)
    assert not again.ready["ok"] and words in again.ready["what"], again.ready
    content = path.read_bytes()
    assert not again.ask("status")["ok"]
    again.kill()
    assert path.read_bytes() == content, "it wrote to a disk that it had found damaged"


def test_every_disk_is_looked_at(start, disk):
    paths = [disk(name="one"), disk(12 * MIB, name="two")]
    run = start(1000, *paths)
    filled = run.ask("fill 1")
    assert filled["ok"] and run.ready["disks"] == 2
    assert run.ask("verify")["digest"] == filled["digest"]
    last = run.stop()["last"]
    with paths[1].open("r+b") as file:
        flip(MIB + 1 * BLOCK + 4000)(file)
    assert "disk two: the log lacks record 1" in start(0, *paths).ready["what"]
    with paths[1].open("r+b") as file:
        flip(MIB + 1 * BLOCK + 4000)(file)
    whole = start(0, *paths).ready
    assert whole["ok"] and whole["last"] == last and whole["digest"] == filled["digest"]


def test_a_disk_of_somebody_else_is_left_alone(start, disk):
    path = disk()
    with path.open("r+b") as file:
        overwrite(300 * 1024, b"somebody's")(file)
    content = path.read_bytes()
    run = start(1000, path)
    assert not run.ready["ok"] and run.ready["disks"] == 0
    run.kill()
    assert path.read_bytes() == content


def test_what_fill_wrote_can_be_given_back(start, disk):
    path = disk(64 * MIB)
    run = start(0, path)
    assert not run.ask("fill 64")["ok"]
    assert run.ask("fill 20")["ok"]
    before = path.stat().st_blocks
    assert run.ask("free")["ok"]
    assert path.stat().st_blocks * 512 <= before * 512 - 20 * MIB
    assert run.ask("verify")["ok"] and run.stop()["ok"]
