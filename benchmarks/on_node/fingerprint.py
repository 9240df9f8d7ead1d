# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""On a node: prints, as JSON, a digest of a disk's contents and the MiB that are allocated for it.

Written apart from the stream, which it is to check. SHA-256 over the size and over the offset and bytes of each MiB
that is not all zeros; holes are zeros. Zeros are told by comparing bytes, which is ten times as fast as hashing them.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys

CHUNK = 1024 * 1024
ZEROS = bytes(CHUNK)


def digest(descriptor: int, size: int) -> str:
    """The digest of the first *size* bytes."""
    result = hashlib.sha256(str(size).encode("ascii"))
    offset = 0
    while offset < size:
        try:
            offset = os.lseek(descriptor, offset, os.SEEK_DATA) // CHUNK * CHUNK
        except OSError:  # nothing but a hole up to the end
            break
        data = os.pread(descriptor, CHUNK, offset)
        if data != ZEROS[:len(data)]:
            result.update(f"{offset}:{len(data)}:".encode("ascii"))
            result.update(data)
        offset += CHUNK
    return result.hexdigest()


def main() -> None:
    """Look at the file in the first argument."""
    descriptor = os.open(sys.argv[1], os.O_RDONLY)
    state = os.fstat(descriptor)
    print(json.dumps({"digest": digest(descriptor, state.st_size), "allocated": round(state.st_blocks / 2048, 1)}))


main()
