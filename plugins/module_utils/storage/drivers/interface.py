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

    _went_on: t.Callable[[int], None] = staticmethod(lambda _count: None)

    def report(self, went_on: t.Callable[[int], None]) -> None:
        """Call this whenever a piece of work is done, with the number of documents in it: whoever waits sees that it goes on. A driver may never do so."""
        self._went_on = went_on

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

    def note(self) -> None:
        """Note, where that is worth it, what was seen since `resolve`, so that the next one has less to look at; a driver may need no notes."""
        return None

    def intruded(self) -> bool:
        """Whether somebody else has written since this was asked last; the first time it only begins to look. False where a driver lets nobody else write."""
        return False

    @abc.abstractmethod
    def forget(self) -> None:
        """Look anew at what is stored, after something went wrong or somebody else may have written."""

    @abc.abstractmethod
    def close(self) -> None:
        """Let go of connections."""
