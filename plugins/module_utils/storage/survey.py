# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What a node knows that may become the master: of its own database, of the other servers, of its own files. Runs on the node."""

from __future__ import annotations

import concurrent.futures
import hashlib
import importlib
import json
import sys
import typing as t

from .._errors import GanetiError
from . import promotion, replication
from .client import Client, Server, path
from .couchdb import CouchStorage
from .disk import DiskStorage
from .documents import ARCHIVE, DATABASES, Json

_LIBRARIES = ("/usr/share/ganeti/default", "/etc/ganeti/share")
"""Where Ganeti's Python library may be."""


def survey(name: str, server: Server, others: t.Mapping[str, Server], prefix: str, directory: str) -> Json:
    """All that a failover is decided by; raise GanetiError where the database holds no whole configuration."""
    with Client(server) as client:
        configuration = CouchStorage(client, prefix).configuration()
        contents = {database: _content(client, prefix + database) for database in DATABASES if database != ARCHIVE}
    nodes = {node["name"]: _node(uuid, node) for uuid, node in configuration["nodes"].items()}
    return {
        "name": name,
        "cluster_name": configuration["cluster"]["cluster_name"],
        "serial": configuration["serial_no"],
        "contents": contents,
        "serials": _serials(others, prefix),
        "nodes": nodes,
        "pool_size": configuration["cluster"]["candidate_pool_size"],
        "version": configuration["version"],
        "installed": _installed(),
        "master_ip": configuration["cluster"]["master_ip"],
        "master": DiskStorage(directory).master(),
        "files": _files(DiskStorage(directory)),
        "unfinished": promotion.unfinished(directory),
    }


def _content(client: Client, database: str) -> str:
    """A digest of which documents a database has in which revisions. The documents of the design are nobody's business."""
    rows = [(row["id"], row["value"]["rev"]) for row in client.get(path(database, "_all_docs"))["rows"]]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def _node(uuid: str, node: Json) -> Json:
    return {"uuid": uuid, "address": node["primary_ip"], **{key: node[key] for key in ("master_candidate", "master_capable", "offline", "drained")}}


def _serials(servers: t.Mapping[str, Server], prefix: str) -> Json:
    """The serial numbers on all servers, asked at once: some may be away, and take their time."""
    if not servers:
        return {}
    with concurrent.futures.ThreadPoolExecutor(len(servers)) as executor:
        return dict(zip(servers, executor.map(lambda server: replication.glance(server, prefix), servers.values())))


def _installed() -> t.Optional[int]:
    """The version of configurations that the installed Ganeti reads."""
    sys.path[:0] = _LIBRARIES
    try:
        return int(importlib.import_module("ganeti.constants").CONFIG_VERSION)
    except ImportError:
        return None
    finally:
        del sys.path[: len(_LIBRARIES)]


def _files(files: DiskStorage) -> t.Optional[Json]:
    """The serial number and the last job of Ganeti's own files; None on a node that has none, as it is no master candidate."""
    try:
        return {"serial": files.configuration()["serial_no"], "job": files.queue_serial()}
    except GanetiError:
        return None
