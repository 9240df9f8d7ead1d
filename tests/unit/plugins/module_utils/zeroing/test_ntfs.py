# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Free clusters of NTFS, as its own $Bitmap read by ntfscat has them; none where Windows may have left something unwritten."""

from __future__ import annotations

import os
import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ganeti.cluster.plugins.module_utils.zeroing.maps import ntfs
from ansible_collections.ganeti.cluster.plugins.module_utils.zeroing.maps.volume import Refused

from . import images
from .images import MIB

pytestmark = pytest.mark.functional


def restart(lsn, used, flags, number=b"\7\0", version=1):
    """A page of the journal that says how it was left."""
    head = b"RSTR" + struct.pack("<HHQIIHHH", 30, 9, 0, 4096, 4096, 48, 1, version)
    page = bytearray(head.ljust(48, b"\0") + struct.pack("<QHHHH", lsn, 1, 0xFFFF, used, flags)).ljust(4096, b"\0")
    page[30:32] = number
    for sector in range(8):
        page[32 + 2 * sector : 34 + 2 * sector] = page[512 * sector + 510 : 512 * sector + 512]
        page[512 * sector + 510 : 512 * sector + 512] = number
    return bytes(page)


def closed(path):
    """The same, with a journal as Windows leaves it; mkntfs and ntfscp leave none."""
    with images.opened(path) as disk:
        shape = ntfs.geometry(disk.read(0, 512), disk.size)
        place = ntfs._one(disk, shape, 2, 0x80).runs[0][0] * shape.cluster
    return images.patched(path, place, restart(5, 0xFFFF, 2) + restart(4, 0, 0))


def make(path, *options, size=48 * MIB, files=8):
    """A file system with some files."""
    images.empty(path, size)
    images.tool("mkntfs", "-Q", "-F", "-q", *options, path)
    generator, source = random.Random(2), f"{path}.source"
    for number in range(files):
        with open(source, "wb") as stream:
            stream.write(generator.randbytes(generator.randrange(1000, 900_000)))
        images.tool("ntfscp", "-q", "-f", path, source, f"file{number}")
    return closed(path)


def said_by_ntfscat(path, cluster):
    """The free ranges in bytes, from the bits of its map."""
    bitmap = images.tool("sh", "-c", 'ntfscat -f "$0" "\\$Bitmap" | od -An -v -tu1', path).split()
    bits = [int(byte) >> bit & 1 for byte in bitmap for bit in range(8)][: os.stat(path).st_size // cluster]
    edges = [at for at in range(len(bits) + 1) if (bits[at] if at < len(bits) else 1) != (bits[at - 1] if at else 1)]
    return [(start * cluster, end * cluster) for start, end in zip(edges[::2], edges[1::2])]


@pytest.mark.parametrize(("options", "cluster"), [((), 4096), (("-c", "512"), 512), (("-c", "65536"), 65536)])
def test_what_is_free_is_what_its_map_says(tmp_path, options, cluster):
    path = make(tmp_path / "disk", *options)
    found = images.free(ntfs, path)
    assert found == said_by_ntfscat(path, cluster) and len(found) > 1


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """The bytes of a file system, to be spoiled."""
    return make(tmp_path_factory.mktemp("ntfs") / "disk", size=8 * MIB, files=2).read_bytes()


@pytest.fixture
def disk(sound, tmp_path):
    """A copy of it."""
    path = tmp_path / "disk"
    path.write_bytes(sound)
    return path


def record(path, number):
    """Where the record of one of its own files is."""
    return images.number_at(path, 48, 8) * 4096 + number * 1024


def attribute(path, number, kind):
    """Where an attribute of one of them is."""
    at = record(path, number)
    at += images.number_at(path, at + 20, 2)
    while images.number_at(path, at, 4) != kind:
        at += images.number_at(path, at + 4, 4)
    return at


def test_a_volume_that_is_marked_dirty_is_refused(disk):
    at = attribute(disk, 3, 0x70)
    place = at + images.number_at(disk, at + 20, 2) + 10
    with pytest.raises(Refused, match="marked as dirty"):
        images.free(ntfs, images.patched(disk, place, b"\1\0"))


def test_a_file_to_hibernate_into_is_refused(disk, tmp_path):
    (tmp_path / "hiberfil").write_bytes(b"hibr" + bytes(5000))
    images.tool("ntfscp", "-q", "-f", disk, tmp_path / "hiberfil", "hiberfil.sys")
    with pytest.raises(Refused, match="hiberfil.sys"):
        images.free(ntfs, closed(disk))


def test_an_empty_journal_is_refused(disk, tmp_path):
    """As it is while ntfs-3g has it mounted, and afterwards."""
    (tmp_path / "file").write_bytes(bytes(5000))
    images.tool("ntfscp", "-q", "-f", disk, tmp_path / "file", "file")
    with pytest.raises(Refused, match="its journal is empty"):
        images.free(ntfs, disk)


@pytest.mark.parametrize(
    ("data", "clean"),
    [
        (restart(5, 0xFFFF, 2, version=2), False),
        (restart(5, 0xFFFF, 0) + restart(4, 0, 0), True),
        (restart(5, 0, 2) + restart(4, 0, 0), True),
        (restart(5, 0, 0) + restart(4, 0xFFFF, 2), False),
        (restart(4, 0xFFFF, 2) + restart(5, 0, 0), False),
        (restart(5, 0, 0), False),
        (b"\xff" * 4096 + restart(5, 0xFFFF, 2), False),
        (b"CHKD" + restart(5, 0xFFFF, 2)[4:], False),
        (bytes(8192), False),
        (b"", False),
    ],
)
def test_the_newer_page_of_the_journal_decides(data, clean):
    if clean:
        assert ntfs.check_journal(data) is None
    else:
        with pytest.raises(Refused, match="not unmounted in order"):
            ntfs.check_journal(data)


def test_a_torn_record_is_refused():
    page = bytearray(restart(5, 0xFFFF, 2))
    page[1022] ^= 1
    with pytest.raises(Refused, match="written only in part"):
        ntfs.check_journal(bytes(page))


def test_a_map_that_says_it_is_free_itself_is_refused(disk):
    at = attribute(disk, 6, 0x80)
    runs = at + images.number_at(disk, at + 32, 2)
    place = images.number_at(disk, runs + 2, images.number_at(disk, runs, 1) >> 4)
    with pytest.raises(Refused, match="what it lies in itself is free"):
        images.free(ntfs, images.patched(disk, place * 4096, bytes(2048 // 8)))


@pytest.mark.parametrize(
    ("offset", "data"),
    [
        (11, b"\0\0"),  # bytes in a sector
        (13, b"\0"),  # sectors in a cluster
        (13, b"\x81"),
        (40, b"\xff" * 8),  # sectors
        (48, b"\xff" * 8),  # place of the table
        (64, b"\x80"),  # size of a record
        (510, b"\0\0"),
    ],
)
def test_a_boot_sector_that_is_not_sound_is_refused(disk, offset, data):
    with pytest.raises(Refused, match="its (boot sector|table of files)"):
        images.free(ntfs, images.patched(disk, offset, data))


@pytest.mark.parametrize(("number", "offset", "data"), [(6, 0, b"BAAD"), (6, 22, b"\0\0"), (6, 20, b"\xff\xff"), (3, 32, b"\5"), (6, 4, b"\xff\xff")])
def test_a_record_that_is_not_sound_is_refused(disk, number, offset, data):
    with pytest.raises(Refused):
        images.free(ntfs, images.patched(disk, record(disk, number) + offset, data))


def test_an_attribute_without_end_is_refused(disk):
    at = attribute(disk, 6, 0x80)
    with pytest.raises(Refused, match="has no end|contradict|stored in a way"):
        images.free(ntfs, images.patched(disk, at + 4, b"\0\0\0\0"))


@given(st.binary(max_size=40), st.integers(0, 1000))
def test_places_are_within_the_file_system_or_refused(data, clusters):
    found = []
    try:
        found.extend(ntfs.parse_runs(data, clusters))
    except Refused as error:
        assert str(error)
    assert all(0 <= start < end <= clusters for start, end in found)


def test_places_go_forth_and_back():
    assert list(ntfs.parse_runs(b"\x21\x03\x10\x00\x11\x02\xf8\x00", 100)) == [(16, 19), (8, 10)]
