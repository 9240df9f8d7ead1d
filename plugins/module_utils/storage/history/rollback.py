# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""An object of the configuration as it was before, by Ganeti's own operations, which check and lock as they always do.

Parts that only describe the object, as its parameters and tags, can be brought back. Others say where real things are, as an instance's
node and disks: to write those back would make the configuration a lie, so they are refused. What is configuration alone and has no operation,
or none that says what it was, can be written directly, with Ganeti stopped for a moment; see `direct_changes.py` and `cluster/standstill.py`.
"""

from __future__ import annotations

import time
import typing as t

from ..._difference import Difference
from ..._errors import GanetiError, InvalidInput, PreflightFailed
from ..._here import check_cluster
from ...api import Cluster, connect, jobs
from ...api.master import LocalRunner
from ...api.opcodes import opcode
from ..cluster import standstill
from ..drivers.disk import DiskStorage
from ..drivers.documents import Json
from ..service import settings
from . import direct_changes, object_history, secrets, sound_configuration

Opcodes = t.List[t.Dict[str, t.Any]]
Operation = t.Callable[[str, str, str, t.Any, t.Any], t.Optional[Opcodes]]
"""The opcodes that bring a part of an object (kind, name, part) from what it is to what it was; None where no opcode can say that."""

_BOOKKEEPING = ("serial_no", "mtime", "ctime")
"""What Ganeti counts for itself."""
_DEFAULT = "default"
"""The value by which Ganeti's operations take a parameter away, so that the inherited one is in force (Ganeti: constants.VALUE_DEFAULT)."""


def _parameters(op_id: str, name_field: str) -> Operation:
    """The operation that sets parameters of an object; those that were not there then are taken away."""

    def build(_kind: str, name: str, part: str, now: t.Any, then: t.Any) -> Opcodes:
        now, then = now or {}, then or {}
        return [opcode(op_id, **{name_field: name, part: {**_changed(now, then), **{key: _DEFAULT for key in now if key not in then}}})]

    return build


def _tags(kind: str, name: str, _part: str, now: t.Any, then: t.Any) -> Opcodes:
    added, removed = sorted({*(then or ())} - {*(now or ())}), sorted({*(now or ())} - {*(then or ())})
    pairs = (("OP_TAGS_SET", added), ("OP_TAGS_DEL", removed))
    return [opcode(op_id, kind=kind, name=name, tags=tags) for op_id, tags in pairs if tags]


def _value(op_id: str, name_field: t.Optional[str], field: t.Optional[str] = None, empty: t.Optional[str] = None) -> Operation:
    """The operation that sets a value. Of one that is empty Ganeti thinks that it is not to be set, unless *empty* is its word for that."""

    def build(_kind: str, name: str, part: str, _now: t.Any, then: t.Any) -> t.Optional[Opcodes]:
        value = empty if then in (None, "", [], {}) else then
        named = {name_field: name} if name_field else {}
        return None if value is None else [opcode(op_id, **named, **{field or part: value})]

    return build


def _cluster_parameters(_kind: str, _name: str, part: str, now: t.Any, then: t.Any) -> t.Optional[Opcodes]:
    """The operation that sets parameters which all objects inherit. It takes none away, as a cluster has all of them, always."""
    now, then = ({"default": now or {}}, {"default": then or {}}) if part == "ndparams" else (now or {}, then or {})
    if now.keys() - then.keys() or any(now.get(key, {}).keys() - values.keys() for key, values in then.items()):
        return None
    changed = {key: _changed(now.get(key, {}), values) for key, values in then.items() if now.get(key) != values}
    flat = part in ("beparams", "ndparams", "nicparams")
    return [opcode("OP_CLUSTER_SET_PARAMS", **{part: changed["default"] if flat else changed})] if changed else None


def _os_parameters(_kind: str, _name: str, part: str, now: t.Any, then: t.Any) -> Opcodes:
    """The operation that sets the parameters of operating systems, and takes away those that were not there then."""
    now, then = now or {}, then or {}
    pairs = {name: (now.get(name, {}), then.get(name, {})) for name in {*now, *then} if now.get(name) != then.get(name)}
    changed = {name: {**_changed(*pair), **{key: _DEFAULT for key in pair[0] if key not in pair[1]}} for name, pair in pairs.items()}
    return [opcode("OP_CLUSTER_SET_PARAMS", **{part: changed})]


def _changed(now: Json, then: Json) -> Json:
    return {key: value for key, value in then.items() if key not in now or now[key] != value}


_INSTANCE = _parameters("OP_INSTANCE_SET_PARAMS", "instance_name")
_CLUSTER = _value("OP_CLUSTER_SET_PARAMS", None)
_NETWORK = _value("OP_NETWORK_SET_PARAMS", "network_name", empty="none")
OPERATIONS: t.Mapping[str, t.Mapping[str, Operation]] = {
    "cluster": {
        **dict.fromkeys(("beparams", "diskparams", "hvparams", "ndparams", "nicparams"), _cluster_parameters),
        "osparams": _os_parameters,
        **dict.fromkeys(
            ("candidate_pool_size", "compression_tools", "default_iallocator", "install_image", "mac_prefix", "maintain_node_health", "max_running_jobs",
             "max_tracked_jobs", "modify_etc_hosts", "prealloc_wipe_disks", "zeroing_image"),
            _CLUSTER,
        ),
        "tags": _tags,
    },
    "instance": {"beparams": _INSTANCE, "hvparams": _INSTANCE, "os": _value("OP_INSTANCE_SET_PARAMS", "instance_name", "os_name"), "osparams": _INSTANCE,
                 "tags": _tags},
    "node": {"ndparams": _parameters("OP_NODE_SET_PARAMS", "node_name"), "tags": _tags},
    "nodegroup": {
        "alloc_policy": _value("OP_GROUP_SET_PARAMS", "group_name"),
        "ndparams": _parameters("OP_GROUP_SET_PARAMS", "group_name"),
        "tags": _tags,
    },
    "network": {"gateway6": _NETWORK, "mac_prefix": _NETWORK, "network6": _NETWORK, "tags": _tags},
    "filter": {},
}  # fmt: skip
"""What can be brought back of which kind of object, and how."""


class Plan(t.NamedTuple):
    """How to bring an object back: by operations, and parts that are written directly; what that changes; the parts that differ and stay as they are."""

    opcodes: Opcodes
    direct: t.List[str]
    change: Difference
    left: t.List[str]


def plan(kind: str, now: Json, then: Json, parts: t.Optional[t.Sequence[str]], directly: bool = False) -> Plan:
    """How to bring back *parts* of an object, or all that differ; raise PreflightFailed for what cannot be brought back, or not without *directly*."""
    differing = [part for part in sorted({*now, *then}) if part not in _BOOKKEEPING and now.get(part) != then.get(part)]
    known = {*OPERATIONS[kind], *direct_changes.DIRECT[kind]}
    unknown = sorted({*(parts or ())} - known)
    if unknown:
        raise InvalidInput(f"{', '.join(unknown)} of {kind}s cannot be brought back: name some of {', '.join(sorted(known))}.")
    wanted = differing if parts is None else [part for part in differing if part in parts]
    found = Plan([], [], Difference(), [part for part in differing if part not in wanted])
    problems = []
    before, after = secrets.masked(now), secrets.masked(then)
    for part in wanted:
        found.change.add(part, before.get(part), after.get(part))
        operation = OPERATIONS[kind].get(part)
        opcodes = operation(kind, str(now.get("name", "")), part, now.get(part), then.get(part)) if operation else None
        if opcodes is not None:
            found.opcodes.extend(opcodes)
        elif directly and part in direct_changes.DIRECT[kind]:
            found.direct.append(part)
        else:
            problems.append(_refusal(kind, part))
    if problems:
        raise PreflightFailed(problems)
    return found


def _refusal(kind: str, part: str) -> str:
    if part not in direct_changes.DIRECT[kind]:
        return f"{part} differs too, and says where real things are or has no operation that sets it: name in parts what to bring back."
    return (
        f"{part} differs, and no operation of Ganeti's sets it to what it was: with direct: true it is written while Ganeti's daemons stop for a moment; "
        "or name in parts what else to bring back."
    )


def roll_back(params: t.Mapping[str, t.Any], check_mode: bool) -> Json:
    """Do what the module's parameters say; the module's result. Raises GanetiError."""
    kind, name, serial = params["kind"], params["name"], params["serial"]
    if (kind == "cluster") == (name is not None):
        raise InvalidInput("name is needed for every kind but cluster, and not allowed there: there is one cluster.")
    check_cluster(params["cluster_name"])
    chosen = settings.read(params["settings_file"])
    identity, revisions = object_history.look_up(chosen, kind, name)
    then = object_history.at(revisions, serial)
    if kind == "cluster" and then is not None:
        then = then["cluster"]
    files = DiskStorage(chosen.directory)
    configuration = files.configuration()
    now = direct_changes.find(configuration, kind, identity)
    if then is None:
        raise InvalidInput(f"{kind} {name or ''} was not there yet at serial number {serial}: name a later one.".replace("  ", " "))
    if now is None:
        _check_restorable(params)
        return _restore(params, files, configuration, identity, then, check_mode)
    found = plan(kind, now, then, params["parts"], params["direct"])
    if found.direct:
        _check_write(configuration, direct_changes.amend(configuration, kind, identity, then, found.direct, time.time()))
    if found.opcodes and not check_mode:
        with connect({}) as cluster:
            _run(cluster, params, found.opcodes)
    if found.direct and not check_mode:
        configuration = files.configuration()
        wanted = direct_changes.amend(configuration, kind, identity, then, found.direct, time.time())
        sound_configuration.verify(LocalRunner(), configuration, wanted)
        _write(params, configuration, wanted)
    if found.change.changed and not check_mode:
        _check_done(kind, direct_changes.find(files.configuration(), kind, identity), then, found)
    return {"changed": found.change.changed, "diff": found.change.diff(), "id": identity, "left": found.left, "direct": found.direct}


def _check_restorable(params: t.Mapping[str, t.Any]) -> None:
    what = f"{params['kind']} {params['name']} was removed"
    if params["kind"] not in direct_changes.RESTORABLE:
        raise InvalidInput(f"{what}, and its disks or its machine with it: it cannot be brought back like this.")
    if not params["direct"]:
        raise InvalidInput(f"{what}, and no operation of Ganeti's makes it again as it was: direct: true writes it, while Ganeti's daemons stop for a moment.")
    if params["parts"] is not None:
        raise InvalidInput(f"{what}: it can be brought back as a whole, without parts.")


def _restore(params: t.Mapping[str, t.Any], files: DiskStorage, configuration: Json, identity: str, then: Json, check_mode: bool) -> Json:
    """Bring back an object that was removed."""
    change = Difference()
    wanted = direct_changes.restore(configuration, params["kind"], identity, then, time.time())
    change.add(f"{params['kind']} {identity}", None, secrets.masked(direct_changes.find(wanted, params["kind"], identity)))
    _check_write(configuration, wanted)
    if not check_mode:
        _write(params, configuration, wanted)
        if direct_changes.find(files.configuration(), params["kind"], identity) is None:
            raise GanetiError(f"Ganeti runs, but without {params['kind']} {params['name']}: compare with its own tools.")
    return {"changed": True, "diff": change.diff(), "id": identity, "left": [], "direct": sorted(then)}


def _check_write(before: Json, after: Json) -> None:
    """All that can be known beforehand of a direct write, in check mode too."""
    sound_configuration.verify(LocalRunner(), before, after)
    with connect({}) as cluster:
        standstill.check_votes(cluster)


def _write(params: t.Mapping[str, t.Any], before: Json, after: Json) -> None:
    standstill.Standstill(LocalRunner()).write(before, after, params["job_timeout"], params["lock_timeout"])


def _check_done(kind: str, now: t.Optional[Json], then: Json, found: Plan) -> None:
    parts = sorted(found.change.diff()["after"])
    left = [part for part in parts if now is None or now.get(part) != then.get(part)]
    if left:
        raise GanetiError(f"Ganeti reported success but did not bring back {', '.join(left)}: compare with its own tools.")


def _run(cluster: Cluster, params: t.Mapping[str, t.Any], opcodes: Opcodes) -> None:
    label = f"bring {params['name'] or 'the cluster'} back to serial number {params['serial']}"
    jobs.run(cluster, opcodes, timeout=params["job_timeout"], lock_timeout=params["lock_timeout"], label=label)
