# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copies that leave out what is free: what arrives, what is sent, and what is believed of the reader."""

from __future__ import annotations

import json
import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ganeti.cluster.plugins.module_utils.stream import endpoint, free_space
from ansible_collections.ganeti.cluster.plugins.module_utils.stream.disks import PUNCH_HOLE, Disk, allocate
from ansible_collections.ganeti.cluster.plugins.module_utils.stream.errors import EndpointError
from ansible_collections.ganeti.cluster.plugins.module_utils.stream.extents import BLOCK, GRANULE
from ansible_collections.ganeti.cluster.plugins.module_utils.stream.free_space import FreeSpace
from ansible_collections.ganeti.cluster.plugins.module_utils.zeroing.map_reader import program
from ansible_collections.ganeti.cluster.plugins.module_utils.zeroing.maps import ext

from ..zeroing import images
from .devices import loop
from .endpoints import MIB, disk, empty, requests, transfer

pytestmark = pytest.mark.functional

SIZE = 32 * MIB
PART = {"partition": "1", "file_system": "ext4", "size": 4 * MIB, "reason": None}


def copied(endpoints, keys, sources, targets, reader=None, **options):
    """Copy with a reader of free space; both final events."""
    send, receive = requests(keys, sources, targets, **options)
    return transfer(endpoints, {**send, "map_reader": program() if reader is None else reader}, receive)


def contents(path):
    """The digests of all files in a file system, which debugfs reads."""
    names = sorted(line.split("/")[5] for line in images.tool("debugfs", "-R", "ls -p /", path).splitlines() if "/file" in line)
    return {name: images.tool("sh", "-c", 'debugfs -R "cat /$1" "$0" 2>/dev/null | sha256sum', path, name) for name in names}


@pytest.fixture
def aged(tmp_path):
    """A file system in which every second file was removed; the blocks of those still hold data."""
    return images.ext(tmp_path / "source", SIZE, options=("-b", "4096"))


def test_free_blocks_are_not_sent_and_all_files_arrive(endpoints, keys, aged, tmp_path):
    free = images.free(ext, aged)
    with open(aged, "r+b") as stream:
        for start, end in free:
            os.pwrite(stream.fileno(), os.urandom(end - start), start)
    target = empty(tmp_path / "target", SIZE)
    sent, received = copied(endpoints, keys, [str(aged)], [target], checksum="sha256", readback=True)
    assert sent["digests"] == received["digests"]
    used = SIZE - sum(end - start for start, end in free)
    assert os.stat(aged).st_blocks * 512 > 1.5 * used
    assert sent["free_space"] == [
        [{"partition": "whole disk", "file_system": "ext4", "reason": None, "size": SIZE, "skipped": SIZE - used}]
    ]  # fmt: skip
    assert sent["payload"] <= used * 1.02 and os.stat(target).st_blocks * 512 <= used + 64 * 1024
    images.tool("e2fsck", "-f", "-n", target)
    found = contents(target)
    assert found == contents(aged) and len(found) == 12


def test_what_is_free_arrives_as_zeros_and_all_else_as_it_is(endpoints, keys, aged, tmp_path):
    other = disk(tmp_path / "other", 5 * MIB + 512, 3)
    targets = [empty(tmp_path / "t0", SIZE), empty(tmp_path / "t1", 5 * MIB + 512)]
    sent, received = copied(endpoints, keys, [str(aged), other], targets, tool="gzip")
    assert sent["digests"] == received["digests"]
    expected = bytearray(aged.read_bytes())
    for start, end in images.free(ext, aged):
        expected[start:end] = bytes(end - start)
    with open(targets[0], "rb") as stream:
        assert stream.read() == expected
    with open(other, "rb") as one, open(targets[1], "rb") as copy:
        assert one.read() == copy.read()
    assert [part["reason"] for part in sent["free_space"][1]] == ["nothing on it is known"]


def test_from_a_device_too(endpoints, keys, aged, tmp_path):
    """Which knows no holes, so that all of it would be read."""
    target = empty(tmp_path / "target", SIZE)
    with loop(aged) as device:
        sent, received = copied(endpoints, keys, [device], [target], sizes=[SIZE])
    assert sent["digests"] == received["digests"] and sent["free_space"][0][0]["skipped"] > SIZE // 2
    assert contents(target) == contents(aged)


def counted(paths, text):
    """What an endpoint counts on disks, with a reader of free space."""
    request = {"disks": [(path, os.path.getsize(path)) for path in paths], "map_reader": text}
    return endpoint.COMMANDS["count_free"](request, Quiet())


def test_what_is_free_and_takes_storage_is_counted(aged):
    """Holes are free, too, and nobody has to copy them: only what takes storage counts."""
    free = images.free(ext, aged)
    blocks = {number for start, end in free for number in range(start // BLOCK, end // BLOCK) if start <= number * BLOCK and (number + 1) * BLOCK <= end}
    with open(aged, "r+b") as stream:
        for start, end in free:
            os.pwrite(stream.fileno(), os.urandom(end - start), start)
        os.fsync(stream.fileno())
    found = counted([str(aged)], program())
    assert found["idle"] >= 0.9 * len(blocks) * BLOCK > 4 * MIB and found["idle"] <= sum(end - start for start, end in free) + len(free) * 2 * BLOCK
    with open(aged, "r+b") as stream:
        for start, end in free:
            allocate(stream.fileno(), PUNCH_HOLE, start, end - start)
    assert counted([str(aged)], program())["idle"] <= len(free) * 2 * BLOCK
    assert found["free_space"][0][0]["file_system"] == "ext4"


def test_nothing_counts_as_free_where_no_map_can_be_had(aged):
    found = counted([str(aged)], "raise SystemExit(1)")
    assert found["idle"] == 0 and "ended early" in found["free_space"][0][0]["reason"]


def test_a_disk_of_another_size_is_not_counted(aged):
    with pytest.raises(EndpointError, match="agreed"):
        endpoint.COMMANDS["count_free"]({"disks": [(str(aged), SIZE - 512)], "map_reader": program()}, Quiet())


def reader(*lines, then=""):
    """A reader that says these lines."""
    return "import sys, time\nsys.stdin.buffer.readline()\n" + "".join(f"print({line!r})\n" for line in lines) + f"sys.stdout.flush()\n{then}"


def free(*ranges, index=0):
    """A line with free ranges."""
    return json.dumps({"disk": index, "free": ranges})


def part(index=0, **changes):
    """A line about a part."""
    return json.dumps({"disk": index, "part": {**PART, **changes}})


DONE = '{"done": true}'
OUTSIDE = "its reader said something that cannot be"


@pytest.mark.parametrize(
    ("program_text", "reason"),
    [
        (reader(free([0, 4096]), part()), "its reader ended early"),
        (reader("{}", DONE), OUTSIDE),
        (reader("nonsense", DONE), OUTSIDE),
        (reader("[]", DONE), OUTSIDE),
        (reader(free([0, 4096]), DONE), "its reader ended early|" + OUTSIDE),
        (reader(free([0, 8 * MIB]), part(), DONE), OUTSIDE),
        (reader(free([-4096, 4096]), part(), DONE), OUTSIDE),
        (reader(free([4096, 4096]), part(), DONE), OUTSIDE),
        (reader(free([8192, 4096]), part(), DONE), OUTSIDE),
        (reader(free([0, 4097]), part(), DONE), OUTSIDE),
        (reader(free([0, 1e3]), part(), DONE), OUTSIDE),
        (reader(free([0, 4096, 4096]), part(), DONE), OUTSIDE),
        (reader(free([0, 4096], index=1), part(), DONE), OUTSIDE),
        (reader(free([0, 4096]), part(reason="why"), DONE), OUTSIDE),
        (reader(free([0, 4096]), part(partition="\x1b[2J"), DONE), OUTSIDE),
        (reader(free([0, 4096]), part(size="big"), DONE), OUTSIDE),
        (reader(free([0, 8192], [4096, 12288]), part(), DONE), "its reader contradicted itself"),
        (reader(free([0, 8192]), part(), free([4096, 12288]), part(), DONE), "its reader contradicted itself"),
        (reader('{"unconfined": "unshare: no"}'), r"its reader cannot be confined on this node \(unshare: no\)"),
        (reader(then="print('x' * 300000)"), OUTSIDE),
        ("import sys; sys.exit(3)", "its reader ended early|its reader did not start"),
    ],
)
def test_a_reader_is_believed_nothing_that_cannot_be(tmp_path, program_text, reason):
    found = free_space.find([Disk(empty(tmp_path / "disk", 4 * MIB), 4 * MIB)], program_text, Quiet())
    assert not found.free[0] and found.told[0]
    assert all(each["skipped"] == 0 and re.match(reason, each["reason"]) for each in found.told[0])


def test_a_reader_that_fails_costs_nothing_but_time(endpoints, keys, aged, tmp_path):
    target = empty(tmp_path / "target", SIZE)
    sent, received = copied(endpoints, keys, [str(aged)], [target], reader="raise SystemExit(3)")
    assert sent["digests"] == received["digests"] and sent["free_space"][0][0]["skipped"] == 0
    with open(target, "rb") as stream:
        assert stream.read() == aged.read_bytes()


def test_a_reader_that_is_silent_is_given_up(monkeypatch, tmp_path):
    monkeypatch.setattr(free_space, "_SILENT", 0.0)
    found = free_space.find([Disk(empty(tmp_path / "disk", MIB), MIB)], reader(then="time.sleep(600)"), Quiet())
    assert not found.free[0] and "was silent" in found.told[0][0]["reason"]


class Quiet:
    """A controller that has nothing to say."""

    def __init__(self):
        self.descriptor, self._other = os.pipe()
        self.shown = []

    def check(self):
        """It is there."""

    def progress(self, **fields):
        """Keep what is shown."""
        self.shown.append(fields)


def test_a_reader_shows_that_it_goes_on(tmp_path):
    quiet = Quiet()
    text = reader('{"confined": true}', '{"read": 512}', '{"read": 1024}', free([0, 4096]), part(), free([8192, 12288]), part(), DONE)
    found = free_space.find([Disk(empty(tmp_path / "disk", MIB), MIB)], text, quiet)
    assert [each["done"] for each in quiet.shown] == [512, 1024]
    assert list(found.free[0].within(0, MIB)) == [(0, 4096), (8192, 12288)]
    assert [each["skipped"] for each in found.told[0]] == [4096, 4096]


NUMBERS = st.sets(st.integers(0, 40))


def ranges(numbers):
    """A set of granules as ranges."""
    return [(number * GRANULE, (number + 1) * GRANULE) for number in sorted(numbers)]


def granules(found):
    """Ranges as a set of granules."""
    return [number for start, end in found for number in range(start // GRANULE, end // GRANULE)]


@given(NUMBERS, st.integers(0, 40), st.integers(0, 20))
def test_a_range_is_free_and_used_and_nothing_else(numbers, start, length):
    known, bounds = FreeSpace(ranges(numbers)), (start * GRANULE, (start + length) * GRANULE)
    wanted = set(range(start, start + length))
    assert granules(known.within(*bounds)) == sorted(wanted & numbers)
    assert granules(known.used(*bounds)) == sorted(wanted - numbers)


@given(NUMBERS, NUMBERS)
def test_extents_lose_what_is_free(numbers, data):
    extents = [(start, end - start) for start, end in ranges(data)]
    left = [(offset, offset + length) for offset, length in FreeSpace(ranges(numbers)).without(extents)]
    assert granules(left) == sorted(data - numbers)
