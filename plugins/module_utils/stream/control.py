# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The endpoint's side of its control channel: JSON lines to the controller, signs of life from it."""

from __future__ import annotations

import json
import os
import sys
import time
import typing as t

from .errors import EndpointError

SILENCE = 60.0
"""Seconds without a line from the controller after which an endpoint gives up."""


class Controller:
    """The controller at the other end of standard input and output.

    It sends a line every few seconds. When its lines stop, or standard input
    ends because it was interrupted, this endpoint must end as well.
    """

    def __init__(self) -> None:
        self.descriptor = sys.stdin.fileno()
        self._last = time.monotonic()

    def say(self, event: str, **fields: t.Any) -> None:
        """Send one event."""
        sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
        sys.stdout.flush()

    def heard(self) -> None:
        """Take what arrived on standard input; raise EndpointError at its end."""
        if not os.read(self.descriptor, 4096):
            raise EndpointError("The controller is gone.")
        self._last = time.monotonic()

    def check(self) -> None:
        """Raise EndpointError when the controller was silent for too long."""
        if time.monotonic() - self._last > SILENCE:
            raise EndpointError(f"The controller was silent for {SILENCE:.0f} seconds.")
