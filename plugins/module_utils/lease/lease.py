# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The lease of who works on an instance, as its controller holds it: others see it, and it ends with this process or its silence.

The lease is a process on the master of the instance's cluster (see :mod:`holder`), named by the instance's UUID. A move holds that of its source,
a zeroing that of the same name, so that they exclude each other. It is
asked whether it lives before every change; the answer is worth something for a few seconds only, counted from before
the question and by a clock that runs on while a laptop sleeps. Whoever lost it changes nothing any more.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import queue
import socket
import threading
import time
import typing as t

from .._errors import ConnectionFailed, GanetiError, LeaseLost, LeaseTaken
from .._node_program import Process, Start, argv, packed
from ..stream.bundle import text_of
from . import holder

LIMIT = 30.0
"""Seconds of silence after which a lease ends."""
WORTH = 5.0
"""Seconds that an answer is worth something, counted from before the question."""
_BEAT = 5.0
_ANSWER = 20.0
_LONGEST = 4096
_PAUSE = 0.5

_NEEDS = "The lease is held there, through SSH, whatever the transport: set ssh of that cluster so that it is let in, and have python3 there."

MOVED, ZEROED = "moved", "zeroed"
_DOING = {MOVED: "is being moved by", ZEROED: "is being zeroed by"}
"""What is done with an instance, as an introduction tells it under "doing"; moved where it does not tell."""


class Lease:
    """One lease, held from `acquire` to `release`. *start* starts a program on the master, whose name is *node*."""

    def __init__(self, start: Start, node: str, instance: str, introduction: t.Mapping[str, t.Any], limit: float = LIMIT) -> None:
        self.node = node
        self._start = start
        self._instance = instance
        self._introduction = {**introduction, "controller": socket.gethostname(), "pid": os.getpid()}
        self._limit = limit
        self._process: t.Optional[Process] = None
        self._answers: queue.Queue[t.Dict[str, t.Any]] = queue.Queue()
        self._writing = threading.Lock()
        self._number = 0
        self._good_until = 0.0
        self._asked_before = False

    @property
    def fresh(self) -> bool:
        """Whether the last answer is still worth something."""
        return holder.boot() < self._good_until

    def acquire(self) -> None:
        """Take the lease. Raises LeaseTaken where another run has it, ConnectionFailed where no process can be had.

        Where this run has held it before, the process that held it may still be there: it, or the whole master, stands still, or its end has not
        come to it yet. It ends after its limit at the latest, and so long its end is waited for.
        """
        patience = self._limit + _ANSWER if self._asked_before else 0.0
        deadline = holder.boot() + patience
        self._asked_before = True
        other = self._ask()
        while other is not None and self._may_be_own(other) and holder.boot() < deadline:
            time.sleep(_PAUSE)
            other = self._ask()
        if other is not None:
            raise LeaseTaken(f"{self._introduction['name']} {_doing(other)} {_in_words(other)}")

    def _may_be_own(self, told: t.Any) -> bool:
        """Whether *told* may come of an earlier process of this run, which says nothing while it stands still."""
        if not isinstance(told, dict) or told.get("holder_uid", 0) != 0:
            return False
        return "controller" not in told or all(told.get(key) == self._introduction[key] for key in ("controller", "pid"))

    def _ask(self) -> t.Any:
        """Ask for the lease once: None where it is held now, else what its holder says."""
        self.release()
        since = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
        request = {"instance": self._instance, "limit": self._limit, "holder": {**self._introduction, "since": since}}
        self._answers = queue.Queue()
        asked = holder.boot()
        process = self._process = self._started()
        threading.Thread(target=_read, args=(process, self._answers), daemon=True).start()
        with contextlib.suppress(ConnectionFailed):  # why it ended, its reader tells
            self._write(packed(_program(), request))
        answer = self._next(asked + _ANSWER)
        if answer["event"] == "held":
            self._accept(answer, asked)
            threading.Thread(target=self._beat, args=(process,), daemon=True).start()
            return None
        self.release()
        if answer["event"] == "taken":
            return answer.get("holder") or {}
        raise ConnectionFailed(f"No lease can be held on the master {self.node}: {answer['why']}. {_NEEDS}")

    def _started(self) -> Process:
        try:
            return self._start(argv("lease"))
        except ConnectionFailed as error:
            error.reword(f"No lease can be held on the master {self.node}: {error.message}. {_NEEDS}".replace("..", "."))
            raise

    def check(self) -> None:
        """Make sure that the lease is held now; raise LeaseLost where it is not."""
        if self._process is None:
            raise LeaseLost(f"The lease on {self.node} is not held.")
        asked = holder.boot()
        try:
            number = self._write_number()
            answer = self._next(asked + _ANSWER)
            while answer["event"] == "alive" and answer.get("number") != number:
                answer = self._next(asked + _ANSWER)
        except GanetiError as error:
            answer = {"event": "ended", "why": error.message.rstrip(".")}
        if answer["event"] != "alive":
            self.release()
            raise LeaseLost(f"The lease on {self.node} was lost: {answer['why']}.")
        self._accept(answer, asked)

    def release(self) -> None:
        """Give the lease back; harmless where it is not held."""
        process, self._process = self._process, None
        self._good_until = 0.0
        if process is not None:
            process.kill()

    def _accept(self, answer: t.Mapping[str, t.Any], asked: float) -> None:
        master = answer.get("master")
        if master != self.node:
            self.release()
            raise LeaseLost(f"{self.node} is not the master of its cluster any more, {master or 'another node'} is: run the same task again.")
        self._good_until = asked + WORTH

    def _write_number(self) -> int:
        with self._writing:
            self._number += 1
            number = self._number
        self._write(b"%d\n" % number)
        return number

    def _write(self, data: bytes) -> None:
        process = self._process
        if process is None:
            raise ConnectionFailed("it was given back")
        try:
            with self._writing:
                process.stdin.write(data)
                process.stdin.flush()
        except OSError as error:
            raise ConnectionFailed(f"the connection broke ({error})") from error

    def _next(self, deadline: float) -> t.Dict[str, t.Any]:
        try:
            return self._answers.get(timeout=max(0.01, deadline - holder.boot()))
        except queue.Empty:
            return {"event": "ended", "why": f"{self.node} did not answer within {_ANSWER:.0f} seconds"}

    def _beat(self, process: Process) -> None:
        """Signs of life while nothing else is said, as long as this is the process in use."""
        while self._process is process:
            time.sleep(_BEAT)
            try:
                if self._process is process:
                    self._write_number()
            except GanetiError:
                return


def _read(process: Process, answers: queue.Queue[t.Dict[str, t.Any]]) -> None:
    """Put what the holder says into a queue, at last that it ended."""
    why = "its process ended"
    try:
        for line in process:
            answer = json.loads(line) if len(line) <= _LONGEST else None
            if not isinstance(answer, dict) or answer.get("event") not in ("held", "taken", "alive"):
                why = "it answered with something else: does a login script print something?"
                break
            answers.put(answer)
        else:
            said = process.stderr.decode("utf-8", "replace").strip()[-300:]
            why = f"its process ended ({said})" if said else why
    except (GanetiError, OSError) as error:
        why = f"the connection broke ({error})"
    except ValueError:
        why = "it answered with something else than JSON: does a login script print something?"
    answers.put({"event": "ended", "why": why})


def _doing(said: t.Any) -> str:
    return _DOING[ZEROED if isinstance(said, dict) and said.get("doing") == ZEROED else MOVED]


def _in_words(said: t.Any) -> str:
    """Who holds a lease, in words. What another process said is cut to what it may be."""
    told = {key: str(value)[:100] for key, value in said.items()} if isinstance(said, dict) else {}
    if told.get("holder_uid", "0") != "0":
        return f"a process of user {told['holder_uid']} on the master (process {told['holder_pid']}), which is no run of this collection: end it."
    if "controller" not in told:
        return "another run, which does not answer just now: wait half a minute."
    to = f", to {told['to']}" if "to" in told else ""
    return f"process {told.get('pid')} on {told['controller']} (since {told.get('since')}{to}): wait for its end, or end it there."


def _program() -> bytes:
    return text_of(holder).encode("ascii")
