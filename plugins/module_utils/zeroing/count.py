# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What the disks of an instance really take: a program on its primary node. Standard library and Python 3.9 only; opens them for reading alone.

Input: one line of JSON, {"paths": [...], "read": whether to count data}. Output: lines of JSON, {"event": "reading", "done": bytes, "of": bytes} while
it reads, and at last {"event": "counted", "disks": [{"size", "allocated", "data"}]}, or {"event": "failed", "path", "why"}.

``allocated`` are the bytes that storage keeps for it, as a file tells, or the file behind a loop device; None where the node cannot know.
``data`` are the bytes of blocks that hold anything but zeros; None where they were not read. Nothing of the file systems in it is looked at.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import time
import typing as t

BLOCK = 64 * 1024
_CHUNK = 4 * 1024 * 1024
_LONGEST = 1 << 20
_PAUSE = 1.0

Disk = t.Dict[str, t.Optional[int]]


def say(event: str, **fields: t.Any) -> None:
    """Tell the controller."""
    os.write(1, json.dumps({"event": event, **fields}).encode("ascii") + b"\n")


def allocated(descriptor: int) -> t.Optional[int]:
    """The bytes that storage keeps for a file, or for the file behind a loop device."""
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode):
        os.fsync(descriptor)
        return os.fstat(descriptor).st_blocks * 512
    place = f"/sys/dev/block/{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}/loop/backing_file"
    try:
        with open(place, encoding="utf-8", errors="surrogateescape") as stream:
            behind = os.open(stream.read().rstrip("\n"), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        os.fsync(behind)
        return os.fstat(behind).st_blocks * 512 if stat.S_ISREG(os.fstat(behind).st_mode) else None
    finally:
        os.close(behind)


def extents(descriptor: int, size: int) -> t.Iterator[t.Tuple[int, int]]:
    """Where a disk may hold something, from and to; holes are left out where it tells of them."""
    offset = 0
    while offset < size:
        try:
            start = os.lseek(descriptor, offset, os.SEEK_DATA)
            end = min(os.lseek(descriptor, start, os.SEEK_HOLE), size)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            start, end = offset, size
        if start >= size:
            return
        yield start, end
        offset = end


def data(descriptor: int, size: int, tell: t.Callable[[int], None]) -> int:
    """The bytes of the blocks that hold anything but zeros."""
    nothing, found, past = bytes(BLOCK), 0, 0
    for start, end in extents(descriptor, size):
        at = max(start // BLOCK * BLOCK, past)
        while at < end:
            chunk = os.pread(descriptor, min(_CHUNK, size - at, -(-(end - at) // BLOCK) * BLOCK), at)
            if not chunk:
                break
            found += sum(len(block) for block in pieces(chunk) if block != nothing[: len(block)])
            at += len(chunk)
            tell(at)
        past = at
    return found


def pieces(chunk: bytes) -> t.Iterator[bytes]:
    """The blocks of what was read."""
    return (chunk[at : at + BLOCK] for at in range(0, len(chunk), BLOCK))


def counted(path: str, read: bool) -> Disk:
    """What one disk takes."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.lseek(descriptor, 0, os.SEEK_END)
        told = [time.monotonic()]

        def tell(done: int) -> None:
            if time.monotonic() - told[0] >= _PAUSE:
                told[0] = time.monotonic()
                say("reading", done=done, of=size)

        return {"size": size, "allocated": allocated(descriptor), "data": data(descriptor, size, tell) if read else None}
    finally:
        os.close(descriptor)


def main() -> int:
    """Count what is asked for."""
    line = b""
    while not line.endswith(b"\n") and len(line) < _LONGEST:
        line += os.read(0, 1) or b"\n"
    request = json.loads(line)
    disks: t.List[Disk] = []
    for path in request["paths"]:
        try:
            disks.append(counted(str(path), bool(request["read"])))
        except OSError as error:
            say("failed", path=str(path), why=error.strerror or str(error))
            return 1
    say("counted", disks=disks)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
