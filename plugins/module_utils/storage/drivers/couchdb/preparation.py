# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What has to be on a server before the first write: databases, and the rights to them."""

from __future__ import annotations

from ...._errors import AuthenticationFailed, StorageFailed
from ..documents import CONFIG, DATABASES
from . import fence
from .client import Client, Server, path

_SYSTEM = ("_users", "_replicator")
"""What CouchDB itself needs, and makes only where it is configured as a single node."""


def prepare(admin: Client, prefix: str) -> None:
    """Make the databases, for nobody but who has claimed them, where they are missing; refuse a server that lets anybody read."""
    for name in _SYSTEM:
        if admin.get(path(name), missing=True) is None:
            admin.put(path(name), None)
    rights = fence.rights(fence.held(admin, prefix))
    for name in DATABASES:
        where = path(prefix + name)
        if admin.get(where, missing=True) is None:
            admin.put(where, None)
        if admin.get(f"{where}/_security") != rights:
            admin.put(f"{where}/_security", rights)
    check_closed(admin.server, prefix)


def probe(client: Client) -> None:
    """Raise StorageFailed where this is no CouchDB, and whatever the client does where it does not answer."""
    about = client.get("/")
    if not isinstance(about, dict) or about.get("couchdb") != "Welcome":
        raise StorageFailed(f"{client.server.url} does not answer as CouchDB does: see what runs there.")
    client.get("/_all_dbs")


def check_closed(server: Server, prefix: str) -> None:
    """Raise AuthenticationFailed where somebody without a password can read: the configuration holds secrets."""
    connection = server.connection(20)
    try:
        connection.request("GET", path(prefix + CONFIG, CONFIG))
        status = connection.getresponse().status
    finally:
        connection.close()
    if status not in (401, 403):
        open_to_all = f"CouchDB at {server.url} lets anybody read the configuration, which holds secrets"
        raise AuthenticationFailed(f"{open_to_all}: set require_valid_user to true there.")
