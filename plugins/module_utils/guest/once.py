# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Starting an instance once with another system than its own, without a word of that in its configuration.

1. OP_INSTANCE_STARTUP takes parameters for this one start (Ganeti: LUInstanceStartup). Nothing stores them, so the next start is the instance's own.
2. It is started with ``no_remember``: for Ganeti it stays an instance that is to be down. The watcher starts only those that are to be up
   (Ganeti: watcher, status ERROR_down), so it does not start this one when the other system has powered off; and leaves it alone while it runs.
3. Where something runs already, Ganeti's opcode succeeds and does nothing. So whoever starts one looks at the command line of what runs
   (:mod:`attend`), which holds a mark of this very start.
"""

from __future__ import annotations

import typing as t

from ..api.opcodes import opcode

LEAST_MEMORY = 256
"""MiB that a small system with its initial RAM disk needs, and is given for its one start where the instance has less."""


class System(t.NamedTuple):
    """A system that is booted once: files on the node, and the words that the kernel is given."""

    kernel: str
    initrd: str
    arguments: t.Tuple[str, ...]


def parameters(system: System, discard: bool) -> t.Dict[str, t.Any]:
    """The hypervisor parameters of KVM for one start of *system*: what it needs, whatever the instance has; the others stay the instance's."""
    return {
        "kernel_path": system.kernel,
        "initrd_path": system.initrd,
        "root_path": "/dev/none",
        "kernel_args": " ".join(system.arguments),
        "serial_console": True,
        "acpi": True,
        "reboot_behavior": "exit",
        "disk_type": "paravirtual",
        "machine_version": "",  # QEMU's default: disks of old machines take no discards
        "disk_discard": "unmap" if discard else "ignore",
        "boot_order": "disk",
        "cdrom_image_path": "",
        "cdrom2_image_path": "",
        "floppy_image_path": "",
    }


def memory(beparams: t.Mapping[str, t.Any]) -> t.Dict[str, int]:
    """The backend parameters for one start: more memory where the instance has too little."""
    return {name: LEAST_MEMORY for name in ("minmem", "maxmem") if int(beparams.get(name) or 0) < LEAST_MEMORY}


def start(name: str, uuid: str, beparams: t.Mapping[str, t.Any], hvparams: t.Mapping[str, t.Any]) -> t.Dict[str, t.Any]:
    """The opcode of such a start."""
    return opcode("OP_INSTANCE_STARTUP", instance_name=name, instance_uuid=uuid, no_remember=True, hvparams=dict(hvparams), beparams=memory(beparams))
