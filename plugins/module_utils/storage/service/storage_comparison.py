# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What a storage holds, short enough to be compared from afar; and what one lacks that another has.

As JSON: ``serial`` of the configuration, ``job``, the last job id that was given out, ``queue``, digests of its jobs by id, and ``archived``, the ids of
archived jobs as runs of first and last one.
"""

from __future__ import annotations

import hashlib
import json
import typing as t

from ..drivers.documents import Json
from ..drivers.interface import Storage

_DIGITS = 16
"""Of a job's digest: enough to see that it has changed."""
_NAMED = 5
"""Jobs that are named one by one."""


def holdings(storage: Storage, serial: int) -> Json:
    """What *storage* holds, whose configuration has this serial number."""
    queue = storage.queue()
    found = {str(number): digest(job) for number, job in storage.jobs(sorted(queue.jobs))}
    return {"serial": serial, "job": max(queue.serial, *queue.jobs, *queue.archived, 0), "queue": found, "archived": runs(queue.archived)}


def digest(job: Json) -> str:
    """Of any job, also of one that no database takes."""
    return hashlib.sha256(json.dumps(job, sort_keys=True).encode()).hexdigest()[:_DIGITS]


def runs(numbers: t.Iterable[int]) -> t.List[t.List[int]]:
    """Numbers as first and last ones of those that follow each other: ids are mostly without gaps."""
    found: t.List[t.List[int]] = []
    for number in sorted(numbers):
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return found


def numbers(found: t.Iterable[t.Sequence[int]]) -> t.FrozenSet[int]:
    """The numbers of such runs."""
    return frozenset(number for first, last in found for number in range(first, last + 1))


def lacking(here: Json, there: Json, archive: bool = True) -> t.List[str]:
    """What *here* has not that *there* has, or has otherwise, in words; of archived jobs only with *archive*. Nothing where all is here."""
    stored, known = numbers(here["archived"]), here["queue"]
    queue = {int(number): digest for number, digest in there["queue"].items()}
    missing = [number for number in queue if str(number) not in known and number not in stored]
    differing = [number for number, digest in queue.items() if known.get(str(number), digest) != digest]
    archived = numbers(there["archived"]) - stored if archive else ()
    found = [
        *([f"the configuration with serial number {there['serial']}, not {here['serial']}"] if here["serial"] < there["serial"] else []),
        *([f"that job id {there['job']} was given out, not only {here['job']}"] if here["job"] < there["job"] else []),
        *_named("in the queue", missing),
        *_named("as it is now", differing),
        *_named("in the archive", archived),
    ]
    return found


def _named(where: str, jobs: t.Iterable[int]) -> t.Iterator[str]:
    some = sorted(jobs)
    if some:
        more = f" and {len(some) - _NAMED} more" if len(some) > _NAMED else ""
        yield f"job {', '.join(str(each) for each in some[:_NAMED])}{more} {where}"
