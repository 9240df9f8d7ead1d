# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a document of ``_replicator`` may ask for."""

from __future__ import annotations

import typing as t

from .accounts import User
from .documents import REPLICATION
from .errors import Forbidden, NotImplementedHere

MISSING = ("filter", "query_params", "selector", "source_proxy", "target_proxy", "since_seq", "winning_revs_only", "create_target_params", "cancel")
ENDED = ("completed", "failed")


def check(body: dict[str, t.Any], user: User) -> dict[str, t.Any]:
    """The document as it is stored: with its owner, and without a state that only the replicator may give."""
    for role in ("source", "target"):
        _check_endpoint(role, body.get(role))
    for name in ("continuous", "create_target"):
        if not isinstance(body.get(name, False), bool):
            raise Forbidden(f"parameter `{name}` must be a boolean")
    if not isinstance(body.get("doc_ids", []), list):
        raise Forbidden("parameter `doc_ids` must be an array")
    for name in MISSING:
        if name in body:
            raise NotImplementedHere(f"replication with {name!r}")
    if body.get("_replication_state") not in ENDED:
        body = {key: value for key, value in body.items() if key not in REPLICATION}
    return body if "owner" in body else {**body, "owner": user.name}


def _check_endpoint(role: str, value: t.Any) -> None:
    if not value:
        raise Forbidden("Missing replicator database")
    url = value.get("url") if isinstance(value, dict) else value
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        raise Forbidden("local_endpoints_not_supported")
    if isinstance(value, dict):
        for name in value:
            if name not in ("url", "auth", "headers"):
                raise NotImplementedHere(f"member {name!r} of the {role} of a replication")
