# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Free space of btrfs on one device: all that is no extent, checked against what its superblock says is used.

Of the kernel's include/uapi/linux/btrfs_tree.h. It is whole at every moment, as a block that is in use is never written again; what was
synchronised since the last whole state is in the log tree, and a file system that has one is left alone. Extents are told by addresses of the file system's
own, which the tree of chunks translates.
"""

from __future__ import annotations

import bisect
import hashlib
import struct
import typing as t

from .ranges import Collected, Range, joined, without
from .volume import FreeSpace, Refused, Volume

_SUPERBLOCK, _SIZE = 65536, 4096
_MIRRORS = (65536, 64 * 1024**2, 256 * 1024**3)
_KEPT = 1024 * 1024
"""Bytes at the beginning that are never given to anything but boot loaders."""
_AROUND_MIRROR = 65536
_MAGIC = b"_BHRfS_M"
_INCOMPAT = 0x1 | 0x2 | 0x4 | 0x8 | 0x10 | 0x20 | 0x40 | 0x100 | 0x200 | 0x400 | 0x10000
"""mixed backref, default subvolume, mixed groups, lzo, zstd, big metadata, extended iref, skinny metadata, no holes, metadata uuid, simple quota."""
_COMPAT_RO = 0x1 | 0x2 | 0x4 | 0x8
"""free space tree, that it is valid, verity, block group tree."""
_WRITTEN = 1
_EXTENT_TREE, _CHUNK_TREE, _CHUNK_OBJECTS = 2, 3, 256
_ROOT_TREE = 1
_ROOT_ITEM, _EXTENT_ITEM, _METADATA_ITEM, _CHUNK_ITEM = 132, 168, 169, 228
_PROFILES, _DUP = 0x7F8, 0x20
_MOST_CHUNKS = 1 << 16
_MOST_EXTENTS = 1 << 21
_HEADER = 101
_KEY = struct.Struct("<QBQ")
_ITEM = struct.Struct("<QBQII")
_POINTER = struct.Struct("<QBQQQ")


class Tree(t.NamedTuple):
    """Where a tree begins: an address of the file system's own, the generation in which it was written, and how far it is above its leaves."""

    owner: int
    address: int
    generation: int
    level: int


class Superblock(t.NamedTuple):
    """What of the superblock matters here; sizes in bytes."""

    root: Tree
    chunks: Tree
    total: int
    used: int
    node: int
    sector: int
    first_chunks: bytes


class Chunk(t.NamedTuple):
    """Addresses of the file system's own, and where they lie on the device: twice, if what is there was written twice."""

    start: int
    length: int
    places: t.Tuple[int, ...]


def is_there(volume: Volume) -> bool:
    """Whether a btrfs seems to be here."""
    return volume.size >= _SUPERBLOCK + _SIZE and volume.read(_SUPERBLOCK + 64, 8) == _MAGIC


def free_space(volume: Volume) -> FreeSpace:
    """Where nothing is; raises Refused."""
    sb = parse(volume.read(_SUPERBLOCK, _SIZE), volume.size)
    reader = _Reader(volume, sb)
    return FreeSpace("btrfs", reader.free())


def crc32c(data: bytes) -> int:
    """The checksum of Castagnoli, which the standard library lacks; slow, so only for the superblock."""
    value = 0xFFFFFFFF
    for byte in data:
        value = _CRC[(value ^ byte) & 0xFF] ^ value >> 8
    return value ^ 0xFFFFFFFF


def _crc_entry(value: int) -> int:
    for _bit in range(8):
        value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value


_CRC = tuple(map(_crc_entry, range(256)))
_CHECKSUMS: t.Mapping[int, t.Callable[[bytes], bytes]] = {
    0: lambda data: crc32c(data).to_bytes(4, "little"),
    2: lambda data: hashlib.sha256(data).digest(),
    3: lambda data: hashlib.blake2b(data, digest_size=32).digest(),
}
"""By the number of their kind. Not xxhash, which the standard library lacks too."""


def parse(data: bytes, size: int) -> Superblock:
    """The superblock; raises Refused unless the file system is clean, on this device alone, of known features, and lies within *size* bytes."""

    def number(offset: int, length: int = 8) -> int:
        return int.from_bytes(data[offset : offset + length], "little")

    checksum = _CHECKSUMS.get(number(196, 2))
    if checksum is None:
        raise Refused("its checksums are of a kind that is not known here")
    found = checksum(data[32:])
    if found != data[: len(found)]:
        raise Refused("its superblock does not match its checksum")
    if number(96):
        raise Refused("it was not unmounted in order: it has a log tree")
    incompat, compat_ro, flags = number(188) & ~_INCOMPAT, number(180) & ~_COMPAT_RO, number(56) & ~_WRITTEN
    if incompat or compat_ro or flags:
        raise Refused(f"it has features that are not known here ({incompat:#x}, {compat_ro:#x}, {flags:#x})")
    if number(136) != 1:
        raise Refused("it is on several devices")
    total, node, sector, first = number(112), number(148, 4), number(144, 4), number(160, 4)
    sound = (
        number(48) == _SUPERBLOCK and 4096 <= node <= 65536 and node & (node - 1) == 0 and 4096 <= sector <= node and sector & (sector - 1) == 0
        and 0 < first <= 2048 and _KEPT < total <= size and number(201 + 8) == total and max(data[198], data[199]) < 8
    )  # fmt: skip
    if not sound:
        raise Refused("its superblock contradicts itself, or it is larger than what it lies on")
    root, chunks = Tree(_ROOT_TREE, number(80), number(72), data[198]), Tree(_CHUNK_TREE, number(88), number(164), data[199])
    return Superblock(root, chunks, total, number(120), node, sector, data[811 : 811 + first])


class _Reader:
    """One file system, as far as its addresses are known."""

    def __init__(self, volume: Volume, sb: Superblock) -> None:
        self._volume, self._sb = volume, sb
        self._chunks = sorted(_first_chunks(sb))
        self._chunks = sorted(self._all_chunks())
        if any(before.start + before.length > after.start for before, after in zip(self._chunks, self._chunks[1:])):
            raise Refused("its chunks overlap")

    def free(self) -> t.Iterator[Range]:
        """What no extent lies in, in ascending order."""
        given = sorted((place, place + chunk.length) for chunk in self._chunks for place in chunk.places)
        if any(before[1] > after[0] for before, after in zip(given, given[1:])):
            raise Refused("its chunks overlap")
        kept = sorted([(0, _KEPT), *((place, place + _AROUND_MIRROR) for place in _MIRRORS)])
        found = Collected()
        for start, end in without([(0, self._sb.total)], given):
            found.add(start, end)
        extents = list(joined(self._extents()))
        at = 0
        for chunk in self._chunks:
            while at < len(extents) and extents[at][1] <= chunk.start:
                at += 1
            for start, end in without([(chunk.start, chunk.start + chunk.length)], _from(extents, at, chunk)):
                for place in chunk.places:
                    found.add(start - chunk.start + place, end - chunk.start + place)
        yield from without(sorted(found), joined(kept))

    def _all_chunks(self) -> t.Iterator[Chunk]:
        """Those that the tree tells, which begins in one of the first."""
        count = 0
        for (objects, kind, offset), data in self._items(self._sb.chunks):
            if (objects, kind) == (_CHUNK_OBJECTS, _CHUNK_ITEM):
                count += 1
                if count > _MOST_CHUNKS:
                    raise Refused("it has more chunks than can be")
                yield _chunk(offset, data, self._sb)[0]

    def _extents(self) -> t.Iterator[Range]:
        """All that is used, by the file system's own addresses; raises Refused where that is not as much as the superblock says."""
        total = reached = count = 0
        for (address, kind, offset), _data in self._items(self._root_of(_EXTENT_TREE)):
            if kind not in (_EXTENT_ITEM, _METADATA_ITEM):
                continue
            length = offset if kind == _EXTENT_ITEM else self._sb.node
            count += 1
            if address < reached or not length or length % self._sb.sector or count > _MOST_EXTENTS:
                raise Refused("its extents are not in order, or too many")
            self._place(address, length)
            reached, total = address + length, total + length
            yield address, reached
        if total != self._sb.used:
            raise Refused(f"its superblock says that {self._sb.used} bytes are used, and its extents say {total}")

    def _root_of(self, owner: int) -> Tree:
        for (objects, kind, _offset), data in self._items(self._sb.root):
            if (objects, kind) == (owner, _ROOT_ITEM) and len(data) >= 239:
                generation, _directory, address = struct.unpack_from("<QQQ", data, 160)
                return Tree(owner, address, generation, data[238])
        raise Refused(f"it has no tree {owner}")

    def _items(self, tree: Tree) -> t.Iterator[t.Tuple[t.Tuple[int, int, int], bytes]]:
        """The keys and the contents of a tree's items, in the order of the keys, which must ascend: so there is no way round."""
        last = (-1, -1, -1)
        waiting = [(tree.address, tree.generation, tree.level)]
        while waiting:
            address, generation, level = waiting.pop()
            data, count = self._node(tree.owner, address, generation, level)
            if level:
                pointers = [_POINTER.unpack_from(data, _HEADER + number * _POINTER.size) for number in range(count)]
                waiting.extend((place, written, level - 1) for _objects, _kind, _offset, place, written in reversed(pointers))
                if len(waiting) > 8 * self._sb.node or not count:
                    raise Refused(f"its tree {tree.owner} is not sound")
                continue
            for number in range(count):
                *key, start, length = _ITEM.unpack_from(data, _HEADER + number * _ITEM.size)
                if tuple(key) <= last or _HEADER + start + length > len(data):
                    raise Refused(f"its tree {tree.owner} is not sound")
                last = (key[0], key[1], key[2])
                yield last, data[_HEADER + start : _HEADER + start + length]

    def _node(self, owner: int, address: int, generation: int, level: int) -> t.Tuple[bytes, int]:
        """One node of a tree, which must be the one that was meant, and how many items or pointers are in it."""
        data = self._volume.read(self._place(address, self._sb.node), self._sb.node)
        own, _flags = struct.unpack_from("<QQ", data, 48)
        written, belongs, count, found = struct.unpack_from("<QQIB", data, 80)
        width = _POINTER.size if level else _ITEM.size
        if (own, written, belongs, found) != (address, generation, owner, level) or count * width > len(data) - _HEADER:
            raise Refused(f"its tree {owner} is not sound")
        return data, count

    def _place(self, address: int, length: int) -> int:
        """Where on the device an address is; raises Refused where the range is in no chunk."""
        index = bisect.bisect_right(self._chunks, (address, 1 << 64)) - 1
        if index >= 0:
            chunk = self._chunks[index]
            if chunk.start <= address and address + length <= chunk.start + chunk.length:
                return address - chunk.start + chunk.places[0]
        raise Refused("an address is in none of its chunks")


def _from(extents: t.Sequence[Range], at: int, chunk: Chunk) -> t.Iterator[Range]:
    """The extents from one on that begin in a chunk."""
    while at < len(extents) and extents[at][0] < chunk.start + chunk.length:
        yield extents[at]
        at += 1


def _first_chunks(sb: Superblock) -> t.Iterator[Chunk]:
    """Those that stand in the superblock, with the tree that tells of the others."""
    data = sb.first_chunks
    while data:
        if len(data) < _KEY.size:
            raise Refused("its first chunks are not sound")
        objects, kind, offset = _KEY.unpack_from(data)
        if (objects, kind) != (_CHUNK_OBJECTS, _CHUNK_ITEM):
            raise Refused("its first chunks are not sound")
        chunk, length = _chunk(offset, data[_KEY.size :], sb)
        yield chunk
        data = data[_KEY.size + length :]


def _chunk(start: int, data: bytes, sb: Superblock) -> t.Tuple[Chunk, int]:
    """A chunk, and the length of what describes it."""
    if len(data) < 80:
        raise Refused("one of its chunks is not sound")
    length, _owner, _stripe, kind = struct.unpack_from("<QQQQ", data)
    (stripes,) = struct.unpack_from("<H", data, 44)
    if kind & _PROFILES & ~_DUP or stripes != (2 if kind & _DUP else 1) or len(data) < 48 + 32 * stripes:
        raise Refused("one of its chunks is spread in a way that is not known here")
    places = tuple(struct.unpack_from("<QQ", data, 48 + 32 * number)[1] for number in range(stripes))
    if not length or length % sb.sector or start % sb.sector or start + length >= 1 << 63:
        raise Refused("one of its chunks is not sound")
    if any(place % sb.sector or place + length > sb.total for place in places):
        raise Refused("one of its chunks is beyond its end")
    return Chunk(start, length, places), 48 + 32 * stripes
