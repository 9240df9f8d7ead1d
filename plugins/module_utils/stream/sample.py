# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A sample of real data, to measure compression tools with."""

from __future__ import annotations

import bisect
import itertools
import os
import typing as t

from .errors import EndpointError
from .extents import blocks_of, data_extents

MIB = 1024 * 1024
_MOST_PIECES = 2048  # so that a large disk which is written full of zeros does not take minutes


def read_sample(path: str, mib: int) -> bytes:
    """Up to *mib* MiB of a file or device, spread over its length, or of the files below a directory, without zeros."""
    result = bytearray()
    try:
        for piece in _of_files(path) if os.path.isdir(path) else _spread(path, mib):
            if piece.count(0) < len(piece):
                result += piece
            if len(result) >= mib * MIB:
                break
    except OSError as error:
        raise EndpointError(f"Cannot read the sample {error.filename or path}: {error.strerror}.") from error
    return bytes(result[: mib * MIB])


def _of_files(directory: str) -> t.Iterator[bytes]:
    for folder, folders, names in os.walk(directory):
        folders.sort()
        for path in sorted(os.path.join(folder, name) for name in names):
            if os.path.isfile(path) and not os.path.islink(path):
                with open(path, "rb") as stream:
                    yield stream.read(MIB)


def _spread(path: str, mib: int) -> t.Iterator[bytes]:
    """Pieces of a MiB out of what is no hole, spread evenly, then those between them as long as more are asked for."""
    with open(path, "rb") as stream:
        runs = list(blocks_of(data_extents(stream.fileno(), stream.seek(0, os.SEEK_END)), MIB))
        before = list(itertools.accumulate((length for _first, length in runs), initial=0))
        count = before[-1]
        stride = -(-count // mib)
        order = (index for start in range(stride) for index in range(start, count, stride))
        for index in itertools.islice(order, _MOST_PIECES):
            run = bisect.bisect_right(before, index) - 1
            stream.seek((runs[run][0] + index - before[run]) * MIB)
            yield stream.read(MIB)
