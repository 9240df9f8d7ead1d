# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Running KVM guests that move between the releases, from files to block devices and back: their own log proves that nothing was lost.

A guest goes on from where its last move left it, as each start of a guest costs more than a move.
"""

from __future__ import annotations

import pytest

from .guest import Guest

PROVIDER = {"ext": {"ext_params": {"provider": "loopdev"}}}
SIZES = ("64M", "20M")
# Where a guest begins, on alpha with Ganeti 3.0, and where it goes: clusters, nodes and disk templates.
JOURNEYS = {
    "devices": ("ext", (("beta", "b1", "ext"), ("alpha", "a2", "file"), ("beta", "b1", "ext"))),
    "files": ("file", (("beta", "b1", "file"), ("alpha", "a2", "sharedfile"), ("beta", "b1", "file"))),
}
ALLOCATED = """
import os, subprocess, sys
total = 0
for number in range(int(sys.argv[2])):
    path = os.path.realpath(f"/var/run/ganeti/instance-disks/{sys.argv[1]}:{number}")
    if path.startswith("/dev/"):
        path = subprocess.run(["losetup", "--noheadings", "--output=BACK-FILE", path], capture_output=True, check=True, text=True).stdout.strip()
    total += os.stat(path).st_blocks // 2
print(total)
"""


def allocated(lab, guest):
    """The KiB that the disks of a guest that runs take on its node, behind devices too."""
    return int(lab.run(guest.node, "python3", "-I", "-c", ALLOCATED, guest.name, str(len(SIZES))))


@pytest.mark.parametrize("journey", JOURNEYS)
def test_a_guest_goes_from_release_to_release_and_from_template_to_template(lab, name, move, journey):
    template, stages = JOURNEYS[journey]
    guest = Guest(lab, name)
    guest.create(template, *SIZES, node="a2", rate=8)  # little, as what its log takes meanwhile is not what this measures
    guest.start()
    guest.ask("fill 8")
    for cluster, node, template in stages:
        before = allocated(lab, guest)
        with guest.watched() as seen:
            moved = move(
                source=lab.side(guest.cluster), destination=lab.side(cluster), primary_node=f"{node}.lab.example", disk_template=template,
                source_after="removed", **PROVIDER.get(template, {}),
            ).result()  # fmt: skip
        assert moved["changed"] and not moved["failed"], moved
        assert seen.stopped(), "the guest was not shut down in order"
        assert lab.fields(guest.cluster, name, "status") is None
        guest = guest.at(cluster)
        assert lab.fields(cluster, name, "pnode", "disk_template", "hypervisor", "status", "tags") == [f"{node}.lab.example", template, "kvm", "running", ""]
        guest.nothing_lost(seen.mark())
        assert allocated(lab, guest) <= before + 4096, "what was free is not free any more"


def test_a_guest_goes_to_another_node_where_ganetis_own_move_fails(lab, name, move):
    """Within a cluster of Ganeti 3.1.0~rc2, onto a node that keeps files on XFS."""
    guest = Guest(lab, name, "beta")
    guest.create("file", *SIZES, node="b1")
    guest.start()
    with guest.watched() as seen:
        moved = move(source=lab.side("beta"), destination=None, primary_node="b2.lab.example", source_after="removed").result()
    assert moved["changed"] and not moved["failed"], moved
    assert guest.node == "b2"
    guest.nothing_lost(seen.mark())
