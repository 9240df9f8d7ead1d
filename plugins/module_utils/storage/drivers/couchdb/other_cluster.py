# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Whose configuration a server holds: one that was named by mistake, with the same password, is neither claimed nor emptied.

A cluster keeps its UUID for good, also under another name. A server without a configuration is nobody's.
"""

from __future__ import annotations

import typing as t

from ...._errors import StorageFailed
from ..documents import CONFIG, Json
from .client import Client, path


def head(admin: Client, prefix: str) -> t.Optional[Json]:
    """The document ``config_data`` of a server; None where there is none."""
    return t.cast("t.Optional[Json]", admin.get(path(prefix + CONFIG, CONFIG), missing=True))


def owner(found: t.Optional[Json]) -> t.Optional[str]:
    """The UUID of the cluster of which such a document is; None where that is not known."""
    return found["info"]["cluster"].get("uuid") if found else None


def refuse(name: str, admin: Client, prefix: str, uuid: t.Optional[str]) -> None:
    """Raise StorageFailed where the server of the node *name* holds the configuration of another cluster than that of this UUID."""
    found = owner(head(admin, prefix)) if uuid else None
    if found and found != uuid:
        raise StorageFailed(
            f"The CouchDB of {name} ({admin.server.url}) holds the configuration of another cluster, {found}: "
            "give this cluster a server or a prefix of its own."
        )
