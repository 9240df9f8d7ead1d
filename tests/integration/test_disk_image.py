# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images adopted on nodes, of Debian 12 and 13: with the modules through Ansible, Debian's own Python, qemu-img and bwrap there."""

from __future__ import annotations

import pytest

LIBRARY = "/usr/lib/x86_64-linux-gnu/libcrypto.so.3"
SIZE = 9 * 1024 * 1024 + 512
MAKE = """
set -eu
cd "$1"
truncate -s "$2" original
dd if="$3" of=original bs=64k count=32 seek=20 conv=notrunc status=none
qemu-img convert -f raw -O qcow2 original disk.qcow2
qemu-img convert -f raw -O vmdk -o subformat=twoGbMaxExtentSparse original split.vmdk
qemu-img create -q -f qcow2 -b "$PWD/original" -F raw overlay.qcow2
printf '# Disk DescriptorFile\\nversion=1\\nCID=1\\nparentCID=ffffffff\\ncreateType="monolithicFlat"\\nRW 4 FLAT "/etc/passwd" 0\\n' >evil.vmdk
truncate -s 10M wanted
dd if=original of=wanted bs=64k conv=notrunc,sparse status=none
sha256sum original wanted
"""


class Node:
    """Runs of the modules on a node, in a directory of the test's own."""

    def __init__(self, lab, node, path):
        self.lab, self.node, self.path = lab, node, path
        lab.run(node, "mkdir", "-p", path)
        lines = lab.run(node, "sh", "-c", MAKE, "make", path, str(SIZE), LIBRARY).splitlines()
        self.digests = {line.split()[1]: line.split()[0] for line in lines}

    def __call__(self, module, *options, **given):
        paths = {key: f"{self.path}/{given.pop(key)}" for key in ("src", "dest", "path") if key in given}
        result = self.lab.module(module, {**paths, **given}, f"{self.node}.lab.example", options)
        assert "Traceback" not in result["shown"], result
        return result

    def look(self, **given):
        result = self("disk_image_info", **given)
        assert not result["failed"] and not result["changed"], result
        return result["image"]

    def twice(self, **given):
        """Rehearse it, do it, and see that it is done; the first result, and the digest and the allocated KiB of what there is."""
        rehearsed = self("disk_image", "--check", "--diff", **given)
        assert rehearsed["changed"] and not rehearsed["failed"] and given["dest"] not in self.files(), rehearsed
        first = self("disk_image", **given)
        assert first["changed"] and not first["failed"], first
        again = self("disk_image", **given)
        assert not again["failed"] and not again["changed"] and again["compared"], again
        made = f"{self.path}/{given['dest']}"
        digest, allocated = self.lab.run(self.node, "sh", "-c", 'sha256sum "$1" | cut -c1-64; du -k "$1" | cut -f1', "see", made).split()
        return first, digest, int(allocated)

    def files(self):
        return self.lab.run(self.node, "ls", "-A", self.path).split()


@pytest.fixture
def place(lab, node, name):
    path = f"/var/lib/images-{name}"
    yield Node(lab, node, path)
    lab.run(node, "rm", "-rf", path)


@pytest.mark.parametrize(("node", "image", "kind"), [("a2", "disk.qcow2", "qcow2"), ("b1", "split.vmdk", "vmdk")])
def test_an_image_becomes_a_raw_file_of_whole_mib_with_holes(place, image, kind):
    looked = place.look(path=image)
    assert looked["format"] == kind and looked["virtual_size"] == SIZE and looked["confirmed"] and looked["adoptable"], looked
    told, digest, allocated = place.twice(src=image, dest="new.raw", format=kind, mode="0640")
    assert told["method"] == "convert" and told["size"] == 10 * 1024 * 1024 and digest == place.digests["wanted"]
    assert allocated <= 2 * 1024 + 64 and told["allocated"] == allocated * 1024


@pytest.mark.parametrize("node", ["b1"])
def test_a_raw_image_is_renamed(place):
    checksum = f"sha256:{place.digests['original']}"
    told, digest, _allocated = place.twice(src="original", dest="renamed.raw", format="raw", method="rename", checksum=checksum)
    assert told["method"] == "rename" and digest == place.digests["wanted"] and "original" not in place.files()


@pytest.mark.parametrize("node", ["a2"])
def test_what_leads_outside_is_refused_and_leaves_nothing(place):
    before = place.files()
    looked = place.look(path="overlay.qcow2")
    assert not looked["adoptable"] and not looked["confirmed"] and "its backing file '" in looked["outside"][0], looked
    for image, words in (("overlay.qcow2", "its backing file '"), ("evil.vmdk", "its extent '/etc/passwd'")):
        refused = place("disk_image", src=image, dest="new.raw")
        assert refused["failed"] and f"is not adopted: it refers to {words}" in refused["msg"], refused
    assert place.files() == before
