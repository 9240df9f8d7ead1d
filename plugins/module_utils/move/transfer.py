# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The two endpoints of a move, in two steps: all that can be done while the source runs, and the copy.

There is one limit of time: how long nothing may move at either end. Whatever takes long tells how far it is, at the place where
it is done: emptying disks, reading zeros, writing, bringing to stable storage, reading back.
"""

from __future__ import annotations

import queue
import threading
import time
import typing as t
from types import TracebackType

from .._errors import ConnectionFailed, StreamFailed
from .._progress import Progress
from ..api.ssh import SshHost
from ..zeroing.map_reader import program
from . import nodes
from .certificates import identities
from .events import Event
from .nodes import Endpoint
from .progress import Meter


class TransferPlan(t.NamedTuple):
    """What both ends agree on. *targets* are the disks' paths on the destination node, *sizes* their bytes; a port of 0 is any.

    With *skip_free* the source leaves out what its file systems say is free.
    """

    move_id: str
    address: str
    port: int
    lanes: int
    tool: str
    ciphers: t.Sequence[str]
    checksum: str
    readback: bool
    sizes: t.Sequence[int]
    targets: t.Sequence[str]
    skip_free: bool = False


class Phase(t.NamedTuple):
    """How a phase of an endpoint is shown: its rank, as what was left behind is not shown again, and its name."""

    rank: int
    name: str


_PHASES: t.Mapping[str, Phase] = {
    "clear": Phase(0, "empty the destination's disks"),
    "copy": Phase(1, "copy"),
    "sync": Phase(2, "make the copy durable"),
    "readback": Phase(3, "read the copy back"),
}
# Not shown: what the receiver writes is what the sender tells, who also knows how much it will be.

_WAITING = "preparing the copy"


class Transfer:
    """Use as a context: its end is the end of both endpoints. `prepare` while the source runs, `check` before it is stopped, then `run`."""

    def __init__(self, progress: Progress, stall_timeout: float) -> None:
        self._progress = progress
        self._stall_timeout = stall_timeout
        self._arriving: nodes.Events = queue.Queue()
        self._endpoints: t.List[Endpoint] = []
        self._seen: t.Set[t.Tuple[str, str]] = set()
        self._port = 0
        self._meters: t.Dict[str, Meter] = {}
        self._shown = -1
        self._last: t.Dict[str, Event] = {}
        self._figures: t.Dict[t.Tuple[str, str], t.Tuple[int, int, int]] = {}
        self._moved = time.monotonic()
        self._over = threading.Event()
        threading.Thread(target=self._beat, daemon=True).start()

    def __enter__(self) -> Transfer:
        return self

    def __exit__(self, kind: t.Optional[t.Type[BaseException]], error: t.Optional[BaseException], trace: t.Optional[TracebackType]) -> None:
        self.close()

    def close(self) -> None:
        """End both endpoints, whatever they do."""
        self._over.set()
        for endpoint in list(self._endpoints):
            endpoint.kill()

    def prepare(self, destination: SshHost, source: SshHost, plan: TransferPlan) -> None:
        """Start both endpoints, empty the destination's disks and connect all lanes; raise StreamFailed where that cannot be.

        What then is left for `run` is the copy: both programs run, and each has seen the other's certificate.
        """
        here, there = identities(plan.move_id)
        common = {name: getattr(plan, name) for name in ("move_id", "address", "lanes", "tool", "checksum")}
        common.update(ciphers=list(plan.ciphers))
        receive = {**common, **there._asdict(), "command": "receive", "port": plan.port, "readback": plan.readback}
        receive.update(disks=list(zip(plan.targets, plan.sizes)))
        receiver = self._start(destination, "destination", receive)
        send = {**common, **here._asdict(), "command": "send", "sizes": list(plan.sizes), "map_reader": program() if plan.skip_free else ""}
        sender = self._start(source, "source", send)
        self._until(lambda: self._has(sender, "started") and self._has(receiver, "listening"), _WAITING)
        self._say(sender, port=self._port)
        self._until(lambda: self._has(sender, "ready"), _WAITING)

    def check(self) -> None:
        """Raise StreamFailed where an endpoint has ended since; to be called last before the source is stopped."""
        while True:
            try:
                endpoint, event = self._arriving.get_nowait()
            except queue.Empty:
                return
            self._take(endpoint, event)

    def run(self, paths: t.Sequence[str]) -> t.Tuple[Event, Event]:
        """Copy the source's disks, which are at *paths* on its node; return what the sender and the receiver say at the end."""
        self.check()
        receiver, sender = self._endpoints
        self._say(sender, paths=list(paths))
        self._until(lambda: all(endpoint.result for endpoint in self._endpoints), "copying")
        return sender.result, receiver.result

    def _start(self, host: SshHost, role: str, request: t.Mapping[str, t.Any]) -> Endpoint:
        endpoint = Endpoint(host, role, request, self._arriving)
        self._endpoints.append(endpoint)
        return endpoint

    def _say(self, endpoint: Endpoint, **message: t.Any) -> None:
        try:
            endpoint.say(**message)
        except (OSError, ConnectionFailed) as error:
            raise nodes.failure(self._arriving, endpoint, nodes.lost(error), "The copy failed") from error

    def _beat(self) -> None:
        """Apart from what this waits for: an endpoint must never think that its controller is gone while the source shuts down."""
        while not self._over.wait(nodes.HEARTBEAT):
            for endpoint in list(self._endpoints):
                endpoint.beat()

    def _has(self, endpoint: Endpoint, event: str) -> bool:
        return (endpoint.role, event) in self._seen

    def _until(self, done: t.Callable[[], bool], doing: str) -> None:
        self._moved = time.monotonic()
        while not done():
            try:
                endpoint, event = self._arriving.get(timeout=1.0)
            except queue.Empty:
                pass
            else:
                self._take(endpoint, event)
            if time.monotonic() - self._moved > self._stall_timeout:
                raise StreamFailed(
                    f"Nothing has moved for {self._stall_timeout:.0f} seconds while {doing}: look at the network between "
                    f"{' and '.join(endpoint.host.name for endpoint in self._endpoints)} and at their disks, or raise stall_timeout."
                )

    def _take(self, endpoint: Endpoint, event: Event) -> None:
        kind = event["event"]
        if kind == "failed":
            raise nodes.failure(self._arriving, endpoint, event, "The copy failed")
        if kind == "progress":
            self._note(endpoint, event)
            return
        self._moved = time.monotonic()
        self._seen.add((endpoint.role, kind))
        if kind == "listening":
            self._port = event["port"]
        elif kind == "finished":
            endpoint.result = event

    def _note(self, endpoint: Endpoint, event: Event) -> None:
        key, figures = (endpoint.role, event["phase"]), (event["done"], event["wire"], event["work"])
        if self._figures.get(key) != figures:
            self._figures[key] = figures
            self._moved = time.monotonic()
        if event["phase"] == "copy" and event["total"]:
            self._last.setdefault("copy", event)
        phase = _PHASES.get(event["phase"])
        if phase is not None and event["total"] and event["done"] and phase.rank >= self._shown and not self._is_trifle(event):
            self._show(phase, event)

    def _is_trifle(self, event: Event) -> bool:
        """Whether emptying was over before it could be told, as that of new disks is."""
        return bool(event["phase"] == "clear" and event["done"] == event["total"] and "clear" not in self._last)

    def _show(self, phase: Phase, event: Event) -> None:
        """Show how far a phase is; what came before it is over then, be it that its own last words are still on their way."""
        if phase.rank > self._shown:
            before = self._last.get("copy")
            if phase.rank > _PHASES["copy"].rank and before is not None and before["done"] < before["total"]:
                self._emit(_PHASES["copy"], {**before, "done": before["total"]})
            self._shown = phase.rank
        self._last[event["phase"]] = event
        self._emit(phase, event)

    def _emit(self, phase: Phase, event: Event) -> None:
        meter = self._meters.setdefault(event["phase"], Meter())
        self._progress.emit("progress", phase=phase.name, **meter.update(event["done"], event["wire"], event["total"]))
