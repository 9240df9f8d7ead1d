# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""That this node is the master in an epoch in which another has been it: Ganeti's own failover (gnt-cluster master-failover) begins none.

The number is in config.data, of which wconfd is the only writer while it runs, and which it finds changed by anybody else to be damaged. So the service
never raises it. What it does, and what then holds:

1. It looks at its start, before it writes: where the storage knows another master in the epoch of this node's configuration, that is noted in a file, on stable
   storage. Its own first write would cover the trace.
2. The note stands while the configuration is of that epoch, whatever is restarted. The check warns, and names what begins an epoch.
3. `backend_storage`, on the master, does: with no job open, and Ganeti's daemons stopped for a second (cluster/standstill.py). So does every `master_failover`.
4. The service writes meanwhile, as a master without copies is the greater danger; that its claim is the newer one is the driver's to see.
"""

from __future__ import annotations

import json
import os
import typing as t

from ..._errors import StorageFailed
from ..._files import replace
from ..drivers.documents import Json
from ..drivers.epochs import EPOCH, Claim, shared

_NAME = "epoch-shared"


def look(directory: str, configuration: Json, found: t.Iterable[Claim]) -> None:
    """Note it where the storage knows of another master in this epoch; forget what was noted of an earlier one."""
    serial, cluster = configuration["serial_no"], configuration["cluster"]
    other = shared(Claim(serial, cluster["master_node"]), found)
    if other is not None and standing(directory, serial) is None:
        name = configuration["nodes"].get(other.master, {}).get("name", other.master)
        _write(directory, {"epoch": serial // EPOCH, "master": name})
    elif standing(directory, serial) is None and os.path.exists(_path(directory)):
        os.unlink(_path(directory))


def standing(directory: str, serial: int) -> t.Optional[str]:
    """The other master of the epoch of a configuration with this serial number; None where there was none."""
    try:
        with open(_path(directory), encoding="utf-8") as stream:
            noted = json.load(stream)
        return str(noted["master"]) if noted["epoch"] == serial // EPOCH else None
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StorageFailed(f"{_path(directory)} is damaged ({error}): remove it and run ganeti.cluster.backend_storage on the master.") from error


def warning(directory: str, serial: int) -> t.Optional[str]:
    """What the check says of it."""
    other = standing(directory, serial)
    if other is None:
        return None
    return (
        f"{other} was the master in the same epoch, as Ganeti's own failover begins none, so serial numbers do not tell whose configuration is newer, "
        "should it come back: run ganeti.cluster.backend_storage here, which begins one"
    )


def _write(directory: str, noted: Json) -> None:
    try:
        replace(_path(directory), (json.dumps(noted) + "\n").encode(), 0o600)
    except OSError as error:
        raise StorageFailed(f"Cannot write {_path(directory)}: {error.strerror}.") from error


def _path(directory: str) -> str:
    return os.path.join(directory, _NAME)
