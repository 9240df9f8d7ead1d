# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Disks in files with real file systems, made and judged by Debian's own tools, without mounting any."""

from __future__ import annotations

import contextlib
import os
import random
import re
import struct
import subprocess
import zlib

from ansible_collections.ganeti.cluster.plugins.module_utils.zeroing.maps import lvm, volume
from ansible_collections.ganeti.cluster.plugins.module_utils.zeroing.maps.ranges import joined, length_of
from ansible_collections.ganeti.cluster.plugins.module_utils.zeroing.maps.survey import survey

MIB = 1024 * 1024
PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"


def tool(*argv, given=None):
    """What one of Debian's tools says; it must succeed."""
    command, environment = [str(each) for each in argv], {**os.environ, "PATH": PATH}
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=60, env=environment, check=False)
    assert done.returncode == 0, (argv, done.stdout, done.stderr)
    return done.stdout


def empty(path, size):
    """A file of so many bytes that are not there."""
    with open(path, "wb") as stream:
        stream.truncate(size)
    return path


def patched(path, offset, data):
    """The same file, with some bytes changed."""
    with open(path, "r+b") as stream:
        stream.seek(offset)
        stream.write(data)
    return path


def number_at(path, offset, length, order="little"):
    """A number that stands in a file."""
    with open(path, "rb") as stream:
        stream.seek(offset)
        return int.from_bytes(stream.read(length), order)


@contextlib.contextmanager
def opened(path):
    """A file as a volume."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield volume.whole(descriptor, os.stat(path).st_size)
    finally:
        os.close(descriptor)


def free(module, path):
    """What one reader finds free in a file."""
    with opened(path) as disk:
        return list(joined(module.free_space(disk).ranges))


def parts(path):
    """What the survey of a disk tells: the name, the file system, free bytes or the reason of each part."""
    with opened(path) as disk:
        return [(part.name, part.kind, part.reason if part.reason is not None else length_of(part.free)) for part in survey(disk)]


# -- ext2, ext3, ext4 --


def ext(path, size=64 * MIB, kind="ext4", options=(), files=True):
    """A file system with some files, of which some were removed again, so that free space is in pieces."""
    empty(path, size)
    tool(f"mkfs.{kind}", "-q", "-F", *options, path)
    if files:
        fill_ext(path)
    return path


def fill_ext(path, count=24, offset=0):
    """Write files, and remove every second."""
    source, generator = f"{path}.source", random.Random(1)
    commands = []
    for number in range(count):
        with open(f"{source}{number}", "wb") as stream:
            stream.write(generator.randbytes(generator.randrange(1000, 300_000)))
        commands.append(f"write {source}{number} file{number}")
    commands += [f"rm file{number}" for number in range(0, count, 2)]
    tool("debugfs", "-w", "-f", "-", f"{path}?offset={offset}" if offset else path, given="\n".join(commands) + "\n")
    for number in range(count):
        os.unlink(f"{source}{number}")


def said_by_dumpe2fs(path):
    """The free ranges in bytes."""
    text = tool("dumpe2fs", path)
    found = re.search(r"Block size:\s+(\d+)", text)
    block = int(found[1])
    ranges = []
    for line in re.findall(r"^  Free blocks: (.+)$", text, re.MULTILINE):
        for each in line.replace(" ", "").split(","):
            first, _dash, last = each.partition("-")
            ranges.append((int(first) * block, (int(last or first) + 1) * block))
    return list(joined(ranges))


# -- XFS --


def said_by_xfs_db(path):
    """The free extents in bytes, and those of them that are lists of blocks kept for the tree itself (which is no free space to us)."""
    text = tool("xfs_db", "-r", "-c", "sb 0", "-c", "print blocksize", "-c", "print agblocks", "-c", "freesp -d", path)
    block, group = (int(re.search(rf"{name} = (\d+)", text)[1]) for name in ("blocksize", "agblocks"))
    rows = re.findall(r"^\s*(\d+)\s+(\d+)\s+(\d+)\s*$", text, re.MULTILINE)
    return sorted(((int(ag) * group + int(at)) * block, (int(ag) * group + int(at) + int(count)) * block) for ag, at, count in rows)


# -- partitions --


def partitioned(path, size, table, *lines):
    """A disk with partitions; *lines* are sfdisk's."""
    empty(path, size)
    tool("sfdisk", "--quiet", path, given="\n".join([f"label: {table}", *lines]) + "\n")
    return path


def placed(path, content, offset):
    """Put a file system from a file into a disk."""
    with open(content, "rb") as source, open(path, "r+b") as stream:
        size = os.stat(content).st_size
        at = 0
        while at < size:  # what is a hole stays one
            try:
                start = os.lseek(source.fileno(), at, os.SEEK_DATA)
            except OSError:
                return path
            at = os.lseek(source.fileno(), start, os.SEEK_HOLE)
            os.pwrite(stream.fileno(), os.pread(source.fileno(), at - start, start), offset + start)
    return path


# -- LVM --

UUID = "t1p91u-lpsG-ax12-UDAF-DddB-mXeQ-FV8PkA"
GROUP = """\
vg0 {
id = "yWN815-6CQ6-eE2D-Py4E-eHef-0Yo8-FL6wxN"
seqno = 2
format = "lvm2"
status = ["RESIZEABLE", "READ", "WRITE"]
flags = []
extent_size = 8192
max_lv = 0

physical_volumes {

pv0 {
id = "%(uuid)s"
device = "/dev/vda2"

status = ["ALLOCATABLE"]
flags = []
dev_size = 614400
pe_start = 2048
pe_count = 74
}
}

logical_volumes {
%(volumes)s
}
}
# Generated by LVM2 version 2.03.16(2) (2022-05-18): with { braces " in words

contents = "Text Format Volume Group"
version = 1

description = "Write from vgcreate --config 'devices{filter=[\\"a|/dev/loop2|\\"]}' vg0."
"""
SEGMENT = """\
segment%(number)d {
start_extent = %(first)d
extent_count = %(count)d

type = "striped"
stripe_count = 1	# linear

stripes = [
"pv0", %(place)d
]
}
"""


def logical(name, *segments):
    """A logical volume as LVM writes it; *segments* are places and numbers of extents of 4 MiB."""
    text, first = "", 0
    for number, (place, count) in enumerate(segments, 1):
        text += SEGMENT % {"number": number, "first": first, "count": count, "place": place}
        first += count
    return f'\n{name} {{\nid = "x"\nstatus = ["READ", "WRITE", "VISIBLE"]\nflags = []\nsegment_count = {len(segments)}\n\n{text}}}\n'


def group(*volumes, uuid=UUID):
    """The metadata of a volume group."""
    return GROUP % {"uuid": uuid, "volumes": "".join(volumes)}


def physical(path, text, size=300 * MIB, offset=1536, uuid=UUID):
    """A physical volume with *text* as its metadata, which begins at *offset* in its area and goes on at the area's beginning."""
    if not os.path.exists(path):
        empty(path, size)
    start, length, data = 4096, 1044480, text.encode() + b"\0"
    header = struct.pack("<QQQQQQQQ", 1 * MIB, 0, 0, 0, start, length, 0, 0)
    label = struct.pack("<I8s", 32, b"LVM2 001") + uuid.replace("-", "").encode() + struct.pack("<Q", size) + header
    label = label.ljust(512 - 20, b"\0")
    patched(path, 512, b"LABELONE" + struct.pack("<QI", 1, lvm.checksum(label)) + label)
    location = struct.pack("<QQII", offset, len(data), lvm.checksum(data), 0)
    area = (b" LVM2 x[5A%r0N*>" + struct.pack("<IQQ", 1, start, length) + location).ljust(508, b"\0")
    patched(path, start, struct.pack("<I", lvm.checksum(area)) + area)
    first = min(len(data), length - offset)
    patched(path, start + offset, data[:first])
    return patched(path, start + 512, data[first:]) if first < len(data) else path


# -- GPT --


def seal_gpt(path):
    """Make the checksums of a GPT right again."""
    with open(path, "r+b") as stream:
        stream.seek(512)
        head = bytearray(stream.read(92))
        place, count, width = struct.unpack_from("<QII", head, 72)
        stream.seek(place * 512)
        struct.pack_into("<I", head, 88, zlib.crc32(stream.read(count * width)))
        struct.pack_into("<I", head, 16, 0)
        struct.pack_into("<I", head, 16, zlib.crc32(bytes(head)))
        stream.seek(512)
        stream.write(head)
    return path
