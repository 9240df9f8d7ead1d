# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is read of headers, of real images and of hostile ones; no program sees these, and nothing that they name is opened."""

from __future__ import annotations

import os
import random
import struct

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import ImageRefused
from ansible_collections.ganeti.cluster.plugins.module_utils.images import look as looking
from ansible_collections.ganeti.cluster.plugins.module_utils.images.look import chain, look

from . import samples
from .samples import CLUSTER, MIB


def faults(path, form="auto"):
    """All that speaks against an image."""
    with look(str(path), form) as image:
        return "; ".join(image.faults)


def test_a_plain_qcow2_has_no_faults(tmp_path):
    with look(str(samples.qcow2(tmp_path / "a", l1=[5 * CLUSTER | 1 << 63])), "auto") as image:
        assert (image.facts.format, image.facts.virtual_size, image.facts.kind, image.faults) == ("qcow2", 8 * MIB, "version 3", [])
        assert (image.facts.cost.reads_to_open, image.facts.cost.reads, image.facts.cost.bytes) == (3, 5, CLUSTER * 4 + 8)
    with look(str(samples.qcow2(tmp_path / "b", version=2, length=72)), "qcow2") as image:
        assert image.faults == [] and image.facts.kind == "version 2"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"backing": b"/etc/passwd"}, "refers to its backing file '/etc/passwd'"),
        ({"backing": b"base.raw"}, "refers to its backing file 'base.raw'"),
        ({"backing": b'json:{"driver":"host_device","filename":"/dev/sda"}'}, "its backing file 'json:"),
        ({"backing": b"a\x1b[31m\nb"}, "'a?[31m?b'"),
        ({"backing": b"x" * 1024}, "no possible length"),
        ({"extensions": samples.extension(0x44415441, b"/etc/shadow")}, "refers to its data file '/etc/shadow'"),
        ({"incompatible": 4}, "a data file outside of it"),
        ({"extensions": struct.pack(">II", 0x44415441, 1 << 31)}, "larger than the header"),
        ({"incompatible": 2}, "marked as corrupt"),
        ({"incompatible": 1 << 40}, "features that are not known here (0x10000000000)"),
        ({"crypt": 2}, "it is encrypted"),
        ({"version": 4}, "version 4"),
        ({"version": 1}, "version 1"),
        ({"bits": 9, "length": 1024}, "header would have 1024 bytes"),
        ({"size": 1 << 63}, "would have 9223372036854775808 bytes"),
        ({"size": 1 << 40}, "too small for its disk"),
        ({"l1_size": 1 << 31}, "larger than any that QEMU makes"),
        ({"refcount_clusters": 1 << 20}, "larger than any that QEMU makes"),
        ({"l1_size": 4 * MIB}, "it ends at 393216 bytes"),
        ({"snapshots": 70_000}, "70000 snapshots"),
        ({"l1": [1 << 40]}, "one of its tables is said to be at 1099511627776"),
        ({"size": 0}, "its disk is empty"),
    ],
)
def test_a_hostile_qcow2_is_seen_through(tmp_path, changes, words):
    assert words in faults(samples.qcow2(tmp_path / "image", **changes))


@pytest.mark.parametrize("bits", [0, 8, 22, 31, 200])
def test_clusters_of_impossible_sizes(tmp_path, bits):
    path = samples.qcow2(tmp_path / "image")
    with open(path, "r+b") as stream:
        stream.seek(20)
        stream.write(struct.pack(">I", bits))
    assert f"2**{bits}" in faults(path)


@pytest.mark.parametrize("length", [4, 71, 100, 65536, 196608])
def test_what_was_cut_off_is_seen(tmp_path, length):
    path = samples.qcow2(tmp_path / "image")
    os.truncate(path, length)
    assert f"it ends at {length} bytes" in faults(path)


def test_snapshots_are_told_and_have_a_bound(tmp_path):
    entry = struct.pack(">QIHHIIQII", 3 * CLUSTER, 1, 1, 4, 1_700_000_000, 0, 0, 7, 16) + bytes(16) + b"1" + b"good"
    path = samples.qcow2(tmp_path / "image", snapshots=1)
    with open(path, "r+b") as stream:
        stream.seek(4 * CLUSTER)
        stream.write(entry)
    with look(str(path), "auto") as image:
        assert image.facts.snapshots == [("1", "good", 7, 1_700_000_000)] and image.facts.snapshot_count == 1 and not image.faults
    with open(path, "r+b") as stream:
        stream.seek(4 * CLUSTER + 36)
        stream.write(struct.pack(">I", 1 << 31))
    assert "larger than any that QEMU makes" in faults(path)


# --- VMDK -------------------------------------------------------------------------------------------------------------


def test_extents_beside_are_opened_and_nothing_else(tmp_path):
    (tmp_path / "disk-flat.vmdk").write_bytes(bytes(MIB))
    path = samples.descriptor(tmp_path / "disk.vmdk", 'RW 1024 FLAT "disk-flat.vmdk" 0', 'RW 1024 FLAT "disk-flat.vmdk" 1024')
    with look(str(path), "auto") as image:
        assert image.facts.virtual_size == MIB and image.faults == [] and [file.path for file in image.beside] == [str(tmp_path / "disk-flat.vmdk")]
        assert image.allocated == sum(file.allocated for file in image.files)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('RW 4 FLAT "/etc/passwd" 0', "refers to its extent '/etc/passwd'"),
        ('RW 4 FLAT "../secret" 0', "refers to its extent '../secret'"),
        ('RW 4 FLAT ".." 0', "refers to its extent '..'"),
        ('RW 4 FLAT "/dev/sda" 0', "refers to its extent '/dev/sda'"),
        ('RW 4 FLAT "nbd:localhost:10809" 0', "refers to its extent 'nbd:"),
        ('RW 4 FLAT "json:{}" 0', "refers to its extent 'json:{}'"),
        ('RW 4 FLAT "sub/../x" 0', "refers to its extent"),
        ('RW 4 FLAT "a\\b" 0', "refers to its extent"),
        ('RW 4 FLAT "~root" 0', "refers to its extent"),
        ('\t RW  4\tFLAT "/etc/passwd"', "refers to its extent"),
        ('RW 4 FLAT "link" 0', "link is a symbolic link, which is not followed"),
        ('RW 4 FLAT "pipe" 0', "pipe is no regular file"),
        ('RW 4 FLAT "missing" 0', "its extent missing is not beside it"),
        ('RW 4 FLAT "image" 0', "the same file as another"),
        ('RW 40 FLAT "small" 0', "its extent small ends at 2048 bytes"),
        ('RW 4 FLAT "small" 4', "its extent small ends at 2048 bytes"),
        ('RW 4 SPARSE "small"', "small is no sparse VMDK"),
        ('RW 4 SPARSE "nested"', "it would lead to further files"),
        ('RW 4 SPARSE "other"', "has 8388608 bytes of disk, and 2048 are said"),
        ('RW 4 VMFSRDM "small"', "a kind that is not read here"),
        ('RW 4 SESPARSE "small"', "a kind that is not read here"),
        ('RW 0 FLAT "small" 0', "a kind that is not read here"),
        ("RW 4 ZERO", "a line that is not understood"),
        ('RDONLY 4 FLAT "small" 0', "a line that is not understood"),
        ('rw 4 FLAT "small" 0', "a line that is not understood"),
        ("RW", "a line that is not understood"),
        ('RW 99999999999999999999 FLAT "small" 0', "a line that is not understood"),
        ("", "names no extents"),
    ],
)
def test_a_hostile_descriptor_is_seen_through(tmp_path, line, words):
    (tmp_path / "small").write_bytes(bytes(2048))
    (tmp_path / "link").symlink_to("small")
    os.mkfifo(tmp_path / "pipe")
    samples.sparse(tmp_path / "nested", capacity=0, text=b"")
    samples.sparse(tmp_path / "other")
    assert words in faults(samples.descriptor(tmp_path / "image", line))


def test_a_parent_is_refused_wherever_it_stands(tmp_path):
    (tmp_path / "small").write_bytes(bytes(2048))
    assert "refers to its parent '/etc/passwd'" in faults(samples.descriptor(tmp_path / "a", 'RW 4 FLAT "small" 0', parent="/etc/passwd"))
    inside = b'# Disk DescriptorFile\nparentFileNameHint="base.vmdk"\n'
    assert "refers to its parent 'base.vmdk'" in faults(samples.sparse(tmp_path / "b", text=inside))


def test_a_parent_is_refused_where_qemu_looks_for_it(tmp_path):
    """Behind the first sector, whatever the header says of its descriptor."""
    hint = b'parentFileNameHint="/etc/passwd"\n'
    path = samples.sparse(tmp_path / "none", text=b"\n" + hint)
    with open(path, "r+b") as stream:
        stream.seek(28)
        stream.write(bytes(16))
    assert "refers to its parent '/etc/passwd'" in faults(path)
    with open(path, "r+b") as stream:
        stream.seek(28)
        stream.write(struct.pack("<QQ", 40, 1))
    assert "refers to its parent '/etc/passwd'" in faults(path)
    assert "refers to its parent '/etc/passwd'" in faults(samples.sparse(tmp_path / "late", text=bytes(10_000) + hint))


def test_a_sparse_header_without_capacity_is_refused(tmp_path):
    """QEMU takes the text inside for a descriptor then, and opens what it names."""
    text = b'# Disk DescriptorFile\nRW 4 FLAT "/etc/passwd" 0\n'
    assert faults(samples.sparse(tmp_path / "a", text=text)) == ""
    assert "would lead to further files" in faults(samples.sparse(tmp_path / "b", text=text, capacity=0))


@pytest.mark.parametrize(("first", "last", "more"), [(0, 16384, 0), (16384, 0, 0), (0, 16384, 100), (16384, 0, 100)])
def test_neither_of_two_headers_is_without_capacity(tmp_path, first, last, more):
    """That at the end is where QEMU finds it, also in a file that ends within a sector."""
    path = samples.sparse(tmp_path / "image", capacity=first, directory=(1 << 64) - 1)
    end = samples.sparse(tmp_path / "end", capacity=last).read_bytes()[:512]
    data = path.read_bytes()
    path.write_bytes(data + end + bytes(512) if not more else data + bytes(512) + end + bytes(more))
    assert "has no capacity of its own" in faults(path)
    samples.sparse(path, directory=(1 << 64) - 1)
    path.write_bytes(path.read_bytes() + samples.sparse(tmp_path / "end").read_bytes()[:512] + bytes(more or 512))
    assert faults(path) == ""


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"capacity": 1 << 60}, "a disk of 1152921504606846976 sectors"),
        ({"directory": 1 << 40}, "its directory is said to be at"),
        ({"directory": (1 << 64) - 1}, "the copy of its header at its end is missing"),
        ({"grain": 0}, "its directory is said to be"),
        ({"entries": 0}, "its directory is said to be"),
    ],
)
def test_a_hostile_sparse_header_is_seen_through(tmp_path, changes, words):
    assert words in faults(samples.sparse(tmp_path / "image", **changes))


def test_extents_without_number_and_descriptors_without_end(tmp_path):
    (tmp_path / "small").write_bytes(bytes(2048))
    assert "more than 512 extents" in faults(samples.descriptor(tmp_path / "a", *['RW 1 FLAT "small" 0'] * 600))
    path = samples.descriptor(tmp_path / "b", 'RW 4 FLAT "small" 0')
    os.truncate(path, 1 << 40)
    assert "it begins as a descriptor, and has 1099511627776 bytes" in faults(path)


# --- VDI, VHD, VHDX ---------------------------------------------------------------------------------------------------


def test_a_vhd(tmp_path):
    assert faults(samples.vhd(tmp_path / "good")) == ""
    assert "refers to the image that it is a difference to" in faults(samples.vhd(tmp_path / "a", kind=4))
    assert "its second header is missing" in faults(samples.vhd(tmp_path / "b", kind=3, offset=0))
    assert "a kind of VHD that is not read here (9)" in faults(samples.vhd(tmp_path / "c", kind=9))
    path = samples.vhd(tmp_path / "d")
    with open(path, "r+b") as stream:
        stream.seek(MIB + 48)
        stream.write(b"\x01")
    assert "checksum of its footer is wrong" in faults(path)


def test_a_vhd_with_two_footers_that_differ(tmp_path):
    """QEMU goes by that at the beginning."""
    dynamic = samples.vhd(tmp_path / "dynamic", kind=3, offset=512).read_bytes()
    fixed = samples.vhd(tmp_path / "fixed").read_bytes()
    other = samples.vhd(tmp_path / "other", kind=3, offset=1024).read_bytes()
    path = tmp_path / "image"
    for data, words in (
        (dynamic[:-512] + fixed[-512:], "begins with another footer"),
        (other[:512] + dynamic[512:], "at its beginning is missing, or another one"),
        (bytes(512) + dynamic[512:], "at its beginning is missing, or another one"),
        (dynamic + bytes(100) + fixed[-512:], "within a sector"),
    ):
        path.write_bytes(data)
        assert words in faults(path)


def test_a_vdi_with_a_parent_or_impossible_numbers(tmp_path):
    data = bytearray(4096)
    struct.pack_into("<IIII", data, 0x40, 0xBEDA107F, 0x10001, 0x190, 1)
    struct.pack_into("<II", data, 0x154, 0x200, 0x400)
    struct.pack_into("<QIIII", data, 0x170, MIB, MIB, 0, 1, 1)
    path = tmp_path / "image"
    path.write_bytes(data)
    assert faults(path) == ""
    wrong = ((0x1A8, 7, "difference to"), (0x180, 0, "contradict"), (0x180, 4000, "it ends at 4096"), (0x178, 0, "contradict"), (0x4C, 4, "kind of VDI"))
    for at, value, words in wrong:
        changed = bytearray(data)
        struct.pack_into("<I", changed, at, value)
        path.write_bytes(changed)
        assert words in faults(path)


# --- All --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"\x1f\x8b\x08", "packed with gzip: unpack it first"),
        (b"\xfd7zXZ\0", "packed with xz"),
        (b"PK\x03\x04", "a ZIP archive"),
        (bytes(257) + b"ustar\0", "a tar archive, as an OVA is one"),
        (b"<?xml version", "(OVF)"),
        (b"QED\0", "a QED image"),
        (b"LUKS\xba\xbe", "an encrypted volume"),
    ],
)
def test_what_is_surely_no_disk_is_refused_unless_it_is_said_to_be_raw(tmp_path, head, words):
    path = tmp_path / "image"
    path.write_bytes(head.ljust(4096, b"\0"))
    with pytest.raises(ImageRefused, match=r"image is ") as refused:
        look(str(path), "auto")
    assert words in str(refused.value)
    assert faults(path, "raw") == ""


def test_the_format_that_is_said_counts(tmp_path):
    path = samples.qcow2(tmp_path / "image", backing=b"/etc/passwd")
    with look(str(path), "raw") as image:
        assert image.faults == [] and image.facts.virtual_size == 6 * CLUSTER and "has the mark of qcow2 and was taken for raw" in image.warnings[0]
    with pytest.raises(ImageRefused, match="an image of the format qcow2, not vmdk"):
        look(str(path), "vmdk")
    path.write_bytes(bytes(MIB))
    with pytest.raises(ImageRefused, match="without any known mark, so raw at best, not qcow2"):
        look(str(path), "qcow2")
    path.write_bytes(b"")
    assert "it is empty" in faults(path)


def test_links_pipes_and_devices_are_refused(tmp_path):
    samples.qcow2(tmp_path / "image")
    (tmp_path / "link").symlink_to("image")
    os.mkfifo(tmp_path / "pipe")
    for name, words in (("link", "is a symbolic link"), ("pipe", "no regular file"), (".", "no regular file")):
        with pytest.raises(ImageRefused, match=words):
            look(str(tmp_path / name), "auto")
    with pytest.raises(ImageRefused, match="no regular file"):
        look("/dev/null", "auto")


def test_a_chain_is_followed_in_the_directory_alone_and_not_in_circles(tmp_path):
    samples.qcow2(tmp_path / "top", backing=b"middle", extensions=samples.extension(0xE2792ACA, b"qcow2"))
    samples.qcow2(tmp_path / "middle", backing=b"bottom")
    samples.qcow2(tmp_path / "bottom", backing=b"/etc/passwd")
    with look(str(tmp_path / "top"), "auto") as image:
        links = chain(image)
    assert [link.name for link in links] == ["middle", "bottom", "/etc/passwd"]
    assert links[0].virtual_size == 8 * MIB and "not in the same directory" in links[2].reason and links[0].reason is None
    samples.qcow2(tmp_path / "bottom", backing=b"top")
    with look(str(tmp_path / "top"), "auto") as image:
        assert [link.reason for link in chain(image)] == [None, None, "it leads back to itself"]
    (tmp_path / "bottom").unlink()
    with look(str(tmp_path / "top"), "auto") as image:
        assert [link.reason for link in chain(image)] == [None, "it is not there"]


def test_files_are_closed_whatever_is_found(tmp_path):
    before = len(os.listdir("/proc/self/fd"))
    (tmp_path / "small").write_bytes(bytes(2048))
    lines = ['RW 4 FLAT "small" 0', 'RW 4 FLAT "missing" 0']
    for _time in range(3):
        assert "missing" in faults(samples.descriptor(tmp_path / "image", *lines))
        with pytest.raises(ImageRefused):
            look(str(tmp_path / "image"), "qcow2")
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("seed", range(40))
def test_damaged_headers_never_end_in_anything_but_a_judgement(tmp_path, seed):
    drawn = random.Random(seed)
    path = tmp_path / "image"
    kinds = (
        lambda: samples.qcow2(path, snapshots=1, extensions=samples.extension(0xE2792ACA, b"raw"), backing=b"x"),
        lambda: samples.sparse(path, text=b"# Disk DescriptorFile\n" * 3),
        lambda: samples.descriptor(path, 'RW 1 FLAT "x" 0'),
        lambda: samples.vhd(path, size=4096),
    )
    good = kinds[seed % len(kinds)]().read_bytes()
    for _time in range(60):
        data = bytearray(good)
        for _change in range(drawn.randint(1, 12)):
            data[drawn.randrange(4, min(len(data), 600))] = drawn.choice((0, 1, 0x7F, 0x80, 0xFF, drawn.randrange(256)))
        path.write_bytes(data[: drawn.choice((len(data), drawn.randrange(600)))])
        try:
            with look(str(path), "auto") as image:
                assert image.facts.format in ("qcow", "qcow2", "vmdk", "vpc", "raw")
                assert all(each.isprintable() for each in image.faults)
        except ImageRefused:
            pass


def test_the_bound_of_a_chain_is_kept(tmp_path):
    for number in range(30):
        samples.qcow2(tmp_path / f"image{number}", backing=f"image{number + 1}".encode())
    with look(str(tmp_path / "image0"), "auto") as image:
        assert len(chain(image)) == looking._LONGEST_CHAIN
