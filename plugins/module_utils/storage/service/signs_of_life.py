# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""How the service shows that it works: a file for the check and for monitoring, and words for systemd, which starts it anew when it hangs.

Both come from the thread that follows, and from nowhere else: where a piece of work is done, or where there was nothing to do. So a catch-up may last
as long as it goes on, and what hangs is seen to hang.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
import typing as t

from ..._files import replace

_OFTEN = 1.0
"""Seconds from one sign to the next where nothing else has changed."""


class State(t.Protocol):
    """What is told, as a named tuple."""

    def _asdict(self) -> t.Dict[str, t.Any]: ...


def tell(path: str, status: State) -> None:
    """Write the status where --check and monitoring find it; raise OSError.

    The time in it is for people. How old it is is told by the clock since the machine was started, which nobody sets.
    """
    os.makedirs(os.path.dirname(path), exist_ok=True)
    replace(path, json.dumps({**status._asdict(), "alive": time.time(), "beat": time.monotonic()}).encode(), 0o644, durable=False)


class Signs:
    """Gives both signs. Where the file cannot be written, or systemd not be told, that is said in the journal once, and the service goes on."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._last: t.Optional[State] = None
        self._told = 0.0
        self._wrong: t.Dict[str, str] = {}

    def ready(self) -> None:
        """The settings are read, and the work begins."""
        self._try("systemd", lambda: notify("READY=1"))

    def give(self, status: State) -> None:
        """Tell the status, where it is another one or was told a while ago."""
        if status == self._last and 0 <= time.monotonic() - self._told < _OFTEN:
            return
        self._last, self._told = status, time.monotonic()
        self._try(self._path, lambda: tell(self._path, status))
        self._try("systemd", lambda: notify("WATCHDOG=1"))

    def _try(self, whom: str, say: t.Callable[[], None]) -> None:
        try:
            say()
        except OSError as error:
            wrong = f"{whom} cannot be told how the service is ({error.strerror or error}): it goes on, and the check takes it for dead until that is repaired."
        else:
            wrong = ""
        if wrong != self._wrong.get(whom, ""):
            sys.stderr.write((wrong or f"{whom} is told again how the service is.") + "\n")
            sys.stderr.flush()
        self._wrong[whom] = wrong


def notify(words: str) -> None:
    """Tell systemd, where it asks to be told; raise OSError. See sd_notify(3)."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as stream:
        stream.settimeout(1.0)
        stream.connect("\0" + address[1:] if address.startswith("@") else address)
        stream.sendall(words.encode())
