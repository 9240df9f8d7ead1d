# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Small programs on nodes: a module of the standard library alone, sent as text to a Python that is there, with a request of one line of JSON."""

from __future__ import annotations

import json
import queue
import threading
import types
import typing as t

from .._errors import ConnectionFailed, GanetiError
from ..stream.bundle import text_of

BOOT = (
    "import os\n"
    "text = b''\n"
    "while text[-1:] != b'\\0': text += os.read(0, 1) or os._exit(2)\n"
    "exec(compile(text[:-1], 'node', 'exec'))"
)
"""The program given to ``python3 -c``: reads the real one up to a zero byte, and runs it."""
_ARGV = ("python3", "-I", "-c", BOOT)
_LONGEST = 64 * 1024
_MOST_LINES = 100_000
"""These programs say something a few times a second; one that says much more is none of ours."""
_LONGEST_WAIT = 365 * 86400.0

Event = t.Mapping[str, t.Any]


class Process(t.Protocol):
    """A program that runs on a node; an `api.ssh.SshProcess` is one."""

    @property
    def stdin(self) -> t.Any: ...

    @property
    def stderr(self) -> bytes: ...

    def __iter__(self) -> t.Iterator[bytes]: ...

    def kill(self) -> None: ...


Start = t.Callable[[t.Sequence[str]], Process]
"""Starts a program on a node."""


class Conversation:
    """One program on a node, started now; its events come in order, within bounds."""

    def __init__(self, start: Start, module: types.ModuleType, request: t.Mapping[str, t.Any]) -> None:
        self._arriving: queue.Queue[Event] = queue.Queue()
        self._process = start(_ARGV)
        threading.Thread(target=self._read, args=(_packed(module, request),), daemon=True).start()

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


def _packed(module: types.ModuleType, request: t.Mapping[str, t.Any]) -> bytes:
    """What the node's Python is to read: the module's text and the request."""
    return text_of(module).encode("ascii") + b"\0" + json.dumps(request).encode("ascii") + b"\n"
