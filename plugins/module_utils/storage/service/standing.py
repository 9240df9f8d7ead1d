# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Which of several nodes, or servers, is ahead: decisions alone.

1. **The configuration's serial number comes first**, then the last job id, as the watchdog has it (watchdog/decision.py). Of equals the one is ahead that has
   each job in the same state or a later one, and one of them in a later state.
2. **Unknown is a value**: by what is not known of either of them nobody is ahead.
3. **So whoever is ahead of one is never behind it on a way round**: of any number of nodes there is one of which none is ahead. A failover to that one is not
   refused for what others have. What they have beside, as they have less otherwise, is told.
"""

from __future__ import annotations

import typing as t

from ..drivers import epochs
from ..drivers.documents import Json
from .storage_comparison import numbers

Progress = t.Tuple[int, ...]
_ARCHIVED: Progress = (1 << 62,)
"""Further than each job of the queue."""
_NAMED = 5


class Standing(t.NamedTuple):
    """How far a copy has come: the serial number, and where that is known the last job id, and how far each job has got, archived ones the furthest."""

    serial: int
    job: t.Optional[int] = None
    progress: t.Optional[t.Mapping[int, Progress]] = None


def of_files(told: Json) -> Standing:
    """That of a node's files, as it has told it (candidate_files.py)."""
    queue = {int(number): tuple(each["progress"]) for number, each in told["queue"].items()}
    return Standing(told["serial"], told["job"], {**queue, **dict.fromkeys(numbers(told["archived"]), _ARCHIVED)})


def is_ahead(there: Standing, here: Standing) -> bool:
    """Whether *there* is more than *here*."""
    if there.serial != here.serial:
        return there.serial > here.serial
    if there.job is None or here.job is None:
        return False
    if there.job != here.job:
        return there.job > here.job
    return bool(_further(there, here)) and not _further(here, there)


def more(there: Standing, here: Standing, who: str) -> t.List[str]:
    """What *there* has that *here* has not, whichever is ahead, in words; *who* is the one of here."""
    words, further = [], _further(there, here)
    if there.serial > here.serial:
        words.append(f"serial number {there.serial}, {who} only {here.serial}: {epochs.lost(here.serial, there.serial)} would be lost")
    if there.job is not None and here.job is not None and there.job > here.job:
        words.append(f"jobs up to {there.job}, {who} only up to {here.job}: {there.job - here.job} would be lost")
        further = [number for number in further if number <= here.job]  # the others are among those
    if further:
        some = ", ".join(str(number) for number in further[:_NAMED]) + (f" and {len(further) - _NAMED} more" if len(further) > _NAMED else "")
        words.append(f"job {some} in a later state than {who}: that would be lost")
    return words


def _further(one: Standing, other: Standing) -> t.List[int]:
    """The jobs that have got further with one than with the other, where both are known."""
    if one.progress is None or other.progress is None:
        return []
    return sorted(number for number, progress in one.progress.items() if progress > other.progress.get(number, ()))
