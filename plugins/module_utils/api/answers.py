# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Reading Ganeti's answers: query results, jobs and encoded errors. Pure functions, the same for every transport."""

from __future__ import annotations

import typing as t

from .._errors import ConnectionFailed, RequestRefused
from .cluster import JobStatus, LogEntry

#: The status of a cell that carries a value (Ganeti: RS_NORMAL); others are unknown 1, no data 2, unavailable 3, offline 4.
_NORMAL = 0

JOB_FIELDS = ("id", "status", "summary", "opstatus", "opresult", "oplog", "received_ts", "start_ts", "end_ts")

#: Ganeti's codes for kinds of errors (Ganeti: ECODE_ALL).
ECODES = frozenset(
    (
        "resolver_error",
        "insufficient_resources",
        "temp_insufficient_resources",
        "wrong_input",
        "wrong_state",
        "unknown_entity",
        "already_exists",
        "resource_not_unique",
        "internal_error",
        "environment_error",
    )
)

#: Errors whose second argument is the code (Ganeti: errors.py).
_WITH_ECODE = frozenset(("OpPrereqError",))


class GanetiFault(t.NamedTuple):
    """An error as Ganeti words it: the name of its exception class, the text, and the code if it gave one."""

    kind: str
    message: str
    ecode: t.Optional[str]


def query_rows(what: str, fields: t.Sequence[str], answer: t.Any) -> t.List[t.Dict[str, t.Any]]:
    """The rows of a Query's answer, one dict an item (Ganeti: objects.QueryResponse).

    ``answer`` is {"fields": [definition...], "data": [[[status, value]...]...]}. Raises RequestRefused for a field that
    the cluster does not know, ConnectionFailed for an answer of another shape.
    """
    try:
        unknown = [definition["name"] for definition in answer["fields"] if definition["kind"] == "unknown"]
        if unknown:
            raise RequestRefused(f"This cluster knows no field {', '.join(unknown)} of {what}", ecode="wrong_input")
        return [{name: value if status == _NORMAL else None for name, (status, value) in _pairs(fields, row)} for row in answer["data"]]
    except (KeyError, TypeError, ValueError) as error:
        raise ConnectionFailed(f"The cluster answered a query for {what} in a form that is not Ganeti's") from error


def is_one_item(qfilter: t.Any) -> bool:
    """Whether a filter asks for one item by name or UUID: Ganeti answers with an error, not with no rows, if there is none.

    Where several are named one of them is missing, so the error has to stand.
    """
    return isinstance(qfilter, (list, tuple)) and len(qfilter) == 3 and qfilter[0] in ("=", "==")


def _pairs(fields: t.Sequence[str], row: t.Sequence[t.Any]) -> t.List[t.Any]:
    if len(fields) != len(row):
        raise ValueError("not as many cells as fields")
    return list(zip(fields, row))


def log_entry(entry: t.Sequence[t.Any]) -> LogEntry:
    """A log entry [serial, [seconds, microseconds], kind, message] (Ganeti: jqueue, _QueuedOpCode.log)."""
    serial, time, kind, message = entry
    return LogEntry(int(serial), _seconds(time) or 0.0, str(kind), message)


def _seconds(time: t.Any) -> t.Optional[float]:
    """A split timestamp [seconds, microseconds] as seconds since the epoch."""
    return None if time is None else time[0] + time[1] / 1e6


def job_status(job: t.Mapping[str, t.Any]) -> JobStatus:
    """A job from its fields by name, `JOB_FIELDS`. Raises ConnectionFailed for an answer of another shape."""
    try:
        return JobStatus(
            id=int(job["id"]),
            status=str(job["status"]),
            summary=list(job["summary"]),
            opstatus=list(job["opstatus"]),
            opresult=list(job["opresult"]),
            oplog=[[log_entry(entry) for entry in log] for log in job["oplog"]],
            received=_seconds(job["received_ts"]),
            start=_seconds(job["start_ts"]),
            end=_seconds(job["end_ts"]),
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ConnectionFailed("The cluster described a job in a form that is not Ganeti's") from error


def existing_job(job_id: int, address: str, job: t.Any) -> JobStatus:
    """The job, where there is one: Ganeti answers with empty fields, or nothing, for one that does not exist."""
    if not job or job.get("status") is None:
        raise no_job(job_id, address)
    return job_status(job)


def no_job(job_id: int, address: str) -> RequestRefused:
    """The error for a job that does not exist."""
    return RequestRefused(
        f"There is no job {job_id} on the cluster at {address}: it never was, or it was archived", ecode="unknown_entity", job_id=job_id
    )


def fault(encoded: t.Any) -> GanetiFault:
    """An error out of Ganeti's encoding [class, [arguments...]], or out of any other JSON (Ganeti: errors.EncodeException)."""
    if isinstance(encoded, (list, tuple)) and len(encoded) == 2 and isinstance(encoded[0], str) and isinstance(encoded[1], (list, tuple)):
        kind, arguments = encoded[0], list(encoded[1])
        ecode = arguments.pop() if kind in _WITH_ECODE and len(arguments) > 1 else None
        return GanetiFault(kind, _words(arguments) or kind, ecode)
    return GanetiFault("", _words(encoded) or "no reason was given", None)


def _words(value: t.Any) -> str:
    """Whatever an error carries, as one line of text."""
    if value is None:
        return ""
    if isinstance(value, (list, tuple)):
        return ", ".join(word for word in map(_words, value) if word)
    return " ".join(str(value).split())
