# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A disk that is not as long as recorded is a problem, and its message says what to do."""

from __future__ import annotations

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils.move import preflight, sizes
from ansible_collections.ganeti.cluster.plugins.module_utils.stream import probe

from .samples import MIB, examined, options, probes
from .samples import probe as node


def test_a_disk_as_long_as_recorded_is_no_problem():
    assert sizes.problems("a2", [examined(), examined(kind="device")]) == []


@pytest.mark.parametrize(
    ("disk", "words"),
    [
        (examined(18 * MIB, 16 * MIB), ["would be lost", "gnt-cluster repair-disk-sizes", f"truncate --size={16 * MIB} /srv/disk0"]),
        (examined(8 * MIB, 16 * MIB), ["less than the instance was given", "gnt-cluster repair-disk-sizes", "make it longer"]),
        (examined(1004 * MIB, 1002 * MIB, kind="device"), ["gnt-cluster repair-disk-sizes", "shrink the device"]),
        (examined(8 * MIB, 16 * MIB, kind="device"), ["grow the device"]),
        (examined(16 * MIB + 512, 16 * MIB), ["recorded in whole MiB", f"truncate --size={16 * MIB}"]),
        (examined(None, 16 * MIB, error="Cannot open the disk x: No such file."), ["could not be examined: Cannot open the disk x: No such file."]),
    ],
)
def test_the_message_says_what_to_do(disk, words):
    (problem,) = sizes.problems("a2", [examined(), disk])
    assert problem.startswith("Disk 1 on a2 ") and all(word in problem for word in words), problem


def test_the_preflight_tells_it():
    (problem,) = preflight.of_nodes(probes(source=node(disks=[examined(18 * MIB, 16 * MIB)])), options())
    assert "repair-disk-sizes" in problem


def test_the_node_measures(tmp_path):
    disk = tmp_path / "disk"
    with open(disk, "wb") as stream:
        stream.truncate(18 * MIB)
        stream.seek(17 * MIB)
        stream.write(b"the table's copy")
    found = probe.examine_disk(str(disk), 16 * MIB)
    assert found == {"path": str(disk), "recorded": 16 * MIB, "size": 18 * MIB, "kind": "file", "data": 256 * 1024, "error": None}
    assert probe.examine_disk(str(tmp_path / "absent"), MIB)["error"] == f"Cannot open the disk {tmp_path}/absent: No such file or directory."
    assert "neither a file nor a block device" in probe.examine_disk("/dev/null", MIB)["error"]
