# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Partition tables as sfdisk writes them; and hostile ones."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ganeti.cluster.plugins.module_utils.zeroing.maps import partitions
from ansible_collections.ganeti.cluster.plugins.module_utils.zeroing.maps.partitions import Partition
from ansible_collections.ganeti.cluster.plugins.module_utils.zeroing.maps.volume import Refused

from . import images
from .images import MIB

pytestmark = pytest.mark.functional


def found(path):
    """The partitions of a disk: numbers, and places in MiB."""
    with images.opened(path) as disk:
        return [(each.number, each.start / MIB, each.length / MIB) for each in partitions.partitions(disk)]


@pytest.fixture
def gpt(tmp_path):
    """A disk with a GPT."""
    return images.partitioned(tmp_path / "gpt", 64 * MIB, "gpt", "start=1MiB, size=10MiB", "start=11MiB, size=20MiB, type=lvm", "start=40MiB, size=8MiB")


@pytest.fixture
def mbr(tmp_path):
    """A disk with primary and logical partitions."""
    lines = ("start=1MiB, size=10MiB, bootable", "start=12MiB, size=40MiB, type=5", "start=53MiB, size=2MiB", "start=56MiB, size=2MiB")
    return images.partitioned(tmp_path / "mbr", 64 * MIB, "dos", *lines, "start=13MiB, size=4MiB", "start=18MiB, size=5MiB", "start=24MiB, size=6MiB")


def test_a_gpt_is_read(gpt):
    assert found(gpt) == [(1, 1, 10), (2, 11, 20), (3, 40, 8)]


def test_an_mbr_is_read_with_logical_partitions(mbr):
    assert found(mbr) == [(1, 1, 10), (3, 53, 2), (4, 56, 2), (5, 13, 4), (6, 18, 5), (7, 24, 6)]


@pytest.mark.parametrize("size", [0, 512, 64 * MIB])
def test_a_disk_without_a_table_has_none(tmp_path, size):
    assert found(images.empty(tmp_path / "disk", size)) == []


@pytest.mark.parametrize("offset", [512 + 24, 512 + 100 - 12, 1024 + 40])
def test_a_gpt_that_does_not_match_its_checksum_is_refused(gpt, offset):
    with pytest.raises(Refused, match="does not match its checksum"):
        found(images.patched(gpt, offset, bytes([images.number_at(gpt, offset, 1) ^ 1])))


@pytest.mark.parametrize(
    ("offset", "data"),
    [
        (512 + 80, struct.pack("<I", 1 << 20)),  # entries
        (512 + 84, struct.pack("<I", 8)),  # their width
        (512 + 24, struct.pack("<Q", 9)),  # its own place
    ],
)
def test_a_gpt_of_another_shape_is_refused(gpt, offset, data):
    with pytest.raises(Refused, match="GPT"):
        found(images.seal_gpt(images.patched(gpt, offset, data)))


@pytest.mark.parametrize(("first", "last"), [(2048, 1 << 40), (2048, 2047), (0, 5), (131071, 131072), (1 << 63, (1 << 63) + 5)])
def test_a_partition_beyond_the_end_is_refused(gpt, first, last):
    with pytest.raises(Refused, match="beyond its end"):
        found(images.seal_gpt(images.patched(gpt, 1024 + 32, struct.pack("<QQ", first, last))))


def test_a_gpt_whose_entries_are_beyond_the_end_is_refused(gpt):
    head = bytearray(gpt.read_bytes()[512:604])
    struct.pack_into("<Q", head, 72, 1 << 50)
    struct.pack_into("<I", head, 16, 0)
    struct.pack_into("<I", head, 16, partitions.zlib.crc32(bytes(head)))
    with pytest.raises(Refused, match="it wants .* bytes read"):
        found(images.patched(gpt, 512, bytes(head)))


def test_tables_that_contradict_each_other_are_refused(gpt, mbr):
    """A GPT without its protective record, one with another partition in it, a protective record without a GPT."""
    with pytest.raises(Refused, match="contradict"):
        found(images.patched(gpt, 446, bytes(64)))
    hybrid = struct.pack("<B3xB3xIIB3xB3xII", 0, 0xEE, 1, 100, 0, 0x83, 2048, 4096)
    with pytest.raises(Refused, match="contradict"):
        found(images.patched(gpt, 446, hybrid))
    with pytest.raises(Refused, match="contradict"):
        found(images.patched(mbr, 446 + 4, b"\xee"))


def entry(kind, start, count):
    """An entry of a boot record."""
    return struct.pack("<B3xB3xII", 0, kind, start, count)


def chained(path, place, *entries):
    """Replace the record of a logical partition, at a MiB."""
    return images.patched(path, place * MIB + 446, b"".join(entries).ljust(64, b"\0") + b"\x55\xaa")


LOGICAL = entry(0x83, 2048, 8192)


@pytest.mark.parametrize(
    ("second", "words"),
    [
        (entry(0x05, 0, 100), "leads astray"),  # to the first: a loop
        (entry(0x05, 0x7FFFFFFF, 100), "leads astray"),
        (entry(0x05, 20 * 2048, 100), "is broken"),  # nothing is there
    ],
)
def test_a_chain_that_leads_astray_is_refused(mbr, second, words):
    with pytest.raises(Refused, match=words):
        found(chained(mbr, 12, LOGICAL, second))


def test_a_logical_partition_beyond_the_extended_one_is_refused(mbr):
    with pytest.raises(Refused, match="beyond the extended one"):
        found(chained(mbr, 12, entry(0x83, 2048, 0x7FFFFFFF)))


def test_a_boot_sector_of_a_file_system_is_no_table(mbr):
    assert found(images.patched(mbr, 446, b"\x13")) == []


@pytest.mark.parametrize("guid", ["AF9B60A0-1431-4F62-BC68-3311714A69AD", "5808C8AA-7E8F-42E0-85D2-E1E90434CFB3"])
def test_a_dynamic_disk_with_a_gpt_is_refused(tmp_path, guid):
    path = images.partitioned(tmp_path / "disk", 64 * MIB, "gpt", "start=1MiB, size=10MiB", f"start=11MiB, size=20MiB, type={guid}")
    with pytest.raises(Refused, match="it is a dynamic disk of Windows"):
        found(path)


@pytest.mark.parametrize("line", ["start=53MiB, size=2MiB, type=42", "start=13MiB, size=4MiB, type=42"])
def test_a_dynamic_disk_with_an_mbr_is_refused(tmp_path, line):
    path = images.partitioned(tmp_path / "disk", 64 * MIB, "dos", "start=1MiB, size=10MiB", "start=12MiB, size=40MiB, type=5", line)
    with pytest.raises(Refused, match="it is a dynamic disk of Windows"):
        found(path)


RANGES = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 10)), max_size=8)


@given(RANGES)
def test_partitions_that_share_bytes_are_known(places):
    all_of_them = [Partition(number, start, length) for number, (start, length) in enumerate(places)]
    expected = {
        one.number
        for one in all_of_them
        for other in all_of_them
        if one is not other and max(one.start, other.start) < min(one.start + one.length, other.start + other.length)
    }
    told = partitions.overlapping(all_of_them)
    assert told <= expected and bool(told) == bool(expected)
    apart = [each for each in all_of_them if each.number not in told]
    assert not partitions.overlapping(apart)


@given(st.binary(min_size=64, max_size=64))
def test_no_record_leads_astray(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "record"
    images.patched(images.patched(images.empty(path, MIB), 446, data), 510, b"\x55\xaa")
    try:
        assert all(start >= 0 and start + length <= 1 for _number, start, length in found(path))
    except Refused as error:
        assert str(error)
