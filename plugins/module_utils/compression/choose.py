# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Which tool makes a move fastest: bandwidth, encryption and compression run side by side, and the slowest decides.

The arithmetic is that of Ganeti's design document on instance moves.
"""

from __future__ import annotations

import typing as t

from ..stream.tool_speed import Figures
from ..stream.tools import NO_TOOL

AUTO = "auto"
"""What stands for the tool that measuring finds best; no tool can have that name."""


class Stages(t.NamedTuple):
    """What a tool would bring: MiB of disk a second in all, and the stage that decides."""

    name: str
    speed: float
    slowest: str


def stages(name: str, ratio: float, compress: float, decompress: float, network: float, encryption: float) -> Stages:
    """The speed of a move through a tool; all in MiB a second, the tool's of its uncompressed side.

    Network and encryption carry *ratio* times as much of the disk as they carry bytes.
    """
    speeds = {"the network": network * ratio, "encryption": encryption * ratio, "compression": compress, "decompression": decompress}
    slowest = min(speeds, key=lambda stage: speeds[stage])
    return Stages(name, speeds[slowest], slowest)


def without(network: float, encryption: float) -> Stages:
    """The speed of a move without a tool."""
    return stages(NO_TOOL, 1.0, float("inf"), float("inf"), network, encryption)


def ranking(figures: t.Mapping[str, Figures], network: float, encryption: float) -> t.List[Stages]:
    """All tools and none, the fastest first; where it makes no difference, none comes first."""
    found = [without(network, encryption)] + [stages(name, *each, network, encryption) for name, each in sorted(figures.items())]
    return sorted(found, key=lambda each: -each.speed)


def explanation(ranked: t.Sequence[Stages]) -> str:
    """A sentence about the first of a ranking."""
    best, none = ranked[0], next(each for each in ranked if each.name == NO_TOOL)
    if best.name == NO_TOOL:
        return f"No tool: {none.slowest} carries {none.speed:.1f} MiB/s as it is, and no tool would make more of it."
    gain = (best.speed / none.speed - 1) * 100
    return f"{best.name}: {best.speed:.1f} MiB/s of disk, decided by {best.slowest}, {gain:.0f} % more than the {none.speed:.1f} MiB/s without a tool."
