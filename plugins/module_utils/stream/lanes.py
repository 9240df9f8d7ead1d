# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Running the lanes of one endpoint, each in a process of its own.

Reading, checksums and encryption each take a good part of a core, and Python
runs one thread at a time, so lanes are processes. They report to their parent
through one pipe, in lines shorter than PIPE_BUF, which the kernel never mixes.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import ssl
import time
import traceback
import typing as t

from .control import Controller
from .errors import EndpointError

_REPORT_SECONDS = 0.5
_PR_SET_PDEATHSIG = 1


class Reporter:
    """A lane's way to tell its parent how far it is."""

    def __init__(self, descriptor: int, lane: int) -> None:
        self._descriptor = descriptor
        self._lane = lane
        self._due = 0.0

    def progress(self, done: int, wire: int = 0, work: int = 0) -> None:
        """Report *done* bytes of disks and *wire* bytes on the network so far, twice a second at most.

        *work* is any number that grows as long as something is done which has no bytes to show yet.
        """
        now = time.monotonic()
        if now >= self._due:
            self._due = now + _REPORT_SECONDS
            self._send(done=done, wire=wire, work=work)

    def finished(self, **result: t.Any) -> None:
        """Report the lane's result; nothing may follow."""
        self._send(finished=True, **result)

    def failed(self, message: str, secondary: bool) -> None:
        """Report why the lane ends early."""
        self._send(failed=message[:2000], secondary=secondary)

    def _send(self, **fields: t.Any) -> None:
        os.write(self._descriptor, json.dumps({"lane": self._lane, **fields}).encode("ascii") + b"\n")


Work = t.Callable[[int, Reporter], None]


def _nothing() -> None:
    pass


def run_lanes(
    controller: Controller, count: int, work: Work, phase: str, total: int = 0, forked: t.Callable[[], None] = _nothing
) -> t.List[t.Dict[str, t.Any]]:
    """Run *work* in *count* processes, tell the controller how far they are, return their results.

    *total* is the number of bytes of disks that the lanes will handle together; *forked* is called once they all run.
    The first failure, or the end of the controller, ends all of them.
    """
    read, write = os.pipe()
    children = [_fork(lane, read, write, work) for lane in range(count)]
    os.close(write)
    forked()
    try:
        return _follow(controller, read, children, phase, total)
    finally:
        os.close(read)
        for child in children:
            os.kill(child, signal.SIGKILL)  # not yet waited for, so the number is still its own
        for child in children:
            os.waitpid(child, 0)


def _fork(lane: int, read: int, write: int, work: Work) -> int:
    parent, library = os.getpid(), ctypes.CDLL(None)
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        # A lane must not outlive its parent, however and whenever that ends.
        library.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(status)
        os.close(read)
        reporter = Reporter(write, lane)
        try:
            work(lane, reporter)
            status = 0
        except EndpointError as error:
            reporter.failed(str(error), error.secondary)
        except OSError as error:
            reporter.failed(sentence(error), is_broken(error))
        except Exception:  # a bug: the whole story goes to the controller
            reporter.failed(traceback.format_exc(), False)
    finally:
        os._exit(status)


def is_broken(error: OSError) -> bool:
    """Whether *error* means that the connection to the other node broke."""
    return isinstance(error, (ConnectionError, TimeoutError, ssl.SSLError))


def sentence(error: OSError) -> str:
    """What an error of the operating system means, for the user."""
    if is_broken(error):
        return f"The connection to the other node broke: {error.strerror or error}."
    return f"{error.strerror or error}" + (f": {error.filename}" if error.filename else "") + "."


class _Tally:
    """What the lanes have reported, in all."""

    def __init__(self, lanes: int) -> None:
        self.figures = {name: [0] * lanes for name in ("done", "wire", "work")}
        self.results: t.List[t.Dict[str, t.Any]] = []

    def take(self, report: t.Dict[str, t.Any]) -> None:
        """Note one report; raise EndpointError where it is of a failure."""
        if "failed" in report:
            raise EndpointError(report["failed"], report["secondary"])
        for name, values in self.figures.items():
            values[report["lane"]] = report.get(name, values[report["lane"]])
        if report.get("finished"):
            self.results.append(report)

    def sums(self) -> t.Dict[str, int]:
        """The figures of all lanes together."""
        return {name: sum(values) for name, values in self.figures.items()}


def _follow(controller: Controller, read: int, children: t.Sequence[int], phase: str, total: int) -> t.List[t.Dict[str, t.Any]]:
    """Collect the lanes' lines until each has finished."""
    count = len(children)
    tally = _Tally(count)
    pending = b""
    controller.progress(phase=phase, total=total, **tally.sums())
    told = time.monotonic()
    while len(tally.results) < count:
        ready = select.select([read, controller.descriptor], [], [], 1.0)[0]
        if controller.descriptor in ready:
            controller.read_input()
        controller.check()
        if read in ready:
            *lines, pending = (pending + os.read(read, 65536)).split(b"\n")
            for line in lines:
                tally.take(json.loads(line))
        else:
            _check_alive(read, children, {result["lane"] for result in tally.results})
        if time.monotonic() - told >= 1.0 or len(tally.results) == count:
            told = time.monotonic()
            controller.progress(phase=phase, total=total, **tally.sums())
    return tally.results


def _check_alive(read: int, children: t.Sequence[int], finished: t.Set[int]) -> None:
    """Raise EndpointError where a lane was killed: the others hold the pipe open, so its end does not tell."""
    for lane, child in enumerate(children):
        if lane in finished or os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            continue
        if select.select([read], [], [], 0)[0]:  # its last words, which are still to be read
            return
        raise EndpointError("A process of the copy was killed: look at the node's memory and its kernel's log.")
