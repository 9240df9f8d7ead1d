# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Following a guest from the controller: its lines as they come, its end, and a limit of time."""

from __future__ import annotations

import time
import typing as t

from .._errors import ConnectionFailed
from .._node_program import Start
from . import attend
from .on_node import Conversation

_FIRST = 60.0
"""Seconds in which the program on the node has to say what it has found."""

ATTENDING, ABSENT, ANOTHER = "attending", "absent", "another"


class Following:
    """One guest, attended from now on; ``found`` says whether it is the one whose command line holds the *mark*."""

    def __init__(self, start: Start, instance: str, mark: str, clock: t.Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._conversation = Conversation(start, attend, {"instance": instance, "mark": mark})
        self.unheard = ""
        """Why nothing can be heard of its console, if that is so."""
        try:
            self.found = str(self._conversation.next(_FIRST)["event"])
        except TimeoutError:
            self.found = ""
        if self.found not in (ATTENDING, ABSENT, ANOTHER):
            self.close()
            raise ConnectionFailed(f"The primary node of {instance} does not tell what runs there.")

    def lines(self, deadline: float) -> t.Iterator[str]:
        """The console's lines until the guest has ended. Raises TimeoutError at the deadline, ConnectionFailed where the node cannot be heard any more."""
        while self.found == ATTENDING:
            event = self._conversation.next(deadline - self._clock())
            if event["event"] == "ended":
                return
            if event["event"] == "silent":
                self.unheard = str(event.get("why"))
            else:
                yield str(event.get("line", ""))

    def close(self) -> None:
        """Leave the guest to itself."""
        self._conversation.close()
