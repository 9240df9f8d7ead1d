# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Reading a qcow2 image's header, and the tables that lead to all others (QEMU: docs/interop/qcow2.txt)."""

from __future__ import annotations

import array
import itertools
import struct
import sys
import typing as t

from .cost import Cost, Table, cost
from .facts import Facts, Snapshot
from .opened import Damaged, File, shown

MAGIC = b"QFI\xfb"
_HEADER = struct.Struct(">4sIQIIQIIQQIIQ")
_FEATURES = struct.Struct(">QQQII")
_EXTENSION = struct.Struct(">II")
_SNAPSHOT = struct.Struct(">QIHHIIQII")
_END, _BACKING_FORMAT, _DATA_FILE = 0, 0xE2792ACA, 0x44415441
_DIRTY, _CORRUPT, _EXTERNAL, _COMPRESSION, _EXTENDED_L2 = 1, 2, 4, 8, 16
_KNOWN = _DIRTY | _CORRUPT | _EXTERNAL | _COMPRESSION | _EXTENDED_L2
_OFFSET = 0x00FFFFFFFFFFFE00
_MOST_L1, _MOST_REFCOUNT = 32 * 1024 * 1024, 8 * 1024 * 1024
"""Bytes; QEMU takes no larger ones."""
_LONGEST_NAME = 1023
_MOST_SNAPSHOTS, _MOST_SHOWN, _MOST_SNAPSHOT_BYTES = 65536, 100, 1024 * 1024


class Header(t.NamedTuple):
    """The fixed part of the header, in its order."""

    magic: bytes
    version: int
    backing_offset: int
    backing_size: int
    cluster_bits: int
    size: int
    crypt_method: int
    l1_size: int
    l1_offset: int
    refcount_offset: int
    refcount_clusters: int
    snapshot_count: int
    snapshot_offset: int


def read(file: File) -> Facts:
    """What the image says of itself; raise Damaged where it cannot be one."""
    header = Header(*_HEADER.unpack(file.at(0, _HEADER.size)))
    if header.version not in (2, 3):
        return Facts("qcow" if header.version == 1 else "qcow2", 0, problems=[f"its format is version {header.version}, which is not known here"])
    incompatible, length = 0, _HEADER.size
    if header.version == 3:
        incompatible, _compatible, _autoclear, _order, length = _FEATURES.unpack(file.at(_HEADER.size, _FEATURES.size))
    cluster = _check(header, length)
    facts = Facts("qcow2", header.size, kind=f"version {header.version}", snapshot_count=header.snapshot_count)
    if header.backing_offset:
        if not 0 < header.backing_size <= _LONGEST_NAME:
            raise Damaged("the name of its backing file has no possible length")
        facts.backing = shown(file.at(header.backing_offset, header.backing_size))
        facts.outside.append(f"its backing file {facts.backing!r}")
    _extensions(file, length, header.backing_offset or cluster, facts)
    if incompatible & _EXTERNAL and not any("data file" in each for each in facts.outside):
        facts.outside.append("a data file outside of it")
    for flag, problem in (
        (incompatible & _CORRUPT, "it is marked as corrupt"),
        (incompatible & ~_KNOWN, f"it needs features that are not known here ({incompatible & ~_KNOWN:#x})"),
        (header.crypt_method, "it is encrypted"),
    ):
        if flag:
            facts.problems.append(problem)
    facts.snapshots = _snapshots(file, header)
    facts.cost = _cost(file, header, cluster)
    return facts


def _check(header: Header, length: int) -> int:
    """The bytes of a cluster; raise Damaged for numbers that cannot be."""
    if not 9 <= header.cluster_bits <= 21:
        raise Damaged(f"its clusters would have 2**{header.cluster_bits} bytes")
    cluster = 1 << header.cluster_bits
    if not header.size <= 1 << 62:
        raise Damaged(f"its disk would have {header.size} bytes")
    if not _HEADER.size <= length <= cluster:
        raise Damaged(f"its header would have {length} bytes")
    if header.l1_size * 8 > _MOST_L1 or header.refcount_clusters * cluster > _MOST_REFCOUNT:
        raise Damaged("its tables are larger than any that QEMU makes")
    # Entries of 16 bytes where clusters have parts: then a table covers half, so this is the least that any needs.
    if header.l1_size * (cluster // 8) * cluster < header.size:
        raise Damaged("its tables are too small for its disk")
    if header.snapshot_count > _MOST_SNAPSHOTS:
        raise Damaged(f"it would have {header.snapshot_count} snapshots")
    if header.backing_offset + header.backing_size > cluster:
        raise Damaged("the name of its backing file is outside of its header")
    return cluster


def _extensions(file: File, offset: int, end: int, facts: Facts) -> None:
    while offset + _EXTENSION.size <= min(end, file.size):
        kind, length = _EXTENSION.unpack(file.at(offset, _EXTENSION.size))
        offset += _EXTENSION.size
        if kind == _END:
            return
        if offset + length > end:
            raise Damaged("an extension of its header is larger than the header")
        if kind == _DATA_FILE:
            facts.outside.append(f"its data file {shown(file.at(offset, min(length, _LONGEST_NAME)))!r}")
        elif kind == _BACKING_FORMAT:
            facts.backing_format = shown(file.at(offset, min(length, 64)))
        offset += (length + 7) // 8 * 8


def _snapshots(file: File, header: Header) -> t.List[Snapshot]:
    """The first of them, for people; the header says how many there are."""
    found: t.List[Snapshot] = []
    offset = header.snapshot_offset
    for _number in range(min(header.snapshot_count, _MOST_SHOWN)):
        fixed = _SNAPSHOT.unpack(file.at(offset, _SNAPSHOT.size))
        id_size, name_size, taken, memory, extra = fixed[2], fixed[3], fixed[4], fixed[7], fixed[8]
        offset += _SNAPSHOT.size
        if offset + extra + id_size + name_size - header.snapshot_offset > _MOST_SNAPSHOT_BYTES:
            raise Damaged("its list of snapshots is larger than any that QEMU makes")
        names = file.at(offset + extra, id_size + name_size)
        found.append(Snapshot(shown(names[:id_size]), shown(names[id_size:]), memory, taken))
        offset = (offset + extra + id_size + name_size + 7) // 8 * 8
    return found


def _cost(file: File, header: Header, cluster: int) -> Cost:
    """Of the tables that the first-level tables name; those themselves are not read, so there is a bound to it."""
    always: t.List[Table] = [(0, cluster), (header.l1_offset, header.l1_size * 8), (header.refcount_offset, header.refcount_clusters * cluster)]
    if header.snapshot_count:
        always.append((header.snapshot_offset, _SNAPSHOT.size * header.snapshot_count))
    second = _entries(file, header.l1_offset, header.l1_size)
    blocks = _entries(file, header.refcount_offset, header.refcount_clusters * cluster // 8)
    return cost(always, ((offset, cluster) for offset in itertools.chain(blocks, second) if offset))


def _entries(file: File, offset: int, count: int) -> array.array[int]:
    """The offsets that a table of the first level has, 0 for none; raise Damaged where one is outside of the file."""
    entries = array.array("Q", file.at(offset, count * 8))
    if sys.byteorder == "little":
        entries.byteswap()
    for index, entry in enumerate(entries):
        entries[index] = entry & _OFFSET
    last = max(entries, default=0)
    if last and last >= file.size:
        raise Damaged(f"it ends at {file.size} bytes, and one of its tables is said to be at {last}")
    return entries
