# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Who writes, held by etcd itself: a key that every transaction of ours compares and writes.

The key ``fence`` holds the claim of a master (epochs.py), the session of the process that wrote last, and the number of its last transaction. Each
transaction compares the revision at which the key was last written, and writes it anew. So:

1. All writes of all processes are one sequence: each was decided by somebody who knew that the one before was the last.
2. Whoever claims ends every other master: a write of an older claim compares with a revision that is gone, whenever it arrives. This is decided where
   the leader of a majority applies it, not by anybody's clock or insight.
3. Of two masters that begin the same epoch the first one has it: both compare with what they read, and the second one is refused.
4. A transaction whose answer was lost is sent again and done once: where the comparison fails and the key holds our session and just this transaction's
   number, it was done. A number is never used twice.
5. One that may still be on its way is settled before anything is read that a write will rest on: an empty transaction is done, after which the older
   one can be applied no more. What is read then stays true until our own next write, or until that is refused.
6. Another process of the same claim, as a tool beside the service, ends nobody. But whoever finds its transaction in the place of the own one has decided
   on what is not true any more: that write is refused, and all is looked at again.

Nothing here talks to anybody.
"""

from __future__ import annotations

import typing as t

from .. import documents, epochs
from ..epochs import Claim
from . import layout
from .wire import Kv


class Holder(t.NamedTuple):
    """Who wrote last: the *claim* of which it is, the process's *session* and the number of its last transaction."""

    claim: Claim
    session: str
    turn: int

    def encoded(self) -> bytes:
        """As the key holds it."""
        return documents.encoded({**self.claim._asdict(), "session": self.session, "turn": self.turn})


def holder(found: t.Optional[Kv]) -> t.Optional[Holder]:
    """Who holds the fence; None where nobody does, or where the key holds something else."""
    value: t.Any = layout.decoded(found.value) if found is not None else {}
    try:
        return Holder(Claim(int(value["serial"]), str(value["master"])), str(value["session"]), int(value["turn"]))
    except (KeyError, TypeError, ValueError):
        return None


def refusal(standing: t.Optional[Claim], wanted: Claim) -> t.Optional[str]:
    """Why a claim is not taken, in words; None where it is."""
    if standing is None or standing.master == wanted.master:
        return None
    if standing.serial == wanted.serial == wanted.epoch * epochs.EPOCH > 0:
        return f"{standing.master} has begun epoch {standing.epoch} already, and {wanted.master} wants to: another promotion was quicker. Nothing was written"
    if epochs.newer([standing], wanted):
        return f"{_words(standing)}, and {wanted.master} is since {wanted.serial}: it was replaced as the master. Nothing was written"
    return None


def lost(held: t.Optional[Holder], mine: Holder) -> str:
    """Why a write was refused, in words."""
    if held is None:
        return f"nobody holds it any more, {mine.claim.master} neither: its data was removed or restored meanwhile. Nothing was written"
    since = f"and the claim here is {mine.claim.master}'s since {mine.claim.serial}"
    return f"{_words(held.claim)}, {since}: it was replaced as the master. Nothing was written"


def _words(claim: Claim) -> str:
    return f"{claim.master} is the master since serial number {claim.serial}"
