# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""How free space is freed, how long that may take, and whether it was: decided from the node's own counts, without talking to anybody.

A guest that discards is told that this succeeded, also where the node ignores it (QEMU: discard=ignore), and one that writes zeros may be wrong about
what it wrote. So the only measure is what the node counts, before and after, with the guest gone: the blocks that storage keeps for the disks where
it can tell them, else the blocks that hold anything but zeros, which it reads. With zeros written, always the latter: they take storage themselves.
"""

from __future__ import annotations

import typing as t

FIXED = 300.0
PER_MIB = 0.05
"""Seconds; Ganeti's own defaults for its zeroing (HELPER_VM_STARTUP, ZEROING_TIMEOUT_PER_MIB)."""

AUTO, DISCARD, WRITE = "auto", "discard", "write"
METHODS = (AUTO, DISCARD, WRITE)
ALLOCATED, DATA = "allocated", "data"
_SLACK = 4 * 1024 * 1024
"""Bytes of storage's own bookkeeping, which count as blocks of a file."""


class Count(t.NamedTuple):
    """What the node has counted of one disk, in bytes; None for what it cannot tell, or was not asked."""

    size: int
    allocated: t.Optional[int]
    data: t.Optional[int]


REFUSED = "does not take discards"
"""What the helper says of what it has left for that."""


class Verdict(t.NamedTuple):
    """What came of a zeroing. ``freed`` is negative where the disks take more than before."""

    measure: str
    before: int
    after: int

    @property
    def freed(self) -> int:
        """The bytes that the disks take less."""
        return self.before - self.after


def time_limit(sizes: t.Iterable[int], fixed: float, per_mib: float) -> float:
    """The seconds that the helper may take for disks of these sizes in MiB."""
    return fixed + per_mib * sum(sizes)


def knows_blocks(counts: t.Iterable[Count]) -> bool:
    """Whether the node can tell what storage keeps for all of the disks."""
    return all(count.allocated is not None for count in counts)


def first_method(wanted: str, counts: t.Sequence[Count]) -> str:
    """How to begin. Where the node knows the blocks, discarding gives them back; else only zeros are sure to read as zeros."""
    if wanted != AUTO:
        return wanted
    return DISCARD if knows_blocks(counts) else WRITE


def measure(method: str, counts: t.Sequence[Count]) -> str:
    """What to compare."""
    return ALLOCATED if method == DISCARD and knows_blocks(counts) else DATA


def total(counts: t.Iterable[Count], measured: str) -> int:
    """What all disks take."""
    return sum((count.allocated if measured == ALLOCATED else count.data) or 0 for count in counts)


def is_empty(counts: t.Sequence[Count]) -> bool:
    """Whether there is nothing to free, as the disks take nothing."""
    return knows_blocks(counts) and total(counts, ALLOCATED) == 0


def is_ignored(wanted: str, method: str, said: int, size: int, verdict: Verdict, refused: bool = False) -> bool:
    """Whether to write zeros after all: nothing was given back of the *said* bytes that the helper has discarded, though they cannot all have been holes.

    A file system discards all that is free each time, so a second run gives nothing back either. But then what is left of the disks' *size* beside the
    blocks that they take has room for all that was discarded. Where the helper says that discards were *refused*, it has written nothing instead.
    """
    if wanted != AUTO or method != DISCARD or verdict.measure != ALLOCATED or verdict.freed > 0:
        return False
    return refused or verdict.after + said > size + max(_SLACK, size // 100)


def in_words(verdict: Verdict, method: str, ended: str) -> str:
    """What came of it, in words."""
    how = {DISCARD: "by discarding", WRITE: "by writing zeros"}[method]
    what = "take" if verdict.measure == ALLOCATED else "hold"
    if ended == "asleep":
        return "A system was put to sleep on these disks and counts on finding them as they were: nothing was touched."
    if verdict.freed > 0:
        return f"The disks {what} {verdict.freed} bytes less, {how}."
    return f"The disks {what} no less than before: nothing was free that was not already empty, or the node gives nothing back {how}."
