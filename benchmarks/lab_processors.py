# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How much time of the processors each program on the lab's nodes takes, as the kernel counts it: all nodes are containers on this machine."""

from __future__ import annotations

import collections
import os
import typing as t
from pathlib import Path

PROGRAMS = {"luxid": "/usr/sbin/ganeti-luxid", "service": "ganeti-couchdb/service.pyz", "CouchDB": "beam.smp"}
"""What the command line of each holds."""
_TICK = os.sysconf("SC_CLK_TCK")

Times = t.Mapping[tuple[str, str], float]
"""Seconds, by the node's namespace and the program's name."""
NODE = ("readlink", "/proc/self/ns/uts")
"""Prints a node's namespace where it is run there."""


def times() -> Times:
    """Of all of the programs' processes that run now. None of them ends while jobs are submitted."""
    found: collections.Counter[tuple[str, str]] = collections.Counter()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            name = next((name for name, words in PROGRAMS.items() if words in command), None)
            if name is None:
                continue
            node = os.readlink(process / "ns/uts")
            fields = (process / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended, or is none of a node's
            continue
        found[node, name] += (int(fields[11]) + int(fields[12])) / _TICK
    return found


def spent(before: Times, after: Times, master: str) -> dict[str, float]:
    """Seconds from one look to another, by program; those of the node *master* apart from those of all other nodes together."""
    found: collections.Counter[str] = collections.Counter()
    for (node, name), seconds in after.items():
        found[f"{name}, {'master' if node == master else 'others'}"] += seconds - before.get((node, name), 0.0)
    return dict(found)
