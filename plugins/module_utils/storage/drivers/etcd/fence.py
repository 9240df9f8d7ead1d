# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Who writes, held by etcd itself: a key that every transaction of ours compares and writes.

The key ``fence`` holds an epoch, its owner, the session of the process that writes, and the number of its last transaction. Each transaction compares the
revision at which the key was last written, and writes it anew. So:

1. All writes of all processes are one sequence: each was decided by somebody who knew that the one before was the last.
2. Whoever claims ends everybody else: a write of another session compares with a revision that is gone, whenever it arrives. This is decided where the
   leader of a majority applies it, not by anybody's clock or insight.
3. An epoch has one owner: a claim is taken for a higher epoch, or for the same one by its owner. Of two that claim the same at the same time one loses, as
   both compare with what they read.
4. A transaction whose answer was lost is sent again and done once: where the comparison fails and the key holds our session and just this transaction's
   number, it was done. A number is never used twice.
5. One that may still be on its way is settled before anything is read that a write will rest on: an empty transaction of a higher number is done, after
   which the older one can be applied no more. What is read then stays true until our own next write.

Nothing here talks to anybody.
"""

from __future__ import annotations

import typing as t

from . import layout
from .wire import Kv


class Holder(t.NamedTuple):
    """Who writes: the *epoch* and its *owner*, the process's *session* and the number of its last transaction."""

    epoch: int
    owner: str
    session: str
    turn: int

    def encoded(self) -> bytes:
        """As the key holds it."""
        return layout.encoded(self._asdict())


def holder(found: t.Optional[Kv]) -> t.Optional[Holder]:
    """Who holds the fence; None where nobody does, or where the key holds something else."""
    value: t.Any = layout.decoded(found.value) if found is not None else {}
    try:
        return Holder(int(value["epoch"]), str(value["owner"]), str(value["session"]), int(value["turn"]))
    except (KeyError, TypeError, ValueError):
        return None


def refusal(held: t.Optional[Holder], epoch: int, owner: str) -> t.Optional[str]:
    """Why a claim is not taken, in words; None where it is."""
    if held is None or (held.epoch, held.owner) == (epoch, owner) or held.epoch < epoch:
        return None
    if held.epoch == epoch:
        return f"epoch {epoch} is {held.owner}'s already, and {owner} wants it too: another promotion was quicker. Nothing was written"
    return f"{held.owner} holds epoch {held.epoch}, and {owner} wants {epoch}: it was replaced as the master. Nothing was written"


def lost(held: t.Optional[Holder], mine: Holder) -> str:
    """Why a write was refused, in words."""
    if held is None:
        return f"nobody holds it any more, {mine.owner} of epoch {mine.epoch} neither: its data was removed or restored meanwhile. Nothing was written"
    if (held.epoch, held.owner) == (mine.epoch, mine.owner):
        return f"another process of {mine.owner}'s writes there too, in epoch {mine.epoch}. Nothing was written"
    return f"{held.owner} has claimed epoch {held.epoch}, and {mine.owner} writes for epoch {mine.epoch}: it was replaced as the master. Nothing was written"
