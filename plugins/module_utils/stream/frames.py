# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The frames of a lane, and the bounds that each of them must keep."""

from __future__ import annotations

import hashlib
import struct
import typing as t

from .errors import EndpointError
from .extents import BLOCK

HEADER = struct.Struct("!BxHIQ")
"""Kind, disk, length and offset in bytes; the block's checksum follows."""

DATA = 1
END = 2

HELLO = struct.Struct("!4s32sHH")
"""Magic, token of the move, number of this lane, number of lanes."""

MAGIC = b"GNTS"
ACCEPTED = b"GNTA"
STORED = b"GNTD"


class Frame(t.NamedTuple):
    """The head of one block on the wire; offset and length in bytes."""

    kind: int
    disk: int
    length: int
    offset: int


def token(move_id: str) -> bytes:
    """The 32 bytes that stand for a move in a lane's first message."""
    return hashlib.sha256(move_id.encode("ascii")).digest()


def pack_hello(move_id: str, lane: int, lanes: int) -> bytes:
    """The first message of a lane."""
    return HELLO.pack(MAGIC, token(move_id), lane, lanes)


def check_hello(data: bytes, move_id: str, lanes: int) -> int:
    """Return the lane's number; raise EndpointError where anything is not as agreed."""
    magic, theirs, lane, count = HELLO.unpack(data)
    if magic != MAGIC or theirs != token(move_id):
        raise EndpointError("A connection arrived that does not belong to this move.")
    if count != lanes or lane >= lanes:
        raise EndpointError(f"The sender announced lane {lane} of {count}, but {lanes} lanes were agreed.")
    return int(lane)


def parse(header: t.Union[bytes, bytearray, memoryview], sizes: t.Sequence[int]) -> Frame:
    """Return the frame of *header*; raise EndpointError unless it lies within a disk.

    *sizes* are the disks' sizes in bytes as agreed before the stream began.
    """
    frame = Frame(*HEADER.unpack(header))
    if frame.kind == END:
        if frame.disk or frame.length or frame.offset:
            raise EndpointError("The stream ended with a frame that carries data.")
        return frame
    if frame.kind != DATA:
        raise EndpointError(f"The stream holds a frame of the unknown kind {frame.kind}.")
    if frame.disk >= len(sizes):
        raise EndpointError(f"The stream names disk {frame.disk}, but {len(sizes)} disks were agreed.")
    if not 0 < frame.length <= BLOCK - frame.offset % BLOCK:
        raise EndpointError(f"The stream holds a frame of {frame.length} bytes at offset {frame.offset}, which crosses a block.")
    if frame.offset + frame.length > sizes[frame.disk]:
        raise EndpointError(f"The stream wants to write behind the end of disk {frame.disk} ({sizes[frame.disk]} bytes).")
    return frame
