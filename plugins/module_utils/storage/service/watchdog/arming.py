# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""For which master the watchdog of this node is armed: a file that an administrator's command writes, and nobody else.

Armed is who has the file and knows the master that it names. So any other master disarms, whoever made it, and a watcher that sees one writes that down. A
takeover disarms its own node before it does what cannot be undone. The file stays then, naming nobody: it says that this was armed once, and a role that
arms new nodes lets it be.
"""

from __future__ import annotations

import json
import os
import typing as t

from ...._errors import InvalidInput, StorageFailed
from ...._files import replace
from ...drivers import epochs
from ...drivers.disk import DiskStorage

NAME = "watchdog-armed"
"""In Ganeti's directory."""


def arm(directory: str) -> str:
    """Arm for the master that the node knows; a line about it."""
    master = DiskStorage(directory).master()
    if master is None:
        raise InvalidInput("This node knows of no master, so it cannot be armed: see what became of Ganeti here.")
    _write(directory, master)
    return f"Armed: should {master} be gone, this node votes, and may become the master"


def problem(serial: int, begun: t.Iterable[epochs.Claim]) -> t.Optional[str]:
    """Why a takeover would come to nothing whatever happens to the master (deeds.py: judge), in words; None where that is not so. The serial number is that of
    the configuration, and *begun* what was claimed, and who was elected."""
    found = epochs.spent(serial, begun)
    if found is None:
        return None
    return (
        f"epoch {found.epoch} is spent, as somebody has claimed it or was elected for it, and the one of the configuration here is {serial // epochs.EPOCH}: "
        "no takeover would begin, as that one may be at it still. Run ganeti.cluster.backend_storage on the master, which begins an epoch"
    )


def disarm(directory: str) -> str:
    """Have it armed for nobody, on stable storage; a line about it."""
    _write(directory, None)
    return "Disarmed: this node does not vote, and does not become the master by itself"


def armed_for(directory: str) -> t.Optional[str]:
    """The master for which it is armed; None for nobody, as where the file cannot be read."""
    try:
        with open(os.path.join(directory, NAME), encoding="utf-8") as stream:
            found = json.load(stream)["master"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, str) else None


def _write(directory: str, master: t.Optional[str]) -> None:
    path = os.path.join(directory, NAME)
    try:
        replace(path, (json.dumps({"master": master}) + "\n").encode(), 0o600)
    except OSError as error:
        raise StorageFailed(f"Cannot write {path}: {error.strerror}. Nothing else was done.") from error
