# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""How far long work is: from a module to the action plugin of the same name, and from there to the user's eyes."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import threading
import typing as t

from ._errors import GanetiError

_MOST_UNSENT = 64 * 1024


class Progress:
    """Sends events to whoever shows them; dies with it.

    The other end is a UNIX socket of the action plugin, or nobody. When the
    plugin ends early, because the user pressed Ctrl-C, so must the work: the
    end of the connection is turned into the signal that ends it in order.
    A plugin that lives and does not read costs nothing but what it would have shown.
    """

    def __init__(self, path: t.Optional[str] = None) -> None:
        self._socket: t.Optional[socket.socket] = None
        self._unsent = b""
        if path:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                self._socket.connect(path)
            except OSError as error:
                raise GanetiError(f"Cannot report progress to {path}: {error.strerror or error}.") from error
            # Not MSG_DONTWAIT on each call, which macOS lacks for sending; the watching thread waits with poll.
            self._socket.setblocking(False)
            threading.Thread(target=self._watch, args=(self._socket,), daemon=True).start()

    def emit(self, event: str, **fields: t.Any) -> None:
        """Send one event, or drop it where those before it were not read yet; never waits, and nobody listening is fine."""
        connection = self._socket
        if connection is None:
            return
        if len(self._unsent) < _MOST_UNSENT:
            self._unsent += json.dumps({"event": event, **fields}).encode("ascii") + b"\n"
        try:
            self._unsent = self._unsent[connection.send(self._unsent) :]
        except BlockingIOError:
            return
        except OSError:  # the watching thread has seen the end as well and acts on it
            self._unsent = b""

    def phase(self, name: str) -> None:
        """Say what is being done now."""
        self.emit("phase", phase=name)

    def close(self) -> None:
        """No more events, and no more care for the other end."""
        connection, self._socket = self._socket, None
        if connection is not None:
            connection.close()

    def _watch(self, connection: socket.socket) -> None:
        try:
            select.select([connection], [], [])
            ended = not connection.recv(1)
        except (OSError, ValueError):
            ended = True
        if ended and self._socket is not None:
            os.kill(os.getpid(), signal.SIGTERM)


def as_line(name: str, event: t.Mapping[str, t.Any]) -> t.Optional[str]:
    """An event as a line for the user, or None where it is not for showing."""
    if event["event"] == "phase":
        return f"{name}: {event['phase']}"
    if event["event"] != "progress":
        return None
    rate = "" if event["logical_rate"] is None else f", {event['logical_rate']} MiB/s of disk"
    wire = f", {event['wire_rate']} MiB/s on the wire" if rate and event["phase"] == "copy" else ""
    eta = "" if event["eta"] is None else f", ETA {_duration(event['eta'])}"
    return f"{name}: {event['phase']} {event['percent']} %{rate}{wire}{eta}"


def _duration(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
