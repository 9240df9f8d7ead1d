# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""On a node: writes standard input, or random bytes, into extents of a new sparse disk."""

from __future__ import annotations

import json
import os
import sys

CHUNK = 1024 * 1024


def main() -> None:
    """Arguments: the path, the size in bytes, a JSON list of offsets and lengths in bytes, "random" or "stdin"."""
    path, size, extents, kind = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3]), sys.argv[4]
    with open(path, "wb") as disk:
        disk.truncate(size)
        for offset, length in extents:
            disk.seek(offset)
            while length:
                wanted = min(CHUNK, length)
                data = os.urandom(wanted) if kind == "random" else sys.stdin.buffer.read(wanted)
                if len(data) != wanted:
                    sys.exit("the input ended early")
                disk.write(data)
                length -= wanted
        disk.flush()
        os.fsync(disk.fileno())


main()
