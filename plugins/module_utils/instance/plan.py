# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What has to be done with an instance, decided from what is known of it, without talking to anybody.

1. An instance that is there is never made anew: what cannot be changed is refused.
2. Whether an instance runs has three answers. Where it is not known, nothing is started, stopped, restarted or removed.
3. Disks and interfaces go only if they are given as absent, tags only if all are to be as given; those of this collection (api/claims.py) stay.
4. Nothing is done to an instance that is being moved or zeroed.
5. One that runs is stopped for a change only where that is allowed, and started again after it. A tag says so meanwhile, so that a run which dies in
   between leaves nothing stopped: the same task starts it.
"""

from __future__ import annotations

import re
import typing as t

from .._difference import Difference
from .._errors import GanetiError, PreflightFailed
from ..api import claims
from ..api.instances import Instance
from ..api.opcodes import MASK, opcode
from ..api.parameter_kinds import Problem
from . import devices, parameters, stopped
from .facts import Facts, Op, Params
from .stopped import REINSTALLED
from .table import CREATE, FIXED, HOW, MODIFY, OBSERVED, TABLE

PRESENT, GONE, STARTED, STOPPED, RESTARTED = "present", "absent", "started", "stopped", "restarted"
STATES = (PRESENT, GONE, STARTED, STOPPED, RESTARTED, REINSTALLED)

_KINDS = ("beparams", "hvparams", "osparams", "osparams_private")
_TAG = re.compile(r"[\w.+*/:@-]{1,128}\Z", re.ASCII)


class Plan(t.NamedTuple):
    """The opcodes, each a job; what differs; and what a running instance will not have before it is restarted."""

    opcodes: t.List[Op]
    difference: Difference
    pending: t.List[str]
    growing: t.Mapping[int, str] = {}
    """The UUIDs of the disks that grow, by the indexes that they have to have then."""
    only_running: bool = False
    """Whether it is restarted only for what is pending, so that one which somebody has stopped meanwhile is not started."""
    plugged: t.Tuple[str, ...] = ()
    """The devices that it gets, or gives back, at once, if Ganeti says so of each: where plugging fails, the job succeeds all the same."""
    interrupted: bool = False
    """Whether it is stopped for what is done, and started again."""


def plan(name: str, params: Params, facts: Facts) -> Plan:
    """What has to be done. Raises PreflightFailed, naming all that stands against it, or GanetiError where somebody else works on the instance."""
    problems: t.List[str] = []
    if facts.instance is None:
        made = _gone() if params["state"] == GONE else _creation(name, params, facts.info, problems)
    elif params["state"] == GONE:
        made = _removal(facts.instance, params, problems)
    else:
        made = _changes(facts.instance, params, facts, problems)
        if claims.UNFINISHED in facts.instance["tags"] and params["state"] != REINSTALLED:
            raise GanetiError(
                f"{facts.instance['name']} was not made to its end, as its installation failed, or is under way still: see the job. Remove it with "
                "state: absent, or install it with state: reinstalled. Where it was installed otherwise, say so: "
                f"gnt-instance remove-tags {facts.instance['name']} {claims.UNFINISHED}"
            )
    if problems:
        raise PreflightFailed(problems)
    if made.opcodes and facts.instance is not None:
        other = claims.under_way(facts.instance["tags"])
        if other:
            raise GanetiError(f"{facts.instance['name']} {other}; nothing was changed.")
        if facts.jobs and params["state"] != GONE:  # its tag tells of a run that has died, or of one that is at work
            raise GanetiError(
                f"{facts.instance['name']} was stopped for a change, or is being installed, and not all of its jobs have ended: {', '.join(facts.jobs)}. "
                "Another run may be at work on it: wait for that, and run the same task again; nothing was changed."
            )
        return made._replace(opcodes=[_about(op, facts.instance["uuid"]) for op in made.opcodes])
    return made


def _about(op: Op, uuid: str) -> Op:
    """The opcode with the UUID of the instance that was looked at: a move within the cluster gives its name to another."""
    return {**op, "instance_uuid": uuid} if "instance_name" in op else op


def _gone() -> Plan:
    return Plan([], Difference(), [])


def _how(params: Params) -> t.Dict[str, t.Any]:
    return {row.create: params[row.name] for row in HOW}


# --- Making -----------------------------------------------------------------------------------------------------------


def _creation(name: str, params: Params, info: t.Mapping[str, t.Any], problems: t.List[str]) -> Plan:
    difference = Difference()
    plain = {row.create: params[row.name] for row in TABLE if row.create and row.argument["type"] in ("str", "bool") and params[row.name] is not None}
    plain["no_install"] = not params["install"]
    if params["state"] == REINSTALLED or params["new_name"]:
        other = f", and no {params['new_name']}" if params["new_name"] else ""
        verb = "reinstalled" if params["state"] == REINSTALLED else "renamed"
        problems.append(f"There is no instance {name}{other}, and what is not there cannot be {verb}: name the one that is meant, or make it first.")
    elif not params["os"]:
        problems.append(f"There is no instance {name}, and no os to make it with: name one, or the instance that is meant.")
    if not params["primary_node"] and not params["iallocator"] and not info.get("default_iallocator"):
        problems.append(f"{name} has no primary_node and no iallocator, and the cluster has no default one: name either.")
    if params["ip_check"] and not params["name_check"]:
        problems.append("ip_check needs name_check, as the address is that of the name.")
    hypervisor = params["hypervisor"] or next(iter(info.get("enabled_hypervisors") or ()), "")
    defaults = {"beparams": info.get("beparams", {}).get("default", {}), "hvparams": info.get("hvparams", {}).get(hypervisor, {})}
    given = _parameters(params, {}, defaults, problems)
    template = params["disk_template"] or next(iter(info.get("enabled_disk_templates") or ()), None)
    disks = devices.disks(params["disks"] or [], [], template, problems)
    if not disks.added and template != "diskless" and not problems:
        problems.append(f"{name} has no disks: give at least one, or disk_template diskless.")
    nics = devices.nics(params["nics"] or [], [], problems)
    tags = _tags(params, [], problems)
    # Ganeti keeps an instance whose installation fails, and does not tell it from others.
    unfinished = [claims.UNFINISHED] if params["install"] and disks.added else []
    fields = {
        **plain,
        **{kind: merged.after for kind, merged in given.items()},
        "disks": disks.added,
        "nics": [{}] if params["nics"] is None else nics.added,
        "tags": [*tags, *unfinished],
    }
    difference.add("state", "absent", "running" if params["state"] in (STARTED, RESTARTED) else "stopped")
    for row in OBSERVED:
        if params[row.name]:
            difference.add(row.name, None, params[row.name])
    _note(difference, given, [*disks.noted, *nics.noted], [], tags)
    ops = [] if problems else [opcode(CREATE, instance_name=name, mode="create", start=False, **fields)]
    if unfinished:
        ops.append(opcode("OP_TAGS_DEL", kind="instance", name=name, tags=unfinished))
    if params["state"] in (STARTED, RESTARTED):
        ops.append(opcode("OP_INSTANCE_STARTUP", instance_name=name))
    return Plan(ops, difference, [])


# --- Removing ---------------------------------------------------------------------------------------------------------


def _removal(instance: Instance, params: Params, problems: t.List[str]) -> Plan:
    difference = Difference()
    if instance["oper_state"] is None:
        problems.append(_unknown(instance, "removed"))
    difference.add("state", _state(instance), "absent")
    for kind in ("disks", "nics"):
        for device in instance[kind]:
            difference.add(f"{kind}.{device['name'] or device['index']}", {name: value for name, value in device.items() if value is not None}, None)
    # Ganeti gives no hint of what is left behind where it passes over failures.
    op = opcode("OP_INSTANCE_REMOVE", instance_name=instance["name"], shutdown_timeout=params["shutdown_timeout"], ignore_failures=False)
    return Plan([op], difference, [])


def _unknown(instance: Instance, what: str) -> str:
    return (
        f"{instance['name']} cannot be {what}: its node {instance['primary_node']} does not tell whether it runs (status {instance['status']}); "
        "bring the node back, or bring the instance to another one first."
    )


def _state(instance: Instance) -> str:
    return {True: "running", False: "stopped", None: "unknown"}[instance["oper_state"]]


# --- Changing ---------------------------------------------------------------------------------------------------------


def _changes(instance: Instance, params: Params, facts: Facts, problems: t.List[str]) -> Plan:
    difference = Difference()
    name = instance["name"]
    problems += _fixed(instance, params)
    own = {**{kind: instance[kind]["own"] for kind in _KINDS[:3]}, "osparams_private": facts.private or {}}
    effective = {kind: instance[kind]["effective"] for kind in _KINDS[:2]}
    merged = _parameters(params, own, effective, problems)
    work = stopped.work(instance, params, facts, merged, difference, problems)
    interrupted = _is_interrupted(instance, params, work, problems)
    # One that is to be stopped is stopped first, and then changed.
    runs = instance["oper_state"] is not False and not interrupted and not (instance["oper_state"] and params["state"] == STOPPED)
    disks = devices.disks(params["disks"] or [], instance["disks"], instance["disk_template"], problems)
    nics = devices.nics(params["nics"] or [], instance["nics"], problems)
    if disks.removed and runs and not params["hotplug"]:
        problems.append(f"{name} may run, and a disk is taken from a running instance only with hotplug: stop it first, or set hotplug.")
    now = [tag for tag in instance["tags"] if tag not in claims.ours(instance["tags"])]
    wanted = _tags(params, now, problems)
    noted = [*disks.noted, *nics.noted]
    _note(difference, merged, noted, now, wanted)
    pending = _pending(instance, params, merged, noted) if runs else []
    plugged = sorted({_device(*each) for each in noted if _is_plugged(*each)}) if runs and params["hotplug"] else []
    # Ganeti 3.0 refuses to plug anything into an instance that does not run.
    early = stopped.before(merged) if stopped.is_reinstalled(instance, params) else merged
    ops = _modifications(name, params, early, disks, nics, hotplug=params["hotplug"] and runs)
    ops += [
        opcode("OP_INSTANCE_GROW_DISK", instance_name=name, disk=index, amount=size, absolute=True,
               **{field: params[field] for field in ("wait_for_sync", "ignore_ipolicy")})
        for _uuid, index, size in disks.grown
    ]  # fmt: skip
    added, removed = (sorted(set(a) - set(b)) for a, b in ((wanted, now), (now, wanted)))
    ops += [opcode(op_id, kind="instance", name=name, tags=tags) for op_id, tags in (("OP_TAGS_SET", added), ("OP_TAGS_DEL", removed)) if tags]
    made = Plan([*ops, *work.opcodes], difference, pending, {index: uuid for uuid, index, _size in disks.grown}, plugged=tuple(plugged))
    if interrupted:
        return _stopped_and_started(instance, params, made, work.name, problems)
    return _to_state(instance, params, made, work.name, problems)


def _fixed(instance: Instance, params: Params) -> t.List[str]:
    """What is given and is otherwise, and stays so."""
    problems = []
    for row in FIXED:
        wanted, now = params[row.name], instance[row.observed]
        if isinstance(now, list):
            now = next(iter(now), None)
        if row.name.endswith("_node") and wanted and _is_on(instance, wanted):
            continue
        if row.reinstall and params["state"] == REINSTALLED or row.templates and stopped.converts(instance, params):
            continue
        if wanted and wanted != now:
            problems.append(f"{row.name} of {instance['name']} is {now or 'none'} and stays so, although {wanted} was asked for: {row.refusal}.")
    return problems


def _is_on(instance: Instance, node: str) -> bool:
    """Whether one of its two nodes is meant, by its first labels as Ganeti takes it: after a failover or a migration they have changed places."""
    return any(each == node or each.startswith(f"{node}.") for each in (instance["primary_node"], *instance["secondary_nodes"]) if each)


def _modifications(
    name: str, params: Params, merged: t.Mapping[str, parameters.Merged], disks: devices.Work, nics: devices.Work, hotplug: bool
) -> t.List[Op]:
    fields: t.Dict[str, t.Any] = {kind: each.send for kind, each in merged.items() if each.send}
    for kind, work in (("disks", disks), ("nics", nics)):
        if work.modifications:
            # Releases differ in what they do if nothing is said.
            fields.update({kind: work.modifications, "hotplug": hotplug})
    return [opcode(MODIFY, instance_name=name, **fields, **_how(params))] if fields else []


def _pending(
    instance: Instance, params: Params, merged: t.Mapping[str, parameters.Merged], noted: t.Sequence[t.Tuple[str, t.Any, t.Any]]
) -> t.List[str]:
    """What the running instance does not have yet: of this change, and of earlier ones as far as it shows."""
    changed = [f"{kind}.{name}" for kind, each in merged.items() for name in each.at_start]
    effective = instance["beparams"]["effective"]
    seen = parameters.lag(instance["hypervisor"], effective, instance["memory"], instance["vcpus"])
    lasting = [each[0] for each in noted if not each[0].endswith(".name") and not (params["hotplug"] and _is_plugged(*each))]
    return sorted({*changed, *(f"beparams.{name}" for name in seen), *lasting})


def _is_plugged(path: str, before: t.Any, after: t.Any) -> bool:
    """Whether a running instance can have it at once: not another size or mode of a disk, and a name is no matter of the guest's."""
    return _is_whole(before, after) or (path.startswith("nics.") and not path.endswith(".name"))


def _is_whole(before: t.Any, after: t.Any) -> bool:
    return isinstance(before, dict) or isinstance(after, dict)


def _device(path: str, before: t.Any, after: t.Any) -> str:
    return path if _is_whole(before, after) else path.rpartition(".")[0]


def _is_interrupted(instance: Instance, params: Params, work: stopped.Work, problems: t.List[str]) -> bool:
    """Whether it is stopped for the *work*, and is to run again after it."""
    name, runs = instance["name"], instance["oper_state"]
    if not work.opcodes or params["state"] == STOPPED:
        return False
    if runs is None:
        problems.append(_unknown(instance, work.said))
    elif runs and params["state"] != RESTARTED and not params["restart_if_pending"]:
        problems.append(
            f"{name} runs, and is {work.said} only while it is stopped: set restart_if_pending, which has it stopped and started again, or state stopped."
        )
    return bool(runs) or instance["admin_state"] == "up"


def _stopped_and_started(instance: Instance, params: Params, made: Plan, name: str, problems: t.List[str]) -> Plan:
    """The plan between what stops the instance and what starts it again, under the *name* that it has then."""
    problems += _not_to_start(instance)
    made.difference.add("state", _state(instance), "restarted" if instance["oper_state"] else "running")
    tag = dict(kind="instance", tags=[claims.STOPPED])
    ops = [opcode("OP_TAGS_SET", name=instance["name"], **tag), _stop(instance["name"], params), *made.opcodes]
    return made._replace(opcodes=[*ops, _start(name, params), opcode("OP_TAGS_DEL", name=name, **tag)], interrupted=True)


def _to_state(instance: Instance, params: Params, made: Plan, name: str, problems: t.List[str]) -> Plan:
    """The plan with what stops the instance before everything else, or starts or restarts it after that, under the *name* that it has then."""
    runs, state = instance["oper_state"], params["state"]
    left = claims.STOPPED in instance["tags"]
    if left and runs is False and instance["admin_state"] == "down" and state in (PRESENT, REINSTALLED):
        state = STARTED  # a run has stopped it and died before it could start it
    made = _stepped(instance, params, state, made, name, problems)
    if not left or runs is None or (not runs and state in (PRESENT, REINSTALLED)):
        return made
    made.difference.add("stopped for a change", True, False)
    return made._replace(opcodes=[*made.opcodes, opcode("OP_TAGS_DEL", kind="instance", name=name, tags=[claims.STOPPED])])


def _stepped(instance: Instance, params: Params, state: str, made: Plan, name: str, problems: t.List[str]) -> Plan:
    """The same for one *state*, which is not always the one that is given."""
    runs = instance["oper_state"]
    restart = state == RESTARTED or (params["restart_if_pending"] and made.pending and runs is True and state != STOPPED)
    step = _restart if restart and runs is True else _STEPS.get((RESTARTED if restart else state, runs, instance["admin_state"] == "up"))
    if step is None:
        return made
    if step is _ask:
        problems.append(_unknown(instance, state))
        return made
    if step is not _stop:
        problems += _not_to_start(instance)
    made.difference.add("state", _state(instance), "stopped" if step is _stop else "running" if step is _start else "restarted")
    made.difference.add("admin_state", instance["admin_state"], "down" if step is _stop else "up")
    ops = [step(instance["name"], params), *made.opcodes] if step is _stop else [*made.opcodes, step(name, params)]
    return made._replace(opcodes=ops, pending=[], plugged=(), only_running=step is _restart and state != RESTARTED)


def _not_to_start(instance: Instance) -> t.List[str]:
    moved = claims.moved_away(instance["tags"])
    if moved:
        return [f"{instance['name']} was moved away (move {moved}) and another instance has taken its place: it is not started, but can be removed."]
    if instance["admin_state"] == "offline":
        return [f"{instance['name']} is offline, so that nobody starts it: mark it online first (gnt-instance modify --online)."]
    return []


def _start(name: str, params: Params) -> Op:
    return opcode("OP_INSTANCE_STARTUP", instance_name=name)


def _stop(name: str, params: Params) -> Op:
    return opcode("OP_INSTANCE_SHUTDOWN", instance_name=name, timeout=params["shutdown_timeout"])


def _restart(name: str, params: Params) -> Op:
    # Others start it with what it was started with before.
    return opcode("OP_INSTANCE_REBOOT", instance_name=name, reboot_type="full", shutdown_timeout=params["shutdown_timeout"])


def _ask(name: str, params: Params) -> Op:
    raise AssertionError("nothing is done where it is not known whether an instance runs")


_STEPS: t.Mapping[t.Tuple[str, t.Optional[bool], bool], t.Callable[[str, Params], Op]] = {
    (STARTED, True, False): _start,
    (STARTED, False, True): _start,
    (STARTED, False, False): _start,
    (STARTED, None, True): _ask,
    (STARTED, None, False): _ask,
    (STOPPED, True, True): _stop,
    (STOPPED, True, False): _stop,
    (STOPPED, False, True): _stop,
    (STOPPED, None, True): _ask,
    (STOPPED, None, False): _ask,
    (RESTARTED, True, True): _restart,
    (RESTARTED, True, False): _restart,
    (RESTARTED, False, True): _start,
    (RESTARTED, False, False): _start,
    (RESTARTED, None, True): _ask,
    (RESTARTED, None, False): _ask,
}
"""By the state that is wanted, whether the instance runs, and whether it should run; nothing where there is no row."""


# --- Both -------------------------------------------------------------------------------------------------------------


def _parameters(params: Params, own: t.Mapping[str, Params], effective: t.Mapping[str, Params], problems: t.List[str]) -> t.Dict[str, parameters.Merged]:
    result = {}
    for kind in _KINDS:
        try:
            result[kind] = parameters.merge(kind, params[kind] or {}, own.get(kind, {}), effective.get(kind, {}))
        except Problem as problem:
            problems.append(f"{kind} {problem}.")
    return result


def _tags(params: Params, now: t.Sequence[str], problems: t.List[str]) -> t.List[str]:
    """The tags of the user's that there should be."""
    if params["tags"] is None:
        return list(now)
    unfit = [tag for tag in params["tags"] if not _TAG.match(tag)]
    if unfit:
        problems.append(f"tags has {', '.join(map(repr, unfit))}: a tag has up to 128 letters, digits and . + * / : @ - _.")
    reserved = claims.ours(params["tags"])
    if reserved:
        problems.append(f"tags has {', '.join(reserved)}: such tags are for moves and zeroings alone, and for instances that are being made.")
    return sorted({*params["tags"], *(() if params["exact_tags"] else now)})


def _note(
    difference: Difference,
    merged: t.Mapping[str, parameters.Merged],
    noted: t.Sequence[t.Tuple[str, t.Any, t.Any]],
    tags_now: t.Sequence[str],
    tags: t.Sequence[str],
) -> None:
    for kind, each in merged.items():
        for name in each.after:
            secret = kind == "osparams_private"
            difference.add(f"{kind}.{name}", *((MASK, f"{MASK} (another)") if secret else (each.before[name], each.after[name])))
    for path, before, after in noted:
        difference.add(path, before, after)
    difference.add("tags", sorted(tags_now), sorted(tags))
