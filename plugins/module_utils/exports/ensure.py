# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Bringing an instance to the export that is wanted: look, refuse or do, look again."""

from __future__ import annotations

import typing as t

from .._difference import Difference
from .._errors import GanetiError, InvalidInput, PreflightFailed
from .._progress import Progress
from ..api import Cluster, instances, jobs, naming
from ..api.cluster_parameters import Reach, connect_options, reached
from ..api.master import Runner, read_configuration
from ..api.node_hosts import node_host
from ..api.opcodes import opcode
from ..api.ssh import SshHost
from ..zeroing import options as zeroing
from ..zeroing import run as zeroings
from .plan import (
    ABSENT,
    CONFIGURATION,
    HELPER,
    Export,
    Facts,
    Opcode,
    Params,
    back,
    by_hand,
    export,
    fence,
    is_there,
    lacks,
    problems,
    removal,
    why_not_removed,
)

Result = t.Dict[str, t.Any]

_DIRECTORY = "/var/lib/ganeti/export"
"""Where exports are, if Ganeti's library does not tell."""


def exports_of(cluster: Cluster, name: t.Optional[str] = None) -> t.Tuple[t.Tuple[Export, ...], t.Tuple[str, ...]]:
    """All exports, or those of the instance of that full *name*, by instance and node; and the nodes that do not tell of theirs.

    Ganeti says the same of a node without a directory for exports and of one that does not answer, so whether it answers is asked apart.
    """
    rows, silent = _rows(cluster), []
    if any(row["export"] is None for row in rows):  # who answers before and after has none, if he tells of none in between
        before, rows, after = _answering(cluster), _rows(cluster), _answering(cluster)
        silent = sorted({str(row["node"]) for row in rows if row["export"] is None} - (before & after))
    found = sorted(Export(str(row["export"]), str(row["node"])) for row in rows if row["export"] is not None)
    return tuple(each for each in found if name in (None, each.instance)), tuple(silent)


def _rows(cluster: Cluster) -> t.List[t.Dict[str, t.Any]]:
    return cluster.query("export", ["export", "node"])


def _answering(cluster: Cluster) -> t.Set[str]:
    """The nodes that answer, and those that are marked offline, of which nobody wants an answer."""
    return {str(row["name"]) for row in cluster.query("node", ["name", "offline", "bootid"]) if row["offline"] or row["bootid"] is not None}


def tell(params: Params) -> Result:
    """All exports, or those of one instance; the module's result."""
    with reached(connect_options(params)) as reach:
        found, silent = exports_of(reach.cluster, naming.normal(params["name"]) if params["name"] else None)
    return {"exports": [each._asdict() for each in found], "silent": list(silent)}


def ensure(params: Params, check_mode: bool) -> Result:
    """Bring an instance's export to what a module's parameters say; the module's result."""
    name = naming.normal(params["name"])
    wrong = [problem for problem in (naming.problem("name", name), _problem_of_target(params)) if problem]
    if params["zero_free_space"] and params["zeroing_by"] == HELPER:
        wrong += zeroing.problems(params, "zeroing_")
    if params["transport"] == "rapi":
        wrong.append("The remote API does not tell what an export holds, and cannot start the zeroing helper: use the transport ssh, or luxi on the master.")
    if wrong:
        raise InvalidInput(" ".join(wrong))
    with reached(connect_options(params)) as reach:
        return _Run(reach, params, name).to_the_end(check_mode)


def _problem_of_target(params: Params) -> t.Optional[str]:
    return None if params["state"] == ABSENT else naming.problem("target_node", naming.normal(params["target_node"]))


class _Run:
    def __init__(self, reach: Reach, params: Params, name: str) -> None:
        self._cluster, self._master, self._params = reach.cluster, t.cast(Runner, reach.master), params
        self._facts = self._look(name)
        self._target = "" if params["state"] == ABSENT else self._node(naming.normal(params["target_node"]))
        self._said: t.List[str] = []
        self._zeroed: Result = {}
        self._stopped = self._fenced = False
        """Whether a job was begun that stops the instance for good; and whether one has marked it offline."""

    def to_the_end(self, check_mode: bool) -> Result:
        """Find out, refuse, do, look again."""
        before = self._facts
        if is_there(self._params, before, self._target):
            if self._params["state"] != ABSENT:
                self._check("Set replace to make another one.")
            return self._result(before)
        found = list(problems(self._params, before, self._target))
        if found:
            raise PreflightFailed(found)
        if self._params["state"] != ABSENT:
            self._job([{**export(self._params, before, self._target), "dry_run": True}], "rehearse the export")
        if check_mode:
            return self._result(self._foreseen())
        if self._params["state"] == ABSENT:
            self._job([opcode("OP_BACKUP_REMOVE", instance_name=before.name)], "remove the export")
        else:
            self._export()
        after = self._look(before.name)
        if not is_there({**self._params, "replace": False}, after, self._target):
            raise GanetiError(f"The job has ended, and the exports of {before.name} are not as they should be: see gnt-backup list, and the job's log.")
        return self._result(after)

    def _look(self, name: str) -> Facts:
        row = instances.find(self._cluster, name)
        instance = instances.describe(row) if row is not None else None
        full = instance["name"] if instance is not None else name
        names = [] if instance is not None else [str(each["name"]) for each in self._cluster.query("instance", ["name"])]
        longer = tuple(sorted(each for each in names if each.startswith(f"{full}.")))
        return Facts(full, instance, *exports_of(self._cluster, full), self._cluster.info(), longer)

    def _node(self, name: str) -> str:
        found = naming.expand(name, [str(row["name"]) for row in self._cluster.query("node", ["name"])], "node")
        if found is None:
            raise InvalidInput(f"target_node is {name}, and {self._facts.info['name']} has no such node.")
        return found

    def _foreseen(self) -> Facts:
        exports = () if self._params["state"] == ABSENT else (Export(self._facts.name, self._target),)
        return self._facts._replace(exports=exports, instance=None if self._params["remove_instance"] else self._facts.instance)

    # -- Doing --

    def _export(self) -> None:
        if self._params["zero_free_space"] and self._params["zeroing_by"] == HELPER:
            self._zero()
        ended = False
        try:
            if self._params["remove_instance"]:
                self._fence()
            self._job([export(self._params, self._facts, self._target)], "export", said=self._said)
            ended = True
            self._check("")
        except GanetiError as error:
            error.reword(f"{error.message} {self._afterwards(ended or not jobs.is_unknown(error))}".rstrip())
            raise
        if self._params["remove_instance"]:
            self._remove()

    def _fence(self) -> None:
        opcodes = fence(self._facts, self._params)
        self._stopped = True
        if opcodes:
            self._job(opcodes, "stop it for good and mark it offline, for the removal")
            self._fenced = True

    def _remove(self) -> None:
        before = t.cast(instances.Instance, self._facts.instance)
        try:
            row = instances.find(self._cluster, before["name"])
            why = why_not_removed(before, instances.describe(row) if row is not None and row["uuid"] == before["uuid"] else None)
            if why:
                raise GanetiError(f"{before['name']} is not removed, as it {why}.")
            self._job(removal(self._facts), "remove the instance")
        except GanetiError as error:
            exported = f"{before['name']} was exported to {self._target}"
            error.reword(f"{error.message} {exported}. Where it is still there and marked offline, {by_hand(before['name'])}.")
            raise

    def _check(self, advice: str) -> None:
        """Look at what was written. Raises GanetiError, with the *advice*, where that is not all of it."""
        _config, constants = read_configuration(self._master, [], ["EXPORT_DIR"])
        name, place = self._facts.name, f"{constants.get('EXPORT_DIR', _DIRECTORY)}/{self._facts.name}"
        host = node_host(self._cluster, self._target, self._params["ssh"])
        try:
            listed = _succeed(host, ["/usr/bin/find", place, "-type", "f", "-printf", "%s %f\\n"])
            sizes = {each: int(size) for size, _space, each in (line.partition(" ") for line in listed.splitlines())}
            configuration = _succeed(host, ["/bin/cat", f"{place}/{CONFIGURATION}"]) if CONFIGURATION in sizes else ""
        finally:
            host.close()
        lack = lacks(configuration, sizes)
        if lack:
            raise GanetiError(f"Ganeti says that {name} was exported to {self._target}, and the export {lack}. {advice}".rstrip())

    def _zero(self) -> None:
        params = self._params
        asked = zeroing.Options(
            self._facts.name, params["shutdown"], zeroing.settings(params, "zeroing_"), connect_options(params), params["lock_timeout"], params["job_timeout"]
        )
        try:
            found = zeroings.run(asked, check_mode=False, progress=Progress())
        except GanetiError as error:
            error.reword(f"{error.message} The export was not begun.")
            raise
        self._said += found.get("warnings", ())
        self._zeroed = {"zeroing": {name: found[name] for name in ("action", "reason", *zeroings.TOLD) if name in found}}

    def _afterwards(self, known: bool) -> str:
        """Bring back an instance that was stopped for an export which then failed, if it is *known* that no job of ours is left; what it is now, in words."""
        before = t.cast(t.Mapping[str, t.Any], self._facts.instance)
        if not known:
            return f"What becomes of that job is not known, so nothing else was done: see gnt-job list. {self._commands(before)}"
        try:
            fields = ["name", "admin_state", "oper_state"]
            for row in self._cluster.query("instance", fields, ["=", "uuid", before["uuid"]]):
                opcodes = back(before, row, self._stopped, self._fenced)
                if opcodes:
                    self._job(opcodes, "bring it back")
                    return f"{before['name']} is as it was."
        except GanetiError as another:
            return f"{before['name']} could not be brought back: {another.message} {self._commands(before)}"
        if self._stopped and before["admin_state"] == "offline":
            return f"{before['name']} was marked offline before, and is so still: gnt-instance modify --online {before['name']} takes the mark away."
        return ""

    def _commands(self, before: t.Mapping[str, t.Any]) -> str:
        """What brings the instance back by hand, in a sentence; nothing where nothing was to stop it."""
        fencing = self._stopped and before["admin_state"] != "offline"
        starting = before["oper_state"] is True and (self._stopped or self._params["shutdown"])
        commands = [*(["modify --online"] if fencing else []), *(["start"] if starting else [])]
        typed = [f"gnt-instance {each} {before['name']}" for each in commands]
        return f"If it is left stopped: {'; '.join(typed)}." if typed else ""

    def _job(self, opcodes: t.Sequence[Opcode], what: str, said: t.Optional[t.List[str]] = None) -> None:
        params = self._params
        jobs.run(
            self._cluster,
            opcodes,
            timeout=params["job_timeout"],
            lock_timeout=params["lock_timeout"],
            on_log=None if said is None else lambda entry: said.extend(_warning(entry.message)),
            label=f"{what} of {self._facts.name}",
            again=True,
        )

    # -- Telling --

    def _result(self, after: Facts) -> Result:
        difference, before = Difference(), self._facts
        difference.add("exports", [each.node for each in before.exports], [each.node for each in after.exports])
        difference.add("instance", before.instance is not None, after.instance is not None)
        if self._params["replace"] and self._params["state"] != ABSENT:
            difference.add("export", "of before", "new")
        warnings = {"warnings": self._said} if self._said else {}
        return {
            "changed": difference.changed, "diff": difference.diff(), "exports": [each._asdict() for each in after.exports], **self._zeroed, **warnings,
        }  # fmt: skip


def _succeed(host: SshHost, argv: t.Sequence[str]) -> str:
    status, output, said = host.run(argv)
    if status:
        raise GanetiError(f"The export cannot be read on {host.name}: {said.decode('utf-8', 'replace').strip().rstrip('.')}.")
    return output.decode("utf-8", "replace")


def _warning(message: t.Any) -> t.List[str]:
    """What of a job's log a user must see: Ganeti's warnings, which it writes as such into the text."""
    text = str(message).strip()
    return [text] if text.startswith(("- WARNING", "WARNING")) else []
