# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Nodes of a cluster as hosts that commands are run on."""

from __future__ import annotations

import typing as t

from .cluster import Cluster
from .ssh import SshHost


def node_host(cluster: Cluster, node: str, ssh: t.Optional[t.Mapping[str, t.Any]]) -> SshHost:
    """The *node* by its full name; by its address where the name does not resolve. *ssh* are the options of SshHost."""
    rows = [row for row in cluster.query("node", ["name", "pip"], ["&", ["=", "name", node]]) if row["name"] == node]
    return SshHost(node, ssh or {}, fallback_address=str(rows[0]["pip"]) if rows and rows[0]["pip"] else None)
