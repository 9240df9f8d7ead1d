# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The node-side endpoint: bytes from a disk on one node to a disk on another.

Everything in this package runs on Ganeti nodes: Python 3.9 or later, the
standard library only, imports from this package only. The controller packs
the sources with :mod:`bundle` and hands them to ``python3`` over SSH, so that
nothing is ever installed or left behind on a node.
"""

from __future__ import annotations
