# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Reading a cluster's parameters and bringing them to what the user wants: look, decide, refuse or apply, look again."""

from __future__ import annotations

import contextlib
import time
import typing as t

from .._errors import GanetiError, InvalidInput, PreflightFailed
from . import Cluster, connect, extended, jobs
from .master import Runner, read_configuration, runner
from .opcodes import opcode
from .parameters import (
    BY_NAME,
    CONFIG,
    CONFIG_KEYS,
    CONSTANT_NAMES,
    EXTENDED,
    FILE,
    MODIFY,
    TABLE,
    TAGS,
    Change,
    ClusterState,
    check_transport,
    given_in,
    modifications,
    plan,
    track,
    values,
    warnings,
)

_STORAGE_PATHS = "/etc/ganeti/file-storage-paths"
"""Where the nodes say which directories may hold disks (Ganeti: pathutils.FILE_STORAGE_PATHS_FILE)."""
_LOOKS = 8
"""How often, a second apart, to look for values that Ganeti writes to its configuration file a little later."""


class Reach(t.NamedTuple):
    """A cluster, and commands on its master; none over RAPI."""

    cluster: Cluster
    master: t.Optional[Runner]


class Timeouts(t.NamedTuple):
    """How long, in seconds, a job may wait for locks, and take in all."""

    lock: float
    job: float


def connect_options(params: t.Mapping[str, t.Any]) -> t.Dict[str, t.Any]:
    """The options for `connect` out of a module's parameters."""
    if params["transport"] == "luxi" and params["address"]:
        raise InvalidInput(f"address is {params['address']}, but transport luxi reaches only the host that it runs on: use ssh or rapi.")
    return {name: params[name] for name in ("transport", "address", "cluster_name", "ssh", "rapi")}


@contextlib.contextmanager
def reached(options: t.Mapping[str, t.Any]) -> t.Iterator[Reach]:
    """A cluster, and commands on its master, by the options for `connect`; both connections end with it."""
    with connect(options) as cluster:
        master = runner(options)
        try:
            yield Reach(cluster, master)
        finally:
            if master is not None:
                master.close()


def ensure(params: t.Mapping[str, t.Any], check_mode: bool) -> t.Dict[str, t.Any]:
    """Bring a cluster's parameters to what a module's parameters say; the module's result."""
    options = connect_options(params)
    given = given_in(params)
    if not given:
        raise InvalidInput("No parameter of the cluster was given: name at least one.")
    check_transport(given, options["transport"])
    timeouts = Timeouts(params["lock_timeout"], params["job_timeout"])
    with reached(options) as reach:
        return _ensure(reach, given, check_mode, timeouts)


def describe(params: t.Mapping[str, t.Any]) -> t.Dict[str, t.Any]:
    """All that is known of a cluster, as far as the transport goes."""
    with reached(connect_options(params)) as reach:
        state = read_state(reach, BY_NAME)
    parameters = values(state)
    return {
        "name": state.info["name"],
        "master": state.info["master"],
        "version": state.info["software_version"],
        "parameters": parameters,
        "unreadable": [row.name for row in TABLE if row.name not in parameters],
        "info": dict(state.info),
    }


def read_state(reach: Reach, given: t.Iterable[str]) -> ClusterState:
    """The cluster as it is: what Ganeti tells, and of the rest as much as the parameters with these names need."""
    info = reach.cluster.info()
    if reach.master is None:
        return ClusterState(info)
    config, constants = read_configuration(reach.master, CONFIG_KEYS, CONSTANT_NAMES)
    asked = any(BY_NAME[name].origin == EXTENDED for name in given)
    return ClusterState(info, config, constants, extended.read(reach.master) if asked else None)


def _ensure(reach: Reach, given: t.Mapping[str, t.Any], check_mode: bool, timeouts: Timeouts) -> t.Dict[str, t.Any]:
    state = read_state(reach, given)
    changes = plan(given, state)
    notes = warnings(changes) + _look_out(reach, state, changes)
    stale = _stale(reach, given, state, changes)
    difference = track(changes)
    if stale:
        difference.add("nodes with the extended parameters", f"not {', '.join(stale)}", "all that are online")
    if check_mode:
        _rehearse(reach, changes, timeouts)
    elif difference.changed:
        _apply(reach, given, state, changes, stale, timeouts)
        state = _verified(reach, given)
    wanted = {change.row.name: change.wanted for change in changes if not change.row.secret}
    shown = {name: value for name, value in {**values(state), **wanted}.items() if name in given}
    return {
        "changed": difference.changed,
        "diff": difference.diff(),
        "parameters": shown,
        "distributed": stale,
        "warnings": notes,
    }


# --- What Ganeti would not say in time --------------------------------------------------------------------------------


def _in_use(reach: Reach, state: ClusterState, change: Change) -> t.Optional[str]:
    """Ganeti takes a hypervisor away from under its instances."""
    gone = set(change.current) - set(change.wanted)
    users = [f"{row['name']} ({row['hypervisor']})" for row in reach.cluster.query("instance", ["name", "hypervisor"]) if row["hypervisor"] in gone]
    return f"leaves out hypervisors that instances use: {', '.join(users[:10])}; keep them, or remove these instances first" if users else None


def _no_device(reach: Reach, state: ClusterState, change: Change) -> t.Optional[str]:
    """Ganeti takes the cluster's address from the old device, stores the new one and only then finds that there is none."""
    if reach.master is None or reach.master.run(["test", "-d", f"/sys/class/net/{change.wanted}"])[0] == 0:
        return None
    return f"is {change.wanted}, and the master {state.info['master']} has no such network device: the cluster's address would be lost"


def _too_long(reach: Reach, state: ClusterState, change: Change) -> t.Optional[str]:
    if change.wanted <= 32 or state.info.get("primary_ip_version") != 4:
        return None
    return f"is {change.wanted}, but the cluster's address is of IPv4: use a number up to 32"


_OBSTACLES: t.Mapping[str, t.Callable[[Reach, ClusterState, Change], t.Optional[str]]] = {
    "enabled_hypervisors": _in_use,
    "master_netdev": _no_device,
    "master_netmask": _too_long,
}


def _look_out(reach: Reach, state: ClusterState, changes: t.Sequence[Change]) -> t.List[str]:
    """What the user should know. Raises PreflightFailed for what Ganeti would find out too late, or never."""
    checks = [(change.row.name, _OBSTACLES[change.row.name](reach, state, change)) for change in changes if change.row.name in _OBSTACLES]
    problems = [f"{name} {obstacle}." for name, obstacle in checks if obstacle]
    if problems:
        raise PreflightFailed(problems)
    return _forbidden_directories(reach, changes)


def _forbidden_directories(reach: Reach, changes: t.Sequence[Change]) -> t.List[str]:
    """Ganeti stores any directory, but nodes use only what is in a file of their own."""
    wanted = {change.row.name: change.wanted for change in changes if change.row.name in ("file_storage_dir", "shared_file_storage_dir")}
    if reach.master is None or not any(wanted.values()):
        return []
    text = reach.master.run(["cat", _STORAGE_PATHS])[1].decode("utf-8", "replace")
    allowed = [line.strip().rstrip("/") for line in text.splitlines() if line.startswith("/")]
    return [
        f"{name} {path} is not within any path of {_STORAGE_PATHS} on the master: until it is, on all nodes, no disk can be made there."
        for name, path in wanted.items()
        if path and not any(path == root or path.startswith(root + "/") for root in allowed)
    ]


# --- Applying ---------------------------------------------------------------------------------------------------------


def _opcodes(changes: t.Sequence[Change], **common: t.Any) -> t.List[t.Dict[str, t.Any]]:
    """What brings the changes about, in order; each is a job of its own, as RAPI has no other way."""
    result = [opcode(MODIFY, **fields, **common) for fields in modifications(changes)]
    for change in changes:
        if change.row.via == TAGS:
            added, removed = (sorted(set(a) - set(b)) for a, b in ((change.wanted, change.current), (change.current, change.wanted)))
            result += [
                opcode(op_id, kind="cluster", tags=tags, **common) for op_id, tags in (("OP_TAGS_SET", added), ("OP_TAGS_DEL", removed)) if tags
            ]
    return result


def _rehearse(reach: Reach, changes: t.Sequence[Change], timeouts: Timeouts) -> None:
    """Let Ganeti check what it would do, without doing it."""
    for op in _opcodes([change for change in changes if change.row.via == MODIFY], dry_run=True):
        jobs.run(reach.cluster, [op], timeout=timeouts.job, lock_timeout=timeouts.lock, label="rehearsal of the cluster's parameters")


def _apply(
    reach: Reach, given: t.Mapping[str, t.Any], state: ClusterState, changes: t.Sequence[Change], stale: t.Sequence[str], timeouts: Timeouts
) -> None:
    try:
        for op in _opcodes(changes):
            (result,) = jobs.run(reach.cluster, [op], timeout=timeouts.job, lock_timeout=timeouts.lock, label="the cluster's parameters")
            for job_id in _further_jobs(result):
                jobs.results(reach.cluster, job_id, timeout=timeouts.job, label="the cluster's network")
        if stale and reach.master is not None:
            extended.spread(reach.master, extended.online(reach.cluster), _extended(state, changes))
    except GanetiError as error:
        raise _partly(reach, given, changes, error) from error


def _further_jobs(result: t.Any) -> t.List[int]:
    """The jobs that an opcode left behind (Ganeti: ResultWithJobs)."""
    entries = result.get("jobs", []) if isinstance(result, dict) else []
    return [int(entry[-1] if isinstance(entry, list) else entry) for entry in entries]


def _partly(reach: Reach, given: t.Mapping[str, t.Any], changes: t.Sequence[Change], error: GanetiError) -> GanetiError:
    """The error, with what of the changes is in force all the same."""
    try:
        left = {change.row.name for change in plan(given, read_state(reach, given))}
    except GanetiError:
        error.details["applied"] = None
        return error
    applied = [change.row.name for change in changes if change.row.name not in left]
    error.details["applied"] = applied
    if applied:
        # The family's classes differ in what they are made of, so the message is added to where it is read.
        error.reword(f"{error.message} These are in force all the same: {', '.join(applied)}.")
    return error


def _verified(reach: Reach, given: t.Mapping[str, t.Any]) -> ClusterState:
    """Look again. Raises GanetiError where Ganeti took a job but not what was in it."""
    for attempt in range(_LOOKS):
        state = read_state(reach, given)
        left = plan(given, state)
        if not left:
            return state
        if not any(change.row.origin == CONFIG for change in left):
            break
        time.sleep(min(1, attempt))
    names = [change.row.name for change in left]
    raise GanetiError(
        f"Ganeti reported success but did not take {', '.join(names)}: compare with gnt-cluster info on the master.", not_taken=names
    )


# --- Extended parameters ----------------------------------------------------------------------------------------------


def _extended(state: ClusterState, changes: t.Sequence[Change]) -> t.Dict[str, t.Any]:
    """All extended parameters as they should be."""
    return {**(state.extended or {}), **{change.row.name: change.wanted for change in changes if change.row.via == FILE}}


def _stale(reach: Reach, given: t.Mapping[str, t.Any], state: ClusterState, changes: t.Sequence[Change]) -> t.List[str]:
    """The nodes, online, that do not have the extended parameters as they should be; none where none is asked for."""
    if reach.master is None or not any(BY_NAME[name].via == FILE for name in given):
        return []
    wanted = _extended(state, changes)
    return [node.name for node in extended.nodes(reach.master, extended.online(reach.cluster), wanted) if not node.current]
