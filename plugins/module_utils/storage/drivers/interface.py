# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What every place offers that can hold a cluster's configuration and jobs, and what only some offer.

`Storage` is all that the service, a failover, history and the switch know of a place; `factory.py` makes one of its name. What only some places have is
asked of them, not of their names: `Storage.copies` is there where other servers hold copies of their own that somebody has to look after, and
`Storage.history` where earlier states of objects can be read. A place that has neither, as files or one replicated store, has None.
"""

from __future__ import annotations

import abc
import time
import typing as t

from ..._errors import GanetiError, StorageFailed
from .documents import Json
from .epochs import Claim


class Queue(t.NamedTuple):
    """The ids of the jobs that are stored, and the last id that was given out."""

    jobs: t.FrozenSet[int]
    archived: t.FrozenSet[int]
    serial: int


class Newest(t.NamedTuple):
    """A configuration that is whole, and by how many serial numbers it is behind the newest of which the place knows."""

    configuration: Json
    behind: int

    @property
    def serial(self) -> int:
        """The configuration's serial number."""
        return int(self.configuration["serial_no"])


class Problem(t.NamedTuple):
    """Something that is wrong, in words; whether it is critical, as a promise is broken, or only to be watched."""

    critical: bool
    words: str


class Checked(t.NamedTuple):
    """What a look at a place has shown: problems, and what each server has, in words, for where there are none."""

    problems: t.List[Problem]
    told: str


class Storage(abc.ABC):
    """A place where configuration and jobs are. All methods raise StorageFailed, or ConnectionFailed where it cannot be reached."""

    name: t.ClassVar[str]
    """What the parameter backend_storage calls it."""

    @property
    @abc.abstractmethod
    def where(self) -> str:
        """What people find it by: an address, a directory."""

    _went_on: t.Callable[[int], None] = staticmethod(lambda _count: None)

    def report(self, went_on: t.Callable[[int], None]) -> None:
        """Call this whenever a piece of work is done, with the number of documents in it: whoever waits sees that it goes on. A driver may never do so."""
        self._went_on = went_on

    # --- Configuration and jobs --------------------------------------------------------------------------------------

    @abc.abstractmethod
    def configuration(self) -> Json:
        """The whole configuration; raises StorageIncomplete where a write was cut off."""

    def newest(self) -> Newest:
        """The newest configuration that is whole. Where writes arrive in pieces, that may be an older one than the newest of all."""
        return Newest(self.configuration(), 0)

    @abc.abstractmethod
    def write_configuration(self, configuration: Json) -> None:
        """Replace the configuration; whoever reads sees the old one or the new one."""

    @abc.abstractmethod
    def queue(self) -> Queue:
        """Which jobs there are."""

    def last_job(self) -> int:
        """The last job id that was given out; a driver may know it without asking for all jobs."""
        return self.queue().serial

    @abc.abstractmethod
    def jobs(self, numbers: t.Iterable[int], archived: bool = False) -> t.Iterator[t.Tuple[int, Json]]:
        """Jobs by their ids; those that are gone meanwhile, or cannot be read, are left out."""

    def half_archived(self) -> t.Iterator[t.Tuple[int, Json]]:
        """Jobs that are in the queue no more and not in the archive yet, as they were last; none where both are written at once."""
        return iter(())

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

    def everywhere(self, number: int) -> t.Dict[str, t.Union[Json, str, None]]:
        """A job as each server of the place has it, by the server's name: None where that has it not, in words why it does not answer."""
        found = [*self.jobs([number], archived=True), *self.jobs([number])]
        return {self.where: found[0][1] if found else None}

    def feed(self, numbers: t.Collection[int]) -> Feed:
        """News of these jobs; a driver that is told of changes need not ask again and again."""
        return Polling(self, numbers)

    def cluster_name(self) -> t.Optional[str]:
        """The name of the cluster whose configuration is here, as far as it is known, be it not whole; None where there is none."""
        return str(self.newest().configuration["cluster"]["cluster_name"])

    # --- One writer --------------------------------------------------------------------------------------------------

    def claim(self, wanted: Claim, anew: bool = False) -> Claim:
        """Be the writer from now on; the claim that stands then, which may be an earlier one of the same master (epochs.kept); not with *anew*, where another
        was the master between. Raises StorageFenced where a newer one of another does.

        Afterwards nothing of an older claim changes what is here, and this object writes as the claimant: it is refused when a newer one claims. The
        same claim again changes nothing. A driver says in its own words how far that holds; where Ganeti alone sees to it, there is nothing to do.
        """
        return wanted

    def refuse_other_cluster(self, uuid: t.Optional[str], everywhere: bool = False) -> None:
        """Raise StorageFailed where this node's own server, or with *everywhere* any, holds the configuration of another cluster than that of this UUID.

        Nothing is refused where there is no configuration, where a UUID is not known, or where a driver keeps clusters apart in another way.
        """
        return None

    def claims(self) -> t.List[Claim]:
        """The newest claims, of every server that can be asked now; none where nobody has claimed, or nobody can."""
        return []

    def elect(self, wanted: Claim, nodes: t.Collection[str], dead: t.Collection[str] = ()) -> None:
        """Be the only one that begins the epoch of *wanted*, of all who try, without anybody to decide between them.

        Where *nodes* have servers of their own, more than half of those decide; those of *dead* ones count, and are not asked.

        Raises StorageFenced where another is, and StorageFailed where too few servers answer for anybody to know. Whoever is refused has changed nothing
        that counts for others. A driver says in its own words how far that holds.
        """
        raise StorageFailed(f"{self.where} cannot decide who of several begins an epoch: make another node the master with ganeti.cluster.master_failover.")

    def elected(self) -> t.Optional[Claim]:
        """Who was elected last, as far as the server says that this node asks."""
        return None

    def begun(self) -> t.List[Claim]:
        """What was claimed, and who was elected, as far as servers can be asked now: whoever begins an epoch begins a later one."""
        return self.claims()

    def notes(self, nodes: t.Collection[str], seconds: float) -> Notes:
        """What these nodes write for each other. An answer may take so many *seconds*."""
        raise StorageFailed(f"{self.where} has no place for what nodes tell each other.")

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

    # --- The place itself --------------------------------------------------------------------------------------------

    @abc.abstractmethod
    def prepare(self) -> None:
        """Make whatever has to be there before the first write, at every server; refuse one that cannot be used, or that lets anybody read."""

    @abc.abstractmethod
    def probe(self) -> None:
        """Raise GanetiError where a server of the place does not answer as it should; change nothing."""

    def check(self, files: Storage, lag: int) -> Checked:
        """Look whether what *files* hold is here, and wherever it should be; *lag* is how many serial numbers a copy may be behind."""
        problems, told = [], self.where
        try:
            here, there = files.newest().serial, self.newest().serial
            told = f"{self.where} has {there}"
            if not 0 <= here - there <= lag:
                problems.append(Problem(False, f"{self.where} is {here - there} serial numbers behind"))
            lacking = files.queue().jobs - self.queue().jobs - self.queue().archived
            lacking -= files.queue().archived
            if lacking:
                problems.append(Problem(False, f"{self.where} lacks {len(lacking)} jobs of the queue"))
        except GanetiError as error:
            problems.append(Problem(True, error.message))
        return Checked(problems, told)

    def describe(self, serial: int) -> Json:
        """What there is to tell of ``servers`` by name, and of ``replications`` between them, where the master's configuration has this serial number."""
        return {"servers": {}, "replications": []}

    @property
    def machines(self) -> int:
        """On how many machines what is written here lies."""
        return 1

    @property
    def apart(self) -> int:
        """Of how many servers it can be told, one by one, whether they have a job (`everywhere`)."""
        return 1

    @property
    def copies(self) -> t.Optional[Copies]:
        """The other servers that hold copies of their own; None where there are none."""
        return None

    def carry(self, now: bool) -> t.Optional[str]:
        """Whether what is written from here on is brought to those servers *now*, and not only by what carries on between them by itself. To be said again and
        again; which of them are left to that nevertheless, and why, in words.

        Nobody waits for them, and what they lack is no error. A driver whose servers have all that is written when it answers has nothing to do.
        """
        return None

    @property
    def history(self) -> t.Optional[History]:
        """What was; None where only what is now can be read."""
        return None

    @abc.abstractmethod
    def close(self) -> None:
        """Let go of connections."""

    def __enter__(self) -> Storage:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


PARTS = ("watcher", "takeover")
"""What notes a node may have: whoever writes one is another process (service/watchdog)."""


class Heard(t.NamedTuple):
    """What stands in a node's place: its notes by part; or why that is not known, and whether anybody has answered there all the same."""

    parts: t.Mapping[str, Json]
    problem: t.Optional[str] = None
    answers: bool = True


class Notes(abc.ABC):
    """What nodes write for each other beside configuration and jobs: small, not replicated, in no history, and by no claim. Not for several threads at once.

    Whoever reads takes it for what somebody has once written, and for no sign of life.
    """

    own_servers: t.ClassVar[bool]
    """Whether each node's notes stand on a server of its own, so that an answer from there says that the machine lives."""

    @abc.abstractmethod
    def put(self, part: str, note: Json) -> None:
        """Write this node's note, over the one before."""

    @abc.abstractmethod
    def read(self) -> t.Dict[str, Heard]:
        """Those of all nodes, the own one among them, all asked at once."""

    @abc.abstractmethod
    def close(self) -> None:
        """Let go of connections."""


class Feed(abc.ABC):
    """News of some jobs of the queue."""

    @abc.abstractmethod
    def news(self, seconds: float) -> t.Dict[int, t.Optional[Json]]:
        """Jobs that have changed since this was asked last, at the first time all that are there; None for one that has gone. Waits for some seconds
        at most where nothing has."""


class Polling(Feed):
    """News by asking again and again."""

    _PAUSE = 0.5

    def __init__(self, storage: Storage, numbers: t.Collection[int]) -> None:
        self._storage = storage
        self._numbers = sorted(numbers)
        self._seen: t.Dict[int, Json] = {}

    def news(self, seconds: float) -> t.Dict[int, t.Optional[Json]]:
        deadline = time.monotonic() + seconds
        while True:
            found = dict(self._storage.jobs(self._numbers))
            changed: t.Dict[int, t.Optional[Json]] = {number: job for number, job in found.items() if self._seen.get(number) != job}
            changed.update(dict.fromkeys(self._seen.keys() - found.keys()))
            self._seen = found
            if changed or time.monotonic() >= deadline:
                return changed
            time.sleep(min(self._PAUSE, max(0.0, deadline - time.monotonic())))


class Answer(t.NamedTuple):
    """What another server answers: the serial number of the newest whole configuration that it has, None where it has none, or in words why that is not
    known; and the last job id that it knows to be given out."""

    serial: t.Union[int, str, None]
    job: t.Optional[int]


class Strays(t.NamedTuple):
    """What goes on between servers and should not, by node; what the master's own lacks or has wrong of it; servers that are away, and why."""

    stray: t.Dict[str, t.List[str]]
    wrong: t.List[str]
    away: t.Dict[str, str]


Keep = t.Callable[[t.Mapping[int, Json]], t.Collection[int]]
"""Takes archived jobs over into the master's files; the ids of those that its storage is to have as well."""


class Copies(abc.ABC):
    """Servers that hold copies of their own, to which the master's writes are carried. Not for several threads at once."""

    @abc.abstractmethod
    def tend(self, keep: Keep) -> t.Optional[str]:
        """Have everything as the master of this node needs it, and try again what waits; what is wrong, in words.

        Archived jobs that only another server has are given to *keep* before anything else becomes of them.
        """

    @abc.abstractmethod
    def rest(self) -> None:
        """End all that carries on from this node by itself, as another node is the master."""

    @abc.abstractmethod
    def answers(self) -> t.Dict[str, Answer]:
        """What each of the other servers has, asked at once and without much patience: some may be away."""

    @abc.abstractmethod
    def contents(self) -> t.Dict[str, str]:
        """A digest of what this node's own server holds, by part. Two servers that agree hold the same."""

    @abc.abstractmethod
    def strays(self, remove: bool) -> Strays:
        """What an earlier master has left, or somebody has changed; with *remove*, what carries on between other servers is ended."""


class Revision(t.NamedTuple):
    """A state of an object: its name for people, which one in the row of the object's states, the serial number that the configuration had then, and
    the object, or None where it was removed."""

    rev: str
    number: int
    serial: int
    info: t.Optional[Json]


class History(abc.ABC):
    """Earlier states of the configuration's objects."""

    @abc.abstractmethod
    def named(self, database: str, name: str) -> t.List[str]:
        """The ids of the objects of a container, or of CONFIG, that are there and have this name, or this id."""

    @abc.abstractmethod
    def revisions(self, database: str, identity: str) -> t.Iterator[Revision]:
        """The states of an object that are known, the newest first. Where numbers are missing between two of them, others were and are not known."""
