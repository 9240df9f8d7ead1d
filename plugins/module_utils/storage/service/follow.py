# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Following Ganeti's files on the master: what changes there is written to a storage that others read.

The files are the truth and are only read. Whatever goes wrong on the way to the storage, Ganeti goes on; when the way is open again,
everything is compared and what differs is written. So nothing is missed, whatever was restarted meanwhile, and nothing written twice.

What the files do not have is no reason to remove anything from the storage at once: removal.py decides, when all has been quiet for a while.
"""

from __future__ import annotations

import math
import os
import re
import time
import typing as t

from ..._errors import AuthenticationFailed, GanetiError, StorageIncomplete
from ..drivers.conversion import copy, remove
from ..drivers.disk import DiskStorage
from ..drivers.interface import Queue, Storage
from . import promotion_mark, removal
from .inotify import Event, Seen, Watcher

_JOB = re.compile(r"job-([1-9][0-9]*)\Z")
_GATHER = 0.005
"""Seconds to wait for more after an event, so that a burst becomes one request."""
_APART = (0.02, 0.1)
"""Seconds from one write to the next where changes do not end, at least and at most: each costs all servers something, however little is in it."""
_SHARE = 4
"""How many times as long as it took is waited after a write, so that a busy machine is asked less often."""
_STATES = 0.1
"""Seconds from one configuration to the next: readers keep and try so many of its states (last_writes.py, whole_configuration.py)."""
_QUIET = 2.0
"""Seconds without another file that vanishes, until it is decided what that means: who removes many is not judged by the first of them."""
_AGAIN = 60.0
"""Seconds until another look at what was not removed as somebody has to decide."""
_LOOK = 5.0
"""Seconds between two looks at whether somebody else has written."""
_SIGN = 1.0
"""Seconds from one sign of life to the next while one piece of work follows the other."""
_RETRY = (1.0, 30.0)
"""Seconds until another try after an error: at first, and at most."""
LOCKED = 300.0
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
    done: t.Optional[int] = None
    """While it catches up, how many documents it has read or written."""
    left: t.Optional[str] = None
    """Which other servers get what is new later than they could, and why."""


class Follower:
    """Writes to *target* what changes in *source*; *tell* hears of every new status."""

    def __init__(self, directory: str, target: Storage, tell: t.Callable[[Status], None]) -> None:
        self._directory = directory
        self._source = DiskStorage(directory, remember=True)
        self._target = target
        self._tell = tell
        self._watcher = Watcher()
        self._behind = True
        self._delay = _RETRY[0]
        self._next = 0.0
        self._wrote = 0.0
        self._apart = _APART[0]
        self._configured = 0.0
        """When the configuration was written last."""
        self._later = False
        """Whether the configuration has changed, and was written a moment ago."""
        self._serial = 0
        """The highest job id that was written."""
        self._unfinished = False
        self._vanished: t.Set[int] = set()
        """Jobs whose files were seen to vanish, and are in the storage still."""
        self._held: t.Optional[str] = None
        self._due = math.inf
        """When to decide of jobs that the files do not have."""
        self._look = math.inf
        """When to look whether somebody else has written."""
        self._said = 0.0
        self.status = Status("starting")
        target.report(self._went_on)

    def step(self, seconds: float) -> None:
        """Wait for changes for some seconds at most, and write them."""
        pause = self._next - time.monotonic() if self._behind else 0.0
        if pause > 0:
            self._watcher.events(min(seconds, pause))  # whatever they are, everything will be compared
            return
        try:
            changed = self._wait(seconds)
            if changed.everything:
                self._forget_vanished()
                self._behind = True
            self._carry()
            if self._behind:
                self._watch()
                self._catch_up()
                self._carry()
            elif changed:
                begun = time.monotonic()
                self._write(changed)
                if changed.directories:  # each 10,000 archived jobs
                    self._target.note()
                self._wrote = time.monotonic()
                self._apart = min(max(_APART[0], _SHARE * (self._wrote - begun)), _APART[1])
            if time.monotonic() >= self._due:
                self._remove()
            if time.monotonic() >= self._look:
                self._behind = self._target.intruded()
                self._look = time.monotonic() + _LOOK
        except (GanetiError, OSError, ValueError, RecursionError) as error:  # the latter two of a configuration that cannot be written as JSON
            self._fail(error)

    def _wait(self, seconds: float) -> Changed:
        """What has changed; at once where a directory is another one than it was, or a promotion has ended, as then everything is to be compared."""
        unfinished = promotion_mark.unfinished(self._directory)
        jobs = self._look_at_directories()
        self._behind = self._behind or (self._unfinished and not unfinished)
        self._unfinished = unfinished
        until = min(self._due, self._configured + _STATES) if self._later else self._due
        events = self._watcher.events(0.0 if self._behind or jobs else max(0.0, min(seconds, until - time.monotonic())))
        if events and not self._behind:
            time.sleep(max(_GATHER, self._wrote + self._apart - time.monotonic()))
            events += self._watcher.events(0)
        changed = sort(events, self._directory)
        if changed.directories:
            jobs |= self._look_at_directories()
        return self._without_hurry(changed._replace(jobs=changed.jobs | jobs))

    def _without_hurry(self, changed: Changed) -> Changed:
        """The same, but for a configuration that was written a moment ago, which waits."""
        wanted, due = changed.configuration or self._later, time.monotonic() >= self._configured + _STATES
        self._later = wanted and not due
        return changed._replace(configuration=wanted and due)

    def _carry(self) -> None:
        """What other servers are to have at once. Not what is compared, and not while a promotion is unfinished: a replication brings that."""
        left = self._target.carry(not self._behind and not self._unfinished)
        if left != self.status.left:
            self._say(self.status._replace(left=left))

    def _look_at_directories(self) -> t.FrozenSet[int]:
        """The jobs in directories of the archive that are new, of which Ganeti makes one for each 10,000 jobs: they may have come before anybody watched.

        Any other change of what the paths lead to makes it necessary to compare everything.
        """
        seen = self._watch()
        archive = os.path.join(self._directory, "queue", "archive")
        new = [path for path in seen.new if os.path.dirname(path) == archive]
        if seen.stale or len(new) < len(seen.new):
            self._forget_vanished()
            self._behind = True
        return frozenset() if self._behind else self._source.archived_in(new)

    def _forget_vanished(self) -> None:
        """A directory went or came: files that vanished may have gone with it, and may be back in another of its name. So they prove nothing."""
        self._vanished.clear()

    def close(self) -> None:
        """Stop following."""
        self._watcher.close()
        self._target.close()

    def _watch(self) -> Seen:
        """Watch all directories that there are; before anything in them is read, so that no change falls in between. Which are others than before."""
        queue = os.path.join(self._directory, "queue")
        archive = os.path.join(queue, "archive")
        deeper = [os.path.join(archive, name) for name in os.listdir(archive)] if os.path.isdir(archive) else []
        return self._watcher.watch((self._directory, queue, archive, *deeper))

    def _catch_up(self) -> None:
        self._say(self.status._replace(state="catching up", done=0))
        self._source.forget()
        self._later = False
        self._target.resolve()
        self._target.intruded()  # from here on
        self._source.bad_files.prune()
        here, there = self._source.queue(), self._target.queue()
        copied = copy(self._source, self._target, here, there)
        self._target.note()
        self._behind, self._delay, self._serial = False, _RETRY[0], max(here.serial, there.serial)
        self._look = time.monotonic() + _LOOK
        self._held = removal.forbidden(here if self._source.has_queue() else None, self._unfinished)
        if there.jobs - here.jobs or self._vanished or self._held:
            self._due = time.monotonic() + _QUIET
        self._follows(copied.serial)

    def _remove(self) -> None:
        """Remove what the files do not have, as far as that is right; what is kept is looked at again."""
        unfinished = promotion_mark.unfinished(self._directory)
        files: t.Optional[Queue] = self._source.queue() if self._source.has_queue() else None
        vanished = frozenset(number for number in self._vanished if self._source.vanished(number))
        verdict = removal.judge(files, self._target.queue(), vanished, unfinished)
        remove(self._target, verdict.queue, verdict.archive)
        if not verdict.held:
            self._vanished.clear()
        self._due = time.monotonic() + _AGAIN if verdict.held else math.inf
        if verdict.held != self._held:
            self._held = verdict.held
            self._follows(self.status.serial)

    def _write(self, changed: Changed) -> None:
        if changed.jobs or changed.serial:
            serial_now = self._source.last_job() if changed.serial else 0
            self._write_queue(changed.jobs, serial_now if serial_now > self._serial else None)  # a lower one would be given out again
            self._serial = max(self._serial, serial_now)
        if changed.ssconf:
            self._target.write_ssconf(self._source.ssconf())
        serial = self.status.serial
        if changed.configuration:
            configuration = self._source.configuration()
            self._target.write_configuration(configuration)
            serial, self._configured = configuration["serial_no"], time.monotonic()
        self._follows(serial)

    def _follows(self, serial: t.Optional[int]) -> None:
        """All is written, but for what is set aside; and all is removed that may be."""
        problems = [*self._source.bad_files.words(), *([self._held] if self._held else [])]
        self._say(Status("following", serial, time.time(), " ".join(problems) or None, left=self.status.left))

    def _write_queue(self, numbers: t.FrozenSet[int], serial: t.Optional[int]) -> None:
        """What is true of a job is where its file is now, whatever the events were."""
        queued = dict(self._source.jobs(numbers))
        self._source.leave_out(self._target.write_queue(queued, serial))
        gone = {number for number in numbers - queued.keys() if not self._source.holds(number)}
        archived = dict(self._source.jobs(gone, archived=True))
        if self._unfinished:  # they come out of the storage, mostly
            present = dict(self._target.jobs(archived, archived=True))
            archived = {number: job for number, job in archived.items() if present.get(number) != job}
        if archived:
            self._source.leave_out(self._target.write_jobs(archived, archived=True), archived=True)
        if not self._unfinished:
            self._target.remove_jobs(number for number in gone if self._source.holds(number, archived=True))
        lost = {number for number in gone if not self._source.holds(number, archived=True)}
        if lost:
            self._vanished |= lost
            self._due = time.monotonic() + _QUIET

    def _fail(self, error: Exception) -> None:
        """Note what is wrong, and compare everything when it may be over."""
        self._behind = True
        self._next = time.monotonic() + (LOCKED if isinstance(error, AuthenticationFailed) else self._delay)
        self._delay = min(2 * self._delay, _RETRY[1])
        self._target.forget()
        state = "waiting for a whole file" if isinstance(error, StorageIncomplete) else "waiting"
        self._say(self.status._replace(state=state, problem=str(error), done=None))

    def _went_on(self, count: int) -> None:
        """A piece of work is done. A catch-up may take minutes, and whoever looks has to see that it goes on."""
        if self.status.done is not None:
            self.status = self.status._replace(done=self.status.done + count, problem=None)
        if time.monotonic() - self._said >= _SIGN:
            self._say(self.status)

    def _say(self, status: Status) -> None:
        self.status, self._said = status, time.monotonic()
        self._tell(status)
