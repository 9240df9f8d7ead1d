# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's own provider of block devices, by itself: loop devices are the machine's, so it must find its own and leave all others alone."""

from __future__ import annotations

import secrets

import pytest

MIB = 1024 * 1024
NODES = ("a1", "b1")  # one of each release


class Volumes:
    """Volumes of one name, on any node."""

    def __init__(self, lab):
        self.lab = lab
        self.name = f"test-{secrets.token_hex(4)}.ext.disk0"
        self.path = f"/srv/ganeti/extstorage/{self.name}"

    def call(self, node, command, **variables):
        """Run a script of the provider, as Ganeti does; return what it says."""
        given = [f"VOL_{key.upper()}={value}" if key.islower() else f"{key}={value}" for key, value in {"name": self.name, **variables}.items()]
        return self.lab.run(node, "env", *given, f"/usr/share/ganeti/extstorage/loopdev/{command}").strip()

    def allocated(self, node):
        """The KiB that the file takes."""
        return int(self.lab.run(node, "stat", "--format=%b", self.path)) // 2


@pytest.fixture
def volumes(lab):
    """Volumes, of which nothing stays."""
    made = Volumes(lab)
    yield made
    for node in NODES:
        made.call(node, "remove")


@pytest.mark.parametrize("node", NODES)
def test_a_disk_from_its_beginning_to_its_end(lab, volumes, node):
    volumes.call(node, "create", size=5)
    device = volumes.call(node, "attach")
    assert volumes.call(node, "attach") == device
    assert int(lab.run(node, "blockdev", "--getsize64", device)) == 5 * MIB

    lab.run(node, "dd", "if=/dev/urandom", f"of={device}", "bs=1M", "count=4", "conv=fsync", "status=none")
    full = volumes.allocated(node)
    assert full >= 4096
    lab.run(node, "blkdiscard", "--offset=0", f"--length={2 * MIB}", device)
    assert volumes.allocated(node) <= full - 2048

    volumes.call(node, "grow", size=5, new_size=9)
    assert int(lab.run(node, "blockdev", "--getsize64", device)) == 9 * MIB

    volumes.call(node, "detach")
    assert lab.run(node, "losetup", "--noheadings", "--output=NAME", "--associated", volumes.path) == ""
    volumes.call(node, "detach")
    volumes.call(node, "remove")
    assert lab.run(node, "find", "/srv/ganeti/extstorage", "-name", f"{volumes.name}*") == ""


def test_two_of_one_name_are_never_taken_for_each_other(lab, volumes):
    devices = {}
    for node in NODES:
        volumes.call(node, "create", size=4)
        devices[node] = volumes.call(node, "attach")
        lab.run(node, "sh", "-c", f"echo {node} | dd of={devices[node]} conv=fsync status=none")
    first, second = NODES
    assert devices[first] != devices[second]
    volumes.call(first, "remove")
    assert volumes.call(second, "attach") == devices[second]
    assert lab.run(second, "head", "--bytes=3", volumes.path) == f"{second}\n"


@pytest.mark.parametrize("node", NODES)
def test_the_parameter_takes_the_disk_s_space_at_once_or_is_refused(volumes, node):
    volumes.call(node, "create", size=4, EXTP_ALLOCATION="full")
    assert volumes.allocated(node) >= 4096
    volumes.call(node, "remove")
    with pytest.raises(AssertionError, match="allocation is sparse or full, not some"):
        volumes.call(node, "create", size=4, EXTP_ALLOCATION="some")
