# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The serial number with which this node began an epoch as its master. It claims with that, however far its configuration has come since.

Two nodes may be promoted at once. Both begin the same epoch then, with the same number, and UUIDs decide who is the master (epochs.newer). If a service claimed
with the number that its configuration has by then, the one of whom more was asked meanwhile would outdo the one that has won, and be outdone again later.

1. It is noted on stable storage before a configuration with that number is in its place.
2. The note counts while the configuration is of that epoch, and this node its master.
3. Where somebody else has claimed in that epoch with another number, Ganeti's own failover was between, which begins no epoch. The configuration's number
   counts then.
"""

from __future__ import annotations

import json
import os
import typing as t

from ..._errors import StorageFailed
from ..._files import replace
from ..drivers import epochs
from ..drivers.documents import Json
from ..drivers.epochs import Claim

_NAME = "epoch-begun"


def note(directory: str, claim: Claim) -> None:
    """Note with what this node begins an epoch."""
    try:
        replace(_path(directory), (json.dumps(claim._asdict()) + "\n").encode(), 0o600)
    except OSError as error:
        raise StorageFailed(f"Cannot write {_path(directory)}: {error.strerror}.") from error


def claim_of(directory: str, configuration: Json, found: t.Iterable[Claim]) -> Claim:
    """With what the master claims whose configuration this is, where these claims are known."""
    mine = epochs.claim_of(configuration)
    begun = _noted(directory)
    if begun is None or begun.master != mine.master or begun.epoch != mine.epoch:
        return mine
    others = [claim.serial for claim in found if claim.master != mine.master and claim.epoch == mine.epoch]
    return mine if any(serial != begun.serial for serial in others) else begun


def _noted(directory: str) -> t.Optional[Claim]:
    try:
        with open(_path(directory), encoding="utf-8") as stream:
            found = json.load(stream)
        return Claim(int(found["serial"]), str(found["master"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StorageFailed(f"{_path(directory)} is damaged ({error}): remove it, and see with --check whether this node is the master still.") from error


def _path(directory: str) -> str:
    return os.path.join(directory, _NAME)
