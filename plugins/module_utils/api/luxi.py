# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""LUXI, the master daemon's own protocol: the codec, and a client for a UNIX socket or anything that behaves like one.

A message is JSON ended by one byte 3. A request is {"method", "args"}, an answer {"success", "result"} (Ganeti: luxi.py,
rpc/client.py). Ganeti's client also sends its version; luxid reads nothing but method and arguments (src/Ganeti/UDSServer.hs,
the same in 3.0.2 and 3.1.1), so leaving it out serves both.
"""

from __future__ import annotations

import json
import socket
import time
import typing as t

from .._errors import ConnectionFailed, JobFailed, RequestRefused
from .answers import JOB_FIELDS, existing_job, fault, is_one_item, log_entry, query_rows
from .cluster import Cluster, JobChange, JobStatus
from .jobs import run
from .opcodes import opcode, scrub

SOCKET = "/var/run/ganeti/socket/ganeti-query"
SSCONF_MASTER = "/var/lib/ganeti/ssconf_master_node"

END = b"\x03"
#: Bytes. The largest answers seen are queries of thousands of instances, some ten MB; beyond this something is wrong.
MAX_MESSAGE = 256 * 1024 * 1024
#: Seconds to wait for an answer (Ganeti: LUXI_DEF_RWTO).
ANSWER_TIMEOUT = 180.0
#: Seconds luxid waits for a job to change, at most (Ganeti: LUXI_WFJC_TIMEOUT).
LONGEST_WAIT = 89
#: Kinds of items that only a job can query (Ganeti: QR_VIA_OP).
_VIA_JOB = frozenset(("cluster", "extstorage", "os"))


def encode_request(method: str, args: t.Sequence[t.Any]) -> bytes:
    """A request as it goes over the wire. JSON escapes control characters, so the end byte cannot occur inside."""
    return json.dumps({"method": method, "args": list(args)}).encode("ascii") + END


def decode_answer(method: str, message: bytes) -> t.Any:
    """The result out of an answer (without its end byte).

    Raises RequestRefused with Ganeti's words where the answer is an error, ConnectionFailed where it is no LUXI.
    """
    try:
        answer = json.loads(message.decode("utf-8"))
        success, result = answer["success"], answer["result"]
    except (ValueError, KeyError, TypeError) as error:
        raise ConnectionFailed(f"The answer to {method} is not LUXI: is this really the socket of Ganeti's luxid?") from error
    if success is True:
        return result
    problem = fault(result)
    if problem.kind == "ConfigurationError":
        # luxid is starting, or the cluster is about to get another master (Ganeti: Query/Server.hs, handleCallWrapper).
        raise ConnectionFailed(f"Ganeti has no configuration to answer {method} with: {problem.message}")
    raise RequestRefused(f"Ganeti refused {method}: {problem.message}", ecode=problem.ecode)


class MessageBuffer:
    """Cuts received bytes into messages, however they were split on the way."""

    def __init__(self, limit: int = MAX_MESSAGE) -> None:
        self._limit = limit
        self._parts: t.List[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> t.List[bytes]:
        """Take in bytes; return the messages that are complete now, without their end byte.

        Raises ConnectionFailed for a message longer than the limit.
        """
        *complete, rest = data.split(END)
        messages = []
        for part in complete:
            self._keep(part)
            messages.append(b"".join(self._parts))
            self._parts, self._size = [], 0
        self._keep(rest)
        return messages

    def _keep(self, part: bytes) -> None:
        self._size += len(part)
        if self._size > self._limit:
            raise ConnectionFailed(f"Ganeti's answer is longer than {self._limit} bytes")
        if part:
            self._parts.append(part)


class Channel(t.Protocol):
    """What a socket and an SSH channel have in common."""

    def sendall(self, data: bytes, /) -> t.Any: ...

    def recv(self, size: int, /) -> bytes: ...

    def settimeout(self, timeout: t.Optional[float], /) -> None: ...

    def close(self) -> None: ...


class _Lost(ConnectionFailed):
    """A connection that had been open is gone."""


class LuxiCluster(Cluster):
    """A cluster whose luxid is at the other end of a channel.

    ``dial`` opens a channel, or raises ConnectionFailed that says why not. ``explain`` says why a channel was closed
    without any answer, where that can be found out. ``release`` is called once at the end.
    """

    def __init__(
        self,
        transport: str,
        address: str,
        dial: t.Callable[[], Channel],
        explain: t.Callable[[], t.Optional[ConnectionFailed]] = lambda: None,
        release: t.Callable[[], None] = lambda: None,
    ) -> None:
        self.transport = transport
        self.address = address
        self._dial = dial
        self._explain = explain
        self._release = release
        self._channel: t.Optional[Channel] = None
        self._buffer = MessageBuffer()

    @classmethod
    def local(cls, path: t.Optional[str] = None) -> LuxiCluster:
        """The cluster whose master is this host."""
        where = path or SOCKET
        return cls("luxi", where, lambda: _dial_socket(where))

    def info(self) -> t.Dict[str, t.Any]:
        result = self._call("QueryClusterInfo")
        if not isinstance(result, dict):
            raise ConnectionFailed(f"{self.address} described its cluster in a form that is not Ganeti's")
        return result

    def query(self, what: str, fields: t.Sequence[str], qfilter: t.Any = None) -> t.List[t.Dict[str, t.Any]]:
        try:
            answer = self._answer(what, fields, qfilter)
        except (RequestRefused, JobFailed) as error:
            if error.ecode == "unknown_entity" and is_one_item(qfilter):
                return []
            raise
        return query_rows(what, fields, answer)

    def _answer(self, what: str, fields: t.Sequence[str], qfilter: t.Any) -> t.Any:
        if what in _VIA_JOB:
            op = opcode("OP_QUERY", what=what, fields=list(fields), qfilter=qfilter)
            return run(self, [op], timeout=ANSWER_TIMEOUT, label=f"query of {what}")[0]
        return self._call("Query", what, list(fields), qfilter)

    def submit(self, opcodes: t.Sequence[t.Mapping[str, t.Any]]) -> int:
        # Never sent twice, for whether a lost connection had delivered it cannot be told; so over a new one, which cannot
        # have been closed for being idle.
        self._hang_up()
        try:
            return int(self._exchange("SubmitJob", [[_complete(op) for op in opcodes]], ANSWER_TIMEOUT))
        except _Lost as error:
            names = ", ".join(str(op["OP_ID"]) for op in opcodes)
            raise ConnectionFailed(  # pylint: disable=bad-exception-cause  # it is one, though pylint does not see it
                f"{error.message}, right while a job ({names}) was being submitted: "
                "whether it was accepted, gnt-job list on the master tells"
            ) from error
        except RequestRefused as error:
            message = error.message
            for op in opcodes:
                message = scrub(message, op)
            # The original quotes what was sent: nothing of it may show up as the cause.
            raise RequestRefused(message, **error.details) from None

    def job(self, job_id: int) -> JobStatus:
        rows = query_rows("job", JOB_FIELDS, self._call("Query", "job", list(JOB_FIELDS), ["=", "id", job_id]))
        return existing_job(job_id, self.address, rows[0] if rows else None)

    def wait_for_job_change(
        self, job_id: int, last_status: t.Optional[str], last_log_serial: t.Optional[int], timeout: float
    ) -> t.Optional[JobChange]:
        seconds = max(0, min(LONGEST_WAIT, int(timeout)))
        previous = None if last_status is None else [last_status]
        try:
            answer = self._call(
                "WaitForJobChange", job_id, ["status"], previous, last_log_serial, seconds, timeout=ANSWER_TIMEOUT + seconds
            )
        except RequestRefused:
            # Its words for a job that does not exist are "Can't load job file".
            self.job(job_id)
            raise
        return job_change(job_id, answer, last_status)

    def cancel(self, job_id: int) -> t.Tuple[bool, str]:
        done, words = self._call("CancelJob", job_id, False)
        return bool(done), str(words)

    def close(self) -> None:
        self._hang_up()
        self._release()

    def _call(self, method: str, *args: t.Any, timeout: float = ANSWER_TIMEOUT) -> t.Any:
        """A call that may be repeated: where the connection had gone stale it is, once, on a new one."""
        try:
            return self._exchange(method, args, timeout)
        except _Lost:
            return self._exchange(method, args, timeout)

    def _exchange(self, method: str, args: t.Sequence[t.Any], timeout: float) -> t.Any:
        request = encode_request(method, args)
        fresh = self._channel is None
        if self._channel is None:
            self._channel, self._buffer = self._dial(), MessageBuffer()
        try:
            message = self._converse(self._channel, request, time.monotonic() + timeout)
        except socket.timeout as error:
            self._hang_up()
            raise ConnectionFailed(f"Ganeti at {self.address} did not answer {method} within {timeout:.0f} s") from error
        except (OSError, EOFError) as error:
            reason = self._explain() if fresh else None
            self._hang_up()
            raise reason or _Lost(f"The connection to Ganeti at {self.address} was lost during {method}") from error
        except BaseException:
            # An answer that nobody waited for would be taken for the next one's.
            self._hang_up()
            raise
        return decode_answer(method, message)

    def _converse(self, channel: Channel, request: bytes, deadline: float) -> bytes:
        channel.settimeout(max(0.001, deadline - time.monotonic()))
        channel.sendall(request)
        while True:
            channel.settimeout(max(0.001, deadline - time.monotonic()))
            data = channel.recv(65536)
            if not data:
                raise EOFError
            messages = self._buffer.feed(data)
            if messages:
                return messages[0]

    def _hang_up(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()


def _complete(op: t.Mapping[str, t.Any]) -> t.Dict[str, t.Any]:
    """The opcode with a reason trail: the one field that luxid insists on, and shows in gnt-job info."""
    return {"reason": [["ansible:ganeti.cluster", "", time.time_ns()]], **op}


def job_change(job_id: int, answer: t.Any, last_status: t.Optional[str]) -> t.Optional[JobChange]:
    """The change out of WaitForJobChange's [[status], [log entry...]], or None where nothing is new."""
    if answer is None or answer == "nochange":
        return None
    try:
        (status,), entries = answer
        log = [log_entry(entry) for entry in entries]
    except (TypeError, ValueError) as error:
        raise ConnectionFailed("The cluster described a job's change in a form that is not Ganeti's") from error
    if status is None:
        raise RequestRefused(f"There is no job {job_id} any more: it was archived or lost", ecode="unknown_entity", job_id=job_id)
    if status == last_status and not log:
        return None
    return JobChange(str(status), log)


def not_master(host: str, master: t.Optional[str], own_names: t.Sequence[str]) -> ConnectionFailed:
    """Why luxid is not to be had on a host, from what the host's ssconf says is the master."""
    if not master:
        return ConnectionFailed(f"{host} is no node of a Ganeti cluster: it has no {SSCONF_MASTER}")
    if master in own_names:
        return ConnectionFailed(f"Ganeti's luxid does not answer on the master {host}: start Ganeti's daemons there", master=master)
    return ConnectionFailed(
        f"{host} is not the master of its cluster, {master} is: run this there, or give it as the address", master=master
    )


def _dial_socket(path: str) -> socket.socket:
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        channel.settimeout(ANSWER_TIMEOUT)
        channel.connect(path)
    except PermissionError as error:
        channel.close()
        raise ConnectionFailed(f"{path} may not be opened by this user: run as root (become: true)") from error
    except (FileNotFoundError, ConnectionRefusedError) as error:
        channel.close()
        raise not_master(socket.gethostname(), _local_master(), (socket.gethostname(), socket.getfqdn())) from error
    except OSError as error:
        channel.close()
        raise ConnectionFailed(f"Ganeti's socket {path} cannot be reached: {error.strerror or error}") from error
    return channel


def _local_master() -> t.Optional[str]:
    try:
        with open(SSCONF_MASTER, encoding="ascii") as file:
            return file.read().strip()
    except FileNotFoundError:
        return None
