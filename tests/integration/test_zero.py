# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The zeroing helper in the place of an instance's own system, started by real Ganeti. What it does to file systems is tested in tests/zeroing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from . import programs
from .guest import Guest
from .lab import MIB, ROOT, STORAGE, eventually

PLACE = Path("~/.cache/ganeti.cluster/zeroing").expanduser()
KERNEL, INITRD = "vmlinuz-zeroing", "initrd-zeroing"
pytestmark = pytest.mark.apart("zeroing")
# Makes an ext4 with 6 MiB that stay and 24 MiB whose files were removed, which nobody has discarded.
MAKE = """
set -e
disk=$(ls "$1"/*.disk0) place=$(mktemp -d)
mkdir "$place/keep" "$place/gone"
for number in 1 2 3 4 5 6; do
  head -c 1M /dev/urandom >"$place/keep/$number"
  head -c 4M /dev/urandom >"$place/gone/$number"
done
mkfs.ext4 -q -F -E nodiscard -d "$place" "$disk"
for number in 1 2 3 4 5 6; do debugfs -w -R "rm /gone/$number" "$disk" 2>/dev/null; done
rm -r "$place"
"""
# Prints the digests of the files that stay, after the file system was found whole.
READ = """
set -e
disk=$(ls "$1"/*.disk0)
e2fsck -fn "$disk" >/dev/null 2>&1
for number in 1 2 3 4 5 6; do debugfs -R "cat /keep/$number" "$disk" 2>/dev/null | sha256sum; done
"""


@pytest.fixture(scope="module")
def helper():
    """The helper in the directory that nodes have as their /boot; as the module takes it."""
    command = [sys.executable, str(ROOT / "roles/zeroing_image/files/build.py"), str(PLACE / "image"), "--packages", str(PLACE / "packages")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stderr} In the lab there is no way out: fetch the packages first, with make zeroing-helper."
    boot = Path(os.environ["GANETI_LAB_DIR"]) / "guest"
    for made, name in (("vmlinuz", KERNEL), ("initrd.img", INITRD)):
        (boot / f"{name}.new").write_bytes((PLACE / "image" / made).read_bytes())
        (boot / f"{name}.new").rename(boot / name)
    yield {"kernel_path": f"/boot/{KERNEL}", "initrd_path": f"/boot/{INITRD}"}
    for name in (KERNEL, INITRD):
        (boot / name).unlink()


@pytest.fixture
def asked(lab, name, helper):
    """What the module is told."""
    return {**lab.side("beta"), "transport": "ssh", "name": name, **helper}


def taken(lab, name, node="b1"):
    """The bytes that the instance's disk takes on its node."""
    return int(lab.run(node, "sh", "-c", f"sync; du -B1 {STORAGE}/{name}/*.disk0 | cut -f 1"))


def test_free_space_is_given_back_and_a_dead_controller_made_good(lab, name, asked):
    guest = Guest(lab, name, "beta")
    guest.create("file", "96M", node="b1")
    lab.run("b1", "sh", "-c", MAKE, "make", f"{STORAGE}/{name}")
    before, files = taken(lab, name), lab.run("b1", "sh", "-c", READ, "read", f"{STORAGE}/{name}")
    foreseen = lab.module("instance_zero", asked, options=["--check"])
    assert foreseen["changed"] and foreseen["action"] == "zero", foreseen

    program = programs.module("instance_zero", asked)
    wait_until_it_was_started(lab, name)
    programs.kill(program)
    result = lab.module("instance_zero", asked)
    assert not result["failed"] and result["changed"], result
    assert (result["method"], result["measure"]) == ("discard", "allocated")
    assert result["freed"] >= 20 * MIB and before - taken(lab, name) >= 20 * MIB
    assert lab.run("b1", "sh", "-c", READ, "read", f"{STORAGE}/{name}") == files
    assert lab.fields("beta", name, "status", "tags") == ["ADMIN_down", ""]


def wait_until_it_was_started(lab, name):
    """The tag of that is there as soon as the job has begun."""
    eventually(lambda: ":discard:" in str((lab.fields("beta", name, "tags") or [""])[0]), 120, "the helper is being started")


def test_free_space_is_given_back_before_a_move_and_not_sent(lab, name, helper, move):
    Guest(lab, name, "beta").create("file", "96M", node="b1")
    lab.run("b1", "sh", "-c", MAKE, "make", f"{STORAGE}/{name}")
    before, files = taken(lab, name), lab.run("b1", "sh", "-c", READ, "read", f"{STORAGE}/{name}")
    way = {"source": lab.side("beta"), "destination": lab.side("alpha"), "primary_node": "a2.lab.example"}
    asked = {**way, **{f"zeroing_{option}": value for option, value in helper.items()}}
    left = move(check_mode=True, zero_free_space="auto", **asked).result()
    counted = re.match(r"(\d+) MiB are free and take storage: ", left["zeroing"]["reason"])
    assert counted and 20 <= int(counted[1]) <= 30 and not left["zeroing"]["done"], left  # which is sooner copied than the helper has booted

    moved = move(zero_free_space=True, verify="readback", **asked).result()
    assert moved["changed"] and not moved["failed"], moved
    told = moved["zeroing"]
    assert (told["done"], told["method"], told["measure"]) == (True, "discard", "allocated") and told["freed"] >= 20 * MIB, told
    assert moved["payload"] <= before - 20 * MIB and taken(lab, name, "a2") <= before - 20 * MIB, "what was free was sent all the same"
    assert lab.run("a2", "sh", "-c", READ, "read", f"{STORAGE}/{name}") == files
    assert lab.fields("alpha", name, "status", "tags") == ["ADMIN_down", ""]
    again = move(zero_free_space=True, **asked).result()
    assert not again["failed"] and not again["changed"], again


def test_one_that_runs_is_running_again_and_has_lost_nothing(lab, name, asked):
    guest = Guest(lab, name, "beta")
    guest.create("file", "64M", node="b1", rate=64)
    guest.start()
    refused = lab.module("instance_zero", asked)
    assert refused["failed"] and "set shutdown" in refused["msg"], refused
    with guest.watched() as watch:
        result = lab.module("instance_zero", {**asked, "shutdown": True})
        mark = watch.mark()
    assert not result["failed"] and not result["changed"], result
    assert [(each["device"], each["zeroed"]) for each in result["filesystems"]] == [("vda", False)]
    assert watch.stopped(), "it was not shut down in order"
    assert lab.fields("beta", name, "status", "tags") == ["running", ""]
    guest.nothing_lost(mark)


def test_a_helper_that_does_not_boot_is_told_and_nothing_changes(lab, name, asked):
    guest = Guest(lab, name, "beta")
    guest.create("file", "16M", node="b1")
    lab.run("b1", "sh", "-c", f"dd if=/dev/urandom of=$(ls {STORAGE}/{name}/*.disk0) bs=1M count=4 conv=notrunc,fsync status=none")
    with_its_own = {**asked, "initrd_path": f"/boot/{KERNEL}", "zeroing_timeout_fixed": 60}  # no archive at all
    result = lab.module("instance_zero", with_its_own)
    assert result["failed"] and f"{name} is as it was." in result["msg"], result
    assert lab.fields("beta", name, "status", "tags") == ["ADMIN_down", ""]
