# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Partition tables: GPT, whose checksums must be right, and MBR with logical partitions. 512 bytes a sector, as Ganeti's disks have."""

from __future__ import annotations

import struct
import typing as t
import uuid
import zlib

from .volume import Piece, Refused, Volume

SECTOR = 512
_PROTECTIVE = 0xEE
_EXTENDED = (0x05, 0x0F, 0x85)
_DYNAMIC = 0x42
_DYNAMIC_GUIDS = frozenset(uuid.UUID(each).bytes_le for each in ("af9b60a0-1431-4f62-bc68-3311714a69ad", "5808c8aa-7e8f-42e0-85d2-e1e90434cfb3"))
"""Types of Windows' Logical Disk Manager, its data and its database: what looks like a partition may be a piece of a volume over several disks."""
_MOST = 128
_MOST_ENTRIES = 1024
_HEADER = struct.Struct("<8sIII4x QQQQ 16s QIII")


class Partition(t.NamedTuple):
    """A partition by its number, with its place in bytes."""

    number: int
    start: int
    length: int


def partitions(disk: Volume) -> t.List[Partition]:
    """The partitions of a disk, none where it has no table; raises Refused where the table cannot be believed."""
    if disk.size < 4 * SECTOR:
        return []
    found = _mbr(disk)
    protective = found is not None and any(kind == _PROTECTIVE for kind, _start, _length in found)
    _refuse_dynamic(entry[0] == _DYNAMIC for entry in found or ())
    gpt = disk.read(SECTOR, 8) == b"EFI PART"
    if gpt != protective or (protective and sum(1 for entry in found or () if entry[0]) > 1):
        raise Refused("its partition tables contradict each other")
    result = _gpt(disk) if gpt else _logical(disk, found or [])
    for each in result:
        if each.start < SECTOR or each.length <= 0 or each.start + each.length > disk.size:
            raise Refused(f"its partition {each.number} reaches beyond its end")
    return result


def overlapping(found: t.Sequence[Partition]) -> t.Set[int]:
    """The numbers of partitions that share bytes with another."""
    result: t.Set[int] = set()
    widest: t.Optional[Partition] = None
    for each in sorted(found, key=lambda each: each.start):
        if widest is not None and each.start < widest.start + widest.length:
            result |= {widest.number, each.number}
        if widest is None or each.start + each.length > widest.start + widest.length:
            widest = each
    return result


def _refuse_dynamic(each: t.Iterable[bool]) -> None:
    if any(each):
        raise Refused("it is a dynamic disk of Windows")


Entry = t.Tuple[int, int, int]
"""Type, first sector, number of sectors."""


def _mbr(disk: Volume, sector: int = 0) -> t.Optional[t.List[Entry]]:
    """The entries of a boot record; None where there is none. Boot sectors of file systems have its signature too, and code in its place."""
    data = disk.read(sector * SECTOR, SECTOR)
    if data[510:] != b"\x55\xaa":
        return None
    entries = [struct.unpack_from("<B3xB3xII", data, 446 + 16 * number) for number in range(4)]
    if any(status not in (0, 0x80) for status, _kind, _start, _count in entries):
        return None
    return [(kind, start, count) if kind and count else (0, 0, 0) for _status, kind, start, count in entries]


def _logical(disk: Volume, entries: t.Sequence[Entry]) -> t.List[Partition]:
    """The primary partitions, and those of the chain in an extended one."""
    result = [
        Partition(number, start * SECTOR, count * SECTOR) for number, (kind, start, count) in enumerate(entries, 1) if kind and kind not in _EXTENDED
    ]
    extended = [(start, count) for kind, start, count in entries if kind in _EXTENDED]
    if len(extended) > 1:
        raise Refused("it has two extended partitions")
    for base, length in extended:
        result.extend(_chain(disk, base, length))
    return result


def _chain(disk: Volume, base: int, length: int) -> t.Iterator[Partition]:
    place, seen = base, set()
    for number in range(5, 5 + _MOST):
        if place in seen or not base <= place < base + length:
            raise Refused("its chain of logical partitions leads astray")
        seen.add(place)
        entries = _mbr(disk, place)
        if entries is None:
            raise Refused("its chain of logical partitions is broken")
        (kind, start, count), (more, following, _count) = entries[:2]
        _refuse_dynamic([kind == _DYNAMIC])
        if kind and kind not in _EXTENDED:
            if place + start + count > base + length:
                raise Refused(f"its partition {number} reaches beyond the extended one")
            yield Partition(number, (place + start) * SECTOR, count * SECTOR)
        elif kind:
            raise Refused("its chain of logical partitions leads astray")
        if more not in _EXTENDED:
            return
        place = base + following
    raise Refused("its chain of logical partitions has no end")


def _gpt(disk: Volume) -> t.List[Partition]:
    head = disk.read(SECTOR, SECTOR)
    _magic, revision, size, crc, own, _other, _first, _last, _disk, place, count, width, entries_crc = _HEADER.unpack_from(head)
    if revision >> 16 != 1 or not _HEADER.size <= size <= SECTOR or zlib.crc32(head[:16] + bytes(4) + head[20:size]) != crc:
        raise Refused("its GPT does not match its checksum")
    if own != 1 or width not in (128, 256, 512, 1024) or not 0 < count <= _MOST_ENTRIES or place < 2:
        raise Refused("its GPT is not sound")
    data = disk.read(place * SECTOR, count * width)
    if zlib.crc32(data) != entries_crc:
        raise Refused("its GPT does not match its checksum")
    result = []
    for number in range(count):
        entry = data[number * width : (number + 1) * width]
        _refuse_dynamic([entry[:16] in _DYNAMIC_GUIDS])
        first, last = struct.unpack_from("<QQ", entry, 32)
        if any(entry[:16]):
            result.append(Partition(number + 1, first * SECTOR, (last - first + 1) * SECTOR))
    return result


def volume_of(disk: Volume, partition: Partition) -> Volume:
    """A partition as a volume."""
    return disk.part([Piece(0, partition.length, partition.start)])
