# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How much time of the processors servers on this machine take, as the kernel counts it; each is found by the port on which it listens."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_LISTENS = "0A"


class Listening(t.Protocol):
    """A server."""

    port: int


def times(servers: t.Sequence[Listening]) -> list[float]:
    """Seconds that each server's process has taken until now."""
    found = {inode: process for process in Path("/proc").glob("[0-9]*") for inode in _sockets(process)}
    return [_seconds(found[_inode(each.port)]) for each in servers]


def spent(before: t.Sequence[float], after: t.Sequence[float]) -> list[float]:
    """Seconds from one look to another."""
    return [now - then for then, now in zip(before, after)]


def _inode(port: int) -> str:
    """The socket that listens on a port."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == _LISTENS and int(fields[1].rpartition(":")[2], 16) == port:
            return fields[9]
    raise SystemExit(f"Nothing on this machine listens on port {port}: the servers' processor time is measured too.")


def _sockets(process: Path) -> list[str]:
    """The sockets that a process has open, as far as that may be seen."""
    try:
        links = [os.readlink(each) for each in (process / "fd").iterdir()]
    except OSError:  # it has ended, or is somebody else's
        return []
    return [link[len("socket:[") : -1] for link in links if link.startswith("socket:[")]


def _seconds(process: Path) -> float:
    fields = (process / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK
