# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A whole zeroing of a stopped instance, with the programs that nodes run and a QEMU as Ganeti starts it; only the jobs are carried out here."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils.guest import attend, on_node
from ansible_collections.ganeti.cluster.plugins.module_utils.zeroing.stage import Settings, Target, Zeroing
from ansible_collections.ganeti.cluster.tests.unit.plugins.module_utils.zeroing.local import Local

from .disks import MIB
from .machine import ID
from .test_helper import aged

NAME = "web.example.com"


class Node:
    """A node with the directories of Ganeti's KVM hypervisor, and one instance; a stage."""

    start = Local

    def __init__(self, place, disk, honours):
        self.place, self.disk, self.honours = place, disk, honours
        self.told, self.starts = [], []

    def job(self, opcodes, label):
        return [getattr(self, opcode["OP_ID"].lower())(opcode) for opcode in opcodes]

    def taking(self, counted):
        return []

    def heed(self):
        pass

    def tell(self, phase, percent=None):
        self.told.append((phase, percent))

    def op_instance_shutdown(self, opcode):
        pid = attend_pid(self.place)
        if pid is not None:
            os.kill(pid, signal.SIGKILL)

    def op_instance_activate_disks(self, opcode):
        return [["node", "disk/0", str(self.disk)]]

    def op_instance_startup(self, opcode):
        parameters = opcode["hvparams"]
        self.starts.append(parameters["disk_discard"])
        discard = parameters["disk_discard"] if self.honours else "ignore"
        append = f"root={parameters['root_path']} {parameters['kernel_args']} console=ttyS0,38400"
        subprocess.run(
            ["qemu-system-x86_64", "-name", NAME, "-m", "256", "-machine", "pc", "-accel", "tcg", "-cpu", "max", "-no-reboot", "-nodefaults",
             "-display", "none", "-daemonize", "-pidfile", f"{self.place}/pid/{NAME}", "-serial", f"unix:{self.place}/ctrl/{NAME}.serial,server=on,wait=off",
             "-kernel", parameters["kernel_path"], "-initrd", parameters["initrd_path"], "-append", append,
             "-drive", f"file={self.disk},format=raw,if=none,id=disk0,discard={discard}", "-device", "virtio-blk-pci,drive=disk0"],
            check=True, timeout=120, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )  # fmt: skip


def attend_pid(place):
    """The process of the instance, if it lives."""
    try:
        pid = int((place / "pid" / NAME).read_text())
        os.kill(pid, 0)
    except (FileNotFoundError, ProcessLookupError):
        return None
    return pid


@pytest.mark.parametrize("honours", [True, False])
def test_it_is_zeroed_by_discarding_and_where_that_is_ignored_by_writing(tmp_path, image, monkeypatch, honours):
    for name in ("pid", "ctrl"):
        (tmp_path / name).mkdir()
    text = on_node.text_of
    monkeypatch.setattr(on_node, "text_of", lambda module: text(module).replace(attend.PLACE, str(tmp_path)))
    disk = aged(tmp_path / "disk", ("ext4", 64))
    files = disk.files(disk.parts[0])
    node = Node(tmp_path, disk.path, honours)
    target = Target(NAME, "u", "node", (disk.path.stat().st_size // MIB,), {"minmem": 256, "maxmem": 256})
    settings = Settings(str(image / "vmlinuz"), str(image / "initrd.img"))
    report = Zeroing(node, target, settings, ID).run()
    assert node.starts == (["unmap"] if honours else ["unmap", "ignore"])
    assert (report.method, report.verdict.measure) == (("discard", "allocated") if honours else ("write", "data"))
    assert report.verdict.freed > 17 * MIB and report.account.ended == "finished"
    assert ("zero vda1 (ext4)", 0) in node.told
    assert attend_pid(tmp_path) is None and disk.files(disk.parts[0]) == files
