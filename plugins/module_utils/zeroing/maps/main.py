# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The reader's process: takes descriptors of disks as a line of JSON, is confined, answers with lines of JSON.

The first line says whether it could be confined. Then, for each disk: ``{"disk": N, "free": [[start, end], ...]}`` as often as needed, and
``{"disk": N, "part": {...}}`` behind the ranges of each part. ``{"read": BYTES}`` shows now and then that it goes on. The last line is
``{"done": true}``; without it nothing counts.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
import typing as t

from .confine import confined
from .survey import sleeps, survey
from .volume import whole

_AT_ONCE = 1000
_TELL_SECONDS = 0.5


class _Output:
    """Lines to whoever asked; standard output is a pipe of his."""

    def __init__(self) -> None:
        self._read = 0
        self._due = 0.0

    def say(self, **fields: t.Any) -> None:
        """Send one line."""
        data = json.dumps(fields).encode("ascii") + b"\n"
        while data:
            data = data[os.write(1, data) :]

    def refuse(self, why: str) -> int:
        """Say why nothing is read; the exit status for that."""
        self.say(unconfined=why)
        return 1

    def tell(self, count: int) -> None:
        """Note so many bytes that are being read, and say how many they are by now, twice a second at most."""
        self._read += count
        now = time.monotonic()
        if now >= self._due:
            self._due = now + _TELL_SECONDS
            self.say(read=self._read)


def main() -> int:
    """Serve one request; the exit status is 0 when it was done."""
    request = json.loads(sys.stdin.buffer.readline())
    output = _Output()
    return confined(lambda: _read(request["disks"], output), output.refuse)


def _read(disks: t.Sequence[t.Tuple[int, int]], output: _Output) -> int:
    output.say(confined=True)
    volumes = [whole(descriptor, size, output.tell) for descriptor, size in disks]
    asleep = any(sleeps(volume) for volume in volumes)
    for number, volume in enumerate(volumes):
        for part in survey(volume, asleep):
            skipped, ranges = 0, iter(part.free)
            while batch := list(itertools.islice(ranges, _AT_ONCE)):
                skipped += sum(end - start for start, end in batch)
                output.say(disk=number, free=batch)
            output.say(disk=number, part={"partition": part.name, "file_system": part.kind, "size": part.size, "skipped": skipped, "reason": part.reason})
    output.say(done=True)
    return 0
