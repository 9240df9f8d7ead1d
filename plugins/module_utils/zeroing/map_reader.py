# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The readers as a program for ``python3`` on a node, which the stream's sender starts with no more than the disks' descriptors."""

from __future__ import annotations

import types
import typing as t

from ..stream.bundle import joined

# Written out, as Ansible packs with a module only what it sees imported by name.
from .maps import btrfs, confine, ext, lvm, main, ntfs, partitions, ranges, signatures, survey, volume, xfs

MODULES: t.Tuple[types.ModuleType, ...] = (ranges, volume, partitions, ext, xfs, ntfs, btrfs, lvm, signatures, survey, confine, main)
"""The modules of the program, each after those that it imports."""


def program() -> str:
    """The text of the program."""
    return joined("ganeti_maps", MODULES)
