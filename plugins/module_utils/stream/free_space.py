# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Free space on the source's disks: asking the confined reader, checking what it says, and what the copy makes of it.

The reader (``zeroing/maps``, which the controller sends along) gets descriptors that were opened here for reading, and nothing else: it opens
nothing, and knows neither keys nor paths. It is a process of its own from the start, as one that was forked off here would have this one's keys in
its memory. It is believed nothing but ranges, and these only within the disk, in whole granules, each byte once; anything else, and whatever goes
wrong with it, means that all of the disk is copied.
"""

from __future__ import annotations

import array
import bisect
import json
import os
import select
import subprocess
import sys
import time
import typing as t

from .boot import BOOT, framed
from .control import Controller
from .disks import Disk, forget_cache, open_disk
from .extents import GRANULE

Range = t.Tuple[int, int]
"""Start and end in bytes."""

_SILENT = 30.0
"""Seconds without a word after which the reader is given up."""
_MOST_RANGES = 1 << 19
_MOST_PARTS = 1024
_LONGEST_LINE = 128 * 1024
_LONGEST_TEXT = 500
_WHOLE = "whole disk"


class FreeSpace:
    """The ranges of one disk in which nothing is, in ascending order."""

    def __init__(self, ranges: t.Iterable[Range] = ()) -> None:
        self._starts, self._ends = array.array("Q"), array.array("Q")
        for start, end in ranges:
            self._starts.append(start)
            self._ends.append(end)

    def __bool__(self) -> bool:
        return bool(self._starts)

    def within(self, start: int, end: int) -> t.Iterator[Range]:
        """The parts of a range of the disk that are free."""
        for index in range(bisect.bisect_right(self._ends, start), len(self._starts)):
            if self._starts[index] >= end:
                return
            yield max(start, self._starts[index]), min(end, self._ends[index])

    def used(self, start: int, end: int) -> t.Iterator[Range]:
        """The parts of a range of the disk that are not free."""
        for begin, after in self.within(start, end):
            if start < begin:
                yield start, begin
            start = after
        if start < end:
            yield start, end

    def without(self, extents: t.Iterable[t.Tuple[int, int]]) -> t.Iterator[t.Tuple[int, int]]:
        """*extents*, as offsets and lengths, without what is free."""
        for offset, length in extents:
            for start, end in self.used(offset, offset + length):
                yield start, end - start


NOTHING = FreeSpace()


class Survey(t.NamedTuple):
    """What is free on each disk, and what the user is told about each of its parts."""

    free: t.Tuple[FreeSpace, ...]
    told: t.List[t.List[t.Dict[str, t.Any]]]


class _Failed(Exception):
    """Why nothing is skipped on any disk: a clause."""


def find(disks: t.Sequence[Disk], program: str, controller: Controller) -> Survey:
    """What is free on *disks*, as the reader *program* says. Whatever fails is told, and nothing is skipped then."""
    descriptors = [open_disk(disk, write=False) for disk in disks]
    try:
        for descriptor in descriptors:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)
        answer = _Answer([disk.size for disk in disks])
        try:
            _ask(descriptors, [disk.size for disk in disks], program, controller, answer)
        except _Failed as error:
            return Survey(tuple(NOTHING for _disk in disks), [[_unread(disk, str(error))] for disk in disks])
        return answer.survey()
    finally:
        for descriptor in descriptors:
            forget_cache(descriptor)
            os.close(descriptor)


def _unread(disk: Disk, reason: str) -> t.Dict[str, t.Any]:
    return {"partition": _WHOLE, "file_system": None, "size": disk.size, "skipped": 0, "reason": reason}


def _ask(descriptors: t.Sequence[int], sizes: t.Sequence[int], program: str, controller: Controller, answer: _Answer) -> None:
    """Run the reader to its end; raise _Failed unless it has come to one."""
    request = json.dumps({"disks": list(zip(descriptors, sizes))}).encode("ascii") + b"\n"
    process = subprocess.Popen(  # pylint: disable=ansible-bad-function
        [sys.executable, "-I", "-c", BOOT],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, pass_fds=descriptors, cwd="/", env={},
    )  # fmt: skip
    stdin, stdout = t.cast(t.IO[bytes], process.stdin), t.cast(t.IO[bytes], process.stdout)
    try:
        try:
            stdin.write(framed(program.encode("utf-8")) + request)
            stdin.flush()
        except BrokenPipeError:
            raise _Failed("its reader did not start") from None
        for line in _lines(stdout.fileno(), controller):
            if answer.take(line):
                controller.progress(phase="map", done=answer.read, wire=0, work=0, total=0)
        if not answer.done:
            raise _Failed("its reader ended early: out of memory or of time, or by a mistake in this collection")
    finally:
        process.kill()
        process.wait()
        stdout.close()
        try:
            stdin.close()
        except BrokenPipeError:
            pass  # it has ended, and what was written last is nobody's


def _lines(descriptor: int, controller: Controller) -> t.Iterator[bytes]:
    """The reader's lines, as long as the controller is there; raise _Failed where one is too long, or none comes."""
    pending, heard = b"", time.monotonic()
    while True:
        ready = select.select([descriptor, controller.descriptor], [], [], 1.0)[0]
        if controller.descriptor in ready:
            controller.read_input()
        controller.check()
        if descriptor in ready:
            data = os.read(descriptor, 65536)
            if not data:
                return
            heard = time.monotonic()
            *lines, pending = (pending + data).split(b"\n")
            yield from lines
            if len(pending) > _LONGEST_LINE:
                raise _Failed("its reader said something that cannot be")
        elif time.monotonic() - heard > _SILENT:
            raise _Failed(f"its reader was silent for {_SILENT:.0f} seconds")


class _Answer:
    """What the reader has said so far, checked."""

    def __init__(self, sizes: t.Sequence[int]) -> None:
        self.done = False
        self.read = 0
        self._sizes = sizes
        self._pending: t.List[Range] = []
        self._ranges: t.List[t.List[Range]] = [[] for _size in sizes]
        self._told: t.List[t.List[t.Dict[str, t.Any]]] = [[] for _size in sizes]

    def take(self, line: bytes) -> bool:
        """Take one line in; whether it shows progress. Raises _Failed for what no reader says."""
        try:
            said = json.loads(line)
            if "unconfined" in said:
                raise _Failed(f"its reader cannot be confined on this node ({_text(said['unconfined'])})")
            if "free" in said:
                self._take_free(_index(said["disk"], self._sizes), said["free"])
            elif "part" in said:
                self._take_part(_index(said["disk"], self._sizes), said["part"])
            elif "read" in said:
                self.read = _number(said["read"])
                return True
            elif said.get("done") is True and not self._pending:
                self.done = True
            elif said.get("confined") is not True:
                raise ValueError("unknown")
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise _Failed("its reader said something that cannot be") from None
        return False

    def _take_free(self, disk: int, ranges: t.Any) -> None:
        size = self._sizes[disk]
        for start, end in ranges:
            if not 0 <= _number(start) < _number(end) <= size or start % GRANULE or end % GRANULE:
                raise ValueError("outside")
            self._pending.append((start, end))
        if len(self._pending) + sum(map(len, self._ranges)) > _MOST_RANGES:
            raise ValueError("too many")

    def _take_part(self, disk: int, part: t.Any) -> None:
        """The ranges before this line are those of this part."""
        told = {name: _text(part[name]) for name in ("partition", "file_system", "reason")}
        if told["partition"] is None or len(self._told[disk]) >= _MOST_PARTS or (told["reason"] is not None and self._pending):
            raise ValueError("contradiction")
        skipped = sum(end - start for start, end in self._pending)
        self._told[disk].append({**told, "size": _number(part["size"]), "skipped": skipped})
        self._ranges[disk].extend(self._pending)
        self._pending = []

    def survey(self) -> Survey:
        """What is free, for each disk of which no byte was given twice."""
        free = []
        for index, ranges in enumerate(self._ranges):
            ranges.sort()
            if any(before[1] > after[0] for before, after in zip(ranges, ranges[1:])):
                self._told[index] = [{**each, "skipped": 0, "reason": "its reader contradicted itself"} for each in self._told[index]]
                ranges = []
            free.append(FreeSpace(ranges))
        return Survey(tuple(free), self._told)


def _number(value: t.Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 63:
        raise ValueError("no number")
    return value


def _index(value: t.Any, sizes: t.Sequence[int]) -> int:
    if _number(value) >= len(sizes):
        raise ValueError("no such disk")
    return int(value)


def _text(value: t.Any) -> t.Optional[str]:
    if value is not None and not (isinstance(value, str) and value.isprintable()):
        raise ValueError("no text")
    return None if value is None else value[:_LONGEST_TEXT]
