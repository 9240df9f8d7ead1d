# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Whether disks are as long as their cluster has it recorded.

A move copies as many bytes as are recorded. Where a disk is longer, its end would be lost, and nobody would notice: both ends'
digests are of the recorded bytes. LVM rounds sizes up to whole extents, and a partition table keeps its copy in the last sector.
"""

from __future__ import annotations

import typing as t

_MIB = 1024 * 1024


def problems(node: str, disks: t.Sequence[t.Mapping[str, t.Any]]) -> t.List[str]:
    """What stands against moving *disks*, as the endpoint's ``examine`` on *node* describes them, a sentence each."""
    return [problem for number, disk in enumerate(disks) for problem in [_problem(node, number, disk)] if problem]


def _problem(node: str, number: int, disk: t.Mapping[str, t.Any]) -> t.Optional[str]:
    if disk["error"]:
        return f"Disk {number} on {node} could not be examined: {disk['error']}"
    size, recorded = disk["size"], disk["recorded"]
    if size == recorded:
        return None
    what = f"Disk {number} on {node} ({disk['path']}) holds {size} bytes, but {recorded} are recorded"
    if size % _MIB:
        return f"{what}, and sizes are recorded in whole MiB: {_adjust(disk)}, and run gnt-cluster repair-disk-sizes if the size is to be another then."
    loss = "what lies behind the recorded end would be lost" if size > recorded else "there is less than the instance was given"
    return f"{what}; {loss}: run gnt-cluster repair-disk-sizes on the master, which records the real size, or {_adjust(disk)}."


def _adjust(disk: t.Mapping[str, t.Any]) -> str:
    """How to give the disk the recorded length."""
    recorded, path = disk["recorded"], disk["path"]
    if disk["size"] < recorded:
        return f"make it longer with the instance shut down (truncate --size={recorded} {path})" if disk["kind"] == "file" else "grow the device"
    if disk["kind"] == "file":
        return f"cut it off, if nothing needs its end, with the instance shut down (truncate --size={recorded} {path})"
    return "shrink the device, if nothing needs its end"
