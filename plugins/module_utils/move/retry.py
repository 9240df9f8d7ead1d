# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Trying again: creations on whatever nodes can be locked at once, and connections that are gone for a moment."""

from __future__ import annotations

import random
import time
import typing as t

from .._errors import AuthenticationFailed, ConnectionFailed, HostKeyUnknown, JobFailed

_JITTER = 0.15
"""Share of the delay by which it varies, so that several moves do not meet again and again (as move-instance does)."""
_PATIENCE = 60.0
"""Seconds that a connection may be gone."""
_PAUSE = 2.0

Result = t.TypeVar("Result")


def opportunistically(attempt: t.Callable[[t.Dict[str, t.Any]], Result], tries: int, delay: float) -> Result:
    """Call *attempt* with extra opcode fields: *tries* times with opportunistic locking, at last without.

    Between tries this waits *delay* seconds, more or less. Only a lack of resources
    that Ganeti calls temporary leads to another try.
    """
    for _number in range(tries):
        try:
            return attempt({"opportunistic_locking": True})
        except JobFailed as error:
            if error.ecode != "temp_insufficient_resources":
                raise
        time.sleep(delay * random.uniform(1 - _JITTER, 1 + _JITTER))
    return attempt({})


def patiently(attempt: t.Callable[[], Result]) -> Result:
    """Call *attempt*, which may be called again, until its connections hold; for a minute at most."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return attempt()
        except (AuthenticationFailed, HostKeyUnknown):
            raise
        except ConnectionFailed:
            if time.monotonic() >= deadline:
                raise
        time.sleep(_PAUSE)
