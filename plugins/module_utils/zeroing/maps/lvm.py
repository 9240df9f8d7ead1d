# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Logical volumes of LVM that are simple: each of their segments is one run of extents on this very physical volume.

Of LVM's lib/format_text. A volume group with anything else in it (snapshots, thin pools, RAID, a second disk) is left alone.
"""

from __future__ import annotations

import re
import struct
import typing as t
import zlib

from .volume import Piece, Refused, Volume

SECTOR = 512
_LABEL = struct.Struct("<8sQII8s")
_AREA = struct.Struct("<I16sIQQ")
_LOCATION = struct.Struct("<QQII")
_MAGIC = b" LVM2 x[5A%r0N*>"
_INITIAL = 0xF597A6CF
_MOST_TEXT = 2 * 1024 * 1024
_MOST_DEPTH = 8
_MOST_VOLUMES = 256
_NAME = re.compile(r"[a-zA-Z0-9+_.][-a-zA-Z0-9+_.]{0,127}\Z")
_TOKEN = re.compile(r"\s*(?:#[^\n]*\n\s*)*(\"(?:[^\"\\]|\\.)*\"|[\[\]{}=,]|[^\s\[\]{}=,\"#]+)")

Section = t.Dict[str, t.Any]


class Logical(t.NamedTuple):
    """A logical volume by its name (group/volume)."""

    name: str
    volume: Volume


def is_there(volume: Volume) -> bool:
    """Whether a physical volume seems to be here."""
    return _label(volume) is not None


def logical_volumes(volume: Volume) -> t.List[Logical]:
    """The logical volumes on a physical one; raises Refused."""
    sector = _label(volume)
    if sector is None:
        raise Refused("its label is gone")
    uuid, metadata = _places(volume, sector)
    group, sections = _only_group(parse(_text(volume, metadata)))
    return list(_volumes(volume, group, sections, uuid))


def checksum(data: bytes) -> int:
    """LVM's own: CRC-32 from another beginning, and not inverted at the end."""
    return zlib.crc32(data, _INITIAL ^ 0xFFFFFFFF) ^ 0xFFFFFFFF


def _label(volume: Volume) -> t.Optional[int]:
    """The number of the sector with the label, which is one of the first four."""
    for sector in range(4):
        if volume.size >= (sector + 1) * SECTOR:
            magic, number, _crc, _offset, kind = _LABEL.unpack(volume.read(sector * SECTOR, _LABEL.size))
            if magic == b"LABELONE" and kind == b"LVM2 001" and number == sector:
                return sector
    return None


def _places(volume: Volume, sector: int) -> t.Tuple[str, t.Tuple[int, int]]:
    """The UUID of the physical volume, and its only area of metadata, as offset and size."""
    data = volume.read(sector * SECTOR, SECTOR)
    _magic, _number, crc, at, _kind = _LABEL.unpack_from(data)
    if checksum(data[20:]) != crc or not 32 <= at <= 256:
        raise Refused("its label does not match its checksum")
    uuid = data[at : at + 32].decode("ascii", "replace")
    lists: t.List[t.List[t.Tuple[int, int]]] = [[], []]
    at += 40
    for each in lists:  # of data, then of metadata, each ending with zeros
        while at + 16 <= SECTOR:
            place = struct.unpack_from("<QQ", data, at)
            at += 16
            if place == (0, 0):
                break
            each.append(place)
    if len(lists[0]) != 1 or len(lists[1]) != 1:
        raise Refused("it has several areas, or none, for data or metadata")
    return uuid, lists[1][0]


def _text(volume: Volume, place: t.Tuple[int, int]) -> str:
    """The metadata, which may go on at the beginning of its area where that ends."""
    start, size = place
    head = volume.read(start, SECTOR)
    crc, magic, version, own, length = _AREA.unpack_from(head)
    if magic != _MAGIC or version != 1 or own != start or length != size or checksum(head[4:]) != crc:
        raise Refused("its metadata does not match its checksum")
    offset, count, crc, flags = _LOCATION.unpack_from(head, _AREA.size)
    if flags or not SECTOR <= offset < size or not 0 < count <= min(size - SECTOR, _MOST_TEXT):
        raise Refused("it has no metadata")
    first = min(count, size - offset)
    data = volume.read(start + offset, first) + volume.read(start + SECTOR, count - first)
    if checksum(data) != crc:
        raise Refused("its metadata does not match its checksum")
    return data.rstrip(b"\0").decode("utf-8", "replace")


def parse(text: str) -> Section:
    """The sections of a text: ``name { ... }`` and ``name = value``. Raises Refused."""
    tokens = _tokens(text)
    result, last = _section(tokens, 0)
    if last is not None:
        raise Refused("its metadata cannot be read")
    return result


def _tokens(text: str) -> t.Iterator[str]:
    at = 0
    while True:
        match = _TOKEN.match(text, at)
        if match is None:
            return
        yield match.group(1)
        at = match.end()


def _section(tokens: t.Iterator[str], depth: int) -> t.Tuple[Section, t.Optional[str]]:
    """What stands up to the closing brace, or to the end, and which of the two that was."""
    if depth > _MOST_DEPTH:
        raise Refused("its metadata cannot be read")
    result: Section = {}
    for name in tokens:
        if name == "}":
            return result, name
        sign = next(tokens, None)
        if name in result or sign not in ("{", "="):
            raise Refused("its metadata cannot be read")
        if sign == "{":
            result[name], last = _section(tokens, depth + 1)
            if last != "}":
                raise Refused("its metadata cannot be read")
        else:
            result[name] = _value(tokens, next(tokens, ""))
    return result, None


def _value(tokens: t.Iterator[str], token: str) -> t.Any:
    if token == "[":
        items: t.List[t.Any] = []
        for each in tokens:
            if each == "]":
                return items
            if each != ",":
                items.append(_value(iter(()), each))
        raise Refused("its metadata cannot be read")
    if token.startswith('"'):
        return token[1:-1]
    try:
        return int(token)
    except ValueError:
        raise Refused("its metadata cannot be read") from None


def _only_group(sections: Section) -> t.Tuple[str, Section]:
    groups = [(name, each) for name, each in sections.items() if isinstance(each, dict)]
    if len(groups) != 1:
        raise Refused("its metadata has not one volume group")
    return groups[0]


def _volumes(volume: Volume, group: str, sections: Section, uuid: str) -> t.Iterator[Logical]:
    disks, found = _dictionary(sections, "physical_volumes"), _dictionary(sections, "logical_volumes", True)
    extent = _number(sections, "extent_size") * SECTOR
    if len(disks) != 1:
        raise Refused("its volume group spans several disks")
    if not extent or len(found) > _MOST_VOLUMES:
        raise Refused("its metadata cannot be read")
    ((own, described),) = disks.items()
    if not isinstance(described, dict) or str(described.get("id", "")).replace("-", "") != uuid:
        raise Refused("its metadata is that of another disk")
    begin, most = _number(described, "pe_start") * SECTOR, _number(described, "pe_count")
    if not all(map(_NAME.match, (group, *found))):
        raise Refused("its metadata has names that LVM does not allow")
    segments = {name: list(_segments(each, own)) for name, each in found.items()}
    reached = 0
    for place, count in sorted((place, count) for each in segments.values() for _first, place, count in each):
        if place < reached or place + count > most:
            raise Refused("its metadata gives the same extents away twice, or has more than there are")
        reached = place + count
    for name, each in segments.items():
        pieces = [Piece(first * extent, count * extent, begin + place * extent) for first, place, count in each]
        yield Logical(f"{group}/{name}", volume.part(pieces))


def _segments(described: t.Any, own: str) -> t.Iterator[t.Tuple[int, int, int]]:
    """The segments of a logical volume: their first extent in it and on the disk, and how many they are."""
    count = _number(described, "segment_count")
    reached = 0
    if not 0 < count <= 10_000:
        raise Refused("its metadata cannot be read")
    for number in range(1, count + 1):
        segment = described.get(f"segment{number}")
        stripes = segment.get("stripes") if isinstance(segment, dict) else None
        if not isinstance(segment, dict) or segment.get("type") != "striped" or segment.get("stripe_count") != 1 or not isinstance(stripes, list):
            raise Refused("its volume group has volumes that are not simple")
        if len(stripes) != 2 or stripes[0] != own or not isinstance(stripes[1], int) or stripes[1] < 0:
            raise Refused("its volume group has volumes that are not simple")
        first, length = _number(segment, "start_extent"), _number(segment, "extent_count")
        if first != reached or not length:
            raise Refused("its volumes have gaps")
        reached += length
        yield first, stripes[1], length


def _dictionary(sections: t.Any, name: str, optional: bool = False) -> Section:
    found = sections.get(name, {} if optional else None) if isinstance(sections, dict) else None
    if not isinstance(found, dict):
        raise Refused("its metadata cannot be read")
    return found


def _number(sections: t.Any, name: str) -> int:
    found = sections.get(name) if isinstance(sections, dict) else None
    if not isinstance(found, int) or not 0 <= found < 1 << 48:
        raise Refused("its metadata cannot be read")
    return found
