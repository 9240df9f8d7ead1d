# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Free blocks of XFS, as xfs_db tells them, but for those that are kept for the trees themselves; none where the log is not clean."""

from __future__ import annotations

import os
import struct

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils.zeroing.maps import xfs
from ansible_collections.ganeti.cluster.plugins.module_utils.zeroing.maps.ranges import length_of
from ansible_collections.ganeti.cluster.plugins.module_utils.zeroing.maps.volume import Refused

from . import images
from .images import MIB

pytestmark = pytest.mark.functional

BLOCK = 4096
SIZE = 640 * MIB
FILE = "d--755 0 0\n" + "".join(f"file{number} ---644 0 0 {{source}}\n" for number in range(20)) + "$\n"


def make(path, *options, size=320 * MIB):
    """A file system with some files, as mkfs puts them in."""
    source = f"{path}.source"
    with open(source, "wb") as stream:
        stream.write(os.urandom(100_000))
    with open(f"{path}.proto", "w", encoding="ascii") as stream:
        stream.write("/\n0 0\n" + FILE.format(source=source))
    images.empty(path, size)
    images.tool("mkfs.xfs", "-q", "-f", "-p", f"{path}.proto", *options, path)
    return path


@pytest.mark.parametrize(
    "options", [(), ("-m", "crc=0"), ("-b", "size=1024"), ("-d", "agcount=7"), ("-l", "su=64k"), ("-m", "rmapbt=1,reflink=1"), ("-s", "size=4096")]
)
def test_what_is_free_is_what_xfs_db_says(tmp_path, options):
    path = make(tmp_path / "disk", *options, size=SIZE)
    block = 1024 if "size=1024" in options else BLOCK
    found, said = images.free(xfs, path), images.said_by_xfs_db(path)
    assert found and set(found) <= set(said)
    kept = [each for each in said if each not in found]
    assert all(end - start == block for start, end in kept) and len(kept) <= 24 * 7
    assert length_of(found) < SIZE - 20 * 100_000


def test_free_blocks_hold_nothing_that_repair_would_miss(tmp_path):
    path = make(tmp_path / "disk")
    with open(path, "r+b") as stream:
        for start, end in images.free(xfs, path):
            for at in (start, max(start, end - BLOCK)):  # there is too much of it to overwrite it all
                stream.seek(at)
                stream.write(os.urandom(BLOCK))
    images.tool("xfs_repair", "-n", "-f", path)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A file system, to be spoiled by those who put it right again."""
    return make(tmp_path_factory.mktemp("xfs") / "disk")


@pytest.fixture
def spoil(sound):
    """Changes bytes for as long as a test lasts."""
    before = []

    def change(offset, data):
        with open(sound, "rb") as stream:
            stream.seek(offset)
            before.append((offset, stream.read(len(data))))
        return images.patched(sound, offset, data)

    yield change
    for offset, data in reversed(before):
        images.patched(sound, offset, data)


def log_of(path):
    """Where the log begins, and its bytes."""
    place, bits, group = (images.number_at(path, *where, "big") for where in ((48, 8), (124, 1), (84, 4)))
    return ((place >> bits) * group + (place & (1 << bits) - 1)) * BLOCK, images.number_at(path, 96, 4, "big") * BLOCK


def record(cycle, operations, flags, lsn=1):
    """A record of the log, of one block, as the kernel writes it."""
    head = struct.pack(">IIIIQQIII", 0xFEEDBABE, cycle, 2, 512, lsn, lsn, 0, 0, operations).ljust(320, b"\0") + struct.pack(">I", 32768)
    return head.ljust(512, b"\0") + struct.pack(">IIBB2x", cycle, 0, 0xAA, flags).ljust(512, b"\0")


@pytest.mark.parametrize(("operations", "flags"), [(2, 0x20), (1, 0x01), (9, 0x00)])
def test_a_log_that_does_not_end_with_an_unmount_is_refused(sound, spoil, operations, flags):
    spoil(log_of(sound)[0] + 1024, record(1, operations, flags))
    with pytest.raises(Refused, match="its log is not clean"):
        images.free(xfs, sound)


def test_a_log_that_ends_with_another_unmount_is_taken(sound, spoil):
    honest = images.free(xfs, sound)
    spoil(log_of(sound)[0] + 1024, record(1, 1, 0x01) + record(1, 1, 0x20))
    assert images.free(xfs, sound) == honest


def test_a_log_that_was_written_round_is_taken_where_it_ends_with_an_unmount(tmp_path):
    path = make(tmp_path / "disk")
    start, length = log_of(path)
    blocks = length // 512
    with open(path, "r+b") as stream:
        for number in range(blocks):
            stream.seek(start + number * 512)
            stream.write(struct.pack(">I", 5 if number < 100 else 4))
    with pytest.raises(Refused, match="its log is not clean"):
        images.free(xfs, path)
    assert images.free(xfs, images.patched(path, start + 98 * 512, record(5, 1, 0x20)))
    with pytest.raises(Refused, match="not written in one go"):
        images.free(xfs, images.patched(path, start + 300 * 512, struct.pack(">I", 5)))


def test_an_unmount_after_which_something_was_written_is_refused(sound, spoil):
    spoil(log_of(sound)[0] + 1024, struct.pack(">I", 1))
    with pytest.raises(Refused, match="its log is not clean"):
        images.free(xfs, sound)


def test_an_empty_log_is_refused(sound, spoil):
    spoil(log_of(sound)[0], bytes(1024))
    with pytest.raises(Refused, match="its log is empty"):
        images.free(xfs, sound)


@pytest.mark.parametrize(
    ("offset", "data", "words"),
    [
        (8, b"\xff" * 8, "larger than what it lies on"),
        (84, b"\0\0\0\x05", "contradicts itself"),
        (88, b"\xff" * 4, "contradicts itself"),
        (4, b"\xff" * 4, "contradicts itself"),
        (96, b"\xff" * 4, "contradicts itself"),
        (48, b"\0\0\0\0\x7f\xff\xff\xff", "outside of its group"),
        (101, b"\xb6", "version 6"),
        (216, b"\0\0\0\x10", "not known here"),
        (212, b"\0\0\1\0", "not known here"),
        (220, b"\0\0\0\1", "not unmounted in order"),
        (126, b"\1", "not unmounted in order"),
        (16, b"\0\0\0\0\0\0\1\0", "realtime"),
        (48, b"\0" * 8, "another device"),
    ],
)
def test_a_superblock_that_is_not_sound_or_not_known_is_refused(sound, spoil, offset, data, words):
    spoil(offset, data)
    with pytest.raises(Refused, match=words):
        images.free(xfs, sound)


@pytest.mark.parametrize(
    ("offset", "data"),
    [
        (0, b"XXXX"),
        (8, b"\0\0\0\7"),  # number
        (12, b"\xff" * 4),  # length
        (16, b"\xff" * 4),  # root
        (28, b"\0\0\0\0"),  # levels
        (28, b"\0\0\0\2"),
        (52, b"\0\0\0\1"),  # free blocks
    ],
)
def test_a_header_of_a_group_that_is_not_sound_is_refused(sound, spoil, offset, data):
    spoil(512 + offset, data)
    with pytest.raises(Refused, match="its (group 0|free space)|tree of its group 0"):
        images.free(xfs, sound)


@pytest.mark.parametrize(
    ("offset", "data"),
    [
        (6, b"\xff\xff"),  # number of records
        (12, b"\0\0\0\1"),  # right neighbour: itself, a loop
        (56, b"\0\0\0\0"),  # first free block: that of the superblock
        (60, b"\xff\xff\xff\xff"),  # how many
    ],
)
def test_a_tree_that_is_not_sound_is_refused(sound, spoil, offset, data):
    leaf = images.number_at(sound, 512 + 16, 4, "big")
    if offset == 12:
        data = struct.pack(">I", leaf)
    spoil(leaf * BLOCK + offset, data)
    with pytest.raises(Refused, match="group 0"):
        images.free(xfs, sound)
