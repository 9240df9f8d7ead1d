# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A start with another system than its own: what it is given, and that Ganeti is not to remember it."""

from __future__ import annotations

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils.guest import once

SYSTEM = once.System("/var/lib/x/vmlinuz", "/var/lib/x/initrd.img", ("a=b", "quiet"))


def test_the_start_is_not_remembered_and_its_parameters_are_for_once():
    started = once.start("web", "u-1", {"minmem": 512, "maxmem": 1024}, once.parameters(SYSTEM, True))
    assert (started["OP_ID"], started["no_remember"], started["instance_uuid"], started["beparams"]) == ("OP_INSTANCE_STARTUP", True, "u-1", {})
    hvparams = started["hvparams"]
    assert (hvparams["kernel_path"], hvparams["initrd_path"], hvparams["kernel_args"]) == ("/var/lib/x/vmlinuz", "/var/lib/x/initrd.img", "a=b quiet")
    assert hvparams["disk_discard"] == "unmap" and once.parameters(SYSTEM, False)["disk_discard"] == "ignore"
    assert hvparams["serial_console"] and hvparams["reboot_behavior"] == "exit"
    assert hvparams["machine_version"] == ""  # which is QEMU's default for Ganeti, whatever the instance pins


@pytest.mark.parametrize(
    "own, given",
    [({"minmem": 96, "maxmem": 96}, {"minmem": 256, "maxmem": 256}), ({"minmem": 96, "maxmem": 512}, {"minmem": 256}), ({"minmem": 256, "maxmem": 256}, {})],
)
def test_a_small_instance_gets_memory_for_it(own, given):
    assert once.memory(own) == given
