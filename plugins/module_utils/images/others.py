# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Reading the headers of VDI, VHD and VHDX images."""

from __future__ import annotations

import struct
import typing as t
import uuid

from .facts import Facts
from .opened import Damaged, File

VDI, VHD, VHDX = b"\x7f\x10\xda\xbe", b"conectix", b"vhdxfile"
VDI_AT = 0x40
FOOTER = 512
_NONE = bytes(16)
_KIB64 = 64 * 1024
_REGION_TABLES = (192 * 1024, 256 * 1024)
_METADATA = uuid.UUID("8b7ca206-4790-4b9a-b8fe-575f050f886e").bytes_le
_FILE_PARAMETERS = uuid.UUID("caa16737-fa36-4d43-b3b6-33f0aa44e76b").bytes_le
_DISK_SIZE = uuid.UUID("2fa54224-cd1b-4876-b211-5dbed83bf4b8").bytes_le
_HAS_PARENT = 2
_ENTRY = struct.Struct("<16sII")
_REGION = struct.Struct("<16sQII")
_LARGEST = 1 << 56


def read_vdi(file: File) -> Facts:
    """What a VDI of VirtualBox says of itself; raise Damaged where it cannot be one."""
    version, _header, kind = struct.unpack("<III", file.at(0x44, 12))
    size, block, _extra, blocks, _allocated = struct.unpack("<QIIII", file.at(0x170, 24))
    parents = file.at(0x1A8, 32)
    if version >> 16 != 1 or not block or blocks > 0x3FFFFFFF or not _plausible(size) or blocks * block < size:
        raise Damaged("the numbers in its header contradict each other")
    map_offset = struct.unpack("<I", file.at(0x154, 4))[0]
    file.at(map_offset + blocks * 4 - 1 if blocks else map_offset, 1)
    facts = Facts("vdi", size, kind={1: "dynamic", 2: "fixed"}.get(kind))
    if parents != _NONE * 2:
        facts.outside.append("the image that it is a difference to")
    if facts.kind is None:
        facts.problems.append(f"it is of a kind of VDI that is not read here ({kind})")
    return facts


def is_vhd(file: File) -> bool:
    """Whether a VHD's footer is at the end, or its copy at the beginning."""
    return file.size >= FOOTER and VHD in (file.at(0, 8), file.at(file.size - FOOTER, 8))


def read_vhd(file: File) -> Facts:
    """What a VHD of Virtual PC says of itself; raise Damaged where it cannot be one."""
    if file.size % FOOTER:
        raise Damaged(f"it ends at {file.size} bytes, within a sector")
    footer = file.at(file.size - FOOTER, FOOTER)
    if not footer.startswith(VHD):
        raise Damaged("the footer at its end is missing: it was cut off")
    offset, size, kind, checksum = struct.unpack_from(">Q", footer, 16)[0], struct.unpack_from(">Q", footer, 48)[0], *struct.unpack_from(">II", footer, 60)
    if checksum != ~sum(footer[:64] + footer[68:]) & 0xFFFFFFFF:
        raise Damaged("the checksum of its footer is wrong")
    if not _plausible(size):
        raise Damaged(f"its disk would have {size} bytes")
    facts = Facts("vpc", size, kind={2: "fixed", 3: "dynamic", 4: "differencing"}.get(kind))
    # QEMU goes by the beginning, and looks at the end only where that has no mark.
    head = file.at(0, FOOTER)
    if kind == 2 and head.startswith(VHD):
        raise Damaged("its footer says that its disk is as it lies there, but it begins with another footer")
    if kind == 3 and head != footer:
        raise Damaged("the copy of its footer at its beginning is missing, or another one")
    if kind == 4:
        facts.outside.append("the image that it is a difference to")
    elif kind == 3 and file.at(offset, 8) != b"cxsparse":
        raise Damaged("its second header is missing")
    elif kind == 2 and size + FOOTER > file.size:
        raise Damaged(f"it ends at {file.size} bytes, and its disk has {size}")
    elif facts.kind is None:
        facts.problems.append(f"it is of a kind of VHD that is not read here ({kind})")
    return facts


def read_vhdx(file: File) -> Facts:
    """What a VHDX of Hyper-V says of itself; raise Damaged where it cannot be one."""
    log = _log(file)
    metadata = _metadata(file)
    items = dict(_items(file, metadata))
    size = struct.unpack("<Q", _item(file, items, _DISK_SIZE, 8))[0]
    block, flags = struct.unpack("<II", _item(file, items, _FILE_PARAMETERS, 8))
    if not _plausible(size) or not 1 << 20 <= block <= 1 << 28:
        raise Damaged("the numbers in its header contradict each other")
    facts = Facts("vhdx", size)
    if flags & _HAS_PARENT:
        facts.outside.append("the image that it is a difference to")
    if log != _NONE:
        facts.problems.append("it was not closed in order, and has a log that only Hyper-V, or QEMU with leave to write, brings to an end")
    return facts


def _log(file: File) -> bytes:
    """The mark of the log in the newer one of its two headers."""
    found: t.List[t.Tuple[int, bytes]] = []
    for offset in (_KIB64, 2 * _KIB64):
        data = file.at(offset, 80)
        if data.startswith(b"head"):
            found.append((struct.unpack_from("<Q", data, 8)[0], data[48:64]))
    if not found:
        raise Damaged("both of its headers are missing")
    return max(found)[1]


def _metadata(file: File) -> int:
    """Where its metadata begins."""
    for table in _REGION_TABLES:
        head = file.at(table, 16)
        if not head.startswith(b"regi"):
            continue
        for index in range(min(struct.unpack_from("<I", head, 8)[0], 2047)):
            kind, offset, _length, _required = _REGION.unpack(file.at(table + 16 + index * _REGION.size, _REGION.size))
            if kind == _METADATA:
                return int(offset)
    raise Damaged("it has no metadata")


def _items(file: File, metadata: int) -> t.Iterator[t.Tuple[bytes, int]]:
    """Each item's kind, and where it is in the file."""
    head = file.at(metadata, 32)
    if not head.startswith(b"metadata"):
        raise Damaged("its metadata is missing")
    for index in range(min(struct.unpack_from("<H", head, 10)[0], 2047)):
        kind, offset, _length = _ENTRY.unpack(file.at(metadata + 32 + index * 32, _ENTRY.size))
        yield kind, metadata + offset


def _item(file: File, items: t.Mapping[bytes, int], kind: bytes, length: int) -> bytes:
    if kind not in items:
        raise Damaged("its metadata does not tell the size of its disk")
    return file.at(items[kind], length)


def _plausible(size: int) -> bool:
    return 0 < size <= _LARGEST
