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
4. So it does where this node has had files of another master with a greater number: that one went on, whoever had begun. A node that rests looks, and notes
   that the note is over; a promotion of it that is on its way has files of just the number that was noted. What a master claims first after that is raised,
   not kept: its own servers may hold the claim of before, and one that was away the claim of who was the master between.
"""

from __future__ import annotations

import json
import os
import typing as t

from ..._errors import StorageFailed
from ..._files import replace
from ..drivers import epochs
from ..drivers.disk import DiskStorage
from ..drivers.documents import Json
from ..drivers.epochs import Claim

_NAME = "epoch-begun"
_OVER = "epoch-over"
"""The note that counts no more. Apart from it, as whoever looks does not know whether another one is being written just now."""


def note(directory: str, claim: Claim) -> None:
    """Note with what this node begins an epoch."""
    _write(_path(directory, _NAME), claim)


def look(directory: str) -> None:
    """Note it on a node that rests where another master has gone on. What the files do not tell is not known."""
    begun = _read(directory, _NAME)
    if begun is None or is_over(directory):
        return
    try:
        present = epochs.claim_of(DiskStorage(directory).configuration())
    except StorageFailed:  # none, as on a node that is no master candidate, or none that is whole
        return
    if present.master != begun.master and present.serial > begun.serial:
        _write(_path(directory, _OVER), begun)


def is_over(directory: str) -> bool:
    """Whether this node has begun an epoch in which, or after which, another master went on."""
    begun = _read(directory, _NAME)
    return begun is not None and begun == _read(directory, _OVER)


def forget(directory: str) -> None:
    """On the master, whose claim is the one of now: nobody promotes it meanwhile. Raises StorageFailed where they cannot be removed."""
    for path in (_path(directory, name) for name in (_NAME, _OVER)):
        try:
            os.unlink(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise StorageFailed(f"Cannot remove {path}: {error.strerror}.") from error


def claim_of(directory: str, configuration: Json, found: t.Iterable[Claim]) -> Claim:
    """With what the master claims whose configuration this is, where these claims are known."""
    mine = epochs.claim_of(configuration)
    begun = _read(directory, _NAME)
    if begun is None or begun.master != mine.master or begun.epoch != mine.epoch or is_over(directory):
        return mine
    others = [claim.serial for claim in found if claim.master != mine.master and claim.epoch == mine.epoch]
    return mine if any(serial != begun.serial for serial in others) else begun


def _read(directory: str, name: str) -> t.Optional[Claim]:
    path = _path(directory, name)
    try:
        with open(path, encoding="utf-8") as stream:
            found = json.load(stream)
        return Claim(int(found["serial"]), str(found["master"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StorageFailed(f"{path} is damaged ({error}): remove it, and see with --check whether this node is the master still.") from error


def _write(path: str, claim: Claim) -> None:
    try:
        replace(path, (json.dumps(claim._asdict()) + "\n").encode(), 0o600)
    except OSError as error:
        raise StorageFailed(f"Cannot write {path}: {error.strerror}.") from error


def _path(directory: str, name: str) -> str:
    return os.path.join(directory, name)
