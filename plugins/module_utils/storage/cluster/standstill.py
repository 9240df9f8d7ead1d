# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Writing a cluster's configuration while Ganeti stands still: on the master, with no job open, and its two daemons that use it stopped for a moment.

wconfd is the only writer of config.data, and stops when somebody else has written it (Ganeti 3.0: Utils/Atomic.hs, atomicUpdateLockedFile). So it is
written as ``cfgupgrade`` does, between a stop and a start. Instances are not touched. Whatever fails on the way, the old file is put back.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
import typing as t

from ..._errors import GanetiError, PreflightFailed, RequestRefused, StorageFailed
from ..._files import replace
from ...api import Cluster, connect, jobs
from ...api.master import Runner, succeed
from ...api.opcodes import opcode
from ..drivers.disk import DIRECTORY, DiskStorage
from ..drivers.documents import Json

_DAEMON_UTIL = "/usr/lib/ganeti/daemon-util"
_DAEMONS = ("ganeti-wconfd", "ganeti-luxid")
"""In the order in which they start: wconfd writes the configuration, luxid takes jobs."""
_KEPT = "config.data.before-rollback"
"""The old file, beside the new one until all is well: for whoever finds the master after a power failure, and a sign that the queue is still drained."""
_OPEN = ("queued", "waiting", "canceling", "running")
_PATIENCE = 10.0
"""Seconds that jobs have to end, as those of the watcher, which take one. Nobody can submit any meanwhile."""
_STARTING = 60.0
_WATCHER_PAUSE = "10m"
"""The watcher would start what is stopped. Its pause ends by itself, should nobody be there any more to end it."""

Connect = t.Callable[[], Cluster]


def check_votes(cluster: Cluster) -> None:
    """Raise PreflightFailed where the daemons could not start again: wconfd wants most nodes to agree that this one is the master (Daemon/Utils.hs)."""
    rows = cluster.query("node", ["name", "bootid"])  # bootid is asked of the node itself
    silent = [str(row["name"]) for row in rows if not row["bootid"]]
    if 2 * len(silent) >= len(rows):
        raise PreflightFailed([f"{', '.join(silent)} do not answer, and Ganeti's daemons start only where most nodes do: repair these nodes first."])


class Standstill:
    """Has Ganeti stand still for one write."""

    def __init__(self, runner: Runner, directory: str = DIRECTORY, open_cluster: Connect = lambda: connect({})) -> None:
        self._runner = runner
        self._directory = directory
        self._path = os.path.join(directory, "config.data")
        self._kept = os.path.join(directory, _KEPT)
        self._connect = open_cluster
        self._broken = False

    def write(self, before: Json, after: Json, timeout: float, lock_timeout: float) -> None:
        """Replace the configuration *before* by *after*, and have Ganeti push it to all nodes; the timeouts are those of its job, in seconds.

        Raises RequestRefused where jobs are open or the configuration is another one by now, with nothing done; GanetiError where Ganeti does not
        start with the new one, with the old one put back.
        """
        died = os.path.exists(self._kept)  # an earlier run, so that it is ours if the queue is drained
        with _uninterrupted(), self._keeping(), self._drained(died), self._watcher_paused():
            with self._connect() as cluster:
                self._wait_for_jobs(cluster)
            self._replace(before, after)
        with self._connect() as cluster:
            label = "redistribute the configuration"
            jobs.run(cluster, [opcode("OP_CLUSTER_REDIST_CONF")], timeout=timeout, lock_timeout=lock_timeout, label=label)

    @contextlib.contextmanager
    def _keeping(self) -> t.Iterator[None]:
        """A copy of the file lies beside it, for root alone, until Ganeti runs again."""
        _File.read(self._path)._replace(uid=os.geteuid(), gid=os.getegid(), mode=0o600).write(self._kept)
        try:
            yield
        finally:
            if not self._broken:
                os.unlink(self._kept)

    @contextlib.contextmanager
    def _drained(self, ours: bool) -> t.Iterator[None]:
        """The queue takes no new jobs; unless somebody else had drained it before, it does so again afterwards."""
        drained = b"is set" in succeed(self._runner, ["gnt-cluster", "queue", "info"], "Asking for the queue's drain flag")
        with contextlib.nullcontext() if drained and not ours else self._between(["queue", "drain"], ["queue", "undrain"]):
            yield

    @contextlib.contextmanager
    def _watcher_paused(self) -> t.Iterator[None]:
        paused = b"is not paused" not in succeed(self._runner, ["gnt-cluster", "watcher", "info"], "Asking for the watcher's pause")
        with contextlib.nullcontext() if paused else self._between(["watcher", "pause", _WATCHER_PAUSE], ["watcher", "continue"]):
            yield

    @contextlib.contextmanager
    def _between(self, begin: t.Sequence[str], end: t.Sequence[str]) -> t.Iterator[None]:
        """Do something after one command of gnt-cluster and before another, which is run whatever happens; an error keeps its place before the other's."""
        succeed(self._runner, ["gnt-cluster", *begin], f"gnt-cluster {' '.join(begin)}")
        try:
            yield
        except BaseException as error:
            try:
                succeed(self._runner, ["gnt-cluster", *end], f"gnt-cluster {' '.join(end)}")
            except GanetiError as another:
                if not isinstance(error, GanetiError):
                    raise
                error.reword(f"{error.message} Then: {another.message} Run it when Ganeti runs again.")
            raise
        succeed(self._runner, ["gnt-cluster", *end], f"gnt-cluster {' '.join(end)}")

    def _wait_for_jobs(self, cluster: Cluster) -> None:
        deadline = time.monotonic() + _PATIENCE
        while True:
            left = cluster.query("job", ["id", "summary"], ["|", *(["=", "status", each] for each in _OPEN)])
            if not left:
                return
            if time.monotonic() >= deadline:
                names = ", ".join(f"{row['id']} ({', '.join(row['summary'] or ())})" for row in left[:5])
                raise RequestRefused(f"Jobs are running or queued, so Ganeti cannot be stopped to write its configuration: {names}. Run this again afterwards.")
            time.sleep(0.5)

    def _replace(self, before: Json, after: Json) -> None:
        try:
            self._stop()
            old = _File.read(self._path)
            if DiskStorage(self._directory).configuration() != before:
                raise RequestRefused("The configuration was changed by somebody else meanwhile: nothing was written, run this again.")
        except GanetiError:
            self._start()
            raise
        try:
            old._replace(content=json.dumps(after, separators=(",", ":")).encode()).write(self._path)
            self._start()
        except GanetiError as error:
            self._put_back(old, error)

    def _put_back(self, old: _File, error: GanetiError) -> t.NoReturn:
        try:
            self._stop()
            old.write(self._path)
            self._start()
        except GanetiError as another:
            self._broken = True
            raise GanetiError(
                f"Ganeti did not start with the new configuration, and not with the old one either. {error.message} {another.message} "
                f"The old one is in {self._kept} and, if it could be written, in {self._path}: see Ganeti's logs, then start {' and '.join(_DAEMONS)}."
            ) from error
        raise GanetiError(f"Ganeti did not start with the new configuration. The old one was put back, and Ganeti runs with it. {error.message}") from error

    def _stop(self) -> None:
        for name in reversed(_DAEMONS):
            succeed(self._runner, [_DAEMON_UTIL, "stop", name], f"Stopping {name}")
            if self._runner.run([_DAEMON_UTIL, "check", name])[0] == 0:
                raise GanetiError(f"{name} does not stop: see its log.")

    def _start(self) -> None:
        """Start both, and wait until both answer."""
        for name in _DAEMONS:
            succeed(self._runner, [_DAEMON_UTIL, "start", name], f"Starting {name}")
        deadline = time.monotonic() + _STARTING
        while True:
            try:
                succeed(self._runner, ["gnt-debug", "wconfd", "echo", "started"], "Asking ganeti-wconfd")
                with self._connect() as cluster:
                    cluster.query("node", ["name"])
                return
            except GanetiError:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(0.5)


class _File(t.NamedTuple):
    """A file's content, and whose it is."""

    content: bytes
    uid: int
    gid: int
    mode: int

    @classmethod
    def read(cls, path: str) -> _File:
        """Raises StorageFailed."""
        try:
            with open(path, "rb") as stream:
                state = os.fstat(stream.fileno())
                return cls(stream.read(), state.st_uid, state.st_gid, state.st_mode & 0o7777)
        except OSError as error:
            raise StorageFailed(f"Cannot read {path}: {error.strerror}.") from error

    def write(self, path: str) -> None:
        """Put it in its place, whole and durable; raises StorageFailed where the old one stays."""
        try:
            replace(path, self.content, self.mode, owner=(self.uid, self.gid))
        except OSError as error:
            raise StorageFailed(f"Cannot write {path}: {error.strerror}.") from error


@contextlib.contextmanager
def _uninterrupted() -> t.Iterator[None]:
    """Ctrl-C and a lost connection end Ansible, but must not leave Ganeti stopped: they count when all runs again.

    Signals are caught, not ignored: the daemons would inherit that.
    """
    caught: t.List[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    handlers = [signal.signal(number, lambda received, _frame: caught.append(received)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, handlers):
            signal.signal(number, handler)
        for each in caught:
            os.kill(os.getpid(), each)
