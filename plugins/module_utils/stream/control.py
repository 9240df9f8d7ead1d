# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The endpoint's side of its control channel: JSON lines to the controller, signs of life from it."""

from __future__ import annotations

import json
import os
import select
import sys
import time
import typing as t

from .errors import EndpointError

SILENCE = 60.0
"""Seconds without a line from the controller after which an endpoint gives up."""

_LONGEST = 1024 * 1024


class Controller:
    """The controller at the other end of standard input and output.

    It sends a line every few seconds: an empty one as a sign of life, JSON where
    it has something to say. When its lines stop, or standard input ends because
    it was interrupted, this endpoint must end as well.
    """

    def __init__(self) -> None:
        self.descriptor = sys.stdin.fileno()
        self._output = sys.stdout.fileno()
        self._last = time.monotonic()
        self._rest = b""
        self._messages: t.List[bytes] = []

    def say(self, event: str, **fields: t.Any) -> None:
        """Send one event."""
        sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
        sys.stdout.flush()

    def progress(self, **fields: t.Any) -> None:
        """Send an event that may be left out: where nobody reads, work goes on, and what follows the end of reading is noticed elsewhere."""
        # A pipe that is ready takes PIPE_BUF bytes without blocking, and this is shorter.
        if select.select([], [self._output], [], 0)[1]:
            self.say("progress", **fields)

    def read_input(self) -> None:
        """Take what arrived on standard input; raise EndpointError at its end."""
        data = os.read(self.descriptor, 65536)
        if not data:
            raise EndpointError("The controller is gone.")
        self._last = time.monotonic()
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._messages += [line for line in lines if line.strip()]
        if len(self._rest) > _LONGEST:
            raise EndpointError("The controller sent a line without an end.")

    def check(self) -> None:
        """Raise EndpointError when the controller was silent for too long."""
        if time.monotonic() - self._last > SILENCE:
            raise EndpointError(f"The controller was silent for {SILENCE:.0f} seconds.")

    def poll(self, seconds: float = 0.0) -> None:
        """Listen to the controller for up to *seconds*; raise EndpointError where it is gone."""
        if select.select([self.descriptor], [], [], seconds)[0]:
            self.read_input()
        self.check()

    def message(self) -> t.Mapping[str, t.Any]:
        """Wait for what the controller has to say next."""
        while not self._messages:
            self.poll(1.0)
        try:
            message = json.loads(self._messages.pop(0))
        except ValueError as error:
            raise EndpointError("The controller sent something else than JSON.") from error
        if not isinstance(message, dict):
            raise EndpointError("The controller sent a message of another shape.")
        return message
