# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Jobs are run against a cluster that plays back a script."""

from __future__ import annotations

import typing as t
from collections.abc import Mapping, Sequence

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import (
    ConnectionFailed,
    GanetiError,
    JobFailed,
    JobTimeout,
    NotAcknowledged,
    RequestRefused,
)
from ansible_collections.ganeti.cluster.plugins.module_utils.api import jobs
from ansible_collections.ganeti.cluster.plugins.module_utils.api.cluster import Cluster, JobChange, JobStatus, LogEntry

_OP = {"OP_ID": "OP_TEST_DELAY", "duration": 1}
_LINE = LogEntry(1, 1.0, "message", "half way")


class Script(Cluster):
    """A cluster with one job, whose changes are given; None is a wait in which nothing happened."""

    transport = "script"
    address = "nowhere"

    def __init__(self, clock: Clock, changes: list[t.Any], result: t.Any = None, cancels: bool = True) -> None:
        self.clock, self.changes, self.result, self.cancels = clock, changes, result, cancels
        self.status = "queued"
        self.cancelled = 0

    def info(self) -> dict[str, t.Any]:
        return {}

    def query(self, what: str, fields: Sequence[str], qfilter: t.Any = None) -> list[dict[str, t.Any]]:
        rows: dict[str, list[dict[str, t.Any]]] = {
            "lock": [
                {"name": "cluster/BGL", "owner": ["5", "9"], "pending": []},
                {"name": "node/u-1", "owner": ["5", "other"], "pending": [["exclusive", ["9"]]]},
                {"name": "instance/x", "owner": [], "pending": [["exclusive", ["9"]]]},
            ],
            "node": [{"uuid": "u-1", "name": "n1"}],
            "group": [],
            "job": [{"id": 5, "summary": ["NODE_EVACUATE(n1)"]}],
        }
        return rows[what]

    def submit(self, opcodes: Sequence[Mapping[str, t.Any]]) -> int:
        return 9

    def job(self, job_id: int) -> JobStatus:
        return JobStatus(
            id=9, status=self.status, summary=["TEST_DELAY(1)"], opstatus=[self.status], opresult=[self.result], oplog=[[]],
            received=1.0, start=None, end=None,
        )  # fmt: skip

    def wait_for_job_change(self, job_id: int, last_status: str | None, last_log_serial: int | None, timeout: float) -> JobChange | None:
        step = self.changes.pop(0) if self.changes else None
        if isinstance(step, BaseException):
            raise step
        if step is None:
            self.clock.now += timeout
            return None
        self.status = step if isinstance(step, str) else self.status
        return JobChange(self.status, [] if isinstance(step, str) else [step])

    def cancel(self, job_id: int) -> tuple[bool, str]:
        self.cancelled += 1
        if self.cancels:
            self.changes = ["canceling", "canceled"]
        return self.cancels, "words"

    def close(self) -> None:
        return


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture(name="clock")
def fixture_clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(jobs, "time", clock)
    return clock


def test_results_and_log_of_a_good_job(clock: Clock) -> None:
    seen: list[LogEntry] = []
    cluster = Script(clock, ["waiting", None, "running", _LINE, "success"], result=["node1"])
    assert jobs.run(cluster, [_OP], timeout=100, lock_timeout=50, on_log=seen.append) == [["node1"]]
    assert seen == [_LINE]
    assert cluster.cancelled == 0


def test_a_failed_job_speaks_ganetis_words(clock: Clock) -> None:
    cluster = Script(clock, ["running", _LINE, "error"], result=["OpPrereqError", ["No room", "temp_insufficient_resources"]])
    with pytest.raises(JobFailed) as failed:
        jobs.run(cluster, [_OP], label="create x on b")
    assert failed.value.message == "Job 9 (create x on b) failed: No room."
    assert failed.value.ecode == "temp_insufficient_resources"
    assert failed.value.details["job_log"] == ["half way"]
    assert failed.value.details["opcode"] == "TEST_DELAY(1)"


_TAG = {"OP_ID": "OP_TAGS_SET", "kind": "instance", "name": "x", "tags": ["a"]}
_STOP = {"OP_ID": "OP_INSTANCE_SHUTDOWN", "instance_name": "x"}
_AFTER = {"OP_ID": "OP_INSTANCE_ACTIVATE_DISKS", "instance_name": "x"}
_COULD_NOT = ["OpExecError", ["Could not shutdown instance 'x'"]]


class Jobs(Script):
    """Jobs that end at once: what each gives, as its opcodes' results; one that is a failure ends it."""

    def __init__(self, clock: Clock, *ends: list[t.Any]) -> None:
        super().__init__(clock, [])
        self.ends = list(ends)
        self.sent: list[list[str]] = []
        self.summary: list[str] = []

    def submit(self, opcodes: Sequence[Mapping[str, t.Any]]) -> int:
        self.sent.append([op["OP_ID"] for op in opcodes])
        self.summary = [f"{op['OP_ID'][3:]}(x)" for op in opcodes]
        self.changes = ["error" if any(isinstance(each, list) for each in self.ends[0]) else "success"]
        return 9

    def job(self, job_id: int) -> JobStatus:
        given = self.ends.pop(0)
        opstatus = ["error" if isinstance(each, list) else "success" for each in given]
        return JobStatus(
            id=9, status=self.status, summary=self.summary, opstatus=opstatus, opresult=given, oplog=[[]], received=1.0, start=None, end=None
        )  # fmt: skip


def test_a_shutdown_that_fails_at_work_is_run_once_more_with_what_comes_after_it(clock: Clock) -> None:
    cluster = Jobs(clock, [None, _COULD_NOT], [True, "sda"])
    assert jobs.run(cluster, [_TAG, _STOP, _AFTER], again=True) == [None, True, "sda"]
    assert cluster.sent == [["OP_TAGS_SET", "OP_INSTANCE_SHUTDOWN", "OP_INSTANCE_ACTIVATE_DISKS"], ["OP_INSTANCE_SHUTDOWN", "OP_INSTANCE_ACTIVATE_DISKS"]]


@pytest.mark.parametrize(
    ("again", "ends", "count"),
    [
        (True, [[None, _COULD_NOT], [_COULD_NOT]], 2),
        (False, [[None, _COULD_NOT]], 1),
        (True, [[None, ["OpPrereqError", ["Instance is offline", "wrong_state"]]]], 1),
        (True, [[None, True, ["OpExecError", ["Cannot activate block devices"]]]], 1),
    ],
)
def test_nothing_else_is_run_once_more_nor_twice(clock: Clock, again: bool, ends: list[t.Any], count: int) -> None:
    cluster = Jobs(clock, *ends)
    with pytest.raises(JobFailed):
        jobs.run(cluster, [_TAG, _STOP, _AFTER], again=again)
    assert len(cluster.sent) == count


def failed_after(*results: t.Any) -> JobFailed:
    """A job that failed when these opcodes had ended."""
    error = JobFailed("no")
    error.before = list(results)
    return error


@pytest.mark.parametrize(
    ("error", "never", "unknown"),
    [
        (ConnectionFailed("gone"), False, True),
        (JobTimeout("late", status="running"), False, True),
        (JobTimeout("late", status="canceled"), True, False),
        (JobFailed("cancelled"), True, False),
        (failed_after(None), False, False),
        (RequestRefused("no"), False, False),
    ],
)
def test_when_it_is_known_what_became_of_a_job(error: GanetiError, never: bool, unknown: bool) -> None:
    assert (jobs.never_began(error), jobs.is_unknown(error)) == (never, unknown)


def test_a_job_that_somebody_cancelled_failed(clock: Clock) -> None:
    with pytest.raises(JobFailed, match=r"Job 9 \(TEST_DELAY\(1\)\) was cancelled"):
        jobs.run(Script(clock, ["canceled"]), [_OP])


@pytest.mark.parametrize("limits", [{"lock_timeout": 30}, {"timeout": 30}])
def test_a_job_without_its_locks_is_cancelled_and_the_holder_named(clock: Clock, limits: dict[str, float]) -> None:
    cluster = Script(clock, ["waiting"])
    with pytest.raises(
        JobTimeout, match=r"waited too long for the lock node/n1, held by job 5 \(NODE_EVACUATE\(n1\)\), other and was cancelled"
    ) as timeout:
        jobs.run(cluster, [_OP], **limits)  # type: ignore[arg-type]
    assert cluster.cancelled == 1
    assert 1029 < clock.now < 1041
    assert timeout.value.details["job_id"] == 9


def test_a_job_that_begins_while_it_is_cancelled_is_waited_for(clock: Clock) -> None:
    cluster = Script(clock, ["waiting", None, None, None, "running", "success"], cancels=False)
    assert jobs.run(cluster, [_OP], lock_timeout=30) == [None]


def test_a_running_job_is_left_alone_when_its_time_is_up(clock: Clock) -> None:
    cluster = Script(clock, ["running"])
    with pytest.raises(JobTimeout, match="still running"):
        jobs.run(cluster, [_OP], timeout=30)
    assert cluster.cancelled == 0


@pytest.mark.parametrize(("status", "cancelled"), [("waiting", 1), ("running", 0)])
def test_ctrl_c_cancels_only_what_has_not_begun(clock: Clock, status: str, cancelled: int) -> None:
    cluster = Script(clock, [status, KeyboardInterrupt()])
    with pytest.raises(KeyboardInterrupt):
        jobs.run(cluster, [_OP])
    assert cluster.cancelled == cancelled


def test_a_connection_may_be_gone_for_a_moment_but_not_for_ever(clock: Clock) -> None:
    lost = ConnectionFailed("gone")
    assert jobs.run(Script(clock, ["running", lost, lost, "success"]), [_OP]) == [None]
    with pytest.raises(ConnectionFailed, match="gone"):
        jobs.run(Script(clock, ["running"] + [lost] * 100), [_OP])
    assert clock.now < 1100


def test_lock_holders_are_found_by_job() -> None:
    locks: list[dict[str, t.Any]] = [
        {"name": "node/a", "owner": None, "pending": [["shared", ["19"]]]},
        {"name": "cluster/BGL", "owner": ["3"], "pending": [["shared", ["12", "9"]]]},
        {"name": "node/b", "owner": ["9"], "pending": None},
    ]
    assert jobs.lock_holders(9, locks) == {"cluster/BGL": ["3"]}
    assert jobs.lock_holders(19, locks) == {}


@pytest.mark.parametrize(("changes", "kind", "status"), [(["success"], None, "success"), (["error"], JobFailed, "error"), (["running"], JobTimeout, "running")])
def test_nobody_is_told_before_servers_have_the_job(clock: Clock, changes: list[str], kind: type[Exception] | None, status: str) -> None:
    """Neither of its result, nor of its failure, nor that it goes on."""
    told: list[tuple[int, str]] = []
    cluster = Script(clock, list(changes), result=[])
    cluster.acknowledge = lambda job_id, status: told.append((job_id, status))
    if kind is None:
        jobs.run(cluster, [_OP])
    else:
        with pytest.raises(kind):
            jobs.run(cluster, [_OP], timeout=5)
    assert told == [(9, status)]


def test_what_is_wrong_with_servers_counts_more_than_the_jobs_end(clock: Clock) -> None:
    def refuse(_job_id: int, _status: str) -> None:
        raise NotAcknowledged("nobody has it")

    cluster = Script(clock, ["success"])
    cluster.acknowledge = refuse
    with pytest.raises(NotAcknowledged):
        jobs.run(cluster, [_OP])
