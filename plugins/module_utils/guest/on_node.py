# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Conversations with small programs on nodes: what they say comes in order, as events, within bounds."""

from __future__ import annotations

import json
import queue
import threading
import types
import typing as t

from .._errors import ConnectionFailed, GanetiError
from .._node_program import Process, Start, argv, packed
from ..stream.bundle import text_of

_LONGEST = 64 * 1024
_MOST_LINES = 100_000
"""These programs say something a few times a second; one that says much more is none of ours."""
_LONGEST_WAIT = 365 * 86400.0

Event = t.Mapping[str, t.Any]


class Conversation:
    """One program on a node, started now; its events come in order, within bounds."""

    def __init__(self, start: Start, module: types.ModuleType, request: t.Mapping[str, t.Any]) -> None:
        self._arriving: queue.Queue[Event] = queue.Queue()
        self._process: Process = start(argv("node"))
        threading.Thread(target=self._read, args=(packed(text_of(module).encode("ascii"), request),), daemon=True).start()

    def next(self, seconds: float) -> Event:
        """The next event. Raises TimeoutError where none comes in time, ConnectionFailed where none will come any more."""
        try:
            event = self._arriving.get(timeout=min(max(0.01, seconds), _LONGEST_WAIT))
        except queue.Empty:
            raise TimeoutError from None
        if "lost" in event:
            raise ConnectionFailed(str(event["lost"]))
        return event

    def close(self) -> None:
        """End the program: its input ends, and so does it."""
        self._process.kill()

    def _read(self, request: bytes) -> None:
        """Ask, and put what is said into the queue; at last that no more is said."""
        try:
            self._process.stdin.write(request)
            why = self._relay()
        except GanetiError as error:
            why = error.message
        except (OSError, ValueError) as error:
            why = f"A program on the node answered with something else than JSON, or not at all: {error}."
        self._arriving.put({"lost": why})

    def _relay(self) -> str:
        for number, line in enumerate(self._process):
            if len(line) > _LONGEST or number > _MOST_LINES:
                return "A program on the node said more than it ever would."
            event = json.loads(line)
            if not isinstance(event, dict) or not isinstance(event.get("event"), str):
                return "A program on the node answered with something else than events: does a login script print something?"
            self._arriving.put(event)
        said = " ".join(self._process.stderr.decode("utf-8", "replace").split())[-300:].rstrip(".")
        return f"A program on the node ended{': ' + said if said else ''}."
