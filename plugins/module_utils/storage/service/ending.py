# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Ending within seconds of being told to, whatever the service waits for: a server that is silent, a name that is not resolved.

It ends by itself where it can. Where it cannot, it is ended in the middle, which is safe: what is left then is what a kill leaves, and all is compared
when it starts again. Python runs a signal's handler only when what the thread is in returns, so another thread waits for the signal's number.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
import typing as t

GRACE = 2.0
"""Seconds in which it ends by itself."""
_NUMBERS = (signal.SIGTERM, signal.SIGINT)


def end_soon() -> t.List[int]:
    """A list that holds something once the process has been told to end; a few seconds later it ends, come what may. For the main thread."""
    ended: t.List[int] = []
    here, there = socket.socketpair()
    there.setblocking(False)
    signal.set_wakeup_fd(there.detach(), warn_on_full_buffer=False)
    for number in _NUMBERS:
        signal.signal(number, lambda received, _frame: ended.append(received))
    threading.Thread(target=_enforce, args=(here,), daemon=True).start()
    return ended


def _enforce(numbers: socket.socket) -> None:
    while not set(numbers.recv(64)) & set(_NUMBERS):
        continue
    time.sleep(GRACE)
    os._exit(0)
