# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What every place offers that can hold a cluster's configuration and jobs."""

from __future__ import annotations

import abc
import typing as t

from .documents import Json


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
    def write_jobs(self, jobs: t.Mapping[int, Json], archived: bool = False) -> None:
        """Write jobs, new ones or others in the place of those with the same ids."""

    @abc.abstractmethod
    def remove_jobs(self, numbers: t.Iterable[int], archived: bool = False) -> None:
        """Remove jobs; those that are not there are no error."""

    @abc.abstractmethod
    def write_serial(self, serial: int) -> None:
        """Note the last job id that was given out."""

    def write_queue(self, jobs: t.Mapping[int, Json], serial: t.Optional[int]) -> None:
        """Write jobs of the queue, and the last job id that was given out where it is a new one; a driver may do both at once."""
        if jobs:
            self.write_jobs(jobs)
        if serial is not None:
            self.write_serial(serial)

    @abc.abstractmethod
    def ssconf(self) -> t.Dict[str, str]:
        """The simple configuration, as texts by name."""

    @abc.abstractmethod
    def write_ssconf(self, values: t.Mapping[str, str]) -> None:
        """Replace the simple configuration."""

    @abc.abstractmethod
    def resolve(self) -> None:
        """Remove what another writer left beside what is stored; all is to be compared afterwards."""

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


def convert(source: Storage, target: Storage) -> Copied:
    """Make *target* hold what *source* holds, and nothing else: jobs first, the configuration last.

    What is there already is not written again. Archived jobs never change, so they are compared by their ids alone.
    """
    here, there = source.queue(), target.queue()
    count = copy_jobs(source, target, here.archived, there.archived, archived=True)
    count += copy_jobs(source, target, here.jobs, there.jobs, archived=False)
    if there.serial != here.serial:
        target.write_serial(here.serial)
    target.write_ssconf(source.ssconf())
    configuration = source.configuration()
    target.write_configuration(configuration)
    return Copied(configuration["serial_no"], count)


def copy_jobs(source: Storage, target: Storage, here: t.FrozenSet[int], there: t.FrozenSet[int], archived: bool) -> int:
    """Make *target*, which holds the jobs *there*, hold those that *source* has, which are *here*; how many were written or removed."""
    count = 0
    for numbers in _batches(sorted(here - there if archived else here)):
        count += _write(source, target, numbers, archived)
    target.remove_jobs(there - here, archived)
    return count + len(there - here)


def _write(source: Storage, target: Storage, numbers: t.Sequence[int], archived: bool) -> int:
    """Write those of the jobs that differ."""
    present = dict(target.jobs(numbers, archived))
    changed = {number: job for number, job in source.jobs(numbers, archived) if present.get(number) != job}
    if changed:
        target.write_jobs(changed, archived)
    return len(changed)


def _batches(numbers: t.Sequence[int]) -> t.Iterator[t.Sequence[int]]:
    for start in range(0, len(numbers), _BATCH):
        yield numbers[start : start + _BATCH]
