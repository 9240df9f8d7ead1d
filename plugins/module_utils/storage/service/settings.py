# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What the service on a node has to know: a file that is the same on every node that has the service, and for root only."""

from __future__ import annotations

import json
import os
import socket
import typing as t

from ..._errors import InvalidInput
from ..drivers.disk import DIRECTORY
from ..drivers.factory import open_storage
from ..drivers.interface import Storage

STATUS = "/run/ganeti-couchdb/status.json"


class Settings(t.NamedTuple):
    """What the service has to know. The file is the same on every node that has the service; it is for root only, as it holds passwords."""

    name: str
    """Of the node that this is, as Ganeti has it."""
    options: t.Mapping[str, t.Any]
    """What the driver has to know, as ``servers`` by the names of their nodes, or the ``endpoints`` of etcd's members."""
    directory: str
    status: str
    lag: int
    """How many serial numbers a standby may be behind before the check warns."""
    mode: str = "mirror"
    """"mirror", or "primary" where Ganeti itself keeps no other copies."""
    pool_size: t.Optional[int] = None
    """How many master candidates Ganeti wants when it is "mirror" again."""
    storage: str = "couchdb"
    """Which driver it is."""
    acknowledge: int = 0
    """How many servers have to have a job before anybody is told of it; 0 for none."""
    degrade: str = "after"
    """What is done where they have not after some seconds: "wait", "after" or "refuse" (api/acknowledge.py)."""
    degrade_after: float = 30.0
    nodes: t.Tuple[str, ...] = ()
    """All nodes that have the service."""

    def open(self, patience: t.Optional[float] = None) -> Storage:
        """The storage, as this node uses it; nothing is asked of a server yet."""
        return open_storage(self.storage, name=self.name, patience=patience, **self.options)


_DEFAULTS = {"directory": DIRECTORY, "status": STATUS, "lag": 10, "mode": "mirror", "pool_size": None, "storage": "couchdb",
             "acknowledge": 0, "degrade": "after", "degrade_after": 30.0}  # fmt: skip
_NAMES = ("name", "nodes")
"""Which node this is; or the nodes that have this file, where the options do not name them as ``servers`` do."""


def read(file: str, usable: bool = True) -> Settings:
    """Read the settings; raise InvalidInput where they are not safe or not complete. What is not the service's own is the driver's; with *usable* that has
    to be what the driver can open, as certificates that are there."""
    try:
        with open(file, encoding="utf-8") as stream:
            state = os.fstat(stream.fileno())
            given = json.load(stream)
        if state.st_mode & 0o077 or state.st_uid != os.geteuid():
            raise InvalidInput(f"{file} holds passwords and can be read by others: give it to root alone, with mode 0600.")
        name = given.get("name") or _own_name(given.get("nodes") or given["servers"], file)
        options = {key: value for key, value in given.items() if key not in _DEFAULTS and key not in _NAMES}
        nodes = tuple(sorted(given.get("nodes") or given.get("servers") or [name]))
        chosen = Settings(name, options, nodes=nodes, **{key: given.get(key, value) for key, value in _DEFAULTS.items()})
        if usable:
            chosen.open().close()
        return chosen
    except FileNotFoundError:
        raise InvalidInput(f"{file} is not there: choose a database with ganeti.cluster.backend_storage first, or run this on the master.") from None
    except json.JSONDecodeError as error:
        raise InvalidInput(f"{file} is no configuration of this service: it is no JSON at line {error.lineno}, column {error.colno}.") from None
    except KeyError as error:
        raise InvalidInput(f"{file} is no configuration of this service: it lacks {error}.") from None
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read: {error.strerror}.") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise InvalidInput(f"{file} is no configuration of this service: {error}.") from error
    except InvalidInput as error:
        raise InvalidInput(f"{file} is no configuration of this service: {error.message}") from error


def _own_name(nodes: t.Collection[str], file: str) -> str:
    """The name of this node: its host name, which Ganeti takes for it too (netutils.Hostname.GetSysName)."""
    names = {socket.gethostname(), socket.getfqdn()}
    found = sorted(names.intersection(nodes))
    if len(found) != 1:
        raise InvalidInput(f"{file} does not name this node, which calls itself {' or '.join(sorted(names))}: it names {', '.join(sorted(nodes))}.")
    return found[0]
