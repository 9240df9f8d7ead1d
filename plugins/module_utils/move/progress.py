# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""How far a move is: from the module to the action plugin, and from there to the user's eyes."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
import typing as t

from .._errors import GanetiError

_MIB = 1024 * 1024


class Progress:
    """Sends events to whoever shows them; dies with it.

    The other end is a UNIX socket of the action plugin, or nobody. When the
    plugin ends early, because the user pressed Ctrl-C, so must the move: the
    end of the connection is turned into the signal that ends it in order.
    """

    def __init__(self, path: t.Optional[str] = None) -> None:
        self._socket: t.Optional[socket.socket] = None
        if path:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                self._socket.connect(path)
            except OSError as error:
                raise GanetiError(f"Cannot report progress to {path}: {error.strerror}") from error
            threading.Thread(target=self._watch, daemon=True).start()

    def emit(self, event: str, **fields: t.Any) -> None:
        """Send one event; nobody listening is fine."""
        if self._socket is None:
            return
        try:
            self._socket.sendall(json.dumps({"event": event, **fields}).encode("ascii") + b"\n")
        except OSError:  # the watching thread has seen the end as well and acts on it
            return

    def phase(self, name: str) -> None:
        """Say what is being done now."""
        self.emit("phase", phase=name)

    def close(self) -> None:
        """No more events, and no more care for the other end."""
        connection, self._socket = self._socket, None
        if connection is not None:
            connection.close()

    def _watch(self) -> None:
        connection = self._socket
        try:
            ended = connection is not None and not connection.recv(1)
        except OSError:
            ended = True
        if ended and self._socket is not None:
            os.kill(os.getpid(), signal.SIGTERM)


class Meter:
    """Turns byte counts into percent, rates over the last seconds and the time that is left."""

    _WINDOW = 10.0

    def __init__(self, clock: t.Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._samples: t.List[t.Tuple[float, int, int]] = [(clock(), 0, 0)]

    def update(self, done: int, wire: int, total: int) -> t.Dict[str, t.Any]:
        """The figures for an event; rates in MiB/s, the time left in seconds or None."""
        now = self._clock()
        self._samples.append((now, done, wire))
        while now - self._samples[0][0] > self._WINDOW and len(self._samples) > 2:
            self._samples.pop(0)
        begin, done_then, wire_then = self._samples[0]
        seconds = now - begin
        logical = (done - done_then) / seconds if seconds > 0 else 0.0
        on_wire = (wire - wire_then) / seconds if seconds > 0 else 0.0
        return {
            "percent": min(100, done * 100 // total) if total else 100,
            "logical_rate": round(logical / _MIB, 1),
            "wire_rate": round(on_wire / _MIB, 1),
            "eta": round((total - done) / logical) if logical and total > done else None,
        }


def line(name: str, event: t.Mapping[str, t.Any]) -> t.Optional[str]:
    """An event as a line for the user, or None where it is not for showing."""
    if event["event"] == "phase":
        return f"{name}: {event['phase']}"
    if event["event"] != "progress":
        return None
    wire = f", {event['wire_rate']} MiB/s on the wire" if event["phase"] == "copy" else ""
    eta = "" if event["eta"] is None else f", ETA {_duration(event['eta'])}"
    return f"{name}: {event['phase']} {event['percent']} %, {event['logical_rate']} MiB/s of disk{wire}{eta}"


def _duration(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
