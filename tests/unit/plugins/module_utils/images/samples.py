# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images made byte by byte, good ones and hostile ones, and real ones by qemu-img."""

from __future__ import annotations

import os
import struct
import subprocess

MIB = 1024 * 1024
CLUSTER = 65536


def qemu_img(*words):
    """Run it, outside of any sandbox, for the tests' own images; what it says."""
    return subprocess.run(["qemu-img", *map(str, words)], check=True, capture_output=True, text=True, timeout=120).stdout


def raw(path, size=8 * MIB, data=((0, 70_000), (3 * MIB + 5, 300_000))):
    """A raw file with random bytes at some places."""
    with open(path, "wb") as stream:
        stream.truncate(size)
        for offset, length in data:
            stream.seek(offset)
            stream.write(os.urandom(length))
    return path


def converted(source, path, form, *options):
    """An image of another format with the same disk."""
    qemu_img("convert", "-f", "raw", "-O", form, *(word for option in options for word in ("-o", option)), source, path)
    return path


def qcow2(
    path, *, version=3, size=8 * MIB, bits=16, backing=b"", crypt=0, l1_size=1, refcount_clusters=1, snapshots=0, incompatible=0, extensions=b"", l1=(),
    length=104, clusters=6,
):  # fmt: skip
    """A qcow2 header and its first tables, with whatever is to be wrong about them."""
    cluster = 1 << bits
    backing_offset = length + len(extensions) + 8 if backing else 0
    header = struct.pack(
        ">4sIQIIQIIQQIIQ", b"QFI\xfb", version, backing_offset, len(backing), bits, size, crypt, l1_size, 3 * cluster, cluster, refcount_clusters, snapshots,
        4 * cluster,
    )  # fmt: skip
    if version == 3:
        header += struct.pack(">QQQII", incompatible, 0, 0, 4, length)
    with open(path, "wb") as stream:
        stream.write(header.ljust(length, b"\0") + extensions + bytes(8) + backing)
        stream.seek(cluster)
        stream.write(struct.pack(">Q", 2 * cluster))
        stream.seek(3 * cluster)
        stream.write(struct.pack(f">{len(l1)}Q", *l1))
        stream.truncate(clusters * cluster)
    return path


def extension(kind, data):
    """One more piece of a qcow2 header."""
    return struct.pack(">II", kind, len(data)) + data.ljust((len(data) + 7) // 8 * 8, b"\0")


def descriptor(path, *lines, create="monolithicFlat", parent=None):
    """The text of a VMDK."""
    said = ["# Disk DescriptorFile", "version=1", "CID=12345678", "parentCID=ffffffff", f'createType="{create}"', *lines]
    if parent:
        said.append(f'parentFileNameHint="{parent}"')
    path.write_text("\n".join([*said, 'ddb.adapterType = "ide"', ""]))
    return path


def sparse(path, *, capacity=16384, text=b"", directory=1, sectors=64, grain=128, entries=512):
    """The header of a sparse VMDK, with a descriptor inside."""
    header = struct.pack("<4sIIQQQQIQQQ", b"KDMV", 1, 3, capacity, grain, 1 if text else 0, 4 if text else 0, entries, 0, directory, 16)
    path.write_bytes((header.ljust(512, b"\0") + text).ljust(sectors * 512, b"\0"))
    return path


def vhd(path, *, kind=2, size=MIB, offset=0xFFFFFFFFFFFFFFFF):
    """A fixed VHD, or one of another kind, with a right checksum."""
    fields = (b"conectix", 2, 0x10000, offset, 0, b"win ", 0x50003, b"Wi2k", size, size, 0, kind, 0)
    footer = bytearray(struct.pack(">8sIIQI4sI4sQQIII", *fields).ljust(512, b"\0"))
    struct.pack_into(">I", footer, 64, ~sum(footer) & 0xFFFFFFFF)
    path.write_bytes((footer if kind == 3 else b"").ljust(size, b"\0") + footer)
    return path


def allocated(path):
    """The bytes that a file takes."""
    return os.stat(path).st_blocks * 512
