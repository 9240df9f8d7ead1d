# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Switching a cluster's backend storage, on its master: the service on the nodes, the databases, Ganeti's candidates, the cluster's parameter.

Ganeti's own files stay what they are and stay the truth, so switching takes nothing away and stops no instance.
"""

from __future__ import annotations

import json
import time
import typing as t

from ..._difference import Difference
from ..._errors import GanetiError, InvalidInput
from ...api import Cluster, connect, extended
from ...api.master import LocalRunner, Runner
from ..drivers.disk import DiskStorage
from ..drivers.epochs import Claim
from ..drivers.factory import open_storage
from ..service import health, settings
from ..service.program import program
from . import begin_epoch, candidate_pool, placement, places

Result = t.Dict[str, t.Any]
_ACKNOWLEDGE = ("acknowledge", "degrade", "degrade_after")


def switch(params: t.Mapping[str, t.Any], check_mode: bool) -> Result:
    """Do what the module's parameters say; the module's result. Raises GanetiError."""
    runner = LocalRunner()
    with connect({"cluster_name": params["cluster_name"]}, acknowledged=False) as cluster:
        change = Difference()
        _refuse_second(_parameter(cluster, runner, params["storage"], change, True), params["storage"])
        act = _to_disk if params["storage"] == DiskStorage.name else _to_database
        result = act(params, cluster, runner, change, check_mode)
        if not check_mode:
            _parameter(cluster, runner, params["storage"], Difference(), False)
    return {"changed": change.changed, "diff": change.diff(), "storage": params["storage"], **result}


def _parameter(cluster: Cluster, runner: Runner, storage: str, change: Difference, only_look: bool) -> str:
    """The cluster's parameter, on all nodes that are online; what it was."""
    before = extended.read(runner)
    wanted = {**before, "backend_storage": storage}
    names = extended.online(cluster)
    change.add("backend_storage", before["backend_storage"], storage)
    stale = [node.name for node in extended.nodes(runner, names, wanted) if not node.current]
    change.add("nodes with the parameter", f"not {', '.join(stale)}" if stale else None, "all that are online" if stale else None)
    if stale and not only_look:
        extended.spread(runner, names, wanted)
    return str(before["backend_storage"])


def _refuse_second(before: str, wanted: str) -> None:
    """Raise InvalidInput where another database is in use: by the parameter, or by a service that an interrupted run has left."""
    present = _present()
    for other in (before, present.storage if present else before):
        if DiskStorage.name not in (other, wanted) and other != wanted:
            todo = f"go back to files first, with storage {DiskStorage.name}, and switch to {wanted} then. Ganeti's files have all that is in {other}"
            raise InvalidInput(f"This cluster stores in {other}, and its service follows into one database: {todo}.")


def _to_database(params: t.Mapping[str, t.Any], cluster: Cluster, runner: Runner, change: Difference, check_mode: bool) -> Result:
    facts = _facts(cluster)
    master, place = facts.master, places.place(params, facts)
    primary = params["couchdb_mode"] == "primary"
    storage = open_storage(params["storage"], name=master, **place.options)
    storage.probe()
    storage.refuse_other_cluster(facts.uuid, everywhere=True)
    if not 0 <= params["acknowledge"] <= storage.apart:
        raise InvalidInput(
            f"acknowledge is {params['acknowledge']}, and of {params['storage']} {storage.apart} can be told apart: that many can have a job at most."
        )
    if primary and storage.machines - len(place.outside) < 2:
        raise InvalidInput(f"couchdb_mode primary needs {place.lone}: without it nothing but the master would have a copy.")
    before, present = candidate_pool.read(cluster, master), _present()
    kept = present.pool_size if present else None
    wanted = placement.files(_settings(params, place, candidate_pool.size_to_keep(before, kept) if primary else None), program())
    todo = placement.plan(placement.states(runner, sorted(facts.online), wanted), place.nodes)
    _note(todo, change)
    for name, found in (storage.copies.strays(remove=False).stray if storage.copies else {}).items():  # those of an earlier master; the service removes them
        change.add(f"replications from {name}, which is not the master", found, [])
    resize = candidate_pool.note(before, primary, kept, change)
    begins = begin_epoch.note(change, storage.claims(), storage.begun())
    if check_mode:
        return {"warnings": place.warnings}
    if resize and not primary:  # first the old copies, then the new ones go
        candidate_pool.grow(cluster, before, candidate_pool.size_to_keep(before, kept), params)
    with storage:
        storage.prepare()
    placement.carry_out(runner, todo, wanted)
    if begins:
        begin_epoch.begin(cluster, runner, params, max((claim.serial for claim in _begun()), default=0))
    check = _wait(params["timeout"])
    if resize and primary:
        candidate_pool.shrink(cluster, before, params)
        check = _wait(params["timeout"])
    return {"check": check, "warnings": place.warnings}


def _facts(cluster: Cluster) -> places.Facts:
    info, rows = cluster.info(), cluster.query("node", ["name", "offline", "master_capable"])
    online = frozenset(str(row["name"]) for row in rows if not row["offline"])
    capable = frozenset(str(row["name"]) for row in rows if row["master_capable"])
    return places.Facts(str(info["uuid"]), str(info["master"]), frozenset(str(row["name"]) for row in rows), online, capable)


def _settings(params: t.Mapping[str, t.Any], place: places.Place, pool_size: t.Optional[int]) -> bytes:
    own = {"storage": params["storage"], "status": settings.STATUS, "lag": params["lag"], "mode": params["couchdb_mode"], "pool_size": pool_size}
    asked = {key: params[key] for key in _ACKNOWLEDGE}
    return (json.dumps({**place.settings, **own, **asked}, indent=2, sort_keys=True) + "\n").encode()


def _note(todo: placement.Placement, change: Difference) -> None:
    for name in todo.place:
        change.add(f"service on {name}", todo.found[name], "in place and running")
    for name in todo.remove:
        change.add(f"service on {name}", todo.found[name], "nothing")


def _to_disk(params: t.Mapping[str, t.Any], cluster: Cluster, runner: Runner, change: Difference, check_mode: bool) -> Result:
    wanted: t.Dict[str, bytes] = {}
    todo = placement.plan(placement.states(runner, extended.online(cluster), wanted), [])
    _note(todo, change)
    before, present = candidate_pool.read(cluster, str(cluster.info()["master"])), _present()
    kept = present.pool_size if present else None
    resize = candidate_pool.note(before, False, kept, change)
    if check_mode:
        return {}
    if resize:
        candidate_pool.grow(cluster, before, candidate_pool.size_to_keep(before, kept), params)
    placement.carry_out(runner, todo, wanted)
    return {"warnings": _stop_replications(present) if present else []}


def _begun() -> t.List[Claim]:
    with settings.read(placement.SETTINGS).open() as storage:
        return storage.begun()


def _present() -> t.Optional[settings.Settings]:
    """The settings that there are, be what they name gone; None where there are none yet, or none that can be read and so are to be written anew."""
    try:
        return settings.read(placement.SETTINGS, usable=False)
    except InvalidInput:
        return None


def _stop_replications(chosen: settings.Settings) -> t.List[str]:
    """Remove the replications. A server that is away must not keep anybody from switching back; what to do then is returned."""
    try:
        with chosen.open() as storage:
            if storage.copies:
                storage.copies.rest()
    except GanetiError as error:
        return [f"Replications, if there are any, could not be removed, and go on when the server is back: {error.message}"]
    return []


def _wait(seconds: int) -> str:
    """Wait until the service has written everything and every standby has it; what the check says then."""
    chosen = settings.read(placement.SETTINGS)
    deadline = time.monotonic() + seconds
    while True:
        status, line = health.check(chosen)
        if status == 0:
            return line
        if time.monotonic() > deadline:
            raise GanetiError(f"The service has not caught up within {seconds} s: {line}. Repair that; {placement.UNIT} goes on trying.", check=line)
        time.sleep(0.5)
