# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What is free on a whole disk: its partitions, the logical volumes in them, and the file systems on those."""

from __future__ import annotations

import contextlib
import typing as t

from . import btrfs, ext, lvm, ntfs, signatures, xfs
from .partitions import overlapping, partitions, volume_of
from .ranges import Collected, Range, joined
from .volume import FreeSpace, Refused, Volume

WHOLE = "whole disk"

_READERS: t.Mapping[str, t.Callable[[Volume], FreeSpace]] = {
    signatures.EXT: ext.free_space,
    signatures.XFS: xfs.free_space,
    signatures.NTFS: ntfs.free_space,
    signatures.BTRFS: btrfs.free_space,
}
_NAMES = {signatures.EXT: "ext2, ext3 or ext4", signatures.LVM: "a physical volume of LVM"}
_MOST = 512


class Part(t.NamedTuple):
    """What is known of a partition, a logical volume or a whole disk: its name, the file system, its bytes, what is free or why nothing is skipped."""

    name: str
    kind: t.Optional[str]
    size: int
    free: t.Iterable[Range] = ()
    """Ranges of the disk in bytes, whole granules; each part's own are in the order of its volume, not of the disk."""
    reason: t.Optional[str] = None


def survey(disk: Volume, asleep: bool = False) -> t.Iterator[Part]:
    """The parts of a disk, one after another; no more than a few hundred. Nothing is free where a system sleeps on it, or on another one (*asleep*)."""
    if asleep or sleeps(disk):
        yield Part(WHOLE, None, disk.size, reason="the system sleeps: it was hibernated")
        return
    for number, part in enumerate(_parts(disk)):
        if number == _MOST:
            return
        yield part


def sleeps(disk: Volume) -> bool:
    """Whether a system was put to sleep in any swap space of a disk. It has file systems open, and goes on with what it remembers of their maps."""
    return any(signatures.sleeps(volume) for volume in _volumes(disk))


def _volumes(disk: Volume) -> t.Iterator[Volume]:
    """The disk, its partitions, and the logical volumes in them; those that can be told."""
    yield disk
    outer = [disk]
    with contextlib.suppress(Refused):
        outer += [volume_of(disk, each) for each in partitions(disk)]
    for volume in outer:
        yield volume
        with contextlib.suppress(Refused):
            if lvm.is_there(volume):
                yield from (logical.volume for logical in lvm.logical_volumes(volume))


def _parts(disk: Volume) -> t.Iterator[Part]:
    try:
        found, marks = partitions(disk), signatures.found(disk)
    except Refused as error:
        yield Part(WHOLE, None, disk.size, reason=str(error))
        return
    if found and marks:
        yield Part(WHOLE, None, disk.size, reason=f"it has partitions, and the marks of {_listed(marks)}")
        return
    if not found:
        yield from _volume(WHOLE, disk, marks)
        return
    shared = overlapping(found)
    for each in found:
        volume = volume_of(disk, each)
        if each.number in shared:
            yield Part(str(each.number), None, each.length, reason="it overlaps another partition")
        else:
            yield from _volume(str(each.number), volume)


def _volume(name: str, volume: Volume, marks: t.Optional[t.Set[str]] = None, nested: bool = False) -> t.Iterator[Part]:
    """What lies on one volume, which has *marks* if they were looked for already."""
    try:
        marks = signatures.found(volume) if marks is None else marks
        if marks == {signatures.LVM} and not nested:
            for logical in lvm.logical_volumes(volume):
                yield from _volume(f"{name}, {logical.name}", logical.volume, nested=True)
            return
        yield _file_system(name, volume, marks)
    except Refused as error:
        yield Part(name, _kind(marks), volume.size, reason=str(error))
    except Exception as error:  # a mistake of ours, or too little memory for what this guest has written: the others go on
        yield Part(name, _kind(marks), volume.size, reason=f"its reader failed ({type(error).__name__}: {error}); please report it")


def _file_system(name: str, volume: Volume, marks: t.Set[str]) -> Part:
    if len(marks) > 1:
        return Part(name, None, volume.size, reason=f"it has the marks of {_listed(marks)}, and which of them is valid cannot be told")
    kind = next(iter(marks), None)
    if kind is None:
        return Part(name, None, volume.size, reason="nothing on it is known")
    if kind not in _READERS:
        return Part(name, _kind(marks), volume.size, reason=f"no map is read of {_kind(marks)}")
    found = _READERS[kind](volume)
    free = Collected()
    for start, end in joined(found.ranges):  # what ends within a granule may go on there
        for first, last in volume.on_disk(start, end):
            free.add(first, last)
    return Part(name, found.kind, volume.size, free)


def _kind(marks: t.Optional[t.Set[str]]) -> t.Optional[str]:
    return _NAMES.get(next(iter(marks)), next(iter(marks))) if marks and len(marks) == 1 else None


def _listed(marks: t.Set[str]) -> str:
    return " and ".join(sorted(_NAMES.get(each, each) for each in marks))
