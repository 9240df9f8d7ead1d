# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Bringing an instance to what the user wants: look, decide, refuse or do, look again."""

from __future__ import annotations

import time
import typing as t

from .._errors import GanetiError, InvalidInput, JobFailed
from ..api import Cluster, claims, instances, jobs, naming
from ..api.cluster_parameters import Reach, Timeouts, connect_options, reached
from ..api.opcodes import opcode, sayable
from .facts import Facts, Params
from .plan import GONE, PRESENT, RESTARTED, STARTED, Plan, plan
from .stopped import REINSTALLED
from .table import CREATE, MODIFY, REINSTALL, RENAME

_PLUGGED = "hotplug:done"
"""What Ganeti says, in the result of OP_INSTANCE_SET_PARAMS, of each device that a running instance has at once."""
_LOOKS = 8
"""How often, up to a second apart, to look for values that Ganeti writes to its configuration file a little later."""
_GROW, _START, _STOP = "OP_INSTANCE_GROW_DISK", "OP_INSTANCE_STARTUP", "OP_INSTANCE_SHUTDOWN"
_REHEARSED = (CREATE, MODIFY, _GROW, RENAME, REINSTALL)
"""What Ganeti itself checks in check mode; the rest does not depend on more than is known."""


def ensure(params: Params, check_mode: bool) -> t.Dict[str, t.Any]:
    """Bring an instance to what a module's parameters say; the module's result."""
    options = connect_options(params)
    name = naming.normal(params["name"])
    given = {option: naming.normal(params[option]) for option in ("name", "new_name") if params[option] is not None}
    problems = [problem for problem in (naming.problem(option, text) for option, text in given.items()) if problem]
    if problems:
        raise InvalidInput(" ".join(problems))
    if params["new_name"] is not None and params["state"] == GONE:
        raise InvalidInput("new_name is given with state absent: remove the instance by the name that it has.")
    with reached(options) as reach:
        return _ensure(reach, name, params, check_mode)


def _ensure(reach: Reach, name: str, params: Params, check_mode: bool) -> t.Dict[str, t.Any]:
    info = reach.cluster.info()
    facts = read(reach, name, params, info)
    made = plan(name, params, facts)
    timeouts = Timeouts(params["lock_timeout"], params["job_timeout"])
    if made.opcodes and check_mode:
        _rehearse(reach.cluster, made, facts.instance, timeouts)
        return _result(made, facts, made.pending)
    if not made.opcodes:
        return _result(made, facts, made.pending)
    results = _carried_out(reach.cluster, made, facts.instance, timeouts)
    done = sum(_PLUGGED in str(each) for result in results for each in (result if isinstance(result, list) else ()))
    found = _verified(reach, name, params, info)
    return _result(made, found, sorted({*made.pending, *(made.plugged if done < len(made.plugged) else ())}))


def _result(made: Plan, facts: Facts, pending: t.List[str]) -> t.Dict[str, t.Any]:
    return {"changed": made.difference.changed, "diff": made.difference.diff(), "instance": facts.instance, "pending": pending}


def _carried_out(cluster: Cluster, made: Plan, instance: t.Optional[instances.Instance], timeouts: Timeouts) -> t.List[t.Any]:
    """Run the opcodes, a job each; what came of them. Raises GanetiError, which says what was done before."""
    results: t.List[t.Any] = []
    for step in range(len(made.opcodes)):
        op = made.opcodes[step]
        try:
            if instance is not None:
                _check_again(cluster, instance, made, step)
            results.append(_run(cluster, op, timeouts))
            if op["OP_ID"] == RENAME:
                made = _renamed(made, step, results[-1])
        except GanetiError as error:
            before = ", ".join(each["OP_ID"] for each in made.opcodes[:step] if not each.get("dry_run"))
            if before:
                again = _put_back(cluster, made, instance, step, error, timeouts)
                error.reword(f"{error.message} Before that this was done: {before}.{again} The same task goes on from there.")
            raise
    return results


def _renamed(made: Plan, step: int, name: t.Any) -> Plan:
    """The plan with the *name* that the instance has since this step: with name_check Ganeti makes a whole name of a short one, and says which."""
    if not isinstance(name, str) or not name:
        return made
    later = [{**op, "instance_name" if "instance_name" in op else "name": name} for op in made.opcodes[step + 1 :]]
    return made._replace(opcodes=[*made.opcodes[: step + 1], *later])


def _put_back(
    cluster: Cluster, made: Plan, instance: t.Optional[instances.Instance], failed: int, error: GanetiError, timeouts: Timeouts
) -> str:
    """Have an instance as it was, as far as that can be, where a step has failed or did not begin; what came of it, in words."""
    not_begun = jobs.never_began(error)
    if instance is None or not (not_begun or isinstance(error, (JobFailed, _Stale))):
        return ""
    marked = any(_marks(op) for op in made.opcodes[:failed])
    if marked and not_begun and made.opcodes[failed]["OP_ID"] == REINSTALL and claims.UNFINISHED not in instance["tags"]:
        name = _name_in(made.opcodes[failed])
        try:
            _run(cluster, opcode("OP_TAGS_DEL", kind="instance", name=name, tags=[claims.UNFINISHED]), timeouts)
        except GanetiError as another:
            return f" {name} is as it was, and is marked as not installed to its end: {another.message}"
        marked = False
    if marked or (claims.UNFINISHED in instance["tags"] and not instance["oper_state"]):
        return ""
    return _started_again(cluster, made, instance, failed, timeouts)


def _marks(op: t.Mapping[str, t.Any]) -> bool:
    """Whether it marks the instance as one that is not installed to its end."""
    return op["OP_ID"] == "OP_TAGS_SET" and claims.UNFINISHED in op["tags"]


def _started_again(cluster: Cluster, made: Plan, instance: instances.Instance, failed: int, timeouts: Timeouts) -> str:
    """Start an instance that was stopped for a change of which nothing has come; what came of that, in words. Not one that has just failed to start."""
    ops = [op["OP_ID"] for op in made.opcodes]
    if not made.interrupted or _STOP not in ops[:failed] or _START not in ops[failed + 1 :]:
        return ""
    name = _name_in(made.opcodes[failed])
    try:
        for op in made.opcodes[ops.index(_START) :]:
            _run(cluster, {**op, "instance_name" if "instance_name" in op else "name": name}, timeouts)
    except GanetiError as error:
        return f" {name} was stopped for it, and {_what_became_of(cluster, instance, error)}"
    return f" {name} was stopped for it, and is started again."


def _what_became_of(cluster: Cluster, instance: instances.Instance, error: GanetiError) -> str:
    """Words for whether it runs, where a job of those that start it again has failed: another run may have started it, and taken its tag away."""
    try:
        rows = cluster.query("instance", ["oper_state", "tags"], ["=", "uuid", instance["uuid"]])
    except GanetiError:
        rows = []
    runs = any(row["oper_state"] for row in rows)
    if runs and not any(claims.STOPPED in (row["tags"] or ()) for row in rows):
        return "runs; another run was at work on it meanwhile, and has taken its tag away."
    return f"{'runs, and has its tag still' if runs else 'could not be started again'}: {error.message}"


def _name_in(op: t.Mapping[str, t.Any]) -> str:
    """The name by which an opcode means the instance, which is the one that it has by then."""
    return str(op.get("instance_name") or op["name"])


class _Stale(GanetiError):
    """What was decided was decided of an instance that is not as it was, and on which nobody is at work."""


def _check_again(cluster: Cluster, instance: instances.Instance, made: Plan, step: int) -> None:
    """Raises GanetiError where, since the last look, somebody else has begun, or done, something that the opcode of the step would meet."""
    for row in cluster.query("instance", ["name", "tags", "os", "oper_state", "serial_no", "disk.uuids"], ["=", "uuid", instance["uuid"]]):
        row["tags"] = row["tags"] or ()
        other = claims.under_way(row["tags"])
        said = other or _met(instance, row, made, step) or _installed_meanwhile(instance, row, made, step)
        if said:
            kind = GanetiError if other or claims.UNFINISHED in row["tags"] else _Stale
            raise kind(f"{row['name']} {said}; nothing more was changed.")


def _met(instance: instances.Instance, row: t.Mapping[str, t.Any], made: Plan, step: int) -> t.Optional[str]:
    """What stands against the opcode of the step, in words that follow the instance's name, as those of the next."""
    op, disks = made.opcodes[step], row["disk.uuids"] or []
    if row["name"] not in (_name_in(op), instance["name"]):  # a query may tell of a renaming a little later
        return f"was {_name_in(op)} a moment ago: run the same task again"
    if op["OP_ID"] == _GROW and disks[op["disk"] : op["disk"] + 1] != [made.growing[op["disk"]]]:
        return "has other disks than a moment ago: run the same task again"
    if op["OP_ID"] == "OP_INSTANCE_REBOOT" and made.only_running and row["oper_state"] is not True:
        return "does not run any more, and is not restarted for what is pending: run the same task again"
    return None


def _installed_meanwhile(instance: instances.Instance, row: t.Mapping[str, t.Any], made: Plan, step: int) -> t.Optional[str]:
    """What tells, before an installation, that another run installs, or has done so: the plan that this one waited with is not to wipe what is new.

    Where both install the same system only the tag tells it, for as long as another's can be told from our own; and before our first job, any change.
    """
    later = made.opcodes[step:]
    if not any(op["OP_ID"] == REINSTALL for op in later):
        return None
    if row["os"] != instance["os"]:
        return "has another operating system than a moment ago: run the same task again"
    if any(_marks(op) for op in later) and (claims.UNFINISHED in row["tags"]) != (claims.UNFINISHED in instance["tags"]):
        return "is being installed by somebody else, or was a moment ago: wait for that, and run the same task again if it is wanted all the same"
    if step == 0 and row["serial_no"] != instance["serial_no"]:
        return "was changed by somebody else a moment ago: run the same task again"
    return None


def read(reach: Reach, name: str, params: Params, info: t.Mapping[str, t.Any]) -> Facts:
    """What is known of the instance and its cluster, as far as the parameters need it."""
    row = instances.find(reach.cluster, name)
    other = instances.find(reach.cluster, naming.normal(params["new_name"])) if params["new_name"] is not None else None
    row, namesake = row or other, other["name"] if row and other and other["uuid"] != row["uuid"] else None
    if row is None:
        return Facts(None, info)
    allowed = _allowed(reach.cluster, row) if params["disk_template"] not in (None, row["disk_template"]) else None
    busy = _unfinished_jobs(reach.cluster, row)
    if reach.master is None:
        if params["osparams_private"]:
            raise InvalidInput("osparams_private of an instance that is there cannot be read over RAPI: use transport ssh, or luxi on the master.")
        return Facts(instances.describe(row, _modes(reach.cluster, row, params)), info, namesake=namesake, allowed=allowed, jobs=busy)
    private = bool(params["osparams_private"]) or params["state"] == REINSTALLED
    seen = instances.hidden(reach.master, [row["uuid"]], private=private).get(row["uuid"])
    return Facts(instances.describe(row, seen), info, seen.private if seen else None, namesake, allowed, busy)


def _unfinished_jobs(cluster: Cluster, row: t.Mapping[str, t.Any]) -> t.Sequence[str]:
    """The jobs about the instance that have not ended, where its tags leave open whether a run has died or is at work."""
    if not {claims.STOPPED, claims.UNFINISHED} & {*(row["tags"] or ())}:
        return ()
    return jobs.unfinished(cluster, lambda name: instances.meant(naming.normal(name), [row["name"]]) is not None)


def _allowed(cluster: Cluster, row: t.Mapping[str, t.Any]) -> t.Optional[t.Sequence[str]]:
    """The disk templates that the policy of the instance's node group allows."""
    groups = cluster.query("group", ["ipolicy"], ["=", "name", row["pnode.group"]])
    return next(((group["ipolicy"] or {}).get("disk-templates") for group in groups), None)


def _modes(cluster: Cluster, row: t.Mapping[str, t.Any], params: Params) -> t.Optional[instances.Hidden]:
    """The modes of the disks by a job that takes no locks, where they are asked for and nobody else tells them."""
    if not any(disk["mode"] for disk in params["disks"] or ()):
        return None
    (answer,) = jobs.run(
        cluster,
        [opcode("OP_INSTANCE_QUERY_DATA", instances=[row["name"]], static=True)],
        timeout=params["job_timeout"],
        lock_timeout=params["lock_timeout"],
        label=f"read the disks of {row['name']}",
    )
    return instances.Hidden({disk["uuid"]: {"mode": disk["mode"]} for disk in answer[row["name"]]["disks"]}, None)


def _run(cluster: Cluster, op: t.Mapping[str, t.Any], timeouts: Timeouts) -> t.Any:
    label = f"{'rehearsal of ' if op.get('dry_run') else ''}{op['OP_ID']} of {_name_in(op)}"
    (result,) = jobs.run(cluster, [sayable(op, cluster.transport)], timeout=timeouts.job, lock_timeout=timeouts.lock, label=label, again=True)
    return result


def _rehearse(cluster: Cluster, made: Plan, instance: t.Optional[instances.Instance], timeouts: Timeouts) -> None:
    """Let Ganeti check what it would do, without doing it; not what is done once the instance is stopped, as it would look at one that runs."""
    if any(op["OP_ID"] == _STOP for op in made.opcodes):
        return
    now = {"instance_name": instance["name"]} if instance else {}  # whatever it will be by then
    removes = any(how == "remove" for op in made.opcodes if op["OP_ID"] == MODIFY for how, _index, _params in op.get("disks") or ())
    for op in made.opcodes:
        if removes and op["OP_ID"] == _GROW:
            continue  # its index is the one of afterwards
        if op["OP_ID"] in _REHEARSED and not op.get("dry_run"):  # such a one comes twice
            _run(cluster, {**op, **now, "dry_run": True}, timeouts)


def _verified(reach: Reach, name: str, params: Params, info: t.Mapping[str, t.Any]) -> Facts:
    """Look again. Raises GanetiError where Ganeti took the jobs but not what was in them."""
    left: t.List[str] = []
    again = {**params, "restart_if_pending": False, "state": {RESTARTED: STARTED, REINSTALLED: PRESENT}.get(params["state"], params["state"])}
    if reach.master is None:
        again["osparams_private"] = None  # as nobody can tell
    for attempt in range(_LOOKS):
        time.sleep(min(1, attempt / 4))
        facts = read(reach, name, again, info)._replace(jobs=())  # others may begin theirs by now
        if facts.instance is None and params["state"] != GONE:
            raise GanetiError(f"{name} was there a moment ago and is gone: has somebody else removed it?")
        try:
            left = sorted(plan(name, again, facts).difference.diff()["after"])
        except GanetiError as error:
            raise GanetiError(f"{name} was changed, and is not as it should be: {error.message}", not_taken=left) from error
        if not left:
            return facts
    raise GanetiError(
        f"Ganeti reported success but did not take {', '.join(left)} of {name}: compare with gnt-instance info on the master.", not_taken=left
    )
