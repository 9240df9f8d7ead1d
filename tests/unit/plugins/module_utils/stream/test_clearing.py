# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files as destinations: emptied before anything is written, by whatever their file system can do."""

from __future__ import annotations

import errno
import os

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils.stream import clearing, disks, durable
from ansible_collections.ganeti.cluster.plugins.module_utils.stream.disks import Disk
from ansible_collections.ganeti.cluster.plugins.module_utils.stream.errors import EndpointError

from .endpoints import MIB, empty


@pytest.fixture
def target(tmp_path):
    """A file with another's data at its ends."""
    path = tmp_path / "target"
    path.write_bytes(b"former owner")
    os.truncate(path, 130 * MIB + 512)
    with open(path, "r+b") as stream:
        stream.seek(-5, os.SEEK_END)
        stream.write(b"owner")
    path.chmod(0o640)
    return path


def cleared(path, size=None):
    """Clear a file, and return what was told."""
    before, calls = os.stat(path), []
    assert clearing.clear(Disk(str(path), size or before.st_size), calls.append) == before.st_size
    after = os.stat(path)
    assert path.read_bytes().count(0) == before.st_size and after.st_blocks <= 8  # the file system keeps what lies in part behind the end
    assert (after.st_ino, after.st_mode, after.st_size) == (before.st_ino, before.st_mode, before.st_size)
    assert calls == sorted(calls) and calls[-1] == before.st_size
    return calls


def test_a_file_is_punched_beyond_its_agreed_end_too(target):
    cleared(target, 100 * MIB)


def test_a_file_that_cannot_be_punched_is_cut_off_and_made_as_long_again(target, monkeypatch):
    """Filling it with zeros, as was done once, would take all of its room, and as long as writing it."""
    monkeypatch.setattr(clearing, "allocate", lambda *_arguments: False)
    assert len(cleared(target)) > 3, "one step for all of it shows no progress"


def test_a_new_file_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(clearing, "allocate", lambda *_arguments: pytest.fail("there is nothing to empty"))
    empty(tmp_path / "target", 10**12)
    calls = []
    clearing.clear(Disk(str(tmp_path / "target"), 10**12), calls.append)
    assert calls == [10**12]


def test_an_empty_file_is_no_trouble(tmp_path):
    empty(tmp_path / "target", 0)
    assert clearing.clear(Disk(str(tmp_path / "target"), 0), lambda _done: None) == 0


class Failing:
    """The C library, with a kernel that always fails."""

    def __init__(self, number):
        self._number = number

    def fallocate(self, *_arguments):
        """Fail."""
        disks.ctypes.set_errno(self._number)
        return -1

    sync_file_range = fallocate


def test_what_the_kernel_says_becomes_a_sentence(target, monkeypatch):
    monkeypatch.setattr(disks, "_libc", Failing(errno.EIO))
    where = f"The disk {target} on the destination node could not be"
    with pytest.raises(EndpointError, match=f"{where} emptied: Input/output error."):
        clearing.clear(Disk(str(target), MIB), lambda _done: None)
    with open(target, "r+b") as stream, pytest.raises(EndpointError, match=f"{where} brought to stable storage: Input/output error."):
        durable.make_durable(str(target), stream.fileno(), MIB, lambda _done, _work: None)


def test_a_file_system_without_ranges_is_made_durable_by_fsync_alone(target, monkeypatch):
    monkeypatch.setattr(disks, "_libc", Failing(errno.EOPNOTSUPP))
    calls = []
    with open(target, "r+b") as stream:
        durable.make_durable(str(target), stream.fileno(), 40 * MIB, lambda done, _work: calls.append(done))
    assert calls == [16 * MIB, 32 * MIB, 40 * MIB]


def test_an_fsync_that_takes_long_shows_that_storage_works(target, monkeypatch):
    """Nothing else is known of it: what its device has written since is told as long as it lasts."""
    seen = []
    monkeypatch.setattr(durable, "_LOOK", 0.01)
    monkeypatch.setattr(durable, "written", lambda _descriptor: len(seen) + 1)

    def fsync(_descriptor):
        while len(seen) < 3:
            pass

    monkeypatch.setattr(os, "fsync", fsync)
    with open(target, "r+b") as stream:
        durable.make_durable(str(target), stream.fileno(), 0, lambda _done, work: seen.append(work))
    assert seen[:3] == [1, 2, 3]


def test_a_disk_that_is_not_in_its_place_any_more_is_noticed(target):
    descriptor = disks.open_disk(Disk(str(target), 1024), write=True)
    disks.check_in_place(str(target), descriptor)
    moved = target.rename(target.parent / "moved")
    with pytest.raises(EndpointError, match="was taken away while it was written"):
        disks.check_in_place(str(target), descriptor)
    target.write_bytes(b"another's")
    with pytest.raises(EndpointError, match="was replaced while it was written"):
        disks.check_in_place(str(target), descriptor)
    disks.check_in_place(str(moved), descriptor)
    os.close(descriptor)
