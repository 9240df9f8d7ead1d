# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Who the servers say is the master."""

from __future__ import annotations

import typing as t

from ...._errors import GanetiError
from ..documents import CONFIG
from ..epochs import Claim
from .client import Client, Server, brief, path


def read(client: Client, prefix: str) -> t.Optional[Claim]:
    """What a server says; None where it has no configuration."""
    head = client.get(path(prefix + CONFIG, CONFIG), missing=True)
    return Claim(head["serial"], head["info"]["cluster"]["master_node"]) if head else None


def claims(servers: t.Iterable[Server], prefix: str) -> t.List[Claim]:
    """What all servers say that can be asked."""
    found = []
    for server in servers:
        try:
            with brief(server) as client:
                claim = read(client, prefix)
        except GanetiError:  # one that is away is another's business: nothing is written to it either
            continue
        if claim is not None:
            found.append(claim)
    return found
