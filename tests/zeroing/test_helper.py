# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the helper does to real file systems: every file stays, checkers have nothing to say, and this machine's own count falls."""

from __future__ import annotations

import pytest

from .conftest import build
from .disks import MIB, Image, digest, run

ALL = (("ext4", 64), ("xfs", 320), ("btrfs", 128), ("ntfs", 48), ("vfat", 48), ("ext2", 48), ("swap", 32), ("lvm", 96))
LOST = 20


def aged(path, *wanted):
    """A disk of which each file system has lost some files."""
    disk = Image(path, *wanted)
    for number, part in enumerate(disk.parts):
        if part.kind == "swap":
            disk.scribble(part)
        else:
            disk.age(part, 8, LOST, number)
    return disk


def filesystems(disk):
    """The parts with files."""
    return [part for part in disk.parts if part.kind != "swap"]


@pytest.mark.parametrize(("mode", "discard"), [("discard", "unmap"), ("write", "ignore")])
def test_free_space_is_gone_and_nothing_else(tmp_path, boot, mode, discard):
    disk = aged(tmp_path / "disk", *ALL)
    before, files, swap = disk.taken, [disk.files(part) for part in filesystems(disk)], disk.first_page(disk.parts[6])
    account = boot(disk.path, mode=mode, discard=discard).to_the_end()
    assert account.ended == "finished"
    assert [(place.device, place.fs) for place in account.places if place.event == "zeroed"] == [
        ("vda1", "ext4"), ("vda2", "xfs"), ("vda3", "btrfs"), ("vda4", "ntfs"), ("vda5", "vfat"), ("vda6", "ext2"), ("vda7", "swap"), ("guest/root", "ext4"),
    ]  # fmt: skip
    if mode == "write":
        run("fallocate", "--dig-holes", str(disk.path))  # what is zero takes nothing then, so that the same count tells
    assert before - disk.taken > (LOST - 2) * len(files) * MIB
    for part, known in zip(filesystems(disk), files):
        disk.is_sound(part)
        assert disk.files(part) == known
    assert disk.first_page(disk.parts[6]) == swap


def test_what_is_ignored_by_the_node_frees_nothing_whatever_the_guest_says(tmp_path, boot):
    disk = aged(tmp_path / "disk", ("ext4", 100))
    before = disk.taken
    account = boot(disk.path, discard="ignore").to_the_end()
    assert [place.bytes > LOST * MIB for place in account.places if place.event == "zeroed"] == [True]
    assert disk.taken >= before - MIB


def test_what_was_not_closed_in_order_stays_as_it_is(tmp_path, boot):
    """Copies of file systems that are mounted, those that are marked as in use or for a check, and what nobody knows."""
    disk = aged(tmp_path / "disk", ("ext4", 64), ("xfs", 320), ("btrfs", 128), ("vfat", 48), ("ntfs", 48), ("ext2", 48), ("swap", 16))
    for part in disk.parts[:3]:
        disk.crash(part)
    disk.poke(disk.parts[3], 65, b"\x01")  # in use, as Linux marks it
    with disk.device(disk.parts[4]) as device:
        run("ntfsfix", device)  # which marks it for a check
    disk.poke(disk.parts[5], 1024 + 58, b"\x00\x00")  # not closed, without a journal
    disk.poke(disk.parts[6], 0, bytes(4096))
    known = digest(disk.path)
    account = boot(disk.path).to_the_end()
    assert account.ended == "finished"
    assert [(place.device, place.event) for place in account.places] == [(f"vda{number}", "left") for number in range(1, 8)], account.places
    assert digest(disk.path) == known


def test_a_disk_that_sleeps_is_left_alone(tmp_path, boot):
    disk = aged(tmp_path / "disk", ("ext4", 64), ("swap", 16))
    disk.poke(disk.parts[1], 4086, b"S1SUSPEND\0")
    known = digest(disk.path)
    account = boot(disk.path).to_the_end()
    assert account.ended == "asleep" and not account.places
    assert digest(disk.path) == known


def test_a_full_file_system_stays_full_and_whole(tmp_path, boot):
    disk = Image(tmp_path / "disk", ("ext4", 64))
    (part,) = disk.parts
    with disk.mounted(part) as place, open(place / "all", "wb", buffering=0) as stream, pytest.raises(OSError, match="No space"):
        while True:
            stream.write(b"x" * 65536)
    known = disk.files(part)
    assert boot(disk.path, mode="write").to_the_end().ended == "finished"
    disk.is_sound(part)
    assert disk.files(part) == known


def test_the_power_button_ends_it_and_nothing_stays(tmp_path, boot):
    disk = Image(tmp_path / "disk", ("ext4", 1200), ("ext4", 64))
    disk.age(disk.parts[0], 4, 4)
    known = disk.files(disk.parts[0])
    machine = boot(disk.path, mode="write")
    for message in machine.messages():
        if message.event == "progress" and message.percent > 0:
            machine.press_power_button()
            break
    account = machine.to_the_end()
    assert account.ended == "interrupted" and not account.places
    disk.is_sound(disk.parts[0])
    assert disk.files(disk.parts[0]) == known


def test_its_own_disk_boots_and_is_left_alone(tmp_path, boot):
    """As Ganeti's own zeroing boots it, before the instance's disks."""
    disk = aged(tmp_path / "disk", ("ext4", 64))
    known = disk.files(disk.parts[0])
    account = boot(disk.path, bootable=True, discard="ignore").to_the_end()
    assert account.ended == "finished"
    assert [(place.disk, place.device, place.event) for place in account.places] == [(1, "vdb1", "zeroed")]
    run("fallocate", "--dig-holes", str(disk.path))
    assert disk.taken < 16 * MIB
    assert disk.files(disk.parts[0]) == known


def test_the_same_packages_give_the_same_bytes(tmp_path, image):
    assert build(image) == "unchanged" == build(image, "--check")
    assert build(tmp_path, "--check") == "changed" and not list(tmp_path.iterdir())
    assert build(tmp_path) == "changed"
    for name in ("vmlinuz", "initrd.img", "disk.img", "manifest.json"):
        assert (tmp_path / name).read_bytes() == (image / name).read_bytes()
    (tmp_path / "initrd.img").write_bytes(b"")
    assert build(tmp_path, "--check") == "changed"
