# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Readers of allocation maps: what is free on a disk, as its file systems say, without mounting any.

All of this but :mod:`program` runs on a node, in a process that may do nothing but read the disks' descriptors and say what it found
(:mod:`confine`). Python 3.9 or later, the standard library only, imports from this package only: nothing has to be installed there.

A guest may have written anything. So every number is checked before it is used, nothing is believed that cannot be checked against something
else, and whoever doubts refuses (:class:`volume.Refused`): then all of that volume is copied. A map is only taken of a file system that was
unmounted in order, as the map of any other is wrong without a sign of it.
"""

from __future__ import annotations
