# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What a node knows that may become the master: of its own database, of the other servers, of its own files. Runs on the node."""

from __future__ import annotations

import concurrent.futures
import importlib
import sys
import typing as t

from ..._errors import GanetiError
from ..drivers.disk import DiskStorage
from ..drivers.documents import Json
from ..drivers.interface import Storage
from . import promotion_mark, unused_epoch
from .storage_comparison import holdings

_LIBRARIES = ("/usr/share/ganeti/default", "/etc/ganeti/share")
"""Where Ganeti's Python library may be."""


def survey(name: str, storage: Storage, directory: str, each_job: bool = False, acknowledge: int = 0) -> Json:
    """All that a failover is decided by; raise GanetiError where the storage holds no whole configuration.

    Only with *each_job* it tells of each job that is stored, which takes its time: nobody waits for that where the old master is dead. *acknowledge* servers
    have had each job of which anybody was told.
    """
    configuration, behind = storage.newest()
    serial, last = configuration["serial_no"], storage.last_job()
    database = holdings(storage, serial) if each_job else {"serial": serial, "job": last, "queue": {}, "archived": []}
    with concurrent.futures.ThreadPoolExecutor(1) as executor:  # a server that is away costs both of them seconds
        claims = executor.submit(storage.begun)
        answers = storage.copies.answers() if storage.copies else {}
    return {
        "name": name,
        "storage": storage.name,
        "serial": serial,
        "behind": behind,
        "contents": storage.copies.contents() if storage.copies else {},
        "database": database,
        "serials": {name: answer.serial for name, answer in answers.items()},
        "job_serials": {name: answer.job for name, answer in answers.items() if answer.job is not None},
        "acknowledge": acknowledge,
        "claimed": max((claim.serial for claim in claims.result()), default=0),
        **of_configuration(configuration),
        "master": DiskStorage(directory).master(),
        "files": of_files(directory),
        "unfinished": promotion_mark.unfinished(directory),
    }


def of_configuration(configuration: Json) -> Json:
    """What a configuration says of the cluster and its nodes, and which one the installed Ganeti reads."""
    cluster = configuration["cluster"]
    return {
        "cluster_name": cluster["cluster_name"],
        "nodes": {node["name"]: _node(uuid, node) for uuid, node in configuration["nodes"].items()},
        "pool_size": cluster["candidate_pool_size"],
        "version": configuration["version"],
        "installed": installed(),
        "master_ip": cluster["master_ip"],
    }


def _node(uuid: str, node: Json) -> Json:
    return {"uuid": uuid, "address": node["primary_ip"], **{key: node[key] for key in ("master_candidate", "master_capable", "offline", "drained")}}


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
    """What Ganeti's own files hold (storage_comparison.py); None on a node that has none, as it is no master candidate."""
    storage = DiskStorage(directory)
    try:
        return holdings(storage, unused_epoch.made_of(directory, storage.configuration())["serial_no"])
    except GanetiError:
        return None
