# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What lies on a volume, by the marks that file systems and others leave.

Somebody who makes a new file system may leave the marks of an older one, whose map then says that the new one's blocks are free. So all marks
are looked for, also of what has no map here, and a volume with two of them is left alone.
"""

from __future__ import annotations

import typing as t

from . import btrfs, ext, lvm, ntfs, xfs
from .volume import Volume

EXT, XFS, NTFS, BTRFS, LVM = "ext", "XFS", "NTFS", "btrfs", "LVM"
_MD = 0xA92B4EFC.to_bytes(4, "little")
_UBERBLOCK = 0x00BAB10C
_PAGES = (4096, 8192, 16384, 32768, 65536)
_ASLEEP = (b"S1SUSPEND\x00", b"S2SUSPEND\x00", b"ULSUSPEND\x00", b"LINHIB0001")

_PLAIN: t.Mapping[str, t.Sequence[t.Tuple[int, bytes]]] = {
    "APFS": ((32, b"NXSB"),),
    "bcache or bcachefs": ((4096 + 24, bytes.fromhex("c68573f6")),),
    "bluestore": ((0, b"bluestore block device"),),
    "an encrypted volume (LUKS)": ((0, b"LUKS\xba\xbe"), (16384, b"SKUL\xba\xbe")),
    "an encrypted volume (BitLocker)": ((3, b"-FVE-FS-"),),
    "exFAT": ((3, b"EXFAT   "),),
    "dm-integrity": ((0, b"integrt\x00"),),
    "f2fs": ((1024, bytes.fromhex("1020f5f2")),),
    "FAT": ((54, b"FAT12   "), (54, b"FAT16   "), (82, b"FAT32   ")),
    "GFS2": ((65536, bytes.fromhex("01161970")),),
    "JFS": ((32768, b"JFS1"),),
    "LVM 1": ((0, b"HM\x01\x00"),),
    "a member of a RAID": ((0, _MD), (4096, _MD)),
    "OCFS2": tuple((offset, b"OCFSV2") for offset in (1024, 2048, 4096, 8192)),
    "ReFS": ((3, b"ReFS\x00\x00\x00\x00"),),
    "reiserfs": ((65536 + 52, b"ReIsEr"), (8192 + 52, b"ReIsEr"), (65536, b"ReIsEr4")),
    "Stratis": ((512 + 4, b"!Stra0tis"),),
    "swap space": ((4086, b"SWAPSPACE2"), (4086, b"SWAP-SPACE"), (4086, b"S1SUSPEND\x00"), (4086, b"S2SUSPEND\x00")),
    "UFS": ((65536 + 1372, bytes.fromhex("19015419")), (8192 + 1372, bytes.fromhex("19540119")), (65536 + 1372, bytes.fromhex("19540119"))),
    "ISO 9660 or UDF": ((32769, b"CD001"), (32769, b"BEA01")),
    "VDO": ((0, b"dmvdo001"),),
}
"""Where marks are, in bytes from the beginning."""


def found(volume: Volume) -> t.Set[str]:
    """All of whose marks are on a volume."""
    readers = ((EXT, ext.is_there), (XFS, xfs.is_there), (NTFS, ntfs.is_there), (BTRFS, btrfs.is_there), (LVM, lvm.is_there))
    result = {name for name, is_there in readers if is_there(volume)}
    result |= {name for name, marks in _PLAIN.items() if any(_has(volume, offset, mark) for offset, mark in marks)}
    if any(_has(volume, offset, _MD) for offset in _raid_places(volume.size)):
        result.add("a member of a RAID")
    if _is_zfs(volume):
        result.add("ZFS")
    return result


def sleeps(volume: Volume) -> bool:
    """Whether a system was put to sleep in this swap space. Its mark is at the end of the first page, whose size depends on the machine."""
    return any(_has(volume, page - 10, mark) for page in _PAGES for mark in _ASLEEP)


def _has(volume: Volume, offset: int, mark: bytes) -> bool:
    return offset >= 0 and offset + len(mark) <= volume.size and volume.read(offset, len(mark)) == mark


def _raid_places(size: int) -> t.Iterator[int]:
    """Where the versions 0.90 and 1.0 of Linux's RAID have their superblocks."""
    yield size // 65536 * 65536 - 65536
    yield (size // 512 - 16) // 8 * 8 * 512


def _is_zfs(volume: Volume) -> bool:
    """Whether there are uberblocks: ZFS leaves the first 16 KiB as they were, with what marks another had left there."""
    if volume.size < 256 * 1024:
        return False
    data = volume.read(128 * 1024, 128 * 1024)
    return any(int.from_bytes(data[at : at + 8], order) == _UBERBLOCK for at in range(0, len(data), 1024) for order in ("little", "big"))
