# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Free blocks of XFS: the B-tree by block number of each allocation group, checked against the count in the group's header.

Of the kernel's fs/xfs/libxfs/xfs_format.h and xfs_log_format.h. XFS has no state in its superblock: it is clean where the last record of its log
says that it was unmounted. Only such a log is taken, and only one whose cycle numbers leave no doubt about where its end is.
"""

from __future__ import annotations

import struct
import typing as t

from .ranges import Range
from .volume import FreeSpace, Refused, Volume

_BASIC = 512
"""Bytes of the log's blocks, whatever the file system's are."""
_INCOMPAT = 0x1 | 0x2 | 0x4 | 0x8 | 0x20 | 0x40 | 0x80
"""ftype, sparse inodes, meta_uuid, bigtime, nrext64, exchange range, parent pointers. Not: needsrepair, metadir."""
_RO_COMPAT = 0x1 | 0x2 | 0x4 | 0x8
"""finobt, rmapbt, reflink, inobtcount."""
_RECORD = 0xFEEDBABE
_UNMOUNT = 0x20
_MOST_LOG = 4 * 1024**3
_PIECE = 1024 * 1024
_NONE = 0xFFFFFFFF
_BEGINNING = struct.Struct(">II504x")
"""Of a block of the log: its cycle number, or a record's mark with that behind it."""
_AGF = struct.Struct(">4sIII II4x II4x IIIII")


class Superblock(t.NamedTuple):
    """What of the superblock matters here; sizes in bytes, places in blocks."""

    version: int
    block: int
    blocks: int
    group: int
    groups: int
    group_bits: int
    sector: int
    log: int
    log_blocks: int
    realtime: int
    in_progress: int
    incompat: int
    ro_compat: int
    log_incompat: int


def is_there(volume: Volume) -> bool:
    """Whether an XFS seems to be here."""
    return volume.size >= _BASIC and volume.read(0, 4) == b"XFSB"


def free_space(volume: Volume) -> FreeSpace:
    """Where nothing is; raises Refused."""
    sb = parse(volume.read(0, _BASIC))
    check(sb, volume.size)
    check_log(volume, sb)
    return FreeSpace("xfs", _free(volume, sb))


def parse(data: bytes) -> Superblock:
    """The superblock in its first sector."""

    def number(offset: int, length: int) -> int:
        return int.from_bytes(data[offset : offset + length], "big")

    version = number(100, 2) & 0xF
    newer = version == 5
    return Superblock(
        version=version, block=number(4, 4), blocks=number(8, 8), group=number(84, 4), groups=number(88, 4), group_bits=number(124, 1),
        sector=number(102, 2), log=number(48, 8), log_blocks=number(96, 4), realtime=number(16, 8), in_progress=number(126, 1),
        incompat=number(216, 4) if newer else 0, ro_compat=number(212, 4) if newer else 0, log_incompat=number(220, 4) if newer else 0,
    )  # fmt: skip


def check(sb: Superblock, size: int) -> None:
    """Raise Refused unless the file system is of known features and lies within *size* bytes."""
    if sb.version not in (4, 5):
        raise Refused(f"its version {sb.version} is not known here")
    if sb.incompat & ~_INCOMPAT or sb.ro_compat & ~_RO_COMPAT:
        raise Refused(f"it has features that are not known here ({sb.incompat & ~_INCOMPAT:#x}, {sb.ro_compat & ~_RO_COMPAT:#x})")
    if sb.log_incompat or sb.in_progress:
        raise Refused("it was not unmounted in order")
    if sb.realtime or not sb.log:
        raise Refused("it has a realtime device or a log on another device")
    sound = (
        512 <= sb.block <= 65536 and sb.block & (sb.block - 1) == 0 and 512 <= sb.sector <= sb.block and sb.sector & (sb.sector - 1) == 0
        and sb.groups > 0 and 64 <= sb.group <= 1 << sb.group_bits and sb.group_bits <= 31
        and (sb.groups - 1) * sb.group < sb.blocks <= sb.groups * sb.group and sb.blocks * sb.block <= size
        and 0 < sb.log_blocks * sb.block <= _MOST_LOG
    )  # fmt: skip
    if not sound:
        raise Refused("its superblock contradicts itself, or it is larger than what it lies on")


def check_log(volume: Volume, sb: Superblock) -> None:
    """Raise Refused unless the log ends with the record of an unmount."""
    group, block = sb.log >> sb.group_bits, sb.log & ((1 << sb.group_bits) - 1)
    if group >= sb.groups or block + sb.log_blocks > sb.group:
        raise Refused("its log is outside of its group")
    place = (group * sb.group + block) * sb.block
    count = sb.log_blocks * sb.block // _BASIC
    head, record = _end_of_log(volume, place, count)
    if record is None or not _is_unmount(volume, place, count, head, record):
        raise Refused("it was not unmounted in order: its log is not clean")


def _end_of_log(volume: Volume, place: int, count: int) -> t.Tuple[int, t.Optional[int]]:
    """The block behind the last one that was written, and the last record's; raises Refused where the cycle numbers tell no end.

    Up to the end they are one more than behind it: a log is written round and round.
    """
    first = head = -1
    record: t.Optional[int] = None
    """The last record before the end, or of all as long as no end was seen."""
    for position in range(0, count, _PIECE // _BASIC):
        pairs = list(_BEGINNING.iter_unpack(volume.read(place + position * _BASIC, min(_PIECE, (count - position) * _BASIC))))
        cycles = [following if word == _RECORD else word for word, following in pairs]
        if first < 0:
            first = cycles[0]
        written = len(cycles) if head < 0 else 0
        if head < 0 and cycles.count(first) < len(cycles):
            written = next(number for number, cycle in enumerate(cycles) if cycle != first)
            head = position + written
        if cycles.count(first - 1) < len(cycles) and any(cycle != first - 1 for cycle in cycles[written:]):
            raise Refused("its log was not written in one go")
        records = [position + number for number, (word, _following) in enumerate(pairs[:written]) if word == _RECORD]
        record = records[-1] if records else record
    if first <= 0:
        raise Refused("its log is empty")
    return max(head, 0), record


def _is_unmount(volume: Volume, place: int, count: int, head: int, record: int) -> bool:
    """Whether a record is that of an unmount, and ends where the log does."""
    data = volume.read(place + record * _BASIC, _BASIC)
    version, length, operations, size = (int.from_bytes(data[at : at + 4], "big") for at in (8, 12, 40, 320))
    heads = -(-size // 32768) if version & 2 and size > 32768 else 1
    end = record + heads + -(-length // _BASIC)
    if operations != 1 or end % count != head or heads > 8:
        return False
    operation = volume.read(place + (record + heads) % count * _BASIC, 12)
    return bool(operation[9] & _UNMOUNT)


def _free(volume: Volume, sb: Superblock) -> t.Iterator[Range]:
    for group in range(sb.groups):
        base = group * sb.group
        blocks = min(sb.group, sb.blocks - base)
        part = volume.read(base * sb.block + sb.sector, _AGF.size)
        magic, _version, number, length, root, _root2, levels, _levels2, _first, _last, _count, free, _longest = _AGF.unpack(part)
        if magic != b"XAGF" or number != group or length != blocks or not 1 <= levels <= 16:
            raise Refused(f"the header of its group {group} is not sound")
        found = before = 0
        for start, count in _records(volume, sb, group, blocks, root, levels):
            if start < max(before, 1) or count == 0 or start + count > blocks:
                raise Refused(f"the free space of its group {group} is not in order")
            before, found = start + count, found + count
            yield (base + start) * sb.block, (base + start + count) * sb.block
        if found != free:
            raise Refused(f"its group {group} says that {free} blocks are free, and its tree says {found}")


def _records(volume: Volume, sb: Superblock, group: int, blocks: int, root: int, levels: int) -> t.Iterator[t.Tuple[int, int]]:
    """The first block and the length of each free extent of a group, from leaf to leaf."""
    magic, head = (b"AB3B", 56) if sb.version == 5 else (b"ABTB", 16)
    most = (sb.block - head) // 12  # of a node: keys of 8 bytes, then pointers of 4
    place, level = root, levels - 1
    for _visit in range(blocks):
        if not 0 < place < blocks:
            raise Refused(f"the tree of its group {group} leads outside of it")
        data = volume.read((group * sb.group + place) * sb.block, sb.block)
        found, its_level, count, _left, right = struct.unpack_from(">4sHHII", data)
        if found != magic or its_level != level or count > ((sb.block - head) // 8 if level == 0 else most) or (level and not count):
            raise Refused(f"the tree of its group {group} is not sound")
        if level:
            (place,) = struct.unpack_from(">I", data, head + most * 8)
            level -= 1
            continue
        yield from struct.iter_unpack(">II", data[head : head + 8 * count])
        if right == _NONE:
            return
        place = right
    raise Refused(f"the tree of its group {group} has no end")
