# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""On a node: writes the contents of its files, or random bytes, into extents of a new sparse disk."""

from __future__ import annotations

import json
import os
import sys
import typing as t

CHUNK = 1024 * 1024


def files() -> t.Iterator[bytes]:
    """The contents of the node's files in /usr in chunks, in the same order each time, again from the first where they are too few."""
    while True:
        for directory, folders, names in os.walk("/usr"):
            folders.sort()
            for path in sorted(os.path.join(directory, name) for name in names):
                if os.path.isfile(path) and not os.path.islink(path):
                    with open(path, "rb") as stream:
                        yield from iter(lambda: stream.read(CHUNK), b"")


def random() -> t.Iterator[bytes]:
    """Random bytes without end."""
    while True:
        yield os.urandom(CHUNK)


def main() -> None:
    """Arguments: the path, the size in bytes, a JSON list of offsets and lengths in bytes, "random" or "files"."""
    path, size, extents, kind = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3]), sys.argv[4]
    source = {"random": random, "files": files}[kind]()
    data = b""
    with open(path, "wb") as disk:
        disk.truncate(size)
        for offset, length in extents:
            disk.seek(offset)
            while length:
                data = data or next(source)
                written = disk.write(data[:length])
                data, length = data[written:], length - written
        disk.flush()
        os.fsync(disk.fileno())


main()
