# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Whether it pays to zero an instance before it is copied: decided from facts, without talking to anybody.

What the copy would take longer is what is free and takes storage all the same, at the speed of the copy. Against that stands the time that the helper
takes. That is known for discards alone, as the speed of writing zeros is not; so this is about discards. It never says yes where a fact is missing.
"""

from __future__ import annotations

import typing as t

from .verdict import AUTO, DISCARD

NO, YES = "no", "yes"
WISHES = (AUTO, NO, YES)
"""What a user can ask for; auto is to decide here."""

OVERHEAD = 30.0
"""Seconds that a zeroing takes beside the discards: the helper's boot, which takes 9 to 13 s on a processor that is emulated (docs/zeroing.md), its
jobs, and what is asked again afterwards."""
DISCARDED = 500.0
"""MiB a second that are discarded: 2.3 GB took 4 s there."""
_MIB = 1024 * 1024


class Facts(t.NamedTuple):
    """What is known before the numbers."""

    remote: bool
    """Whether the cluster is reached by the remote API, which cannot start the helper."""
    disks: int
    up: bool
    """Whether the instance runs, or is to run, or nobody can tell."""
    skipped: bool
    """Whether the copy leaves out what file systems say is free."""
    method: str
    """How it is to be zeroed."""


class Numbers(t.NamedTuple):
    """What the nodes have counted and measured; None for what is not known."""

    idle: t.Optional[int]
    """Bytes that take storage though file systems say that they are free, as far as these can be read."""
    speed: t.Optional[float]
    """MiB of disk a second that the copy makes."""
    unread: t.Tuple[str, ...] = ()
    """Why there are disks, or parts of them, of which it is not known what is free."""


class Choice(t.NamedTuple):
    """Whether to zero, and why, in a sentence."""

    zero: bool
    reason: str


_AGAINST: t.Tuple[t.Tuple[t.Callable[[Facts], bool], str], ...] = (
    (lambda facts: facts.remote, "The remote API cannot start the zeroing helper."),
    (lambda facts: not facts.disks, "There are no disks."),
    (lambda facts: facts.up, "The instance runs, or is to run, and would be stopped for it; only zero_free_space=yes does that."),
    (lambda facts: facts.skipped, "skip_free_space leaves out of the copy what is free, without booting anything."),
    (lambda facts: facts.method not in (AUTO, DISCARD), "How long zeros take to be written is not known beforehand."),
)
"""What stands against it, the first that fits."""


def obstacle(facts: Facts) -> t.Optional[Choice]:
    """Why not to zero, whatever the numbers are; None where nothing stands against it."""
    return next((Choice(False, reason) for fits, reason in _AGAINST if fits(facts)), None)


def seconds(idle: int) -> float:
    """How long a zeroing takes that gives back *idle* bytes."""
    return OVERHEAD + idle / _MIB / DISCARDED


def pays(numbers: Numbers) -> Choice:
    """Whether it pays by the numbers."""
    if not numbers.idle and (numbers.idle is None or numbers.unread):
        why = f": {'; '.join(numbers.unread)}" if numbers.unread else ""
        return Choice(False, f"What is free on the disks cannot be told without booting anything{why}.")
    if not numbers.speed:
        return Choice(False, "How fast the copy will be is not known.")
    saved, spent = numbers.idle / _MIB / numbers.speed, seconds(numbers.idle)
    what = f"{numbers.idle // _MIB} MiB are free and take storage"
    return Choice(saved > spent, f"{what}: to copy them takes {saved:.0f} s at {numbers.speed:.0f} MiB/s, to give them back {spent:.0f} s.")


__all__ = ("AUTO", "NO", "WISHES", "YES", "Choice", "Facts", "Numbers", "obstacle", "pays", "seconds")
