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

from ..._errors import GanetiError
from ..drivers.couchdb import whole_configuration
from ..drivers.couchdb.client import Client, Server, brief, path
from ..drivers.couchdb.server_comparison import last_job
from ..drivers.couchdb.storage import CouchStorage
from ..drivers.disk import DiskStorage
from ..drivers.documents import ARCHIVE, DATABASES, Json
from . import promotion_mark
from .storage_comparison import holdings

_LIBRARIES = ("/usr/share/ganeti/default", "/etc/ganeti/share")
"""Where Ganeti's Python library may be."""


def survey(name: str, server: Server, others: t.Mapping[str, Server], prefix: str, directory: str, each_job: bool = False) -> Json:
    """All that a failover is decided by; raise GanetiError where the database holds no whole configuration.

    Only with *each_job* it tells of each job in the database, which takes its time: nobody waits for that where the old master is dead.
    """
    with Client(server) as client:
        storage = CouchStorage(client, prefix)
        configuration, behind = storage.newest_whole()
        serial, last = configuration["serial_no"], last_job(client, prefix)
        database = holdings(storage, serial) if each_job else {"serial": serial, "job": last or 0, "queue": {}, "archived": []}
        contents = {name: _content(client, prefix + name) for name in DATABASES if name != ARCHIVE}
    answers = _ask(others, prefix)
    nodes = {node["name"]: _node(uuid, node) for uuid, node in configuration["nodes"].items()}
    return {
        "name": name,
        "cluster_name": configuration["cluster"]["cluster_name"],
        "serial": configuration["serial_no"],
        "behind": behind,
        "contents": contents,
        "database": database,
        "serials": {name: serial for name, (serial, _job) in answers.items()},
        "job_serials": {name: job for name, (_serial, job) in answers.items() if job is not None},
        "nodes": nodes,
        "pool_size": configuration["cluster"]["candidate_pool_size"],
        "version": configuration["version"],
        "installed": installed(),
        "master_ip": configuration["cluster"]["master_ip"],
        "master": DiskStorage(directory).master(),
        "files": of_files(directory),
        "unfinished": promotion_mark.unfinished(directory),
    }


def _content(client: Client, database: str) -> str:
    """A digest of which documents a database has in which revisions. The documents of the design are nobody's business."""
    rows = [(row["id"], row["value"]["rev"]) for row in client.get(path(database, "_all_docs"))["rows"]]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def _node(uuid: str, node: Json) -> Json:
    return {"uuid": uuid, "address": node["primary_ip"], **{key: node[key] for key in ("master_candidate", "master_capable", "offline", "drained")}}


class _Answer(t.NamedTuple):
    """The serial number on a server, as whole_configuration.glance has it, and the last job id that it knows to be given out."""

    serial: t.Union[int, str, None]
    job: t.Optional[int]


def _ask(servers: t.Mapping[str, Server], prefix: str) -> t.Dict[str, _Answer]:
    """What all servers answer, asked at once: some may be away, and take their time."""
    if not servers:
        return {}
    with concurrent.futures.ThreadPoolExecutor(len(servers)) as executor:
        return dict(zip(servers, executor.map(lambda server: _ask_one(server, prefix), servers.values())))


def _ask_one(server: Server, prefix: str) -> _Answer:
    try:
        with brief(server) as client:
            found = whole_configuration.newest(client, prefix)
            return _Answer(found and found.serial, last_job(client, prefix))
    except GanetiError as error:  # it is away, or holds nothing whole
        return _Answer(error.message, None)


def installed() -> t.Optional[int]:
    """The version of configurations that the installed Ganeti reads."""
    sys.path[:0] = _LIBRARIES
    try:
        return int(importlib.import_module("ganeti.constants").CONFIG_VERSION)
    except ImportError:
        return None
    finally:
        del sys.path[: len(_LIBRARIES)]


def of_files(directory: str) -> t.Optional[Json]:
    """What Ganeti's own files hold (holdings.py); None on a node that has none, as it is no master candidate."""
    storage = DiskStorage(directory)
    try:
        return holdings(storage, storage.configuration()["serial_no"])
    except GanetiError:
        return None
