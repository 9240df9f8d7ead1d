# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Free blocks of ext2, ext3 and ext4, as dumpe2fs tells them; and of what is not clean, not known or not sound, none."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.ganeti.cluster.plugins.module_utils.zeroing.maps import ext
from ansible_collections.ganeti.cluster.plugins.module_utils.zeroing.maps.volume import Refused

from . import images
from .images import MIB

pytestmark = pytest.mark.functional

STATE, COMPAT, INCOMPAT, RO_COMPAT, ORPHAN = (1024 + offset for offset in (0x3A, 0x5C, 0x60, 0x64, 0xE8))


@pytest.mark.parametrize(
    ("kind", "size", "options"),
    [
        ("ext2", 64, ()),
        ("ext3", 64, ()),
        ("ext4", 64, ()),
        ("ext4", 600, ()),
        ("ext4", 1500, ("-O", "sparse_super2")),
        ("ext4", 64, ("-b", "4096", "-O", "^64bit,^metadata_csum")),
        ("ext4", 300, ("-O", "^metadata_csum,uninit_bg")),
        ("ext4", 300, ("-O", "^flex_bg")),
        ("ext4", 300, ("-b", "2048", "-O", "meta_bg,^resize_inode")),
        ("ext4", 64, ("-b", "1024", "-g", "1024", "-O", "meta_bg,^resize_inode")),
        ("ext4", 64, ("-b", "1024", "-g", "512")),
        ("ext4", 64, ("-O", "quota,project,encrypt,casefold,verity,inline_data,ea_inode,large_dir")),
        ("ext2", 64, ("-r", "0", "-O", "none")),
        ("ext2", 64, ("-O", "^resize_inode,^sparse_super")),
    ],
)
def test_what_is_free_is_what_dumpe2fs_says(tmp_path, kind, size, options):
    path = images.ext(tmp_path / "disk", size * MIB, kind, options, files="encrypt" not in str(options))
    found = images.free(ext, path)
    assert found == images.said_by_dumpe2fs(path) and len(found) > 1
    with images.opened(path) as disk:
        assert ext.free_space(disk).kind == kind


def test_clusters_are_free_as_a_whole(tmp_path):
    """Not compared range by range: dumpe2fs tells the last cluster of a range by its first block."""
    path = images.ext(tmp_path / "disk", 600 * MIB, options=("-b", "4096", "-O", "bigalloc", "-C", "65536"))
    found = images.free(ext, path)
    assert [start for start, _end in found] == [start for start, _end in images.said_by_dumpe2fs(path)]
    assert all(start % 65536 == 0 and (end % 65536 == 0 or end == 600 * MIB) for start, end in found)


def test_free_blocks_hold_nothing_that_fsck_would_miss(tmp_path):
    path = images.ext(tmp_path / "disk", 24 * MIB)
    with open(path, "r+b") as stream:
        for start, end in images.free(ext, path):
            stream.seek(start)
            stream.write(os.urandom(end - start))
    images.tool("e2fsck", "-f", "-n", path)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """The bytes of a file system, to be spoiled."""
    return images.ext(tmp_path_factory.mktemp("ext") / "disk", 16 * MIB).read_bytes()


@pytest.fixture
def disk(sound, tmp_path):
    """A copy of it."""
    path = tmp_path / "disk"
    path.write_bytes(sound)
    return path


def test_a_journal_that_needs_recovery_is_refused(disk):
    """As the kernel leaves it when the power fails: all else looks clean."""
    images.tool("debugfs", "-w", "-R", "feature needs_recovery", disk)
    with pytest.raises(Refused, match="not unmounted in order"):
        images.free(ext, disk)


@pytest.mark.parametrize("state", [0, 2, 3, 5])
def test_a_state_that_is_not_clean_is_refused(disk, state):
    with pytest.raises(Refused, match="not unmounted in order"):
        images.free(ext, images.patched(disk, STATE, state.to_bytes(2, "little")))


def test_orphans_are_refused(disk):
    with pytest.raises(Refused, match="not unmounted in order"):
        images.free(ext, images.patched(disk, ORPHAN, b"\x0c"))


@pytest.mark.parametrize(("place", "bit"), [(COMPAT, 0x80), (INCOMPAT, 0x100), (INCOMPAT, 1 << 30), (RO_COMPAT, 0x4000), (INCOMPAT, 0x8)])
def test_features_that_are_not_known_are_refused(disk, place, bit):
    value = images.number_at(disk, place, 4) | bit
    with pytest.raises(Refused, match="features that are not known here"):
        images.free(ext, images.patched(disk, place, value.to_bytes(4, "little")))


@pytest.mark.parametrize(
    ("offset", "value"),
    [
        (0x04, 0xFFFFFFFF),  # gigantic: blocks
        (0x04, 0),
        (0x18, 0xFFFFFFFF),  # block size
        (0x18, 9),
        (0x20, 0),  # blocks in a group
        (0x20, 8),
        (0x24, 0xFFFFFFFF),
        (0x28, 0),  # inodes in a group
        (0x28, 0xFFFFFFFF),
        (0x14, 7),  # first block
        (0x150, 0xFFFF),  # blocks, upper half
        (0xFE, 48),  # descriptor
    ],
)
def test_a_superblock_that_contradicts_itself_is_refused(disk, offset, value):
    length = 2 if offset == 0xFE else 4
    with pytest.raises(Refused):
        images.free(ext, images.patched(disk, 1024 + offset, value.to_bytes(length, "little")))


def test_a_bitmap_that_contradicts_its_count_is_refused(disk):
    """One bit is enough."""
    block = 1024 << images.number_at(disk, 1024 + 0x18, 4)
    bitmap = images.number_at(disk, (images.number_at(disk, 1024 + 0x14, 4) + 1) * block, 4) * block
    middle = bitmap + block // 2
    with pytest.raises(Refused, match="its bitmap says"):
        images.free(ext, images.patched(disk, middle, bytes([images.number_at(disk, middle, 1) ^ 1])))


def test_maps_outside_of_the_file_system_are_refused(disk):
    block = 1024 << images.number_at(disk, 1024 + 0x18, 4)
    descriptor = (images.number_at(disk, 1024 + 0x14, 4) + 1) * block
    with pytest.raises(Refused, match="outside of the file system"):
        images.free(ext, images.patched(disk, descriptor, b"\xff\xff\xff\x7f"))


def test_a_truncated_disk_is_refused(disk):
    os.truncate(disk, 9 * MIB)
    with pytest.raises(Refused, match="larger than what it lies on"):
        images.free(ext, disk)


@pytest.fixture(scope="module")
def spoiled(sound, tmp_path_factory):
    """A copy that is put right again after each example, and what is free in it."""
    path = tmp_path_factory.mktemp("spoiled") / "disk"
    path.write_bytes(sound)
    return path, images.free(ext, path)


@settings(max_examples=60)
@given(st.integers(0, 1023), st.integers(1, 255))
def test_no_byte_of_the_superblock_leads_astray(sound, spoiled, offset, difference):
    """Whatever one byte is changed to: the same is free, or nothing; no other error, no used block."""
    path, honest = spoiled
    images.patched(path, 1024 + offset, bytes([sound[1024 + offset] ^ difference]))
    try:
        assert images.free(ext, path) == honest
    except Refused as error:
        assert str(error)
    finally:
        images.patched(path, 1024 + offset, sound[1024 + offset : 1025 + offset])
