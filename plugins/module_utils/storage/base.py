# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What every place offers that can hold a cluster's configuration and jobs."""

from __future__ import annotations

import abc
import typing as t

from .documents import Json, batches


class Queue(t.NamedTuple):
    """The ids of the jobs that are stored, and the last id that was given out."""

    jobs: t.FrozenSet[int]
    archived: t.FrozenSet[int]
    serial: int


class Storage(abc.ABC):
    """A place where configuration and jobs are. All methods raise StorageFailed, or ConnectionFailed where it cannot be reached."""

    name: t.ClassVar[str]
    """What the parameter backend_storage calls it."""

    @abc.abstractmethod
    def configuration(self) -> Json:
        """The whole configuration; raises StorageIncomplete where a write was cut off."""

    @abc.abstractmethod
    def write_configuration(self, configuration: Json) -> None:
        """Replace the configuration; whoever reads sees the old one or the new one."""

    @abc.abstractmethod
    def queue(self) -> Queue:
        """Which jobs there are."""

    @abc.abstractmethod
    def jobs(self, numbers: t.Iterable[int], archived: bool = False) -> t.Iterator[t.Tuple[int, Json]]:
        """Jobs by their ids; those that are gone meanwhile, or cannot be read, are left out."""

    @abc.abstractmethod
    def write_jobs(self, jobs: t.Mapping[int, Json], archived: bool = False) -> t.Dict[int, str]:
        """Write jobs, new ones or others in the place of those with the same ids; which of them cannot be stored here, and why. The others are."""

    @abc.abstractmethod
    def remove_jobs(self, numbers: t.Iterable[int], archived: bool = False) -> None:
        """Remove jobs; those that are not there are no error."""

    @abc.abstractmethod
    def write_serial(self, serial: int) -> None:
        """Note the last job id that was given out."""

    def write_queue(self, jobs: t.Mapping[int, Json], serial: t.Optional[int]) -> t.Dict[int, str]:
        """Write jobs of the queue, and the last job id that was given out where it is a new one; a driver may do both at once. As write_jobs."""
        refused = self.write_jobs(jobs) if jobs else {}
        if serial is not None:
            self.write_serial(serial)
        return refused

    @abc.abstractmethod
    def leave_out(self, refused: t.Mapping[int, str], archived: bool = False) -> None:
        """Note which of the jobs that were read last cannot be stored elsewhere, and why; a driver may leave them out of `jobs` until they change."""

    @abc.abstractmethod
    def ssconf(self) -> t.Dict[str, str]:
        """The simple configuration, as texts by name."""

    @abc.abstractmethod
    def write_ssconf(self, values: t.Mapping[str, str]) -> None:
        """Replace the simple configuration."""

    @abc.abstractmethod
    def resolve(self) -> None:
        """Remove what another writer left beside what is stored; all is to be compared afterwards."""

    def intruded(self) -> bool:
        """Whether somebody else has written since this was asked last; the first time it only begins to look. False where a driver lets nobody else write."""
        return False

    @abc.abstractmethod
    def forget(self) -> None:
        """Look anew at what is stored, after something went wrong or somebody else may have written."""

    @abc.abstractmethod
    def close(self) -> None:
        """Let go of connections."""


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
