# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The disks that benchmarks copy."""

from __future__ import annotations

import json
import random
import typing as t

from nodes import MIB, QUICK, must, on_node

from ansible_collections.ganeti.cluster.plugins.module_utils.api.ssh import SshHost


class Disk(t.NamedTuple):
    """A disk: MiB of size, MiB of data on it, in how many extents, and what the data are."""

    name: str
    size: int
    data: int
    extents: int
    kind: str


class Maker:
    """Makes the source's disks, the same ones each time."""

    def __init__(self, host: SshHost, quick: bool) -> None:
        self._host = host
        self._scale = QUICK if quick else 1

    def size(self, disk: Disk) -> int:
        """The MiB of a disk in this run."""
        return disk.size // self._scale

    def make(self, disk: Disk, path: str) -> None:
        """Make a disk's image on the source's node."""
        pieces = extents(self.size(disk) * MIB, disk.data // self._scale * MIB, disk.extents)
        must(self._host, *on_node("scatter"), path, str(self.size(disk) * MIB), json.dumps(pieces), disk.kind)


def extents(size: int, data: int, count: int) -> list[tuple[int, int]]:
    """Offsets and lengths in bytes of *count* extents, of different lengths and with different gaps, in blocks of 4 KiB."""
    if size == data:
        return [(0, size)]
    chance = random.Random(count)
    ends = [sorted(chance.randrange(1, total // 4096) * 4096 for _each in range(count - 1)) + [total] for total in (data, size - data)]
    result, begun, skipped = [], 0, 0
    for end, gap in zip(*ends):
        # The first extent is at the very beginning, as on a file system; the gaps follow their extents.
        result.append((begun + skipped, end - begun))
        begun, skipped = end, gap
    return [piece for piece in result if piece[1]]


def fingerprint(host: SshHost, path: str, with_digest: bool = True) -> dict[str, t.Any]:
    """The digest of a disk's contents and the MiB allocated for it."""
    if not with_digest:
        return {"allocated": round(int(must(host, "stat", "--format=%b", path)) / 2048, 1)}
    return t.cast("dict[str, t.Any]", json.loads(must(host, *on_node("fingerprint"), path)))
