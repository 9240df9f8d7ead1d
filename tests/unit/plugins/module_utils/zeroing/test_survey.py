# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whole disks: what is told of each of their parts, and that no byte is free that is used."""

from __future__ import annotations

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils.zeroing.maps import ext, survey
from ansible_collections.ganeti.cluster.plugins.module_utils.zeroing.maps.ranges import length_of, narrowed

from . import images
from .images import MIB

pytestmark = pytest.mark.functional


@pytest.fixture(scope="module")
def inner(tmp_path_factory):
    """A file system to be put somewhere, and what is free in it."""
    path = images.ext(tmp_path_factory.mktemp("inner") / "ext", 40 * MIB)
    return path, images.free(ext, path)


def free_on(path):
    """All free ranges of a disk."""
    with images.opened(path) as disk:
        return sorted(pair for part in survey.survey(disk) for pair in part.free)


def moved(ranges, by):
    """Ranges of a file system that lies so many bytes behind a disk's beginning, in whole granules."""
    found = [narrowed(start + by, end + by) for start, end in ranges]
    return [pair for pair in found if pair[0] < pair[1]]


def test_a_file_system_on_the_whole_disk(inner):
    path, free = inner
    assert images.parts(path) == [("whole disk", "ext4", length_of(moved(free, 0)))]
    assert free_on(path) == moved(free, 0)


@pytest.mark.parametrize("start", ["2048", "63"])
def test_partitions_one_after_another(inner, tmp_path, start):
    """Also those that begin in the middle of a page, as they did once."""
    others = ("start=45MiB, size=4MiB, type=82", "start=50MiB, size=4MiB")
    path = images.partitioned(tmp_path / "disk", 64 * MIB, "dos", f"start={start}, size={40 * 2048}", *others)
    offset = int(start) * 512
    images.placed(path, inner[0], offset)
    images.patched(path, 45 * MIB + 4086, b"SWAPSPACE2")
    free = moved(inner[1], offset)
    assert images.parts(path) == [
        ("1", "ext4", length_of(free)), ("2", "swap space", "no map is read of swap space"), ("3", None, "nothing on it is known")
    ]  # fmt: skip
    assert free_on(path) == free


def test_a_volume_in_two_pieces(inner, tmp_path):
    """A free range that lies across both is two on the disk."""
    path = images.partitioned(tmp_path / "disk", 128 * MIB, "gpt", "start=1MiB, size=100MiB, type=lvm")
    pv = images.physical(tmp_path / "pv", images.group(images.logical("root", (5, 4), (1, 3), (20, 3))), size=100 * MIB)
    images.placed(path, pv, MIB)
    with open(inner[0], "rb") as stream:
        content = stream.read()
    pieces = [(0, 16, 1 + 1 + 20), (16, 12, 1 + 1 + 4), (28, 12, 1 + 1 + 80)]
    for at, length, place in pieces:
        images.patched(path, place * MIB, content[at * MIB : (at + length) * MIB])
    expected = sorted(
        (max(start, at * MIB) + (place - at) * MIB, min(end, (at + length) * MIB) + (place - at) * MIB)
        for start, end in inner[1]
        for at, length, place in pieces
        if max(start, at * MIB) < min(end, (at + length) * MIB)
    )
    expected = moved(expected, 0)
    assert images.parts(path) == [("1, vg0/root", "ext4", length_of(expected))]
    assert free_on(path) == expected


def test_one_bad_file_system_does_not_hold_up_the_others(inner, tmp_path):
    path = images.partitioned(tmp_path / "disk", 128 * MIB, "gpt", "start=1MiB, size=40MiB", "start=50MiB, size=40MiB")
    images.placed(images.placed(path, inner[0], MIB), inner[0], 50 * MIB)
    images.patched(path, MIB + 1024 + 0x3A, b"\0\0")
    first, second = images.parts(path)
    assert first[:2] == ("1", "ext2, ext3 or ext4") and "not unmounted in order" in first[2]
    assert second == ("2", "ext4", length_of(moved(inner[1], 50 * MIB)))


def test_a_bug_of_a_reader_costs_only_its_volume(inner, monkeypatch):
    def broken(_volume):
        raise IndexError("nothing there")

    monkeypatch.setattr(survey, "_READERS", {"ext": broken})
    assert images.parts(inner[0]) == [("whole disk", "ext2, ext3 or ext4", "its reader failed (IndexError: nothing there); please report it")]


def test_partitions_that_overlap_are_left_alone(inner, tmp_path):
    path = images.partitioned(tmp_path / "disk", 128 * MIB, "dos", "start=1MiB, size=40MiB", "start=50MiB, size=40MiB", "start=100MiB, size=4MiB")
    images.placed(images.placed(path, inner[0], MIB), inner[0], 50 * MIB)
    images.patched(path, 446 + 12, (60 * 2048).to_bytes(4, "little"))
    assert [part[2] for part in images.parts(path)] == ["it overlaps another partition"] * 2 + ["nothing on it is known"]
    assert free_on(path) == []


@pytest.mark.parametrize(
    ("offset", "data", "words"),
    [
        (65536 + 64, b"_BHRfS_M", "btrfs"),
        (0, b"LUKS\xba\xbe", "LUKS"),
        (4096, bytes.fromhex("fc4e2ba9"), "RAID"),
        (40 * MIB - 65536, bytes.fromhex("fc4e2ba9"), "RAID"),
        (40 * MIB - 8192, bytes.fromhex("fc4e2ba9"), "RAID"),
        (4096 + 24, bytes.fromhex("c68573f666ce"), "bcachefs"),
        (131072 + 5 * 1024, bytes.fromhex("0cb1ba0000000000"), "ZFS"),
        (131072 + 5 * 1024, bytes.fromhex("0000000000bab10c"), "ZFS"),
        (4086, b"SWAPSPACE2", "swap"),
        (3, b"NTFS    ", "NTFS"),
        (0, b"XFSB", "XFS"),
    ],
)
def test_two_marks_are_one_too_many(inner, tmp_path, offset, data, words):
    """What an older file system has left behind says that the blocks of the newer one are free."""
    path = images.placed(images.empty(tmp_path / "disk", 40 * MIB), inner[0], 0)
    ((_name, kind, reason),) = images.parts(images.patched(path, offset, data))
    assert kind is None and words in reason and "ext2, ext3 or ext4" in reason
    assert free_on(path) == []


def test_partitions_over_a_file_system_are_left_alone(inner, tmp_path):
    path = images.placed(images.empty(tmp_path / "disk", 40 * MIB), inner[0], 0)
    images.patched(path, 446, b"\0\0\0\0\x83\0\0\0" + (2048).to_bytes(4, "little") * 2)
    images.patched(path, 510, b"\x55\xaa")
    assert images.parts(path) == [("whole disk", None, "it has partitions, and the marks of ext2, ext3 or ext4")]


def test_volumes_within_logical_volumes_are_not_looked_into(tmp_path):
    """A group within a volume of itself would have no end."""
    path = images.physical(tmp_path / "disk", images.group(images.logical("root", (0, 20))))
    inside = images.physical(tmp_path / "inside", images.group(images.logical("deep", (0, 5))), size=80 * MIB)
    images.placed(path, inside, MIB)
    assert images.parts(path) == [("whole disk, vg0/root", "a physical volume of LVM", "no map is read of a physical volume of LVM")]


ASLEEP = [("whole disk", None, "the system sleeps: it was hibernated")]


@pytest.mark.parametrize("offset, mark", [(4086, b"S1SUSPEND\0"), (4086, b"S2SUSPEND\0"), (65526, b"S1SUSPEND\0")])
def test_nothing_is_free_where_a_system_sleeps_in_a_partition(inner, tmp_path, offset, mark):
    path = images.partitioned(tmp_path / "disk", 64 * MIB, "dos", f"start=2048, size={40 * 2048}", "start=45MiB, size=4MiB, type=82")
    images.placed(path, inner[0], MIB)
    assert images.parts(path)[0][1] == "ext4"
    assert images.parts(images.patched(path, 45 * MIB + offset, mark)) == ASLEEP


def test_nothing_is_free_where_a_system_sleeps_in_a_logical_volume(inner, tmp_path):
    path = images.partitioned(tmp_path / "disk", 192 * MIB, "gpt", "start=1MiB, size=40MiB", "start=50MiB, size=100MiB, type=lvm")
    pv = images.physical(tmp_path / "pv", images.group(images.logical("root", (0, 5)), images.logical("swap", (5, 4))), size=100 * MIB)
    images.placed(images.placed(path, inner[0], MIB), pv, 50 * MIB)
    swap = (50 + 1 + 5 * 4) * MIB
    images.patched(path, swap + 4086, b"SWAPSPACE2")
    assert [part[:2] for part in images.parts(path)] == [("1", "ext4"), ("2, vg0/root", None), ("2, vg0/swap", "swap space")]
    assert images.parts(images.patched(path, swap + 4086, b"S1SUSPEND\0")) == ASLEEP


def test_nothing_is_free_where_a_system_sleeps_on_another_disk(inner):
    with images.opened(inner[0]) as disk:
        assert [part.reason for part in survey.survey(disk, asleep=True)] == ["the system sleeps: it was hibernated"]


@pytest.mark.parametrize("size", [0, 1, 511, 513, 4096, 70000])
def test_disks_too_small_for_anything_are_nothing(tmp_path, size):
    assert images.parts(images.empty(tmp_path / "disk", size)) == [("whole disk", None, "nothing on it is known")]
