# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Ganeti's own files. While its daemons run they are only read: wconfd stops when somebody else writes config.data."""

from __future__ import annotations

import json
import os
import re
import typing as t

from ..._errors import StorageFailed, StorageIncomplete
from ..._files import replace
from .bad_job_files import BadJobFiles, Identity, identity
from .documents import JOBS_PER_DIRECTORY, Json
from .interface import Queue, Storage
from .reread import Reader

DIRECTORY = "/var/lib/ganeti"
_JOB = re.compile(r"job-([1-9][0-9]*)\Z")
_SSCONF = re.compile(r"ssconf_([-_a-z0-9]+)\Z")


class DiskStorage(Storage):
    """The files below a directory, as Ganeti 3.0 lays them out. Whose they are is Ganeti's to say: its ensure-dirs sees to that after a write.

    Where they are not *durable* one by one, whoever writes them has to sync them all. Files are this process's, or with *inherit* those of whoever had
    the file whose place they take, else of their directory's owner, as is right where Ganeti's daemons may run.

    Where it shall *remember* the last configuration, to read only what differs, nobody may change a configuration that it gave.
    """

    name = "disk"

    def __init__(self, directory: str = DIRECTORY, durable: bool = True, inherit: bool = False, remember: bool = False) -> None:
        self._directory = directory
        self._durable = durable
        self._inherit = inherit
        self._reader = Reader() if remember else None
        self._queue = os.path.join(directory, "queue")
        self.bad_files = BadJobFiles()
        """Files of jobs that could not be read, or not be stored elsewhere; they are left out until they change, and the others are not held up."""
        self._read: t.Dict[str, Identity] = {}
        """The files that `jobs` has read when it was called last."""

    @property
    def where(self) -> str:
        return self._directory

    def configuration(self) -> Json:
        path = os.path.join(self._directory, "config.data")
        try:
            return t.cast(Json, _of_json(path, self._reader.read if self._reader else json.loads))
        except FileNotFoundError:
            raise StorageFailed(f"{path} is not there: this host is neither the master nor a master candidate.") from None

    def write_configuration(self, configuration: Json) -> None:
        text = json.dumps(configuration, separators=(",", ":"))
        self._write(os.path.join(self._directory, "config.data"), text, 0o640)

    def queue(self) -> Queue:
        jobs = _numbers(self._queue)  # before the archive: a job that moves meanwhile is seen in both, and never in neither
        archived: t.Set[int] = set()
        for name in _list(os.path.join(self._queue, "archive")):
            archived |= _numbers(os.path.join(self._queue, "archive", name))
        return Queue(frozenset(jobs), frozenset(archived), self.last_job())

    @staticmethod
    def archived_in(directories: t.Iterable[str]) -> t.FrozenSet[int]:
        """The jobs in some directories of the archive."""
        return frozenset().union(*map(_numbers, directories))

    def has_queue(self) -> bool:
        """Whether Ganeti's queue is here: an empty directory, as one that is not mounted, has no file with the last job id."""
        return os.path.exists(os.path.join(self._queue, "serial"))

    def jobs(self, numbers: t.Iterable[int], archived: bool = False) -> t.Iterator[t.Tuple[int, Json]]:
        self._read.clear()
        for number in numbers:
            path, state = self._job(number, archived), None
            try:
                state = identity(path)  # before it is read: if it is replaced meanwhile, it counts as changed
                if self.bad_files.stands(path, state):
                    continue
                job = _read_job(path, number)
            except FileNotFoundError:
                self.bad_files.clear(path)
                continue
            except StorageFailed as error:
                self.bad_files.note(path, state, error.message)
                continue
            self.bad_files.clear(path)
            self._read[path] = state
            yield number, job

    def leave_out(self, refused: t.Mapping[int, str], archived: bool = False) -> None:
        for number, why in refused.items():
            path = self._job(number, archived)
            self.bad_files.note(path, self._read.get(path), f"{path} cannot be stored. {why}")

    def holds(self, number: int, archived: bool = False) -> bool:
        """Whether there is a file of this job, be it damaged."""
        return os.path.exists(self._job(number, archived))

    def vanished(self, number: int) -> bool:
        """Whether there is no file of this job any more, while the directory is there in which Ganeti archives it."""
        directory = os.path.dirname(self._job(number, archived=True))
        return os.path.isdir(directory) and not self.holds(number) and not self.holds(number, archived=True)

    def set_aside(self, numbers: t.Iterable[int], directory: str) -> None:
        """Move jobs into a directory of the queue's, where Ganeti does not see them."""
        place = os.path.join(self._queue, directory)
        for number in numbers:
            os.makedirs(place, 0o700, exist_ok=True)
            os.replace(self._job(number, archived=False), os.path.join(place, f"job-{number}"))

    def put_aside(self, jobs: t.Mapping[int, Json], directory: str) -> None:
        """Write jobs into such a directory; what was moved there stays, as the node itself had it and it is the newer one."""
        place = os.path.join(self._queue, directory)
        if jobs and not os.path.isdir(place):
            self._make(place)
        for number, job in jobs.items():
            file = os.path.join(place, f"job-{number}")
            if not os.path.exists(file):
                self._write(file, json.dumps(job), 0o640)

    def write_jobs(self, jobs: t.Mapping[int, Json], archived: bool = False) -> t.Dict[int, str]:
        for number, job in jobs.items():
            path = self._job(number, archived)
            if archived and not os.path.isdir(os.path.dirname(path)):
                self._make(os.path.dirname(path))
            self._write(path, json.dumps(job), 0o640)
        return {}

    def remove_jobs(self, numbers: t.Iterable[int], archived: bool = False) -> None:
        for number in numbers:
            try:
                os.unlink(self._job(number, archived))
            except FileNotFoundError:
                continue

    def write_serial(self, serial: int) -> None:
        self._write(os.path.join(self._queue, "serial"), f"{serial}\n", 0o640)

    def ssconf(self) -> t.Dict[str, str]:
        found = {}
        for name in _list(self._directory):
            match = _SSCONF.match(name)
            if match:
                found[match[1]] = _read(os.path.join(self._directory, name))
        return found

    def write_ssconf(self, values: t.Mapping[str, str]) -> None:
        present = self.ssconf()
        for name, value in values.items():
            if not _SSCONF.match(f"ssconf_{name}"):
                raise StorageFailed(f"{name!r} cannot be the name of a part of the simple configuration.")
            if present.get(name) != value:
                self._write(os.path.join(self._directory, f"ssconf_{name}"), value, 0o444)
        for name in present.keys() - values.keys():
            os.unlink(os.path.join(self._directory, f"ssconf_{name}"))

    def prepare(self) -> None:
        """Ganeti makes its directories itself."""

    def probe(self) -> None:
        """Nobody has to answer."""

    def resolve(self) -> None:
        """There are no two of a file."""

    def master(self) -> t.Optional[str]:
        """The name of the master as this node knows it; None where it knows none. Every node has that file."""
        try:
            return _read(os.path.join(self._directory, "ssconf_master_node")).strip()
        except FileNotFoundError:
            return None

    def forget(self) -> None:
        """Read the configuration as a whole the next time."""
        self._reader = Reader() if self._reader else None

    def close(self) -> None:
        """Nothing is held open."""

    def last_job(self) -> int:
        path = os.path.join(self._queue, "serial")
        try:
            text = _read(path).strip()
        except FileNotFoundError:
            return 0
        if not text.isdigit():
            raise StorageFailed(f"{path} holds no job id: Ganeti's queue is damaged.")
        return int(text)

    def _job(self, number: int, archived: bool) -> str:
        if archived:
            return os.path.join(self._queue, "archive", str(number // JOBS_PER_DIRECTORY), f"job-{number}")
        return os.path.join(self._queue, f"job-{number}")

    def _make(self, path: str) -> None:
        try:
            os.makedirs(path, 0o750)
            if self._inherit:
                os.chown(path, *_owner(os.path.dirname(path)))
        except OSError as error:
            raise StorageFailed(f"Cannot make the directory {path}: {error.strerror}.") from error

    def _write(self, path: str, text: str, mode: int) -> None:
        try:
            owner = _owner(path if os.path.exists(path) else os.path.dirname(path)) if self._inherit else None
            replace(path, text.encode("utf-8"), mode, self._durable, owner)
        except OSError as error:
            raise StorageFailed(f"Cannot write {path}: {error.strerror}.") from error


def _owner(path: str) -> t.Tuple[int, int]:
    found = os.stat(path)
    return found.st_uid, found.st_gid


def _list(path: str) -> t.List[str]:
    try:
        return os.listdir(path)
    except FileNotFoundError:
        return []


def _numbers(path: str) -> t.Set[int]:
    return {int(match[1]) for match in map(_JOB.match, _list(path)) if match}


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise StorageFailed(f"Cannot read {path}: {error}.") from error


def _of_json(path: str, loads: t.Callable[[str], t.Any] = json.loads) -> t.Any:
    try:
        return loads(_read(path))
    except (ValueError, RecursionError) as error:
        raise StorageIncomplete(f"{path} does not hold complete JSON ({error}): a write was cut off, or it is damaged.") from error


def _read_job(path: str, number: int) -> Json:
    job = _of_json(path)
    if not isinstance(job, dict) or str(job.get("id")) != str(number):
        raise StorageFailed(f"{path} does not hold job {number}: it is damaged, or somebody else than Ganeti wrote it.")
    return job
