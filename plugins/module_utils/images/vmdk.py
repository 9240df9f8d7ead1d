# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Reading a VMDK: its descriptor, which is a text, and the header of a sparse file.

What QEMU would open is found here first, so the text is read as QEMU reads it: lines of the wrong form mean nothing to it. A header without a
capacity is refused, as QEMU would go by the descriptor in it. A line that QEMU would pass over, but that says how the disk goes on, is refused
rather than passed over.
"""

from __future__ import annotations

import re
import struct
import typing as t

from .facts import Facts, Part
from .opened import Damaged, File, shown

SPARSE, TEXT, OLD = b"KDMV", b"# Disk DescriptorFile", b"COWD"
SECTOR = 512
_HEADER = struct.Struct("<4sIIQQQQIQQQ")
_AT_END = (1 << 64) - 1
_LONGEST_TEXT = 1024 * 1024
_LONGEST_HEAD = 20 * SECTOR
"""Bytes in which QEMU looks for a parent."""
MOST_PARTS = 512
_LINE = re.compile(rb"\s*(RW|RDONLY|NOACCESS)(?:\s|$)", re.I)
_EXTENT = re.compile(rb'\s*RW\s+(\d{1,15})\s+(\w{1,9})\s+"([^"\r\n]{1,255})"(?:\s+(\d{1,15}))?\s*\Z')
_PLAIN = re.compile(rb"[A-Za-z0-9_(\[][\w .,+=@()\[\]#&~^-]*")
_KINDS = {b"SPARSE": "sparse", b"FLAT": "flat", b"VMFS": "flat"}
_CREATE_TYPE = re.compile(rb'^\s*createType\s*=\s*"?([A-Za-z0-9]{1,40})', re.M)


class Header(t.NamedTuple):
    """The header of a sparse file, up to what is needed here."""

    magic: bytes
    version: int
    flags: int
    capacity: int
    grain: int
    descriptor_offset: int
    descriptor_size: int
    entries: int
    second_directory: int
    directory: int
    overhead: int


def read(file: File) -> Facts:
    """What the image says of itself; raise Damaged where it cannot be one."""
    head = file.head(len(TEXT))
    if head.startswith(OLD):
        return Facts("vmdk", 0, kind="COWD", problems=["it is of a kind of VMDK that is not read here (COWD)"])
    if head.startswith(SPARSE):
        return _sparse(file)
    if file.size > _LONGEST_TEXT:
        raise Damaged(f"it begins as a descriptor, and has {file.size} bytes")
    return _described(file.head(_LONGEST_TEXT))


def capacity(file: File) -> int:
    """The bytes of disk in a sparse file beside a descriptor; raise Damaged for one that would lead to further files."""
    return _header(file).capacity * SECTOR


def _header(file: File) -> Header:
    header = _one_header(file, 0)
    if header.directory == _AT_END:
        # streamOptimized: the header that counts is the one before the last sector, of which QEMU counts a begun one as a whole.
        header = _one_header(file, -(-file.size // SECTOR) * SECTOR - 2 * SECTOR)
        if header.directory == _AT_END:
            raise Damaged("the copy of its header at its end is missing: it was cut off")
    if header.capacity > 1 << 53 or header.version not in (1, 2, 3):
        raise Damaged(f"its header has version {header.version} and a disk of {header.capacity} sectors")
    return header


def _one_header(file: File, offset: int) -> Header:
    header = Header(*_HEADER.unpack(file.at(offset, _HEADER.size)))
    if header.magic != SPARSE:
        raise Damaged("the copy of its header at its end is missing: it was cut off" if offset else f"{shown(file.path.encode())} is no sparse VMDK")
    if not header.capacity:
        # QEMU takes a text in it for the descriptor then, and opens what that names.
        raise Damaged(f"a header of {shown(file.path.encode())} has no capacity of its own, so it would lead to further files")
    return header


def _sparse(file: File) -> Facts:
    header = _header(file)
    # QEMU looks for a parent behind the first sector, and for all else where a header says; further than the size that it tells.
    places = [(SECTOR, _LONGEST_HEAD)]
    for each in (_one_header(file, 0), header):
        if each.descriptor_size * SECTOR > _LONGEST_TEXT:
            raise Damaged("its descriptor is larger than any that VMware makes")
        if each.descriptor_offset:
            places.append((each.descriptor_offset * SECTOR, max(each.descriptor_size * SECTOR, _LONGEST_HEAD)))
    kind = None
    for offset, length in places:
        text = file.at(offset, min(length, max(0, file.size - offset)))
        kind = _kind(text) or kind
        parent = _parent(text)
        if parent:
            return Facts("vmdk", header.capacity * SECTOR, kind=kind, outside=[parent])
    if header.directory * SECTOR >= file.size or not 0 < header.grain <= 1 << 20 or not 0 < header.entries <= 512:
        raise Damaged(f"it ends at {file.size} bytes, and its directory is said to be at {header.directory * SECTOR}")
    return Facts("vmdk", header.capacity * SECTOR, kind=kind)


def _parent(text: bytes) -> t.Optional[str]:
    found = re.search(rb'parentFileNameHint\s*=?\s*"?([^"\r\n]*)', text, re.I)
    return f"its parent {shown(found[1])!r}" if found else None


def _kind(text: bytes) -> t.Optional[str]:
    found = _CREATE_TYPE.search(text)
    return found[1].decode("ascii") if found else None


def _described(text: bytes) -> Facts:
    """A disk that is described by a text, in files beside it."""
    text = text.split(b"\0", 1)[0]
    facts = Facts("vmdk", 0, kind=_kind(text))
    parent = _parent(text)
    if parent:
        facts.outside.append(parent)
    for line in text.splitlines():
        if not _LINE.match(line):
            continue
        _take(line, facts)
        if len(facts.parts) > MOST_PARTS:
            raise Damaged(f"it has more than {MOST_PARTS} extents")
    if not facts.parts and not facts.outside and not facts.problems:
        raise Damaged("its descriptor names no extents")
    facts.virtual_size = sum(part.size for part in facts.parts)
    return facts


def _take(line: bytes, facts: Facts) -> None:
    """Take in a line that names an extent."""
    found = _EXTENT.match(line)
    if not found:
        facts.problems.append(f"its descriptor has a line that is not understood: {shown(line)!r}")
        return
    sectors, kind, name, offset = int(found[1]), found[2], found[3], int(found[4] or 0)
    if not _PLAIN.fullmatch(name) or b".." in name:
        facts.outside.append(f"its extent {shown(name)!r}, which is no plain name of a file beside it")
    elif kind not in _KINDS or not sectors or (kind == b"SPARSE" and offset):
        facts.problems.append(f"its descriptor has an extent of a kind that is not read here: {shown(line)!r}")
    elif any(part.name.encode() == name and part.kind == "sparse" for part in facts.parts):
        facts.problems.append(f"its descriptor names {shown(name)!r} twice")
    else:
        facts.parts.append(Part(name.decode("ascii"), _KINDS[kind], sectors * SECTOR, offset * SECTOR))
