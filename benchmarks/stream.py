# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copies by this collection's stream, its endpoints started and watched as in a move."""

from __future__ import annotations

import typing as t

from nodes import LONGEST, MOVE, Nodes

from ansible_collections.ganeti.cluster.plugins.module_utils.move.progress import Progress
from ansible_collections.ganeti.cluster.plugins.module_utils.move.transfer import Copy, Transfer


class WrongCopy(Exception):
    """A copy is not what its source is, or was not made as it was to be."""


def copy(nodes: Nodes, source: str, target: str, size: int, tool: str, count: int, ciphers: t.Sequence[str] = ()) -> dict[str, t.Any]:
    """Copy a disk of *size* bytes over *count* lanes until it is on stable storage; what the sending end tells of it."""
    plan = Copy(MOVE, nodes.address, 0, count, tool, ciphers, "crc32", False, [size], [target])
    with Transfer(Progress(), LONGEST) as transfer:
        transfer.prepare(nodes.target, nodes.source, plan)
        sent, received = transfer.run([source])
    if sent["digests"] != received["digests"] or len(sent["digests"]) != 1:
        raise WrongCopy(f"the digests of the two ends differ: {sent['digests']}, {received['digests']}")
    return sent
