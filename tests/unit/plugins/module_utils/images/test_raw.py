# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Raw files: holes stay holes, and what is the same is found to be."""

from __future__ import annotations

import hashlib
import os
import struct

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils.images import raw
from ansible_collections.ganeti.cluster.plugins.module_utils.images.gpt import gpt

from . import samples
from .samples import MIB


@pytest.fixture
def opened(tmp_path):
    """Opens files for reading and writing, and closes them."""
    descriptors = []

    def open_one(path):
        descriptors.append(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        return descriptors[-1]

    yield open_one
    for descriptor in descriptors:
        os.close(descriptor)


@pytest.mark.parametrize("size", [1, 511, MIB - 1, MIB, 5 * MIB + 512])
def test_a_copy_has_the_same_bytes_and_its_zeros_are_holes(tmp_path, opened, size):
    source, target = samples.raw(tmp_path / "a", size, [(size // 2, min(100, size - size // 2))]), tmp_path / "b"
    with open(source, "r+b") as stream:
        stream.write(bytes(size // 3))  # zeros that take room
    first, second = opened(source), opened(target)
    os.truncate(second, size)
    raw.copy(first, second, size)
    assert target.read_bytes() == source.read_bytes() and samples.allocated(target) <= min(samples.allocated(source), 8192)
    assert raw.same(first, size, second, size) and raw.rounded(size) % MIB == 0 and 0 <= raw.rounded(size) - size < MIB


def test_a_difference_is_found_wherever_it_is(tmp_path, opened):
    first, second = opened(samples.raw(tmp_path / "a", 6 * MIB, [(2 * MIB, 10)])), opened(tmp_path / "b")
    os.truncate(second, 7 * MIB)
    assert not raw.same(first, 6 * MIB, second, 7 * MIB)
    raw.copy(first, second, 6 * MIB)
    assert raw.same(first, 6 * MIB, second, 7 * MIB) and raw.same(second, 7 * MIB, first, 6 * MIB)
    for offset in (0, 2 * MIB + 9, 6 * MIB - 1, 6 * MIB, 7 * MIB - 1):
        was = os.pread(second, 1, offset)
        os.pwrite(second, bytes([was[0] ^ 1]), offset)
        assert not raw.same(first, 6 * MIB, second, 7 * MIB) and not raw.same(second, 7 * MIB, first, 6 * MIB)
        os.pwrite(second, was, offset)
    assert raw.same(first, 6 * MIB, second, 7 * MIB)


@pytest.mark.parametrize("size", [2 * MIB, 2 * MIB + 512, 3 * MIB - 512, 2 * MIB + 1536])
def test_the_digest_of_a_file_is_known_again_after_its_size_was_rounded_up(tmp_path, opened, size):
    path = samples.raw(tmp_path / "a", size, [(0, 5000)])
    wanted = hashlib.sha256(path.read_bytes()).hexdigest()
    descriptor = opened(path)
    assert raw.digest(descriptor, size) == wanted and raw.has_digest(descriptor, size, wanted)
    os.truncate(descriptor, raw.rounded(size))
    assert raw.has_digest(descriptor, raw.rounded(size), wanted)
    os.pwrite(descriptor, b"x", 100)
    assert not raw.has_digest(descriptor, raw.rounded(size), wanted)


def test_a_digest_is_not_of_a_file_with_more_behind_it(tmp_path, opened):
    path = samples.raw(tmp_path / "a", 2 * MIB, [])
    wanted = hashlib.sha256(path.read_bytes()).hexdigest()
    descriptor = opened(path)
    os.pwrite(descriptor, b"x", 3 * MIB - 1)
    assert not raw.has_digest(descriptor, 3 * MIB, wanted)


def test_a_partition_table_that_does_not_end_where_the_disk_does(tmp_path, opened):
    descriptor = opened(samples.raw(tmp_path / "a", 2 * MIB, []))
    assert gpt(descriptor, 2 * MIB) is None
    os.pwrite(descriptor, b"EFI PART" + bytes(16) + struct.pack("<QQ", 1, 2 * MIB // 512 - 1), 512)
    assert gpt(descriptor, 2 * MIB) == (2 * MIB - 512, True)
    assert gpt(descriptor, 3 * MIB) == (2 * MIB - 512, False)


def test_nobody_writes_a_file_that_no_qemu_has_open(tmp_path, opened):
    assert not raw.is_written_by_qemu(opened(samples.raw(tmp_path / "a")))
