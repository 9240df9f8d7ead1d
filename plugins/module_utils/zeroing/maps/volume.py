# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What a file system lies on: a disk, a partition, or a logical volume; to be read within its bounds, and told where on the disk it is."""

from __future__ import annotations

import os
import typing as t

from .ranges import Range

_MOST = 4 * 1024 * 1024


class Refused(Exception):
    """Why nothing of a volume is skipped: a clause that begins with "it" or a noun, without a full stop."""


class Piece(t.NamedTuple):
    """Some consecutive bytes of a volume, and where on the disk they lie."""

    start: int
    length: int
    at: int


class Volume:
    """Some bytes of a disk, in one or several pieces; *tell* is called with the bytes of each reading."""

    def __init__(self, descriptor: int, pieces: t.Sequence[Piece], tell: t.Callable[[int], None] = lambda count: None) -> None:
        self.pieces = tuple(pieces)
        self.size = sum(piece.length for piece in pieces)
        self._descriptor = descriptor
        self._tell = tell

    def read(self, offset: int, length: int) -> bytes:
        """Exactly so many bytes; raise Refused where the volume does not have them."""
        if offset < 0 or not 0 <= length <= _MOST or offset + length > self.size:
            raise Refused(f"it wants {length} bytes read at {offset}, and has {self.size}")
        found = b"".join(self._pread(end - start, start) for start, end in self.on_disk(offset, offset + length))
        if len(found) != length:
            raise Refused(f"it could not be read at byte {offset}")
        return found

    def part(self, pieces: t.Iterable[Piece]) -> Volume:
        """A volume within this one: *pieces* say where in it they lie. Raises Refused where that is outside."""
        result: t.List[Piece] = []
        size = 0
        for piece in pieces:
            if piece.at < 0 or piece.length <= 0 or piece.at + piece.length > self.size:
                raise Refused(f"its bytes {piece.at} to {piece.at + piece.length} are not within the {self.size} of what it lies on")
            for start, end in self.on_disk(piece.at, piece.at + piece.length):
                result.append(Piece(size, end - start, start))
                size += end - start
        return Volume(self._descriptor, result, self._tell)

    def on_disk(self, start: int, end: int) -> t.Iterator[Range]:
        """Where the bytes from *start* to *end* are on the disk."""
        for piece in self.pieces:
            first, last = max(start, piece.start), min(end, piece.start + piece.length)
            if first < last:
                yield first - piece.start + piece.at, last - piece.start + piece.at

    def _pread(self, length: int, offset: int) -> bytes:
        self._tell(length)
        try:
            return os.pread(self._descriptor, length, offset)
        except OSError as error:
            raise Refused(f"the disk could not be read at byte {offset}: {error.strerror}") from error


def whole(descriptor: int, size: int, tell: t.Callable[[int], None] = lambda count: None) -> Volume:
    """A disk as a volume."""
    return Volume(descriptor, [Piece(0, size, 0)], tell)


class FreeSpace(t.NamedTuple):
    """What a reader finds: the file system as users call it, and where in its volume nothing is, in bytes."""

    kind: str
    ranges: t.Iterable[Range]
    """In ascending order. Found as they are asked for, so asking can raise Refused to the last; only then all of them count."""
