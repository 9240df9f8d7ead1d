# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Whether a node that takes itself for the master has been replaced. What it would write then must never reach the others.

A node learns from Ganeti that it is the master no more, but not while it is cut off, or when it comes back. A failover begins a new epoch of the
configuration's serial numbers, above all that the old master can count to, so the databases tell.
"""

from __future__ import annotations

import typing as t

from .documents import Json

EPOCH = 10**10
"""The serial numbers of one master's time: each failover begins with the next multiple, so that whoever was the master before cannot catch up.

Ganeti only ever adds one to the number and compares it. Its own programs have 64 bits for it, and JSON in CouchDB is exact up to 2**53.
"""


def raised(seen: int) -> int:
    """The serial number with which a new master begins, where *seen* is the highest that anybody is known to have had."""
    return (seen // EPOCH + 1) * EPOCH


def lost(here: int, there: int) -> str:
    """What is lost, in words, where the configuration with the serial number *here* takes the place of a newer one."""
    if here // EPOCH == there // EPOCH:
        return f"{there - here} changes"
    return "all changes since another node became the master"


class Claim(t.NamedTuple):
    """What a server's configuration says: its serial number, and the UUID of the master."""

    serial: int
    master: str


def shared(mine: Claim, found: t.Iterable[Claim]) -> t.Optional[Claim]:
    """The newest claim of another master in the same epoch, if there is one: Ganeti's own failover begins none. Which of two such serial numbers is of the
    newer configuration nobody can tell, once the other master goes on."""
    others = [claim for claim in found if claim.master != mine.master and claim.serial // EPOCH == mine.serial // EPOCH]
    return max(others, default=None)


def usurped(configuration: Json, found: t.Iterable[Claim]) -> t.Optional[str]:
    """Why this configuration is not to be written to the databases: words, or None where it is."""
    newer = [claim for claim in found if claim.serial > configuration["serial_no"] and claim.master != configuration["cluster"]["master_node"]]
    if not newer:
        return None
    last = max(newer)
    name = configuration["nodes"].get(last.master, {}).get("name", last.master)
    return (
        f"the databases hold serial number {last.serial} of the master {name}, the configuration here has {configuration['serial_no']}: "
        "this node was replaced as the master. Have Ganeti stopped here, and add the node again (gnt-node add --readd)"
    )
