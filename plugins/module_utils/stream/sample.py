# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A sample of real data, to measure compression tools with."""

from __future__ import annotations

import os
import typing as t

from .errors import EndpointError

MIB = 1024 * 1024


def read_sample(path: str, mebibytes: int) -> bytes:
    """Up to *mebibytes* MiB of a file or device, spread over its length, or of the files below a directory, without zeros."""
    result = bytearray()
    try:
        for piece in _of_files(path) if os.path.isdir(path) else _spread(path, mebibytes):
            if piece.count(0) < len(piece):
                result += piece
            if len(result) >= mebibytes * MIB:
                break
    except OSError as error:
        raise EndpointError(f"Cannot read the sample {error.filename or path}: {error.strerror}.") from error
    return bytes(result[: mebibytes * MIB])


def _of_files(directory: str) -> t.Iterator[bytes]:
    for folder, folders, names in os.walk(directory):
        folders.sort()
        for path in sorted(os.path.join(folder, name) for name in names):
            if os.path.isfile(path) and not os.path.islink(path):
                with open(path, "rb") as stream:
                    yield stream.read(MIB)


def _spread(path: str, mebibytes: int) -> t.Iterator[bytes]:
    """Pieces of a MiB, eight times as many as are wanted as some may be zeros, in an order that visits all parts early."""
    with open(path, "rb") as stream:
        count = max(1, -(-stream.seek(0, os.SEEK_END) // MIB))
        step = max(1, count // (8 * mebibytes))
        for first in range(8):
            for index in range(first * step, count, 8 * step):
                stream.seek(index * MIB)
                yield stream.read(MIB)
