# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""An object of the configuration as it was before, by Ganeti's own operations, which check and lock as they always do.

Parts that only describe the object, as its parameters and tags, can be brought back. Others say where real things are, as an instance's
node and disks: to write those back would make the configuration a lie, so they are refused.
"""

from __future__ import annotations

import typing as t

from .._difference import Difference
from .._errors import GanetiError, InvalidInput, PreflightFailed
from ..api import Cluster, connect, jobs
from ..api.opcodes import opcode
from . import past, service
from .disk import DiskStorage
from .documents import Json

Opcodes = t.List[t.Dict[str, t.Any]]
Operation = t.Callable[[str, str, str, t.Any, t.Any], Opcodes]

_BOOKKEEPING = ("serial_no", "mtime", "ctime")
"""What Ganeti counts for itself."""
_DEFAULT = "default"
"""The value by which Ganeti's operations take a parameter away, so that the inherited one is in force (Ganeti: constants.VALUE_DEFAULT)."""


def _parameters(op_id: str, name_field: str) -> Operation:
    """The operation that sets parameters of an object; those that were not there then are taken away."""

    def build(_kind: str, name: str, part: str, now: t.Any, then: t.Any) -> Opcodes:
        now, then = now or {}, then or {}
        changed = {key: value for key, value in then.items() if key not in now or now[key] != value}
        return [opcode(op_id, **{name_field: name, part: {**changed, **{key: _DEFAULT for key in now if key not in then}}})]

    return build


def _tags(kind: str, name: str, _part: str, now: t.Any, then: t.Any) -> Opcodes:
    added, removed = sorted({*(then or ())} - {*(now or ())}), sorted({*(now or ())} - {*(then or ())})
    pairs = (("OP_TAGS_SET", added), ("OP_TAGS_DEL", removed))
    return [opcode(op_id, kind=kind, name=name, tags=tags) for op_id, tags in pairs if tags]


_INSTANCE = _parameters("OP_INSTANCE_SET_PARAMS", "instance_name")
OPERATIONS: t.Mapping[str, t.Mapping[str, Operation]] = {
    "instance": {"beparams": _INSTANCE, "hvparams": _INSTANCE, "osparams": _INSTANCE, "tags": _tags},
    "node": {"ndparams": _parameters("OP_NODE_SET_PARAMS", "node_name"), "tags": _tags},
    "nodegroup": {"tags": _tags},
    "network": {"tags": _tags},
}
"""What can be brought back of which kind of object, and how."""


class Plan(t.NamedTuple):
    """The operations that bring an object back, what they change, and the parts that differ and stay as they are."""

    opcodes: Opcodes
    change: Difference
    left: t.List[str]


def plan(kind: str, now: Json, then: Json, parts: t.Optional[t.Sequence[str]]) -> Plan:
    """How to bring back *parts* of an object, or all that differ; raise PreflightFailed for what no operation can."""
    differing = [part for part in sorted({*now, *then}) if part not in _BOOKKEEPING and now.get(part) != then.get(part)]
    able = OPERATIONS[kind]
    unknown = sorted({*(parts or ())} - {*able})
    if unknown:
        raise InvalidInput(f"{', '.join(unknown)} of {kind}s cannot be brought back: name some of {', '.join(sorted(able))}.")
    wanted = differing if parts is None else [part for part in differing if part in parts]
    problems = [f"{part} differs too, and says where real things are or has no operation that sets it: name in parts what to bring back."
                for part in wanted if part not in able]  # fmt: skip
    if problems:
        raise PreflightFailed(problems)
    change = Difference()
    opcodes: Opcodes = []
    before, after = past.masked(now) or {}, past.masked(then) or {}
    for part in wanted:
        change.add(part, before.get(part), after.get(part))
        opcodes += able[part](kind, str(now["name"]), part, now.get(part), then.get(part))
    return Plan(opcodes, change, [part for part in differing if part not in wanted])


def roll_back(params: t.Mapping[str, t.Any], check_mode: bool) -> Json:
    """Do what the module's parameters say; the module's result. Raises GanetiError."""
    chosen = service.settings(params["settings_file"])
    container = past.KINDS[params["kind"]]
    identity, revisions = past.look_up(chosen, params["kind"], params["name"])
    then = past.at(revisions, params["serial"])
    files = DiskStorage(chosen.directory)
    now = files.configuration()[container].get(identity)
    if now is None:
        raise InvalidInput(f"{params['kind']} {params['name']} was removed, and its disks or its machine with it: it cannot be brought back like this.")
    if then is None:
        raise InvalidInput(f"{params['kind']} {params['name']} was not there yet at serial number {params['serial']}: name a later one.")
    found = plan(params["kind"], now, then, params["parts"])
    if found.opcodes and not check_mode:
        with connect({}) as cluster:
            _run(cluster, params, found.opcodes)
        left = plan(params["kind"], files.configuration()[container][identity], then, sorted(found.change.diff()["after"]))
        if left.opcodes:
            raise GanetiError(f"Ganeti reported success but did not bring back {', '.join(left.change.diff()['after'])}: compare with its own tools.")
    return {"changed": found.change.changed, "diff": found.change.diff(), "id": identity, "left": found.left}


def _run(cluster: Cluster, params: t.Mapping[str, t.Any], opcodes: Opcodes) -> None:
    label = f"bring {params['name']} back to serial number {params['serial']}"
    jobs.run(cluster, opcodes, timeout=params["job_timeout"], lock_timeout=params["lock_timeout"], label=label)
