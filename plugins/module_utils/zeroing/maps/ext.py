# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Free blocks of ext2, ext3 and ext4: bitmaps of block groups, each checked against the count in its group's descriptor.

Of Documentation/filesystems/ext4. A file system is taken only where its state is clean, its journal needs no recovery, no orphan is left,
and all of its features are known here. The kernel sets "needs recovery" when it mounts and takes it away when it unmounts.
"""

from __future__ import annotations

import struct
import typing as t

from .ranges import Range, joined, length_of, without, zero_bits
from .volume import FreeSpace, Refused, Volume

_SUPERBLOCK, _SIZE = 1024, 1024
_MAGIC = 0xEF53
_CLEAN, _ERRORS, _ORPHANS = 1, 2, 4
_BLOCK_UNINIT = 2

_HAS_JOURNAL, _SPARSE_SUPER2 = 0x4, 0x200
_RECOVER, _META_BG, _64BIT = 0x4, 0x10, 0x80
_SPARSE_SUPER, _GDT_CSUM, _BIGALLOC, _METADATA_CSUM, _ORPHAN_PRESENT = 0x1, 0x10, 0x200, 0x400, 0x10000
_EXTENTS = 0x40

_COMPAT = 0x1 | 0x2 | _HAS_JOURNAL | 0x8 | 0x10 | 0x20 | _SPARSE_SUPER2 | 0x400 | 0x800 | 0x1000
"""dir_prealloc, imagic_inodes, has_journal, ext_attr, resize_inode, dir_index, sparse_super2, fast_commit, stable_inodes, orphan_file."""
_INCOMPAT = 0x2 | _META_BG | _EXTENTS | _64BIT | 0x200 | 0x400 | 0x2000 | 0x4000 | 0x8000 | 0x10000 | 0x20000
"""filetype, meta_bg, extents, 64bit, flex_bg, ea_inode, metadata_csum_seed, large_dir, inline_data, encrypt, casefold. Not: journal_dev, mmp."""
_RO_COMPAT = _SPARSE_SUPER | 0x2 | 0x8 | _GDT_CSUM | 0x20 | 0x40 | 0x100 | _BIGALLOC | _METADATA_CSUM | 0x1000 | 0x2000 | 0x8000
"""sparse_super, large_file, huge_file, uninit_bg, dir_nlink, extra_isize, quota, bigalloc, metadata_csum, read-only, project, verity."""

_MOST_GROUPS = 1 << 22
_HEAD = struct.Struct("<IIIHHHH")
_TAIL = struct.Struct("<IIIH")


class Superblock(t.NamedTuple):
    """What of the superblock matters here, as it stands there; blocks are counted from 0."""

    blocks: int
    free: int
    first: int
    block: int
    cluster: int
    per_group: int
    clusters_per_group: int
    inodes_per_group: int
    inode: int
    compat: int
    incompat: int
    ro_compat: int
    state: int
    reserved_gdt: int
    orphan: int
    descriptor: int
    first_meta_bg: int
    backups: t.Tuple[int, int]

    @property
    def groups(self) -> int:
        """How many block groups there are."""
        return -(-(self.blocks - self.first) // self.per_group)

    @property
    def ratio(self) -> int:
        """Blocks in a cluster, which is what a bit stands for."""
        return self.cluster // self.block

    @property
    def kind(self) -> str:
        """The file system's name."""
        if self.incompat & (_EXTENTS | _64BIT) or self.ro_compat & ~(_SPARSE_SUPER | 0x2):
            return "ext4"
        return "ext3" if self.compat & _HAS_JOURNAL else "ext2"


class Group(t.NamedTuple):
    """A block group's descriptor: where its maps and inodes are, how many clusters are free, whether its bitmap is on the disk."""

    bitmap: int
    inode_bitmap: int
    inode_table: int
    free: int
    uninit: bool


def is_there(volume: Volume) -> bool:
    """Whether an ext file system seems to be here."""
    return volume.size >= _SUPERBLOCK + _SIZE and volume.read(_SUPERBLOCK + 56, 2) == _MAGIC.to_bytes(2, "little")


def free_space(volume: Volume) -> FreeSpace:
    """Where nothing is; raises Refused."""
    sb = parse(volume.read(_SUPERBLOCK, _SIZE))
    check(sb, volume.size)
    return FreeSpace(sb.kind, _free(volume, sb))


def parse(data: bytes) -> Superblock:
    """The superblock in its 1024 bytes."""

    def half(offset: int) -> int:
        return int.from_bytes(data[offset : offset + 2], "little")

    def word(offset: int) -> int:
        return int.from_bytes(data[offset : offset + 4], "little")

    def high(offset: int) -> int:
        return word(offset) << 32 if wide else 0

    revision = word(0x4C)
    wide = bool(word(0x60) & _64BIT) and revision > 0
    if max(word(0x18), word(0x1C)) > 20:
        raise Refused("its blocks have an impossible size")
    return Superblock(
        blocks=word(0x4) + high(0x150), free=word(0xC) + high(0x158), first=word(0x14), block=1024 << word(0x18),
        cluster=1024 << (word(0x1C) if word(0x64) & _BIGALLOC else word(0x18)), per_group=word(0x20), clusters_per_group=word(0x24),
        inodes_per_group=word(0x28), inode=half(0x58) if revision else 128, compat=word(0x5C), incompat=word(0x60), ro_compat=word(0x64), state=half(0x3A),
        reserved_gdt=half(0xCE), orphan=word(0xE8), descriptor=half(0xFE) if wide else 32, first_meta_bg=word(0x104), backups=(word(0x24C), word(0x250)),
    )  # fmt: skip


def check(sb: Superblock, size: int) -> None:
    """Raise Refused unless the file system is clean, of known features, and lies within *size* bytes."""
    if sb.incompat & _RECOVER or not sb.state & _CLEAN or sb.state & (_ERRORS | _ORPHANS) or sb.orphan or sb.ro_compat & _ORPHAN_PRESENT:
        raise Refused("it was not unmounted in order: its journal or its state is not clean")
    for name, found, known in (("", sb.compat, _COMPAT), ("incompatible ", sb.incompat, _INCOMPAT), ("read-only ", sb.ro_compat, _RO_COMPAT)):
        if found & ~known:
            raise Refused(f"it has {name}features that are not known here ({found & ~known:#x})")
    sound = (
        sb.block <= 65536 and sb.block <= sb.cluster <= sb.block << 20
        and sb.first == (1 if sb.block == 1024 else 0) and not (sb.block == 1024 and sb.ratio > 1)
        and 8 <= sb.clusters_per_group <= 8 * sb.block and sb.clusters_per_group % 8 == 0 and sb.per_group == sb.clusters_per_group * sb.ratio
        and sb.per_group >= 256 and sb.first < sb.blocks and sb.blocks * sb.block <= size and sb.groups <= _MOST_GROUPS
        and sb.descriptor in (32, 64, 128, 256, 512, 1024) and sb.descriptor <= sb.block
        and 128 <= sb.inode <= sb.block and 0 < sb.inodes_per_group <= 8 * sb.block
        and sb.first_meta_bg <= _MOST_GROUPS and sb.reserved_gdt <= sb.block // 4
    )  # fmt: skip
    if not sound:
        raise Refused("its superblock contradicts itself, or it is larger than what it lies on")


def _free(volume: Volume, sb: Superblock) -> t.Iterator[Range]:
    groups = [group for data in _descriptor_blocks(volume, sb) for group in data][: sb.groups]
    if len(groups) < sb.groups:
        raise Refused("it has fewer group descriptors than groups")
    metadata = list(joined(sorted(_metadata(sb, groups))))
    unit, total, at = sb.cluster, 0, 0
    for number, group in enumerate(groups):
        begin = sb.first + number * sb.per_group
        end = min(begin + sb.per_group, sb.blocks)
        while at < len(metadata) and metadata[at][1] <= begin:
            at += 1
        taken = _within(metadata, at, begin, end, sb.ratio)
        found = _free_clusters(volume, sb, group, -(-(end - begin) // sb.ratio), taken)
        if length_of(found) != group.free:
            raise Refused(f"its group {number} says that {group.free} clusters are free, and its bitmap says {length_of(found)}")
        total += group.free
        base = begin * sb.block
        # The last cluster may reach beyond the last block.
        yield from ((base + start * unit, min(base + stop * unit, sb.blocks * sb.block)) for start, stop in found)
    if total * sb.ratio != sb.free:
        raise Refused(f"its superblock says that {sb.free} blocks are free, and its groups say {total * sb.ratio}")


def _within(metadata: t.Sequence[Range], at: int, begin: int, end: int, ratio: int) -> t.List[Range]:
    """The metadata of a group, in clusters from its beginning."""
    found: t.List[Range] = []
    while at < len(metadata) and metadata[at][0] < end:
        start, stop = max(metadata[at][0], begin) - begin, min(metadata[at][1], end) - begin
        found.append((start // ratio, -(-stop // ratio)))
        at += 1
    return list(joined(found))


def _free_clusters(volume: Volume, sb: Superblock, group: Group, count: int, taken: t.Sequence[Range]) -> t.List[Range]:
    """The free clusters of a group, as its bitmap says; where it has none yet, all but the metadata."""
    if group.uninit:
        return list(without([(0, count)], taken))
    found, _count = zero_bits(volume.read(group.bitmap * sb.block, -(-count // 8)), count)
    # What holds the maps is never free: a bitmap that says so contradicts the count then.
    return list(without(found, taken))


def _descriptor_blocks(volume: Volume, sb: Superblock) -> t.Iterator[t.List[Group]]:
    per_block = sb.block // sb.descriptor
    for number in range(-(-sb.groups // per_block)):
        data = volume.read(_descriptor_block(sb, number, per_block) * sb.block, sb.block)
        yield [_group(sb, data[start : start + sb.descriptor]) for start in range(0, sb.block, sb.descriptor)]


def _descriptor_block(sb: Superblock, number: int, per_block: int) -> int:
    """The block with the group descriptors *number*."""
    if not sb.incompat & _META_BG or number < sb.first_meta_bg:
        return sb.first + 1 + number
    group = number * per_block
    return sb.first + group * sb.per_group + has_superblock(sb, group)


def _group(sb: Superblock, data: bytes) -> Group:
    bitmap, inode_bitmap, table, free, _inodes, _directories, flags = _HEAD.unpack_from(data)
    if sb.descriptor >= 64:
        high = _TAIL.unpack_from(data, 32)
        bitmap, inode_bitmap, table = (low | more << 32 for low, more in zip((bitmap, inode_bitmap, table), high))
        free |= high[3] << 16
    uninit = bool(flags & _BLOCK_UNINIT and sb.ro_compat & (_GDT_CSUM | _METADATA_CSUM))
    return Group(bitmap, inode_bitmap, table, free, uninit)


def has_superblock(sb: Superblock, group: int) -> bool:
    """Whether a group begins with a copy of the superblock."""
    if group == 0:
        return True
    if sb.compat & _SPARSE_SUPER2:
        return group in sb.backups
    if group == 1 or not sb.ro_compat & _SPARSE_SUPER:
        return True
    return any(_is_power(group, base) for base in (3, 5, 7))


def _is_power(number: int, base: int) -> bool:
    while number % base == 0:
        number //= base
    return number == 1


def _metadata(sb: Superblock, groups: t.Sequence[Group]) -> t.Iterator[Range]:
    """The blocks with superblocks, descriptors, bitmaps and inodes; raises Refused where they are not in the file system."""
    per_block = sb.block // sb.descriptor
    table = -(-sb.inodes_per_group * sb.inode // sb.block)
    blocks = -(-sb.groups // per_block)
    meta = bool(sb.incompat & _META_BG)
    plain = min(blocks, sb.first_meta_bg) if meta else blocks
    for number, group in enumerate(groups):
        for start, length in ((group.bitmap, 1), (group.inode_bitmap, 1), (group.inode_table, table)):
            if start < sb.first or start + length > sb.blocks:
                raise Refused(f"its group {number} has its maps outside of the file system")
            yield start, start + length
        begin, copy = sb.first + number * sb.per_group, has_superblock(sb, number)
        if copy:
            yield begin, begin + 1 + plain + (0 if meta else sb.reserved_gdt)
        if meta and number // per_block >= sb.first_meta_bg and number % per_block in (0, 1, per_block - 1):
            yield begin + copy, begin + copy + 1
