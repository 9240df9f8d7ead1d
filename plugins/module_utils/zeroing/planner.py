# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What follows from what is known of an instance that is to be zeroed; nothing here talks to anybody.

======================================  ===============================================================================================
what is known                           what follows
======================================  ===============================================================================================
its node does not tell what runs        END: unknown counts neither as running nor as stopped
no tags of a zeroing                    BEGIN: note what it is to be again, and stop it; refused where it runs and may not be stopped
tags, and it is stopped                 ZERO, unless this run has done so; then RESTORE
tags, and the helper runs               RESUME: follow the helper that another run has started; STOP it, where this run has failed meanwhile
tags, and its own system runs           FORGET: somebody has started it; take the tags away
======================================  ===============================================================================================

1. Only one run acts: it holds the lease of the instance, which a move of it would hold as well.
2. The helper never runs beside the instance's own system: both are the same instance, of which Ganeti starts one.
3. Whoever dies leaves an instance that starts normally: the parameters of the helper's start are stored nowhere.
4. A job that comes too late starts no helper: it would take a tag away that is not there any more.
5. What it was is noted before it is stopped, so the next run brings it back, from whichever controller.
"""

from __future__ import annotations

import enum
import typing as t

from .tags import Claim


class Step(enum.Enum):
    """What a run does next."""

    BEGIN = "begin"
    ZERO = "zero"
    RESUME = "resume"
    RESTORE = "restore"
    STOP = "stop"
    FORGET = "forget"
    SILENT = "silent"


class View(t.NamedTuple):
    """What one look has found. ``running`` is None where the node does not tell; ``helper`` says whether what runs is the helper, None where nothing does."""

    claim: t.Optional[Claim]
    running: t.Optional[bool]
    helper: t.Optional[bool] = None


def next_step(view: View, done: bool) -> Step:
    """What follows from *view*; *done* says whether this run has zeroed it, or failed to."""
    if view.running is None:
        return Step.SILENT
    if view.claim is None:
        return Step.BEGIN
    if not view.running:
        return Step.RESTORE if done else Step.ZERO
    if not view.helper:
        return Step.FORGET
    return Step.STOP if done else Step.RESUME
