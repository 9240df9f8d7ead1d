# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Whether a disk's partition table (GPT) still ends where the disk does, after its size was rounded up."""

from __future__ import annotations

import os
import struct
import typing as t

_MARK = b"EFI PART"
_SECTORS = (512, 4096)


class Gpt(t.NamedTuple):
    """A partition table, and where the second copy of it is said to be."""

    backup: int
    """Its offset in bytes."""
    is_at_end: bool
    """Whether that is the last sector of the disk, as it has to be."""


def gpt(descriptor: int, size: int) -> t.Optional[Gpt]:
    """The table of a disk of that size, or None where there is none."""
    for sector in _SECTORS:
        header = os.pread(descriptor, 40, sector)
        if header.startswith(_MARK):
            backup = struct.unpack_from("<Q", header, 32)[0] * sector
            return Gpt(backup, backup == size - sector)
    return None
