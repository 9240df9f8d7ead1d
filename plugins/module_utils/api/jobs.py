# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Running a job to its end: waiting, log lines, locks that do not come, and errors in plain words."""

from __future__ import annotations

import time
import typing as t

from .._errors import (
    AuthenticationFailed,
    ConnectionFailed,
    GanetiError,
    HostKeyUnknown,
    JobFailed,
    JobTimeout,
)
from .answers import fault
from .cluster import FINAL_STATUS, PENDING_STATUS, Cluster, JobStatus, LogEntry

OnLog = t.Callable[[LogEntry], None]
Opcode = t.TypeVar("Opcode", bound=t.Mapping[str, t.Any])

_SLICE = 10.0
"""Seconds that one wait takes at most, so that deadlines are looked at in between."""
_PATIENCE = 60.0
"""Seconds that a connection may be gone while a job is waited for: a daemon's restart, a blip of the network."""
_CANCEL_GRACE = 60.0
"""Seconds that a job may take to stop after Ganeti agreed to cancel it."""


def run(
    cluster: Cluster,
    opcodes: t.Sequence[t.Mapping[str, t.Any]],
    *,
    timeout: t.Optional[float] = None,
    lock_timeout: t.Optional[float] = None,
    on_log: t.Optional[OnLog] = None,
    label: str = "",
    again: bool = False,
) -> t.List[t.Any]:
    """Submit one job, wait for it, and return its opcodes' results.

    ``timeout``: seconds in all; a job that runs longer is left alone, as Ganeti cannot stop one that runs. ``lock_timeout``:
    seconds the job may be queued or wait for locks; then it is cancelled. None is forever. ``on_log`` gets every new log
    entry. ``label`` says in messages what the job is for.

    Raises RequestRefused where it is not accepted, JobFailed where the job fails or is cancelled, JobTimeout where it does
    not finish in time. Whatever ends the waiting early, Ctrl-C included, the job is cancelled if it has not begun. With
    ``again``, where a shutdown fails, it and what comes after are run once more, as `rest_after` says: for whoever wants it
    stopped whatever runs by then.
    """

    def once(batch: t.Sequence[t.Mapping[str, t.Any]]) -> t.List[t.Any]:
        return results(cluster, cluster.submit(batch), timeout=timeout, lock_timeout=lock_timeout, on_log=on_log, label=label)

    try:
        return once(opcodes)
    except JobFailed as error:
        rest = rest_after(error, opcodes) if again else []
        if not rest:
            raise
        return [*(error.before or []), *once(rest)]


def rest_after(error: JobFailed, opcodes: t.Sequence[Opcode]) -> t.List[Opcode]:
    """What of a job is worth another try: a shutdown that failed while it was at work, and the opcodes after it; else nothing.

    Ganeti asks a guest to power off anew every five seconds. Where that meets one that is just ending, so that its monitor does not answer any more
    and its process is still there, the job fails (Ganeti 3.1: backend.InstanceShutdown, hv_kvm). A moment later the same opcode finds it stopped.
    """
    return list(opcodes[len(error.before or ()) :]) if is_stop(error) else []


def is_stop(error: JobFailed) -> bool:
    """Whether it is a shutdown that failed, while it was at work; one that was refused, or cancelled, is none."""
    return error.before is not None and error.ecode is None and str(error.details.get("opcode")).startswith("INSTANCE_SHUTDOWN")


def never_began(error: GanetiError) -> bool:
    """Whether a job has changed nothing, as it was cancelled before it began."""
    return error.before is None if isinstance(error, JobFailed) else isinstance(error, JobTimeout) and error.details.get("status") == "canceled"


def is_unknown(error: GanetiError) -> bool:
    """Whether what becomes of a job is not known: its answer is lost, or it goes on."""
    return isinstance(error, (ConnectionFailed, JobTimeout)) and not never_began(error)


def results(
    cluster: Cluster,
    job_id: int,
    *,
    timeout: t.Optional[float] = None,
    lock_timeout: t.Optional[float] = None,
    on_log: t.Optional[OnLog] = None,
    label: str = "",
) -> t.List[t.Any]:
    """As `run`, for a job that was submitted before."""
    watch = _Watch(cluster, job_id, label, on_log)
    try:
        watch.until_final(_deadline(timeout), _deadline(lock_timeout))
        job = cluster.job(job_id)
    except BaseException as error:
        watch.abandon()
        if isinstance(error, JobTimeout):  # its message tells of the job
            _acknowledge(cluster, job_id, watch.status)
        raise
    _acknowledge(cluster, job_id, job["status"])
    return _outcome(job, label, watch.log)


def _acknowledge(cluster: Cluster, job_id: int, status: t.Optional[str]) -> None:
    if cluster.acknowledge is not None:
        cluster.acknowledge(job_id, status or "queued")


def _deadline(seconds: t.Optional[float]) -> t.Optional[float]:
    return None if seconds is None else time.monotonic() + seconds


def _passed(deadline: t.Optional[float]) -> bool:
    return deadline is not None and time.monotonic() >= deadline


class _Watch:
    """Follows one job: its status and log as far as seen."""

    def __init__(self, cluster: Cluster, job_id: int, label: str, on_log: t.Optional[OnLog]) -> None:
        self.cluster = cluster
        self.job_id = job_id
        self.what = f"Job {job_id}" + (f" ({label})" if label else "")
        self.on_log = on_log
        self.status: t.Optional[str] = None
        self.log: t.List[LogEntry] = []

    @property
    def pending(self) -> bool:
        return self.status is None or self.status in PENDING_STATUS

    def until_final(self, deadline: t.Optional[float], lock_deadline: t.Optional[float]) -> None:
        while self.status not in FINAL_STATUS:
            if self.pending and (_passed(lock_deadline) or _passed(deadline)):
                self._give_up_waiting()
                lock_deadline = None
            elif not self.pending and _passed(deadline):
                raise self._timeout("is still running when its time is up: it goes on, follow it with gnt-job watch on the master")
            else:
                self._advance(_slice(deadline, lock_deadline if self.pending else None))

    def _advance(self, seconds: float) -> None:
        """Wait for one change; a connection that is gone for a moment is no reason to give up a job."""
        patience = time.monotonic() + _PATIENCE
        while True:
            try:
                serial = self.log[-1].serial if self.log else None
                change = self.cluster.wait_for_job_change(self.job_id, self.status, serial, seconds)
                break
            except (AuthenticationFailed, HostKeyUnknown):
                raise
            except ConnectionFailed:
                if _passed(patience):
                    raise
                time.sleep(2)
        if change is None:
            return
        self.status = change.status
        for entry in change.log:
            self.log.append(entry)
            if self.on_log is not None:
                self.on_log(entry)

    def _give_up_waiting(self) -> None:
        """The locks did not come in time: cancel, unless the job began in the meantime."""
        holders = self._holders()
        self.cluster.cancel(self.job_id)
        # Whether it was agreed to or not, the status tells what came of it: a job that waits for locks is only marked first.
        stop = time.monotonic() + _CANCEL_GRACE
        while self.status != "running" and self.status not in FINAL_STATUS and not _passed(stop):
            self._advance(1)
        if self.status == "canceled":
            raise self._timeout(f"waited too long for {holders} and was cancelled; nothing was changed")
        if self.pending or self.status == "canceling":
            raise self._timeout(f"waited too long for {holders} and does not react to being cancelled: look at it with gnt-job list")

    def _holders(self) -> str:
        """Words for what the job waits for, and who has it. Only for a message: a failure to find out is no failure."""
        if self.status == "queued":
            return "its turn in the queue"
        try:
            return _in_words(self.cluster, lock_holders(self.job_id, self.cluster.query("lock", ["name", "owner", "pending"])))
        except GanetiError:
            return "locks"

    def _timeout(self, what: str) -> JobTimeout:
        return JobTimeout(f"{self.what} {what}.", job_id=self.job_id, status=self.status, job_log=log_lines(self.log))

    def abandon(self) -> None:
        """Cancel a job that nobody waits for any more and that has not begun. The error that led here is what counts."""
        if self.pending:
            try:
                self.cluster.cancel(self.job_id)
            except GanetiError:
                pass


def _slice(*deadlines: t.Optional[float]) -> float:
    """How long to wait at most before a deadline has to be looked at."""
    now = time.monotonic()
    return max(0.0, min([_SLICE] + [deadline - now for deadline in deadlines if deadline is not None]))


def log_lines(log: t.Sequence[LogEntry]) -> t.List[str]:
    """The log as lines of text, for results and messages."""
    return [entry.message if isinstance(entry.message, str) else f"{entry.kind}: {entry.message}" for entry in log]


def lock_holders(job_id: int, locks: t.Sequence[t.Mapping[str, t.Any]]) -> t.Dict[str, t.List[str]]:
    """The locks that a job waits for and others hold: the lock's name, and the ids of the jobs that hold it.

    ``locks`` are rows of a query for lock: owner is a list of job ids, pending one of [mode, [job id...]], all as strings
    (tried on Ganeti 3.0.2; whoever is no job has another word there).
    """
    held: t.Dict[str, t.List[str]] = {}
    for lock in locks:
        pending = [owner for _mode, owners in lock.get("pending") or [] for owner in owners]
        others = [str(owner) for owner in lock.get("owner") or [] if str(owner) != str(job_id)]
        if str(job_id) in map(str, pending) and others:
            held[str(lock["name"])] = others
    return held


def unfinished(cluster: Cluster, concerns: t.Callable[[str], bool]) -> t.List[str]:
    """The jobs that have not come to their end and name an instance that *concerns* the caller, in words."""
    condition = ["|"] + [["=", "status", status] for status in ("queued", "waiting", "canceling", "running")]
    rows = cluster.query("job", ["id", "summary", "ops"], condition)
    return [f"{row['id']} ({', '.join(row['summary'] or ())})" for row in rows if any(concerns(name) for op in row["ops"] or () for name in subjects(op))]


def subjects(op: t.Mapping[str, t.Any]) -> t.Iterator[str]:
    """The names of instances in an opcode. A job's summary does not do: it has no name for opcodes about tags."""
    named = [op.get("instance_name"), op.get("new_name"), op.get("name") if op.get("kind", "instance") == "instance" else None]
    several = op.get("instances")
    for each in named + (several if isinstance(several, list) else []):
        if isinstance(each, str):
            yield each
        elif isinstance(each, dict):  # opcodes in an opcode, as in OP_INSTANCE_MULTI_ALLOC
            yield from subjects(each)


def _in_words(cluster: Cluster, held: t.Mapping[str, t.Sequence[str]]) -> str:
    """Locks and their holders for a message: nodes and groups by name, jobs with what they do."""
    if not held:
        return "locks"
    names = {row["uuid"]: row["name"] for what in ("node", "group") for row in cluster.query(what, ["uuid", "name"])}
    doing = {str(row["id"]): f"job {row['id']} ({', '.join(row['summary'] or [])})" for row in cluster.query("job", ["id", "summary"])}
    sentences = []
    for lock, owners in list(held.items())[:3]:
        kind, _slash, item = lock.partition("/")
        sentences.append(f"the lock {kind}/{names.get(item, item)}, held by {', '.join(doing.get(owner, owner) for owner in owners)}")
    return " and ".join(sentences)


def _outcome(job: JobStatus, label: str, log: t.Sequence[LogEntry]) -> t.List[t.Any]:
    if job["status"] == "success":
        return job["opresult"]
    index = next((i for i, status in enumerate(job["opstatus"]) if status != "success"), 0)
    summary = job["summary"][index] if index < len(job["summary"]) else ""
    name = label or summary or "without a name"
    details = dict(job_id=job["id"], opcode=summary, job_log=log_lines(log))
    if job["status"] == "canceled":
        raise JobFailed(f"Job {job['id']} ({name}) was cancelled.", ecode=None, **details)
    problem = fault(job["opresult"][index] if index < len(job["opresult"]) else None)
    failed = JobFailed(f"Job {job['id']} ({name}) failed: {problem.message.rstrip('.')}.", ecode=problem.ecode, **details)
    failed.before = list(job["opresult"][:index])
    raise failed
