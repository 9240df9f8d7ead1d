# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Free clusters of NTFS: the file $Bitmap.

As linux-ntfs describes it. A file system is taken only where its volume is not marked dirty, Windows has closed its journal ($LogFile), and no
hiberfil.sys lies in its root: a Windows that hibernates, as it does for its fast start, keeps in memory what it has not written. A journal that
was emptied tells nothing: ntfs-3g empties it when it mounts, marks nothing as dirty, and leaves it so when its machine dies.
"""

from __future__ import annotations

import struct
import typing as t

from .ranges import Range, joined, without, zero_bits
from .volume import FreeSpace, Piece, Refused, Volume

_LOGFILE, _VOLUME, _ROOT, _BITMAP = 2, 3, 5, 6
_VOLUME_INFORMATION, _DATA, _INDEX_ROOT, _INDEX_ALLOCATION, _ATTRIBUTE_LIST, _END = 0x70, 0x80, 0x90, 0xA0, 0x20, 0xFFFFFFFF
_SECTOR = 512
"""Bytes that share a number of the update sequence, whatever the disk's sectors are."""
_MOST_RUNS = 100_000
_PIECE = 64 * 1024
_HIBERNATION = "hiberfil.sys".encode("utf-16-le")
_NO_CLIENT, _CLOSED = 0xFFFF, 0x2
_MOST_ROOT = 64 * 1024 * 1024


class Geometry(t.NamedTuple):
    """What the boot sector says; sizes in bytes."""

    cluster: int
    clusters: int
    mft: int
    record: int


class Attribute(t.NamedTuple):
    """An attribute of a file: what it holds, be it in its record (*value*) or elsewhere (*runs* of clusters, and *size* bytes of them)."""

    kind: int
    name: bytes
    value: bytes
    runs: t.Tuple[Range, ...]
    size: int


def is_there(volume: Volume) -> bool:
    """Whether an NTFS seems to be here."""
    return volume.size >= _SECTOR and volume.read(3, 8) == b"NTFS    "


def free_space(volume: Volume) -> FreeSpace:
    """Where nothing is; raises Refused."""
    shape = geometry(volume.read(0, _SECTOR), volume.size)
    check_volume(_one(volume, shape, _VOLUME, _VOLUME_INFORMATION).value)
    check_journal(_content(volume, shape, _one(volume, shape, _LOGFILE, _DATA), 2 * _PIECE))
    _check_awake(volume, shape)
    return FreeSpace("ntfs", _free(volume, shape))


def geometry(boot: bytes, size: int) -> Geometry:
    """What the boot sector says; raises Refused where that cannot be."""
    sector, factor, sectors, mft = struct.unpack_from("<HB", boot, 11) + struct.unpack_from("<QQ", boot, 40)
    per_cluster = factor if factor <= 0x80 else 1 << min(256 - factor, 32)
    (raw,) = struct.unpack_from("<b", boot, 64)
    cluster = sector * per_cluster
    record = raw * cluster if raw > 0 else 1 << -raw
    sound = (
        boot[510:512] == b"\x55\xaa" and sector in (512, 1024, 2048, 4096) and per_cluster and per_cluster & (per_cluster - 1) == 0
        and cluster <= 2 * 1024 * 1024 and 512 <= record <= 65536 and record % _SECTOR == 0 and 0 < sectors * sector <= size
    )  # fmt: skip
    if not sound:
        raise Refused("its boot sector contradicts itself, or it is larger than what it lies on")
    shape = Geometry(cluster, sectors // per_cluster, mft, record)
    if not 0 < mft < shape.clusters:
        raise Refused("its table of files is outside of it")
    return shape


def check_volume(information: bytes) -> None:
    """Raise Refused unless the file system is of a known version and not marked."""
    if len(information) < 12 or (information[8], information[9]) not in ((3, 0), (3, 1)):
        raise Refused("its version is not known here")
    flags = int.from_bytes(information[10:12], "little")
    if flags:
        raise Refused(f"it is marked as dirty, or to be worked on (flags {flags:#x}): let Windows check it, and shut it down")


def check_journal(data: bytes) -> None:
    """Raise Refused unless the beginning of the journal says that Windows has closed it.

    Since Windows 8 it is of version 2 as long as it is in use, and of version 1 again when it is closed.
    """
    if data and data.count(0xFF) == len(data):
        raise Refused("its journal is empty, as ntfs-3g leaves it, so whether it was unmounted cannot be told: start Windows with it once, and shut it down")
    restarts: t.List[t.Tuple[int, bool]] = []
    for start in range(0, len(data) - 4096 + 1, 4096):
        if data[start : start + 4] == b"RSTR" and len(restarts) < 2:
            page = fixed(data[start : start + 4096], b"RSTR")
            at, _minor, major = struct.unpack_from("<HHH", page, 24)
            if at + 16 > 4096:
                raise Refused("its journal is not sound")
            lsn, _clients, _free, used, flags = struct.unpack_from("<QHHHH", page, at)
            restarts.append((lsn, major == 1 and (used == _NO_CLIENT or bool(flags & _CLOSED))))
    if not restarts or data[:4] != b"RSTR" or not max(restarts)[1]:
        raise Refused("it was not unmounted in order: its journal is not clean")


def _check_awake(volume: Volume, shape: Geometry) -> None:
    """Raise Refused where the root directory has, or had, a file to hibernate into."""
    found = _attributes(volume, shape, _ROOT)
    texts = [each.value for each in found if each.kind == _INDEX_ROOT]
    for each in found:
        if each.kind == _INDEX_ALLOCATION and each.name == "$I30".encode("utf-16-le"):
            if each.size > _MOST_ROOT:
                raise Refused("its root directory is too large to be looked through")
            texts.extend(_index_blocks(volume, shape, each))
    if any(_HIBERNATION in text.lower() for text in texts):
        raise Refused("it has a file to hibernate into (hiberfil.sys), so Windows may not have written all of it: powercfg /h off, then shut it down")


def _index_blocks(volume: Volume, shape: Geometry, index: Attribute) -> t.Iterator[bytes]:
    size = max(4096, shape.cluster)
    content = _pieces(volume, shape, index)
    for start in range(0, index.size, 4096):
        data = content.read(start, min(4096, index.size - start))
        # Whatever is no index block is searched as it is; blocks are of 4096 bytes nearly always, and begin where those do.
        yield fixed(data, b"INDX") if data[:4] == b"INDX" and size == 4096 else data


def fixed(data: bytes, magic: bytes) -> bytes:
    """A record as it was before its sectors' last bytes were replaced to show torn writes; raises Refused where one is torn."""
    at, count = struct.unpack_from("<HH", data, 4)
    if data[:4] != magic or count < 2 or at + 2 * count > _SECTOR - 2 or (count - 1) * _SECTOR > len(data):
        raise Refused("one of its records is not sound")
    result = bytearray(data)
    for number in range(1, count):
        end = number * _SECTOR
        if result[end - 2 : end] != data[at : at + 2]:
            raise Refused("one of its records was written only in part")
        result[end - 2 : end] = data[at + 2 * number : at + 2 * number + 2]
    return bytes(result)


def _one(volume: Volume, shape: Geometry, number: int, kind: int) -> Attribute:
    """The only attribute of a kind without a name."""
    found = [each for each in _attributes(volume, shape, number) if each.kind == kind and not each.name]
    if len(found) != 1:
        raise Refused(f"its file {number} is not as it should be")
    return found[0]


def _attributes(volume: Volume, shape: Geometry, number: int) -> t.List[Attribute]:
    """The attributes of one of the first files, whose records lie at the table's beginning."""
    data = fixed(volume.read(shape.mft * shape.cluster + number * shape.record, shape.record), b"FILE")
    at, flags, base = *struct.unpack_from("<HH", data, 20), int.from_bytes(data[32:40], "little")
    if not flags & 1 or base:
        raise Refused(f"its file {number} is not in use")
    result: t.List[Attribute] = []
    while at + 4 <= len(data):
        kind, length = struct.unpack_from("<II", data + bytes(4), at)
        if kind == _END:
            return result
        if kind == _ATTRIBUTE_LIST:
            raise Refused(f"its file {number} is in too many pieces for this reader")
        if length < 24 or at + length > len(data):
            break
        result.append(_attribute(shape, kind, data[at : at + length]))
        at += length
    raise Refused(f"the record of its file {number} has no end")


def _attribute(shape: Geometry, kind: int, data: bytes) -> Attribute:
    name_length, name_at, flags = struct.unpack_from("<BHH", data, 9)
    name = data[name_at : name_at + 2 * name_length]
    if not data[8]:
        length, at = struct.unpack_from("<IH", data, 16)
        return Attribute(kind, name, data[at : at + length], (), length)
    if len(data) < 64 or flags & 0xFF:  # compressed
        raise Refused("one of its own files is stored in a way that is not known here")
    first, last, at = struct.unpack_from("<QQH", data, 16)
    _allocated, size, initialized = struct.unpack_from("<QQQ", data, 40)
    runs = tuple(parse_runs(data[at:], shape.clusters))
    total = sum(end - start for start, end in runs)
    if first or last + 1 != total or size > total * shape.cluster or initialized > size:
        raise Refused("the places of one of its own files contradict each other")
    return Attribute(kind, name, b"", runs, size)


def parse_runs(data: bytes, clusters: int) -> t.Iterator[Range]:
    """Where a file's clusters are; raises Refused for holes, and for what is outside of the file system."""
    at = place = 0
    for _number in range(_MOST_RUNS):
        if at >= len(data):
            break
        head = data[at]
        if not head:
            return
        sizes = head & 0xF, head >> 4
        if not 1 <= sizes[0] <= 8 or not 1 <= sizes[1] <= 8 or at + 1 + sum(sizes) > len(data):
            break
        count = int.from_bytes(data[at + 1 : at + 1 + sizes[0]], "little")
        place += int.from_bytes(data[at + 1 + sizes[0] : at + 1 + sum(sizes)], "little", signed=True)
        if not count or place < 0 or place + count > clusters:
            break
        yield place, place + count
        at += 1 + sum(sizes)
    raise Refused("the places of one of its own files are not sound")


def _pieces(volume: Volume, shape: Geometry, attribute: Attribute) -> Volume:
    """What an attribute holds that is not in its record."""
    size = 0
    pieces = []
    for start, end in attribute.runs:
        length = (end - start) * shape.cluster
        pieces.append(Piece(size, length, start * shape.cluster))
        size += length
    return volume.part(pieces)


def _content(volume: Volume, shape: Geometry, attribute: Attribute, most: int) -> bytes:
    """The first bytes of what an attribute holds."""
    if not attribute.runs:
        return attribute.value[:most]
    return _pieces(volume, shape, attribute).read(0, min(most, attribute.size))


def _free(volume: Volume, shape: Geometry) -> t.Iterator[Range]:
    bitmap = _one(volume, shape, _BITMAP, _DATA)
    if not bitmap.runs or bitmap.size < -(-shape.clusters // 8):
        raise Refused("its map is too short")
    # What the table of files, the map and the boot sector lie in is never free.
    taken = list(joined(sorted([*bitmap.runs, (0, 1), (shape.mft, shape.mft + max(1, 16 * shape.record // shape.cluster))])))
    content = _pieces(volume, shape, bitmap)
    for start in range(0, shape.clusters, _PIECE * 8):
        count = min(_PIECE * 8, shape.clusters - start)
        found, _zeros = zero_bits(content.read(start // 8, -(-count // 8)), count)
        free = [(start + first, start + last) for first, last in found]
        if list(without(free, taken)) != free:
            raise Refused("its map says that what it lies in itself is free")
        yield from ((first * shape.cluster, last * shape.cluster) for first, last in free)
