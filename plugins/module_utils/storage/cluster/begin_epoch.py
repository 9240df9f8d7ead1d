# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Beginning an epoch on a running master: after Ganeti's own failover, which begins none (service/shared_epoch.py), and where a later one is spent.

It is spent where somebody has claimed it, or was elected for it, and did not become the master. The master has said so by claiming all anew (--reclaim);
where another's claim of a later epoch stands still, that one may be the master, and nobody decides that here.

wconfd is the only writer of config.data. So Ganeti stands still for a second, with no job open; a run that dies or fails leaves the old file or the new one,
and Ganeti running with it (standstill.py). Nothing but the serial number changes.
"""

from __future__ import annotations

import time
import typing as t

from ..._difference import Difference
from ...api import Cluster, connect
from ...api.master import Runner, succeed
from ..drivers.disk import DIRECTORY, DiskStorage
from ..drivers.epochs import Claim, claim_of, raised, spent
from ..service import shared_epoch
from . import placement
from .standstill import Standstill, check_votes


def note(change: Difference, claims: t.Sequence[Claim], begun: t.Iterable[Claim], directory: str = DIRECTORY) -> bool:
    """Note it where an epoch is to begin; whether one is. *claims* are those that stand, *begun* those and who was elected."""
    mine = claim_of(DiskStorage(directory).configuration())
    other, later = shared_epoch.standing(directory, mine.serial), spent(mine.serial, begun)
    newest = max(claims, default=mine)
    if newest.master != mine.master and newest.epoch > mine.epoch:  # which its service says
        later = None
    why = [*([f", in which {other} was the master too"] if other is not None else []), *([f", and epoch {later.epoch} is spent"] if later is not None else [])]
    if why:
        change.add("epoch of the configuration", f"{mine.epoch}{''.join(why)}", f"{(later or mine).epoch + 1}")
    return bool(why)


def begin(cluster: Cluster, runner: Runner, timeouts: t.Mapping[str, int], seen: int, directory: str = DIRECTORY) -> int:
    """Begin one, above all serial numbers that were *seen*, and have the service claim the storage with it; the new serial number. Raises GanetiError."""
    check_votes(cluster)
    before = DiskStorage(directory).configuration()
    after = {**before, "serial_no": raised(max(before["serial_no"], seen)), "mtime": time.time()}
    Standstill(runner, directory, lambda: connect({}, acknowledged=False)).write(before, after, timeouts["job_timeout"], timeouts["lock_timeout"])
    succeed(runner, ["systemctl", "try-restart", placement.UNIT], f"Restarting {placement.UNIT}")
    return int(after["serial_no"])
