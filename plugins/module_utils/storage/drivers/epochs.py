# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Whose time it is: epochs of serial numbers, claims of masters, and whether a node that takes itself for the master has been replaced.

A node learns from Ganeti that it is the master no more, but not while it is cut off, or when it comes back. A failover begins a new epoch of the
configuration's serial numbers, above all that the old master can count to, and the new master claims the storage with it. A driver fences: whoever has
an older claim is refused (Storage.claim). What is decided here is the same for all drivers.
"""

from __future__ import annotations

import typing as t

from .documents import Json

EPOCH = 10**10
"""The serial numbers of one master's time: each failover begins with the next multiple, so that whoever was the master before cannot catch up.

Ganeti only ever adds one to the number and compares it. Its own programs have 64 bits for it, and JSON in CouchDB is exact up to 2**53.
"""

_RECLAIM = "python3 -I /usr/local/lib/ganeti-couchdb/service.pyz --config /etc/ganeti/couchdb.json --reclaim"
"""What says that this node is the master."""


def raised(seen: int) -> int:
    """The serial number with which a new master begins, where *seen* is the highest that anybody is known to have had."""
    return (seen // EPOCH + 1) * EPOCH


def lost(here: int, there: int) -> str:
    """What is lost, in words, where the configuration with the serial number *here* takes the place of a newer one."""
    if here // EPOCH == there // EPOCH:
        return f"{there - here} changes"
    return "all changes since another node became the master"


class Claim(t.NamedTuple):
    """That a node, given by its UUID, is the master since the configuration had a serial number."""

    serial: int
    master: str

    @property
    def epoch(self) -> int:
        """Which epoch it is of. Only Ganeti's own failover makes several masters in one."""
        return self.serial // EPOCH


def claim_of(configuration: Json) -> Claim:
    """With what the master claims whose configuration this is."""
    return Claim(configuration["serial_no"], configuration["cluster"]["master_node"])


def kept(standing: t.Optional[Claim], wanted: Claim, anew: bool = False) -> bool:
    """Whether the claim that stands is the wanted one already: the same master's, of the same epoch. It is not raised with each start, or of two that
    claim at once now the one and now the other would be the greater. Who claims *anew*, as another was the master between, keeps none that is lower."""
    if standing is None or standing.master != wanted.master:
        return False
    return standing.serial >= wanted.serial if anew else standing.epoch >= wanted.epoch


def shared(mine: Claim, found: t.Iterable[Claim]) -> t.Optional[Claim]:
    """The newest claim of another master in the same epoch, if there is one: Ganeti's own failover begins none. Which of two such serial numbers is of the
    newer configuration nobody can tell, once the other master goes on."""
    return max((claim for claim in found if claim.master != mine.master and claim.epoch == mine.epoch), default=None)


def spent(serial: int, found: t.Iterable[Claim]) -> t.Optional[Claim]:
    """The newest of what was claimed, or elected, of a later epoch than that of the configuration with this serial number, if there is one: somebody has begun
    that epoch, and no configuration of it is here. Nobody is elected for one that is not above it."""
    return max((claim for claim in found if claim.epoch > serial // EPOCH), default=None)


def newer(found: t.Iterable[Claim], mine: Claim) -> t.List[Claim]:
    """The claims of others that are newer than one's own.

    Of two that begin an epoch with the same number, as two promotions at once may, the UUIDs decide which is: the same everywhere, whoever came first.
    """
    others = [claim for claim in found if claim.master != mine.master]
    return [claim for claim in others if claim.serial > mine.serial or (claim > mine and 0 < claim.serial == mine.serial == claim.epoch * EPOCH)]


def usurped(configuration: Json, found: t.Iterable[Claim], mine: t.Optional[Claim] = None) -> t.Optional[str]:
    """Why this configuration is not to be written to the databases: words, or None where it is. *mine* is the claim that its master has made."""
    mine = mine or claim_of(configuration)
    outdone = newer(found, mine)
    if not outdone:
        return None
    last = max(outdone)
    name = configuration["nodes"].get(last.master, {}).get("name", last.master)
    if last.serial == mine.serial:
        return (
            f"the databases hold serial number {last.serial} of the master {name}, who began epoch {last.epoch} with the same number as this node, and of two "
            f"that do their UUIDs decide: this node was replaced as the master. Where gnt-cluster getmaster says {name}, have Ganeti stopped here, and add the "
            f"node again (gnt-node add --readd). If it says the name of this node on all nodes, {name}'s promotion came to nothing: run {_RECLAIM} here, and "
            "ganeti.cluster.backend_storage then, which begins an epoch"
        )
    return (
        f"the databases hold serial number {last.serial} of the master {name}, the configuration here has {configuration['serial_no']}: "
        "this node was replaced as the master. Have Ganeti stopped here, and add the node again (gnt-node add --readd); or, if that one is the master no "
        "more and all others know it, say here that this is the master: --reclaim"
    )
