# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Following Ganeti's files on the master: what changes there is written to a storage that others read.

The files are the truth and are only read. Whatever goes wrong on the way to the storage, Ganeti goes on; when the way is open again,
everything is compared and what differs is written. So nothing is missed, whatever was restarted meanwhile, and nothing written twice.
"""

from __future__ import annotations

import os
import re
import time
import typing as t

from .._errors import AuthenticationFailed, GanetiError, StorageIncomplete
from .base import Storage, convert
from .disk import DiskStorage
from .inotify import Event, Watcher

_JOB = re.compile(r"job-([1-9][0-9]*)\Z")
_GATHER = 0.005
"""Seconds to wait for more after an event, so that a burst becomes one request."""
_APART = 0.1
"""Seconds from one write to the next where changes do not end: what is written ten times a second costs Ganeti and the standbys least."""
_RETRY = (1.0, 30.0)
"""Seconds until another try after an error: at first, and at most."""
_LOCKED = 300.0
"""Seconds until another try with a password that was refused: CouchDB locks a user for five minutes after five of them."""


class Changed(t.NamedTuple):
    """What events say has changed."""

    configuration: bool = False
    ssconf: bool = False
    serial: bool = False
    jobs: t.FrozenSet[int] = frozenset()
    directories: t.FrozenSet[str] = frozenset()
    """New directories of archived jobs."""
    everything: bool = False

    def __bool__(self) -> bool:
        return self != Changed()


def sort(events: t.Iterable[Event], directory: str) -> Changed:
    """What *events* below Ganeti's directory mean."""
    names: t.Dict[bool, t.Set[str]] = {False: set(), True: set()}
    jobs: t.Set[int] = set()
    new: t.Set[str] = set()
    lost = False
    archive = os.path.join(directory, "queue", "archive")
    for event in events:
        lost = lost or event.lost
        match = _JOB.match(event.name)
        if event.directory == archive:
            new.add(os.path.join(archive, event.name))
        elif match and event.directory != directory:
            jobs.add(int(match[1]))
        else:
            names[event.directory == directory].add(event.name)
    return Changed(
        configuration="config.data" in names[True],
        ssconf=any(name.startswith("ssconf_") for name in names[True]),
        serial="serial" in names[False],
        jobs=frozenset(jobs),
        directories=frozenset(new),
        everything=lost,
    )


class Status(t.NamedTuple):
    """How the follower is: what it does, the serial number that was written last, when, and what is wrong."""

    state: str
    serial: t.Optional[int] = None
    written: t.Optional[float] = None
    problem: t.Optional[str] = None


class Follower:
    """Writes to *target* what changes in *source*; *tell* hears of every new status."""

    def __init__(self, directory: str, target: Storage, tell: t.Callable[[Status], None]) -> None:
        self._directory = directory
        self._source = DiskStorage(directory)
        self._target = target
        self._tell = tell
        self._watcher = Watcher()
        self._watched: t.Set[str] = set()
        self._behind = True
        self._delay = _RETRY[0]
        self._next = 0.0
        self._wrote = 0.0
        self.status = Status("starting")

    def step(self, seconds: float) -> None:
        """Wait for changes for some seconds at most, and write them."""
        self._watch()
        events = self._watcher.events(max(0.0, min(seconds, self._next - time.monotonic())) if self._behind else seconds)
        if events and not self._behind:
            time.sleep(max(_GATHER, self._wrote + _APART - time.monotonic()))
            events += self._watcher.events(0)
        changed = sort(events, self._directory)
        if self._behind and time.monotonic() < self._next:
            return
        try:
            if self._behind or changed.everything or changed.directories:
                self._watch()
                self._catch_up()
            elif changed:
                self._write(changed)
                self._wrote = time.monotonic()
        except (GanetiError, OSError) as error:
            self._fail(error)

    def close(self) -> None:
        """Stop following."""
        self._watcher.close()
        self._target.close()

    def _watch(self) -> None:
        """Watch all directories that there are; before anything in them is read, so that no change falls in between."""
        queue = os.path.join(self._directory, "queue")
        archive = os.path.join(queue, "archive")
        deeper = [os.path.join(archive, name) for name in os.listdir(archive)] if os.path.isdir(archive) else []
        for directory in (self._directory, queue, archive, *deeper):
            if directory not in self._watched and os.path.isdir(directory):
                self._watcher.watch(directory)
                self._watched.add(directory)

    def _catch_up(self) -> None:
        self._say(self.status._replace(state="catching up"))
        self._target.resolve()
        copied = convert(self._source, self._target)
        self._behind, self._delay = False, _RETRY[0]
        self._follows(copied.serial)

    def _write(self, changed: Changed) -> None:
        if changed.jobs or changed.serial:
            self._write_queue(changed.jobs, self._source.queue_serial() if changed.serial else None)
        if changed.ssconf:
            self._target.write_ssconf(self._source.ssconf())
        serial = self.status.serial
        if changed.configuration:
            configuration = self._source.configuration()
            self._target.write_configuration(configuration)
            serial = configuration["serial_no"]
        self._follows(serial)

    def _follows(self, serial: t.Optional[int]) -> None:
        """All is written, but for what is damaged."""
        damaged = " ".join(self._source.damaged.values())
        self._say(Status("following", serial, time.time(), damaged or None))

    def _write_queue(self, numbers: t.FrozenSet[int], serial: t.Optional[int]) -> None:
        """What is true of a job is where its file is now, whatever the events were."""
        queued = dict(self._source.jobs(numbers))
        gone = {number for number in numbers - queued.keys() if not self._source.holds(number)}
        archived = dict(self._source.jobs(gone, archived=True))
        self._target.write_queue(queued, serial)
        if archived:
            self._target.write_jobs(archived, archived=True)
        self._target.remove_jobs(gone)
        self._target.remove_jobs({number for number in gone - archived.keys() if not self._source.holds(number, archived=True)}, archived=True)

    def _fail(self, error: Exception) -> None:
        """Note what is wrong, and compare everything when it may be over."""
        self._behind = True
        self._next = time.monotonic() + (_LOCKED if isinstance(error, AuthenticationFailed) else self._delay)
        self._delay = min(2 * self._delay, _RETRY[1])
        self._target.forget()
        state = "waiting for a whole file" if isinstance(error, StorageIncomplete) else "waiting"
        self._say(self.status._replace(state=state, problem=str(error)))

    def _say(self, status: Status) -> None:
        self.status = status
        self._tell(status)
