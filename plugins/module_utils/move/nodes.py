# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Endpoints on nodes: starting them over SSH, hearing them within bounds, asking them."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import threading
import time
import typing as t
from types import MappingProxyType

from .._errors import ConnectionFailed, StreamFailed
from ..api.ssh import SshHost, SshProcess
from ..stream import bundle
from ..stream.suites import is_suite
from . import events
from .certificates import identities
from .events import Event

HEARTBEAT = 5.0
"""Seconds between signs of life for an endpoint."""

_PYTHON = ("python3", "-I", "-c", bundle.BOOT)
_ENCRYPTED = ("send", "receive", "flood", "sink", "listen", "connect")
_ANSWER = 60.0
_WAY = 10.0

_ADVICE = "Open the way in the firewalls, or set data_port or data_network."

_MOST_LINES = 2000
_MOST_BYTES = 4 * events.LONGEST
_WINDOW = 10.0
"""An endpoint says something once a second and as many lines more as it has phases; one that says much more is none of ours."""

Events = t.Any
"""A queue of pairs of an endpoint and its event, which several endpoints may share."""


class Endpoint:
    """One endpoint that serves one request; its events arrive in a queue that several may share."""

    def __init__(self, host: SshHost, role: str, request: t.Mapping[str, t.Any], arriving: Events) -> None:
        self.role = role
        self.host = host
        self.result: Event = {}
        self._command = str(request["command"])
        self._arriving = arriving
        self._writing = threading.Lock()
        suites = [name for name in request.get("ciphers", ()) if self._command in _ENCRYPTED and is_suite(name)]
        self._process: SshProcess = host.popen([*_PYTHON, *suites])
        try:
            with contextlib.suppress(OSError, ConnectionFailed):  # why it ended, its reader tells
                self._write(bundle.bundle() + _line(request))
        except BaseException:
            self._process.kill()  # nobody else knows of it
            raise
        threading.Thread(target=self._read, daemon=True).start()

    def beat(self) -> None:
        """Tell the endpoint that its controller lives; where that fails, its reader tells."""
        with contextlib.suppress(OSError, ConnectionFailed):
            self._write(b"\n")

    def tell(self, **message: t.Any) -> None:
        """Send the endpoint what it waits for; raise ConnectionFailed or OSError where nobody is there to take it."""
        self._write(_line(message))

    def kill(self) -> None:
        """End the endpoint: its standard input ends, and so does it."""
        self._process.kill()

    def _write(self, data: bytes) -> None:
        with self._writing:
            self._process.stdin.write(data)
            self._process.stdin.flush()

    def _read(self) -> None:
        try:
            for line in _lines(self._process, self.host.name):
                event = events.parse(line, self._command, self.host.name)
                self._arriving.put((self, event))
                if event["event"] in ("finished", "failed"):
                    return
            said = events.printable(self._process.stderr.decode("utf-8", "replace").strip())
            event = _failed(f"its endpoint ended early: {said or 'it said nothing.'}", secondary=not said)
        except (OSError, EOFError, ConnectionFailed) as error:
            event = lost(error)
        except StreamFailed as error:
            event = _failed(error.message)
        self._arriving.put((self, event))


def lost(error: Exception) -> Event:
    """The event of an endpoint whose connection broke."""
    return _failed(f"the SSH connection broke: {error}")


def _failed(message: str, secondary: bool = False) -> Event:
    return {"event": "failed", "secondary": secondary, "message": message, "clock": None}


def _line(message: t.Mapping[str, t.Any]) -> bytes:
    return json.dumps(message).encode("ascii") + b"\n"


def _lines(process: SshProcess, node: str) -> t.Iterator[bytes]:
    """An endpoint's lines; raise StreamFailed where one is too long, or there are too many of them."""
    counted, amount, since = 0, 0, time.monotonic()
    while True:
        line = process.stdout.readline(events.LONGEST)
        if not line:
            return
        if not line.endswith(b"\n"):
            if len(line) < events.LONGEST:
                return  # cut off by its end, of which standard error tells more
            raise StreamFailed(f"Node {node} answered with a line of more than {events.LONGEST} bytes, which no endpoint does.")
        if time.monotonic() - since > _WINDOW:
            counted, amount, since = 0, 0, time.monotonic()
        counted, amount = counted + 1, amount + len(line)
        if counted > _MOST_LINES or amount > _MOST_BYTES:
            raise StreamFailed(f"Node {node} answered with more in {_WINDOW:.0f} seconds ({counted} lines, {amount} bytes) than any endpoint does.")
        yield line


def ask(host: SshHost, request: t.Mapping[str, t.Any], seconds: float = _ANSWER) -> Event:
    """The answer of a short-lived endpoint on *host*; raise StreamFailed where it takes more than *seconds*."""
    arriving: Events = queue.Queue()
    endpoint = Endpoint(host, "node", request, arriving)
    try:
        return _next(endpoint, arriving, "finished", seconds)
    finally:
        endpoint.kill()


def lanes(wanted: t.Optional[int], hosts: t.Iterable[SshHost], known: t.Mapping[str, int] = MappingProxyType({})) -> int:
    """How many lanes to use: as *wanted*, or one for each core of the smallest of *hosts*, four at most.

    Those whose cores are *known*, by name, are not asked.
    """
    if wanted is not None:
        return wanted
    return max(1, min([4] + [known[host.name] if host.name in known else int(ask(host, {"command": "examine"})["cpus"]) for host in hosts]))


@contextlib.contextmanager
def listening(host: SshHost, request: t.Mapping[str, t.Any]) -> t.Iterator[int]:
    """An endpoint on *host* that waits for another; its port."""
    arriving: Events = queue.Queue()
    endpoint = Endpoint(host, "destination", request, arriving)
    try:
        yield int(_next(endpoint, arriving, "listening")["port"])
    finally:
        endpoint.kill()


def reachable(
    there: SshHost, address: str, port: int, calling: SshHost, move_id: t.Optional[str] = None, ciphers: t.Sequence[str] = ()
) -> t.Optional[str]:
    """Why *calling* cannot reach *address* on *there* as a move would, and what to do, in sentences; None where it can.

    It is the real thing: identities as a move's, the same handshake, and enough bytes both ways to find packets that get lost for
    their size. A node whose clock is wrong is named.
    """
    move_id = move_id or os.urandom(8).hex()
    source, destination = identities(move_id)
    request = {"move_id": move_id, "address": address, "seconds": _WAY, "ciphers": list(ciphers)}
    arriving: Events = queue.Queue()
    ends: t.List[Endpoint] = []
    try:
        ends.append(Endpoint(there, "destination", {**request, **destination._asdict(), "command": "listen", "port": port}, arriving))
        opened = _next(ends[0], arriving, "listening")["port"]
        ends.append(Endpoint(calling, "source", {**request, **source._asdict(), "command": "connect", "port": opened}, arriving))
        while not all(end.result for end in ends):
            end, event = _event(arriving, ends, time.monotonic() + _ANSWER)
            if event["event"] == "failed":
                raise failure(arriving, end, event, "The way between the nodes is not open, as seen")
            if event["event"] == "finished":
                end.result = event
    except StreamFailed as error:
        return error.message if error.details.get("clock") else f"{error.message} {_ADVICE}"
    finally:
        for end in ends:
            end.kill()
    return None


def failure(arriving: Events, endpoint: Endpoint, event: Event, what: str, seconds: float = 5.0) -> StreamFailed:
    """The cause of a failure, from whichever end knows it: an echo waits for the other end's words."""
    deadline = time.monotonic() + seconds
    while event.get("secondary") and time.monotonic() < deadline:
        try:
            other, opinion = arriving.get(timeout=0.5)
        except queue.Empty:
            continue
        if opinion["event"] == "failed" and other is not endpoint:
            if not opinion.get("secondary"):
                endpoint, event = other, opinion
            break
    if event["clock"] is not None:
        return StreamFailed(_clock_message(endpoint.host.name, event["clock"] - time.time()), clock=event["clock"])
    return StreamFailed(f"{what} on the {endpoint.role} node {endpoint.host.name}: {event['message']}")


def _clock_message(node: str, ahead: float) -> str:
    which = "ahead of" if ahead > 0 else "behind"
    return f"The clock of node {node} is {abs(ahead):.0f} seconds {which} the controller's: set right whichever is wrong (timedatectl shows more)."


def _event(arriving: Events, ends: t.Sequence[Endpoint], deadline: float) -> t.Tuple[Endpoint, Event]:
    """The next event of any of *ends*, which are told meanwhile that somebody waits; raise StreamFailed after *deadline*."""
    while True:
        try:
            return t.cast("t.Tuple[Endpoint, Event]", arriving.get(timeout=min(HEARTBEAT, max(0.1, deadline - time.monotonic()))))
        except queue.Empty:
            if time.monotonic() > deadline:
                names = " and ".join(end.host.name for end in ends if not end.result)
                raise StreamFailed(f"Node {names} did not answer in time.") from None
            for end in ends:
                end.beat()


def _next(endpoint: Endpoint, arriving: Events, wanted: str, seconds: float = _ANSWER) -> Event:
    """The next event of the kind *wanted*; raise StreamFailed where another end comes first."""
    deadline = time.monotonic() + seconds
    while True:
        event = _event(arriving, [endpoint], deadline)[1]
        if event["event"] == wanted:
            return event
        if event["event"] == "failed":
            raise StreamFailed(f"On node {endpoint.host.name}: {event['message']}")
