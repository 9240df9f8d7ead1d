# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Making one storage hold what another does."""

from __future__ import annotations

import typing as t

from .documents import batches
from .interface import Queue, Storage

_BATCH = 500
"""Jobs in one request: some MiB at most."""


class Copied(t.NamedTuple):
    """The serial number of the configuration that a conversion has written, and how many jobs it had to write or to remove."""

    serial: int
    jobs: int


def convert(source: Storage, target: Storage, exact: bool = False) -> Copied:
    """Make *target* hold what *source* holds: jobs first, the configuration last. What is there already is not written again.

    Jobs that only *target* has stay, and so does the highest job id; unless it is to be *exact*, as whoever restores something asks for.
    Else what is missing may be what was not written yet: removal.py says when a job may go.
    """
    here, there = source.queue(), target.queue()
    copied = copy(source, target, here, there)
    if not exact:
        return copied
    if there.serial > here.serial:
        target.write_serial(here.serial)
    return copied._replace(jobs=copied.jobs + remove(target, there.jobs - here.jobs, there.archived - here.archived))


def copy(source: Storage, target: Storage, here: Queue, there: Queue) -> Copied:
    """Write what *source*, whose queue is *here*, has, to *target*, whose queue is *there*. No job is removed, and no job id given out again."""
    count = copy_jobs(source, target, here.archived - there.archived, archived=True)
    count += copy_jobs(source, target, here.jobs, archived=False)
    if there.serial < here.serial:
        target.write_serial(here.serial)
    target.write_ssconf(source.ssconf())
    configuration = source.configuration()
    target.write_configuration(configuration)
    return Copied(configuration["serial_no"], count)


def copy_jobs(source: Storage, target: Storage, wanted: t.Collection[int], archived: bool) -> int:
    """Write those of the *wanted* jobs to *target* that differ there; how many they were. What is archived changes no more."""
    count = 0
    for numbers in batches(sorted(wanted), _BATCH):
        count += _write(source, target, numbers, archived)
    return count


def remove(target: Storage, queue: t.Collection[int], archived: t.Collection[int]) -> int:
    """Remove jobs from queue and archive; how many they were."""
    for numbers, which in ((queue, False), (archived, True)):
        for batch in batches(sorted(numbers), _BATCH):
            target.remove_jobs(batch, which)
    return len(queue) + len(archived)


def _write(source: Storage, target: Storage, numbers: t.Sequence[int], archived: bool) -> int:
    """Write those of the jobs that differ, and can be stored there."""
    present = dict(target.jobs(numbers, archived))
    changed = {number: job for number, job in source.jobs(numbers, archived) if present.get(number) != job}
    refused = target.write_jobs(changed, archived) if changed else {}
    source.leave_out(refused, archived)
    return len(changed) - len(refused)
