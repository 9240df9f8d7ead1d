# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Free space of btrfs: whatever is written there, `btrfs check` finds every checksum right; none of what is not clean, not known or not sound."""

from __future__ import annotations

import os
import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.ganeti.cluster.plugins.module_utils.zeroing.maps import btrfs
from ansible_collections.ganeti.cluster.plugins.module_utils.zeroing.maps.ranges import length_of
from ansible_collections.ganeti.cluster.plugins.module_utils.zeroing.maps.volume import Refused

from . import images
from .images import MIB

SUPERBLOCK = 65536
DATA = 24 * 150_000


def make(path, *options, size=160 * MIB):
    """A file system with files of DATA bytes."""
    root, generator = f"{path}.root", random.Random(4)
    os.makedirs(root)
    for number in range(24):
        with open(f"{root}/file{number}", "wb") as stream:
            stream.write(generator.randbytes(150_000))
    images.tool("mkfs.btrfs", "-q", "--rootdir", root, *options, images.empty(path, size))
    return path


@pytest.mark.parametrize("options", [("-n", "4096"), ("-m", "single", "--csum", "sha256"), ("-m", "dup", "-d", "dup"), ("-M", "--csum", "blake2")])
def test_free_space_holds_nothing_that_check_would_miss(tmp_path, options):
    path = make(tmp_path / "disk", *options)
    found = images.free(btrfs, path)
    copies = 2 if "-d" in options else 1
    size = os.stat(path).st_size  # mkfs makes a file longer where it wants more room
    assert size - DATA * copies - 6 * MIB < length_of(found) < size - DATA * copies
    with open(path, "r+b") as stream:
        for start, end in found:
            for at in range(start, end, 16 * MIB):
                stream.seek(at)
                stream.write(b"\xa5" * min(end - at, MIB))
            stream.seek(end - 4096)
            stream.write(b"\xa5" * 4096)
    images.tool("btrfs", "check", "--check-data-csum", path)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A file system, to be spoiled by those who put it right again, and what is free in it."""
    path = make(tmp_path_factory.mktemp("btrfs") / "disk")
    return path, images.free(btrfs, path)


def number(path, offset):
    """A number of the superblock."""
    return images.number_at(path, SUPERBLOCK + offset, 8)


@pytest.fixture
def spoil(sound):
    """Changes bytes for as long as a test lasts, and makes the superblock's checksum right again."""
    before = []

    def change(offset, data):
        with open(sound[0], "rb") as stream:
            for place, length in ((offset, len(data)), (SUPERBLOCK, 4)):
                stream.seek(place)
                before.append((place, stream.read(length)))
        images.patched(sound[0], offset, data)
        with open(sound[0], "rb") as stream:
            stream.seek(SUPERBLOCK + 32)
            checksum = btrfs.crc32c(stream.read(4096 - 32))
        return images.patched(sound[0], SUPERBLOCK, checksum.to_bytes(4, "little"))

    yield change
    for offset, data in reversed(before):
        images.patched(sound[0], offset, data)


def test_a_checksum_is_the_one_that_others_compute():
    assert btrfs.crc32c(b"123456789") == 0xE3069283


@pytest.mark.parametrize(
    ("offset", "value", "words"),
    [
        (196, 1, "of a kind that is not known here"),
        (196, 2, "does not match its checksum"),
        (96, 1 << 20, "not unmounted in order: it has a log tree"),
        (188, 0x80, "features that are not known here"),
        (188, 1 << 40, "features that are not known here"),
        (180, 1 << 9, "features that are not known here"),
        (56, 1 | 1 << 32, "features that are not known here"),
        (136, 2, "several devices"),
        (112, 1 << 60, "larger than what it lies on"),
        (112, 0, "contradicts itself"),
        (148, 0xFFFFFFFF, "contradicts itself"),
        (144, 0, "contradicts itself"),
        (160, 0xFFFFFFFF, "contradicts itself"),
        (48, 7, "contradicts itself"),
        (80, 1 << 60, "none of its chunks"),
        (88, 1 << 60, "none of its chunks"),
        (72, 999, "tree 1 is not sound"),
        (120, 4096, "its superblock says that 4096 bytes are used"),
        (811 + 17, 1 << 62, "not sound|overlap|beyond its end"),
        (811 + 17 + 24, 0x8 | 2, "spread in a way"),
        (811 + 17 + 48 + 8, 1 << 62, "beyond its end"),
    ],
)
def test_a_superblock_that_is_not_clean_not_known_or_not_sound_is_refused(sound, spoil, offset, value, words):
    spoil(SUPERBLOCK + offset, value.to_bytes(8, "little"))
    with pytest.raises(Refused, match=words):
        images.free(btrfs, sound[0])


def test_a_superblock_that_does_not_match_its_checksum_is_refused(sound, spoil):
    path = spoil(SUPERBLOCK + 300, b"another label")
    assert images.free(btrfs, path) == sound[1]
    spoil(SUPERBLOCK + 300, b"some label")
    images.patched(path, SUPERBLOCK + 300, b"x")
    with pytest.raises(Refused, match="does not match its checksum"):
        images.free(btrfs, path)


def tree(path, owner):
    """Where a tree begins on the device."""
    with images.opened(path) as disk:
        sb = btrfs.parse(disk.read(SUPERBLOCK, 4096), disk.size)
        reader = btrfs._Reader(disk, sb)
        root = {1: sb.root, 3: sb.chunks}.get(owner) or reader._root_of(owner)
        return reader._place(root.address, sb.node)


@pytest.mark.parametrize("owner", [1, 2, 3])
@pytest.mark.parametrize(
    ("offset", "data"),
    [
        (48, b"\1"),  # its own address
        (80, b"\xff"),  # generation
        (88, b"\x63"),  # owner
        (96, b"\xff\xff\xff\xff"),  # number of items
        (100, b"\1"),  # level
        (101, b"\xff" * 17),  # the first key: then the next does not ascend
        (101 + 17, b"\xff\xff\xff\xff"),  # where its content is
        (101 + 21, b"\xff\xff\xff\xff"),  # and how long
    ],
)
def test_a_tree_that_is_not_sound_is_refused(sound, spoil, owner, offset, data):
    place = tree(sound[0], owner)
    spoil(place + offset, data)
    with pytest.raises(Refused, match="not sound|none of its chunks|not in order"):
        images.free(btrfs, sound[0])


def test_a_tree_that_leads_back_to_itself_is_refused(sound, spoil):
    """Its level is one too many for that."""
    place, address = tree(sound[0], 1), number(sound[0], 80)
    spoil(SUPERBLOCK + 198, b"\1")
    spoil(place + 100, b"\1" + struct.pack("<QBQQQ", 0, 0, 0, address, number(sound[0], 72)))
    with pytest.raises(Refused, match="tree 1 is not sound"):
        images.free(btrfs, sound[0])


@settings(max_examples=40)
@given(st.integers(32, 4095), st.integers(1, 255))
def test_no_byte_of_the_superblock_leads_astray(sound, offset, difference):
    path, honest = sound
    before = images.number_at(path, SUPERBLOCK + offset, 1)
    images.patched(path, SUPERBLOCK + offset, bytes([before ^ difference]))
    try:
        with pytest.raises(Refused):
            images.free(btrfs, path)
    finally:
        images.patched(path, SUPERBLOCK + offset, bytes([before]))
    assert honest
