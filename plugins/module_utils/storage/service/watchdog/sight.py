# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What a node sees of the master: whether something answers at its address, and for how long nothing has.

1. Whatever answers is life, a refusal too: a machine that says no is one that runs.
2. What went wrong on this node itself, as a network that is down here, says nothing of the master: unknown.
3. Only an unbroken row of looks counts. Where this node did not look for a while, as it was stopped or hung, the row begins anew. So it does with each look
   that is not silence.
4. Times are those of this node's own monotonic clock; they are never compared with another's.
"""

from __future__ import annotations

import concurrent.futures
import errno
import socket
import typing as t

ALIVE, SILENT, UNKNOWN = "alive", "silent", "unknown"
PORTS = (1811, 22)
"""Of Ganeti's node daemon, and of SSH."""
SECONDS = 1.0
"""How long an answer is waited for."""
_MEANS: t.Mapping[t.Optional[int], str] = {
    errno.ECONNREFUSED: ALIVE, errno.ECONNRESET: ALIVE,
    errno.EHOSTUNREACH: SILENT, errno.EHOSTDOWN: SILENT, errno.ETIMEDOUT: SILENT,
}  # fmt: skip
"""What an error says of the other end. All others are of this one."""


def look(address: str, ports: t.Sequence[int] = PORTS, seconds: float = SECONDS) -> str:
    """Whether anything answers at an address; silence only where all ports are silent."""
    with concurrent.futures.ThreadPoolExecutor(len(ports)) as executor:
        return together(executor.map(lambda port: _try(address, port, seconds), ports))


def _try(address: str, port: int, seconds: float) -> str:
    try:
        socket.create_connection((address, port), seconds).close()
    except socket.timeout:  # another name for TimeoutError from Python 3.10 on
        return SILENT
    except OSError as error:
        return _MEANS.get(error.errno, UNKNOWN)
    return ALIVE


def together(signs: t.Iterable[str]) -> str:
    """What several signs say: life where one does, and silence where all do."""
    found = set(signs)
    return ALIVE if ALIVE in found else SILENT if found == {SILENT} else UNKNOWN


class Silence(t.NamedTuple):
    """A row of looks in which nothing was heard: when the first one ended, and the last one."""

    since: t.Optional[float] = None
    last: float = 0.0

    def after(self, sign: str, began: float, ended: float, gap: float) -> Silence:
        """The row with a further look; *gap* is what may lie between two."""
        if sign != SILENT:
            return Silence()
        if self.since is None or began - self.last > gap:
            return Silence(ended, ended)
        return Silence(self.since, ended)

    @property
    def seconds(self) -> float:
        """How long nothing was heard, as far as it was looked."""
        return 0.0 if self.since is None else self.last - self.since
