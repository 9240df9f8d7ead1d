# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copies from and to real block devices, which know no holes; this needs root, as CI has it."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils.stream import clearing, durable, probe
from ansible_collections.ganeti.cluster.plugins.module_utils.stream.disks import Disk
from ansible_collections.ganeti.cluster.plugins.module_utils.stream.errors import EndpointError
from ansible_collections.ganeti.cluster.plugins.module_utils.stream.extents import data_extents

from .devices import loop
from .endpoints import MIB, disk, empty, requests, transfer

pytestmark = pytest.mark.functional


@contextlib.contextmanager
def attached(*paths):
    """A loop device for each of *paths*."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(loop(path)) for path in paths]


def content(path):
    """All that a file or device holds."""
    with open(path, "rb") as stream:
        return stream.read()


def noise(path, size):
    """A disk full of a former owner's data."""
    with open(path, "wb") as stream:
        stream.write(random.Random(7).randbytes(size))
    return str(path)


def told(calls):
    """A callback that notes what it is told."""
    return lambda *figures: calls.append(figures[0])


def test_a_device_knows_no_holes(tmp_path):
    empty(tmp_path / "disk", 8 * MIB)
    with attached(tmp_path / "disk") as (device,):
        descriptor = os.open(device, os.O_RDONLY)
        try:
            assert list(data_extents(descriptor, 8 * MIB)) == [(0, 8 * MIB)]
        finally:
            os.close(descriptor)
        found = probe.examine_disk(device, 6 * MIB)
    assert (found["kind"], found["size"], found["data"]) == ("device", 8 * MIB, 8 * MIB)


@pytest.mark.parametrize("size", [16 * MIB, 5 * MIB + 512, 3 * MIB + 7 * 4096])
def test_from_file_to_device_to_file_holes_are_kept(endpoints, keys, tmp_path, size):
    source = disk(tmp_path / "source", size, 1, pieces=3)
    backing, target = noise(tmp_path / "backing", size), empty(tmp_path / "target", size)
    with attached(backing) as (device,):
        transfer(endpoints, *requests(keys, [source], [device], sizes=[size]))
        sent, received = transfer(endpoints, *requests(keys, [device], [target], sizes=[size], readback=True))
    assert sent["digests"] == received["digests"]
    assert content(source) == content(backing) == content(target)
    for copy in (backing, target):
        assert os.stat(copy).st_blocks <= os.stat(source).st_blocks + 64


def test_a_longer_device_keeps_nothing_of_its_former_owner(endpoints, keys, tmp_path):
    """As where storage rounds sizes up: the copy is of the recorded size, and behind it are zeros."""
    source, backing = disk(tmp_path / "source", 4 * MIB, 1), noise(tmp_path / "backing", 7 * MIB + 512)
    with attached(backing) as (device,):
        sent, received = transfer(endpoints, *requests(keys, [source], [device]))
    assert sent["digests"] == received["digests"]
    assert content(backing) == content(source) + bytes(3 * MIB + 512)


def test_a_longer_source_is_refused(endpoints, keys, tmp_path):
    backing, target = noise(tmp_path / "backing", 6 * MIB), empty(tmp_path / "target", 4 * MIB)
    with attached(backing) as (device,):
        sent, _received = transfer(endpoints, *requests(keys, [device], [target], sizes=[4 * MIB]))
    assert sent["message"].startswith(f"The disk {device} holds {6 * MIB} bytes, not the {4 * MIB} that were agreed")


def test_a_device_that_unmaps_gives_its_blocks_back(tmp_path):
    backing = noise(tmp_path / "backing", 8 * MIB)
    calls = []
    with attached(backing) as (device,):
        assert clearing.clear(Disk(device, 6 * MIB), told(calls)) == 8 * MIB
    assert not any(content(backing)) and os.stat(backing).st_blocks < 16
    assert calls[-1] == 8 * MIB


def without(monkeypatch, *modes):
    """Let the kernel not know these kinds of fallocate."""
    real = clearing.allocate
    monkeypatch.setattr(clearing, "allocate", lambda descriptor, mode, offset, length: mode not in modes and real(descriptor, mode, offset, length))


@pytest.mark.parametrize("modes", [(clearing.PUNCH_HOLE,), (clearing.PUNCH_HOLE, clearing.ZERO_RANGE)], ids=["zeroes", "is written"])
def test_a_device_that_cannot_unmap_is_zeroed_where_it_is_not_zero(tmp_path, monkeypatch, modes):
    backing = tmp_path / "backing"
    empty(backing, 70 * MIB + 512)
    with open(backing, "r+b") as stream:
        for place in (66 * MIB, 70 * MIB):
            stream.seek(place)
            stream.write(b"former owner")
    without(monkeypatch, *modes)
    calls = []
    with attached(backing) as (device,):
        clearing.clear(Disk(device, 70 * MIB), told(calls))
    assert not content(backing).strip(b"\0")
    # The pieces that were zero were left alone, so a thin device stays thin: only what follows the first data of a piece was written.
    assert os.stat(backing).st_blocks * 512 <= 5 * MIB
    assert calls == sorted(calls) and len(calls) > 64


def test_a_device_that_lies_is_found_out(tmp_path, monkeypatch):
    backing = noise(tmp_path / "backing", 4 * MIB)
    monkeypatch.setattr(clearing, "allocate", lambda *_arguments: True)
    with attached(backing) as (device,), pytest.raises(EndpointError, match="still holds data at byte .* after it was emptied"):
        clearing.clear(Disk(device, 4 * MIB), told([]))


def test_a_device_tells_what_it_has_written(tmp_path):
    backing = noise(tmp_path / "backing", 4 * MIB)
    with attached(backing) as (device,):
        descriptor = os.open(device, os.O_RDWR)
        try:
            before = durable.written(descriptor)
            os.pwrite(descriptor, bytes(MIB), 0)
            os.fsync(descriptor)
            assert durable.written(descriptor) > before
        finally:
            os.close(descriptor)


@pytest.fixture
def small(tmp_path):
    """A file system with less room than the files on it claim."""
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "test", str(place)], check=True, timeout=30)
    yield place
    subprocess.run(["umount", str(place)], check=True, timeout=30)


def test_a_device_that_loses_what_was_written_fails_in_a_sentence(endpoints, keys, tmp_path, small):
    """Its storage is smaller than it says: writing goes into memory, and only bringing it to storage fails."""
    source, backing = noise(tmp_path / "source", 8 * MIB), empty(small / "backing", 8 * MIB)
    with attached(backing) as (device,):
        sent, received = transfer(endpoints, *requests(keys, [source], [device], sizes=[8 * MIB]))
    assert sent["event"] == "finished"
    assert (received["event"], received["secondary"]) == ("failed", False)
    assert received["message"].startswith(f"The disk {device} on the destination node could not be brought to stable storage: ")
