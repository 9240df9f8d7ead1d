# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the zeroing helper decides, by its own functions with devices and programs of a test; tests/zeroing boots it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

HELPER = Path(__file__).resolve().parents[3] / "roles/zeroing_image/files/zeroing-helper.sh"
FAKES = """
lvm() {
  case "$*" in
    vgs*) echo ' vg0|wz--n-' ;;
    *segtype*) echo ' vg0|root|-wi-a-----|linear'; echo ' vg0|swap|-wi-a-----|linear' ;;
    *minor?vg0/root) echo ' 254:0' ;;
    *minor?vg0/swap) echo ' 254:1' ;;
  esac
}
blkid() { shift 3; [ -e "$1.blkid" ] && cat "$1.blkid" || return 2; }
load() { :; }
"""
TOUCHED = """
zero_filesystem() { done_with 1; }
zero_swap() { done_with 1; }
"""


class Machine:
    """Disks, their partitions, and a shell that has the helper's functions."""

    def __init__(self, path):
        self.path = path
        for name in ("run", "dev", "sys/dev/block", "mnt"):
            (path / name).mkdir(parents=True)
        for number in (0, 1):
            (path / f"sys/block/dm-{number}").mkdir(parents=True)
            (path / f"sys/dev/block/254:{number}").symlink_to(path / f"sys/block/dm-{number}")

    def disk(self, name, *found, record=bytes(512)):
        """A disk whose partitions are what blkid finds."""
        (self.path / "dev" / name).write_bytes(record)
        for number, each in enumerate(found, 1):
            place = self.path / "sys/block" / name / f"{name}{number}"
            place.mkdir(parents=True)
            (place / "partition").write_text(f"{number}")
            (place / "size").write_text("2048")
            self.device(f"{name}{number}", each)

    def device(self, name, found, content=bytes(8192)):
        """A device, with what blkid finds on it."""
        (self.path / "dev" / name).write_bytes(content)
        (self.path / "dev" / f"{name}.blkid").write_text(found)

    def run(self, code):
        """Run something with the helper's functions; what it said."""
        text = HELPER.read_text().partition("\ntrap ")[0].replace("/usr/sbin/", "").replace("/dev/$", f"{self.path}/dev/$")
        text = text.replace(">$tty", ">>$tty")
        for name in ("run", "sys"):
            text = text.replace(f"/{name}/", f"{self.path}/{name}/")
        text = text.replace("place=/mnt", f"place={self.path}/mnt").replace("tty=/dev/ttyS0", f"tty={self.path}/said")
        (self.path / "said").touch()
        argv = ["sh", "-c", f"{text}\n{FAKES}\n{code}"]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
        lines = [json.loads(line) for line in (self.path / "said").read_text().splitlines() if line]
        return done, [(each["event"], each.get("device"), each.get("why")) for each in lines if each["event"] != "progress"]


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


DYNAMIC = ("0x42", "AF9B60A0-1431-4F62-BC68-3311714A69AD", "5808c8aa-7e8f-42e0-85d2-e1e90434cfb3")


@pytest.mark.parametrize("kind", DYNAMIC)
def test_a_dynamic_disk_of_windows_is_left_alone_and_others_are_not(machine, kind):
    machine.disk("vda", "TYPE=ntfs\nPART_ENTRY_TYPE=0x7\n", f"PART_ENTRY_TYPE={kind}\n")
    machine.disk("vdb", "TYPE=ntfs\nPART_ENTRY_TYPE=0x7\n")
    _done, said = machine.run(f"{TOUCHED}\ndisks='vda vdb'\nvisit_disks")
    assert said == [("left", "vda", "a dynamic disk of Windows"), ("zeroed", "vdb1", None)]


def test_a_dynamic_disk_is_known_where_the_kernel_shows_its_volumes(machine):
    """Then what it shows are no entries of the table, and have no type."""
    record = bytes(466) + b"\x42" + bytes(43) + b"\x55\xaa"
    machine.disk("vda", "TYPE=ntfs\n", record=record)
    _done, said = machine.run(f"{TOUCHED}\ndisks=vda\nvisit_disks")
    assert said == [("left", "vda", "a dynamic disk of Windows")]


def asleep(mark):
    """A first page with a mark of a swap space."""
    return bytes(4086) + mark + bytes(4096)


@pytest.mark.parametrize(
    "mark, found, sleeps", [(b"S1SUSPEND\0", "TYPE=swsuspend\n", True), (b"S2SUSPEND\0", "", True), (b"SWAPSPACE2", "TYPE=swap\n", False)]
)
def test_a_system_that_sleeps_in_a_logical_volume_is_seen_before_anything_is_touched(machine, mark, found, sleeps):
    machine.disk("vda", "TYPE=ext4\n", "TYPE=LVM2_member\n")
    machine.device("dm-0", "TYPE=ext4\n")
    machine.device("dm-1", found, asleep(mark))
    done, said = machine.run("disks=vda\nsleeps")
    assert (done.returncode == 0, said) == (sleeps, [])


def test_volumes_are_visited_behind_the_partitions(machine):
    machine.disk("vda", "TYPE=ext4\n", "TYPE=LVM2_member\n")
    machine.device("dm-0", "TYPE=ext4\n")
    machine.device("dm-1", "TYPE=swap\n")
    _done, said = machine.run(f"{TOUCHED}\ndisks=vda\nsleeps || visit_disks")
    assert said == [("zeroed", "vda1", None), ("zeroed", "vg0/root", None), ("zeroed", "vg0/swap", None)]


FREEING = """
is_clean() { :; }; attach() { :; }; detach() { :; }; at='"disk":0,"device":"x","fs":"ext4"'
fill() { bytes=7; }; discard_free() { bytes=9; }; discards() { [ -z "$refused" ]; }
number() { echo SWAPSPACE2; }; hexdump() { echo SWAPSPACE2; }
"""


@pytest.mark.parametrize("what", ["zero_filesystem ext4 x", "zero_swap x"])
def test_what_does_not_take_discards_is_not_filled_instead(machine, what):
    """A sparse disk would grow by it, though somebody has asked for discards."""
    code = f"{FREEING}\nmode=discard refused=1\n{what}".replace("discards()", "blkdiscard() { :; }; blockdev() { echo 8192; }; discards()")
    _done, said = machine.run(code)
    assert said == [("left", "x", "does not take discards")]


@pytest.mark.parametrize("mode, bytes_told", [("discard", 9), ("write", 7)])
def test_a_file_system_is_freed_as_was_asked_for(machine, mode, bytes_told):
    done, said = machine.run(f"{FREEING}\nmode={mode} refused=''\nzero_filesystem ext4 x\necho $total")
    assert said == [("zeroed", "x", None)] and done.stdout.split() == [str(bytes_told)]
