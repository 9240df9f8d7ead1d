# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Replications that dawdle as real ones do, out of a seed.

CouchDB copies each database by itself, some sooner than others, and of each document what is newest when it gets there. So what was written
first may arrive last, and revisions in between never do: the target knows their names, and not what they held.
"""

from __future__ import annotations

import random
import typing as t

LONGEST = 0.8
"""Seconds: the longest that a database takes on average for what has changed."""


def pauses(seed: str, name: str, longest: float = LONGEST) -> t.Iterator[float]:
    """The seconds by which the replication *name* is late, each time anew: some are quick throughout, others slow, and none keeps time."""
    draw = random.Random(f"{seed} {name}")
    average = longest * draw.random() ** 2
    while True:
        yield draw.expovariate(1 / average) if average else 0.0
