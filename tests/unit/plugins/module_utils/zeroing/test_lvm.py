# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Logical volumes: those of one segment or several on the only physical volume, and nothing else."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ganeti.cluster.plugins.module_utils.zeroing.maps import lvm
from ansible_collections.ganeti.cluster.plugins.module_utils.zeroing.maps.volume import Refused

from . import images
from .images import MIB

ROOT, DATA = images.logical("root", (0, 15), (25, 10)), images.logical("data", (15, 10))


def found(path):
    """The logical volumes of a disk: names, and pieces in MiB (in the volume, how long, on the disk)."""
    with images.opened(path) as disk:
        return {each.name: [tuple(number / MIB for number in piece) for piece in each.volume.pieces] for each in lvm.logical_volumes(disk)}


@pytest.mark.parametrize("offset", [512, 1536, 1044480 - 700])
def test_volumes_are_found_however_far_the_text_has_got(tmp_path, offset):
    """It is written round and round; the last goes on at the beginning."""
    path = images.physical(tmp_path / "disk", images.group(ROOT, DATA), offset=offset)
    assert found(path) == {"vg0/root": [(0, 60, 1), (60, 40, 101)], "vg0/data": [(0, 40, 61)]}


def test_a_group_without_volumes_has_none(tmp_path):
    assert found(images.physical(tmp_path / "disk", images.group())) == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (images.group(ROOT).replace('"striped"', '"snapshot"'), "not simple"),
        (images.group(ROOT).replace('"striped"', '"thin-pool"'), "not simple"),
        (images.group(ROOT).replace("stripe_count = 1", "stripe_count = 2"), "not simple"),
        (images.group(ROOT).replace('"pv0", 25', '"pv1", 25'), "not simple"),
        (images.group(ROOT).replace('"pv0", 25', '"pv0", -25'), "not simple"),
        (images.group(ROOT).replace("start_extent = 15", "start_extent = 16"), "gaps"),
        (images.group(ROOT).replace("segment_count = 2", "segment_count = 3"), "not simple"),
        (images.group(ROOT).replace("segment_count = 2", "segment_count = 99999999"), "cannot be read"),
        (images.group(ROOT, images.logical("data", (14, 3))), "away twice"),
        (images.group(images.logical("data", (70, 5))), "more than there are"),
        (images.group(images.logical("data", (0, 1 << 40))), "more than there are"),
        (images.group(images.logical("data", (0, 74))).replace("extent_size = 8192", "extent_size = 99999999"), "not within"),
        (images.group(ROOT).replace("pe_start = 2048", "pe_start = 2000000"), "not within"),
        (images.group(ROOT).replace("logical_volumes {", 'logical_volumes {\n"../x" {\n}\n'), "names that LVM"),
        (images.group(ROOT).replace("physical_volumes {", "physical_volumes {\npv1 {\n}\n"), "several disks"),
        (images.group(ROOT) + "vg1 {\n}\n", "not one volume group"),
        (images.group(ROOT, uuid=images.UUID[::-1]), "another disk"),
        ("vg0 " + "{ a " * 5000, "cannot be read"),
        ("vg0 {", "cannot be read"),
        ("}", "cannot be read"),
        ("a = [", "cannot be read"),
    ],
)
def test_what_is_not_simple_or_not_sound_is_refused(tmp_path, text, words):
    with pytest.raises(Refused, match=words):
        found(images.physical(tmp_path / "disk", text))


@pytest.mark.parametrize("offset", [512 + 60, 4096 + 40, 4096 + 1536 + 5])
def test_what_does_not_match_its_checksum_is_refused(tmp_path, offset):
    path = images.physical(tmp_path / "disk", images.group(ROOT))
    with pytest.raises(Refused, match="does not match its checksum"):
        found(images.patched(path, offset, bytes([images.number_at(path, offset, 1) ^ 1])))


@pytest.mark.parametrize("location", [(1 << 40, 500, 0, 0), (1536, 1 << 40, 0, 0), (1536, 0, 0, 0), (1536, 500, 0, 1), (0, 500, 0, 0)])
def test_a_place_that_cannot_be_is_refused(tmp_path, location):
    path = images.physical(tmp_path / "disk", images.group(ROOT))
    with open(path, "rb") as stream:
        stream.seek(4096 + 4)
        area = bytearray(stream.read(508))
    struct.pack_into("<QQII", area, 36, *location)
    with pytest.raises(Refused, match="no metadata"):
        found(images.patched(path, 4096, struct.pack("<I", lvm.checksum(bytes(area))) + area))


@given(st.text(alphabet='abc{}[]=," \n#1-\\', max_size=60))
def test_no_text_leads_astray(text):
    try:
        assert isinstance(lvm.parse(text), dict)
    except Refused as error:
        assert str(error)
