# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Endpoints on nodes: starting them over SSH, asking them, watching a pair of them move bytes."""

from __future__ import annotations

import contextlib
import json
import queue
import threading
import time
import typing as t

from .._errors import ConnectionFailed, StreamFailed
from ..api.ssh import SshHost, SshProcess
from ..stream import bundle
from ..stream.suites import is_suite
from .progress import Meter, Progress

_PYTHON = ("python3", "-I", "-c", bundle.BOOT)
_ENCRYPTED = ("send", "receive", "flood", "sink")
_HEARTBEAT = 5.0
_ANSWER = 60.0
_SECOND_OPINION = 5.0

Event = t.Dict[str, t.Any]


class Endpoint:
    """One endpoint that serves one request; its events arrive in a queue that several may share."""

    def __init__(self, host: SshHost, role: str, request: t.Mapping[str, t.Any], events: queue.Queue[t.Tuple[Endpoint, Event]]) -> None:
        self.role = role
        self.host = host
        self.heard = time.monotonic()
        self.result: Event = {}
        self._events = events
        suites = [name for name in request.get("ciphers", ()) if request["command"] in _ENCRYPTED and is_suite(name)]
        self._process: SshProcess = host.popen([*_PYTHON, *suites])
        self._process.stdin.write(bundle.bundle() + json.dumps(request).encode("ascii") + b"\n")
        self._process.stdin.flush()
        threading.Thread(target=self._read, daemon=True).start()

    def beat(self) -> None:
        """Tell the endpoint that its controller lives; where that fails, its reader tells."""
        try:
            self._process.stdin.write(b"\n")
            self._process.stdin.flush()
        except (OSError, ConnectionFailed):
            return

    def kill(self) -> None:
        """End the endpoint: its standard input ends, and so does it."""
        self._process.kill()

    def _read(self) -> None:
        event: Event = {"event": "failed", "secondary": False}
        try:
            for line in self._process:
                event = json.loads(line)
                self._events.put((self, event))
                if event["event"] in ("finished", "failed"):
                    return
            said = self._process.stderr.decode("utf-8", "replace").strip()
            event = {"event": "failed", "secondary": not said, "message": f"its endpoint ended early: {said or 'it said nothing'}"}
        except (OSError, ConnectionFailed) as error:
            event = {"event": "failed", "secondary": False, "message": f"the SSH connection broke: {error}"}
        except ValueError as error:
            event = {"event": "failed", "secondary": False, "message": f"its endpoint answered with something else than JSON: {error}"}
        self._events.put((self, event))


def ask(host: SshHost, request: t.Mapping[str, t.Any], seconds: float = _ANSWER) -> Event:
    """The answer of a short-lived endpoint on *host*; raise StreamFailed where it takes more than *seconds*."""
    events: queue.Queue[t.Tuple[Endpoint, Event]] = queue.Queue()
    endpoint = Endpoint(host, "node", request, events)
    try:
        return _next(endpoint, events, "finished", seconds)
    finally:
        endpoint.kill()


def lanes(wanted: t.Optional[int], hosts: t.Iterable[SshHost]) -> int:
    """How many lanes to use: as *wanted*, or one for each core of the smallest of *hosts*, four at most."""
    if wanted is not None:
        return wanted
    return max(1, min([4] + [int(ask(host, {"command": "examine"})["cpus"]) for host in hosts]))


@contextlib.contextmanager
def listening(host: SshHost, request: t.Mapping[str, t.Any]) -> t.Iterator[int]:
    """An endpoint on *host* that waits for another; its port."""
    events: queue.Queue[t.Tuple[Endpoint, Event]] = queue.Queue()
    endpoint = Endpoint(host, "destination", request, events)
    try:
        yield int(_next(endpoint, events, "listening")["port"])
    finally:
        endpoint.kill()


def reachable(there: SshHost, address: str, port: int, calling: SshHost) -> t.Optional[str]:
    """Why *calling* cannot reach *address* on *there*, or None where it can."""
    try:
        with listening(there, {"command": "listen", "address": address, "port": port}) as opened:
            answer = ask(calling, {"command": "connect", "address": address, "port": opened})
        return None if answer["reached"] else str(answer["why"])
    except StreamFailed as error:
        return error.message


def _next(endpoint: Endpoint, events: queue.Queue[t.Tuple[Endpoint, Event]], wanted: str, seconds: float = _ANSWER) -> Event:
    """The next event of the kind *wanted*; raise StreamFailed where another end comes first."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            event = events.get(timeout=min(_HEARTBEAT, max(0.1, deadline - time.monotonic())))[1]
        except queue.Empty:
            if time.monotonic() > deadline:
                raise StreamFailed(f"Node {endpoint.host.name} did not answer within {seconds:.0f} seconds.") from None
            endpoint.beat()
            continue
        if event["event"] == wanted:
            return event
        if event["event"] == "failed":
            raise StreamFailed(f"On node {endpoint.host.name}: {event['message']}")


class Transfer:
    """The two endpoints of one move, watched until both have finished or one has failed."""

    def __init__(self, progress: Progress, stall_timeout: float) -> None:
        self._progress = progress
        self._stall_timeout = stall_timeout
        self._events: queue.Queue[t.Tuple[Endpoint, Event]] = queue.Queue()
        self._endpoints: t.List[Endpoint] = []
        self._meters: t.Dict[str, Meter] = {}
        self._syncing = False
        self._figures: t.Dict[t.Tuple[str, str], t.Tuple[int, int]] = {}
        self._moved = time.monotonic()

    def run(self, destination: SshHost, receive: t.Mapping[str, t.Any], source: SshHost, send: t.Mapping[str, t.Any]) -> t.Tuple[Event, Event]:
        """Move the bytes; return what the sender and the receiver say at the end."""
        try:
            receiver = self._start(destination, "destination", receive)
            # Emptying a device that cannot discard takes as long as writing it.
            port = _next(receiver, self._events, "listening", self._stall_timeout * 10)["port"]
            sender = self._start(source, "source", {**send, "port": port})
            self._moved = time.monotonic()
            self._watch()
        finally:
            for endpoint in self._endpoints:
                endpoint.kill()
        return sender.result, receiver.result

    def _start(self, host: SshHost, role: str, request: t.Mapping[str, t.Any]) -> Endpoint:
        endpoint = Endpoint(host, role, request, self._events)
        self._endpoints.append(endpoint)
        return endpoint

    def _watch(self) -> None:
        beaten = time.monotonic()
        while not all(endpoint.result for endpoint in self._endpoints):
            if time.monotonic() - beaten > _HEARTBEAT:
                beaten = time.monotonic()
                for endpoint in self._endpoints:
                    endpoint.beat()
            try:
                endpoint, event = self._events.get(timeout=1.0)
            except queue.Empty:
                self._check_stall()
                continue
            if event["event"] == "failed":
                raise self._failure(endpoint, event)
            if event["event"] == "finished":
                endpoint.result = event
                self._moved = time.monotonic()
            elif event["event"] == "progress":
                self._note(endpoint, event)
                self._check_stall()

    def _note(self, endpoint: Endpoint, event: Event) -> None:
        key, figures = (endpoint.role, event["phase"]), (event["done"], event["wire"])
        if self._figures.get(key) != figures:
            self._figures[key] = figures
            self._moved = time.monotonic()
        if event["phase"] == "receive":  # the sender knows the total and tells the same
            return
        self._syncing = event["phase"] == "sync" or (self._syncing and event["phase"] == "copy")
        if event["phase"] == "sync":
            self._progress.phase("make the copy durable")
            return
        meter = self._meters.setdefault(event["phase"], Meter())
        self._progress.emit("progress", phase=event["phase"], **meter.update(event["done"], event["wire"], event["total"]))

    def _check_stall(self) -> None:
        if self._syncing:  # fsync tells nothing while it works
            return
        if time.monotonic() - self._moved > self._stall_timeout:
            raise StreamFailed(
                f"Nothing has moved between the nodes for {self._stall_timeout:.0f} seconds: look at the network and at the disks of both nodes."
            )

    def _failure(self, endpoint: Endpoint, event: Event) -> StreamFailed:
        """The cause, from whichever end knows it."""
        deadline = time.monotonic() + _SECOND_OPINION
        while event.get("secondary") and time.monotonic() < deadline:
            try:
                other, opinion = self._events.get(timeout=0.5)
            except queue.Empty:
                continue
            if opinion["event"] == "failed" and other is not endpoint:
                if not opinion.get("secondary"):
                    endpoint, event = other, opinion
                break
        return StreamFailed(f"The copy failed on the {endpoint.role} node {endpoint.host.name}: {event['message']}")
