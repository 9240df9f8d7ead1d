# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What the service does beside following: it looks after the standbys, and whether this node is the master still."""

from __future__ import annotations

import threading
import typing as t

from ..._errors import GanetiError
from ..drivers.couchdb.client import Client
from ..drivers.couchdb.standbys import Standbys
from ..drivers.couchdb.storage import CouchStorage
from . import promote
from .follow import Follower
from .mastership import idle
from .settings import Settings

STEP = 5.0
"""Seconds between two looks at the standbys."""


class Tender(threading.Thread):
    """Looks after the standbys, and whether this is the master still; a thread, as a server that is away must not hold up the follower."""

    def __init__(self, chosen: Settings, follower: Follower) -> None:
        super().__init__(daemon=True)
        self._chosen = chosen
        self._follower = follower
        self._end = threading.Event()
        self.problem: t.Optional[str] = None
        self.replaced = False

    def run(self) -> None:
        with Client(self._chosen.server) as client:
            standbys = Standbys(self._chosen.name, client, self._chosen.standbys, self._chosen.prefix)
            pause = 0.1
            while not self._end.wait(pause):
                status = self._follower.status
                if status.state == "following":
                    self.replaced = idle(self._chosen, status.serial) is not None
                    self.problem = None if self.replaced else "; ".join([*self._finish(client), *filter(None, [standbys.tend()])]) or None
                    pause = STEP

    def _finish(self, client: Client) -> t.Iterator[str]:
        """Write the archived jobs where the failover has not; what is wrong with that, in words. Whoever else is at it is let be."""
        try:
            promote.archive(CouchStorage(client, self._chosen.prefix), self._chosen.directory, wait=False)
        except (GanetiError, OSError) as error:
            yield f"archived jobs could not be written to this new master's files: {error}"

    def end(self) -> None:
        """End soon; what it does is let be finished."""
        self._end.set()
        self.join(STEP)
