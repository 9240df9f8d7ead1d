# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The interface to a cluster: what every transport can do, in Ganeti's own words.

The three implementations are `LuxiCluster` (api/luxi.py, on the master or through SSH) and `RapiCluster` (api/rapi.py).
"""

from __future__ import annotations

import typing as t
from abc import ABC, abstractmethod
from types import TracebackType

ClusterT = t.TypeVar("ClusterT", bound="Cluster")

#: A job in one of these has an end and will not change any more (Ganeti: JOBS_FINALIZED).
FINAL_STATUS = frozenset(("success", "error", "canceled"))
#: A job in one of these holds no lock and has changed nothing yet, so it can be cancelled.
PENDING_STATUS = frozenset(("queued", "waiting"))


class LogEntry(t.NamedTuple):
    """One line of a job's log: serial counts up within the job, time is in seconds since the epoch.

    ``message`` is a string where ``kind`` is "message"; other kinds may carry structures.
    """

    serial: int
    time: float
    kind: str
    message: t.Any


class JobChange(t.NamedTuple):
    """What is new about a job: its status now, and the log entries after the serial that was asked about."""

    status: str
    log: t.List[LogEntry]


class JobStatus(t.TypedDict):
    """A job as read in full; the lists have one element an opcode. Times are seconds since the epoch, or None."""

    id: int
    status: str
    summary: t.List[str]
    opstatus: t.List[str]
    opresult: t.List[t.Any]
    oplog: t.List[t.List[LogEntry]]
    received: t.Optional[float]
    start: t.Optional[float]
    end: t.Optional[float]


class Cluster(ABC):
    """A connection to one cluster's master. Not safe for use by several threads at once: open one each."""

    #: "luxi", "ssh" or "rapi"
    transport: str
    #: the name or address that was connected to
    address: str

    @abstractmethod
    def info(self) -> t.Dict[str, t.Any]:
        """The cluster's parameters and versions (LUXI QueryClusterInfo, RAPI GET /2/info)."""

    @abstractmethod
    def query(self, what: str, fields: t.Sequence[str], qfilter: t.Any = None) -> t.List[t.Dict[str, t.Any]]:
        """Items of a kind ("instance", "node", "group", "network", "os", "lock", "job", ...), one dict an item.

        ``qfilter`` is in Ganeti's query language, as ["=", "name", "x"]. A value that is not to be had (node offline,
        no data) is None. A filter for one item that does not exist gives no rows; one for several names of which one does not
        exist is refused by Ganeti, ecode "unknown_entity". Raises RequestRefused for an unknown kind or field.
        """

    @abstractmethod
    def submit(self, opcodes: t.Sequence[t.Mapping[str, t.Any]]) -> int:
        """Submit one job made of these opcodes (see opcodes.opcode) and return its id, without waiting.

        Raises RequestRefused before anything is sent where the transport has no way to express them.
        """

    @abstractmethod
    def job(self, job_id: int) -> JobStatus:
        """The job as it is now. Raises RequestRefused, ecode "unknown_entity", where there is none (or it is archived)."""

    @abstractmethod
    def wait_for_job_change(
        self, job_id: int, last_status: t.Optional[str], last_log_serial: t.Optional[int], timeout: float
    ) -> t.Optional[JobChange]:
        """Wait until the job's status is another or its log has grown; None where neither happened in time.

        ``timeout`` is in seconds; a transport may return earlier (RAPI waits 10 s at most, luxid 89 s), never much later.
        """

    @abstractmethod
    def cancel(self, job_id: int) -> t.Tuple[bool, str]:
        """Ask for a job that is queued or waiting for locks to be cancelled: whether that was done, and Ganeti's words.

        A waiting job is only marked: read its status until it is final.
        """

    @abstractmethod
    def close(self) -> None:
        """Close the connection; closing twice is harmless."""

    def __enter__(self: ClusterT) -> ClusterT:
        return self

    def __exit__(self, kind: t.Optional[t.Type[BaseException]], error: t.Optional[BaseException], trace: t.Optional[TracebackType]) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.transport} {self.address}>"
