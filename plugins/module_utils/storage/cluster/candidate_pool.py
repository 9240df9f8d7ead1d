# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Ganeti's master candidates: the nodes to which it copies the configuration and each job itself, before a client gets its answer."""

from __future__ import annotations

import typing as t

from ..._difference import Difference
from ...api import Cluster, jobs
from ...api.opcodes import opcode

Limits = t.Mapping[str, t.Any]
"""A module's parameters, of which lock_timeout and job_timeout are used."""
DEFAULT_SIZE = 10
"""Ganeti: constants.MASTER_POOL_SIZE_DEFAULT."""


class Pool(t.NamedTuple):
    """How many candidates Ganeti wants, which nodes beside the master are some, and which could be."""

    size: int
    others: t.List[str]
    able: t.List[str]


def read(cluster: Cluster, master: str) -> Pool:
    """The pool as it is."""
    rows = [row for row in cluster.query("node", ["name", "master_candidate", "master_capable", "offline", "drained"]) if row["name"] != master]
    able = [row["name"] for row in rows if row["master_capable"] and not (row["master_candidate"] or row["offline"] or row["drained"])]
    return Pool(int(cluster.info()["candidate_pool_size"]), sorted(row["name"] for row in rows if row["master_candidate"]), sorted(able))


def size_to_keep(pool: Pool, kept: t.Optional[int]) -> int:
    """The size to come back to: the one of today, unless that is of our own making."""
    return pool.size if pool.size > 1 else kept or DEFAULT_SIZE


def note(pool: Pool, primary: bool, kept: t.Optional[int], change: Difference) -> bool:
    """Whether anything has to be done."""
    wanted = 1 if primary else size_to_keep(pool, kept) if kept is not None else pool.size
    change.add("candidate_pool_size", pool.size, wanted)
    gone = pool.others if primary else []
    change.add("master candidates beside the master", pool.others if gone else [], [])
    return wanted != pool.size or bool(gone)


def shrink(cluster: Cluster, pool: Pool, params: Limits) -> None:
    """Leave the master alone in the pool: copies then are the database's business."""
    if pool.size != 1:
        _resize(cluster, 1, params)
    for name in pool.others:
        _role(cluster, name, False, params)


def grow(cluster: Cluster, pool: Pool, size: int, params: Limits) -> None:
    """Have as many candidates as before. Ganeti itself promotes nobody because the size has changed (seen with 3.0.2)."""
    _resize(cluster, size, params)
    for name in pool.able[: max(0, size - 1 - len(pool.others))]:
        _role(cluster, name, True, params)


def _resize(cluster: Cluster, size: int, params: Limits) -> None:
    _run(cluster, opcode("OP_CLUSTER_SET_PARAMS", candidate_pool_size=size), params, f"want {size} master candidates")


def _role(cluster: Cluster, name: str, candidate: bool, params: Limits) -> None:
    label = f"make {name} a {'master candidate' if candidate else 'regular node'}"
    _run(cluster, opcode("OP_NODE_SET_PARAMS", node_name=name, master_candidate=candidate), params, label)


def _run(cluster: Cluster, op: t.Dict[str, t.Any], params: Limits, label: str) -> None:
    jobs.run(cluster, [op], timeout=params["job_timeout"], lock_timeout=params["lock_timeout"], label=label)
