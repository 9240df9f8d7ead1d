# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Making a node the master where there is no database, out of Ganeti's own files: those of all nodes are compared, and what the node lacks is brought to it.

Whatever step it dies at, the same task again goes on: what was staged is staged anew, and until Ganeti's failover the old master is one.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import time
import typing as t

from ..._difference import Difference
from ..._errors import ConnectionFailed, GanetiError, InvalidInput, PreflightFailed
from ...api.master import succeed
from ..drivers.documents import Json, batches
from ..service.situation import Situation, problems
from . import newest_files
from .newest_files import Held, Plan
from .run import DAEMONS, ENSURE, Failover

_BATCH = 500
"""Jobs that are brought at once."""


class Found(t.NamedTuple):
    """What was found out: what the new master tells of itself, what files hold by node, and why others have not told; which of those are not even reached."""

    new: Json
    held: t.Dict[str, Held]
    silent: t.Dict[str, str]
    away: t.FrozenSet[str]

    @property
    def stopped(self) -> t.Optional[str]:
        """The old master, where it can be stopped and its files be read."""
        old = str(self.new["master"])
        return old if old in self.held and old not in self.away else None


class FilesFailover(Failover):
    """One failover; the steps in the order in which they are done."""

    def run(self, check_mode: bool) -> Json:
        started = time.monotonic()
        name = self._params["new_master"]
        found = self._find()
        self._check_who(found)
        if found.new["master"] == name:
            return self._is_master_by_files(found, check_mode)
        plan = newest_files.plan(name, found.held, found.stopped)
        situation = self._situation(found, plan)
        self._refuse(situation, found, plan)
        self._steps["look around"] = round(time.monotonic() - started, 1)
        result = {"changed": True, "diff": self._change(situation, found, plan).diff(), "master": name, "old_master": situation.old, "source": "files"}
        if check_mode:
            return {**result, "serial": found.held[plan.source].serial, "warnings": self._warnings}
        return {**result, **self._become_master(situation, found, plan)}

    # --- What is known -----------------------------------------------------------------------------------------------

    def _find(self) -> Found:
        """What all nodes tell that can be asked, at once."""
        nodes: t.Dict[str, str] = dict(t.cast("t.Tuple[str, str]", line.split()) for line in self._ssconf("node_primary_ips"))
        for name in [self._new.name, *self._ssconf("offline_nodes")]:  # what is on an offline node may be of another time
            nodes.pop(name, None)
        off = self._ssconf("master_node") if self._params["fenced"] else []
        with concurrent.futures.ThreadPoolExecutor(len(nodes) + 1) as executor:
            reaching = executor.submit(self._hosts.reach, nodes, off)
            new = self._hosts.files(self._new, "tell")
            away = reaching.result()
            asked = {name: executor.submit(self._tell, name) for name in nodes if name not in away}
            answers = {name: each.result() for name, each in asked.items()}
        told = {self._new.name: new, **{name: answer for name, answer in answers.items() if not isinstance(answer, str)}}
        silent = {**away, **{name: answer for name, answer in answers.items() if isinstance(answer, str)}}
        silent.update({name: each["problem"] for name, each in told.items() if each["problem"]})
        return Found(new, {name: newest_files.held(each["files"]) for name, each in told.items() if each["files"] is not None}, silent, frozenset(away))

    def _tell(self, name: str) -> t.Union[Json, str]:
        """What a node tells, or why it does not; no answer says nothing of what it has."""
        try:
            return self._hosts.files(self._hosts.host(name), "tell")
        except GanetiError as error:
            return error.message

    def _check_who(self, found: Found) -> None:
        name = self._params["new_master"]
        if found.new["name"] != name:
            known = f"a node that Ganeti knows as {found.new['name']}: give it that name" if found.new["name"] else "no node of this name by its own files"
            raise GanetiError(f"{name} is {known}.")
        (cluster_name,) = self._ssconf("cluster_name")
        expected = self._params["cluster_name"]
        if expected not in (None, cluster_name):
            raise InvalidInput(f"Wrong cluster: {name} is a node of {cluster_name}, not of {expected}. Correct new_master, or cluster_name.")
        if not found.held:
            raise PreflightFailed(["No node that answers has Ganeti's configuration: repair a master candidate, or the master"], unreached=found.silent)

    def _situation(self, found: Found, plan: Plan) -> Situation:
        """The same in the terms of a failover out of a database, by the newest configuration."""
        newest, name, old = found.held[plan.source], self._params["new_master"], found.new["master"]
        survey = {**newest.cluster, "name": name, "master": old, "installed": found.new["installed"]}
        which = f"The newest configuration, with serial number {newest.serial} on {plan.source},"
        if name not in survey["nodes"]:
            raise PreflightFailed([f"{which} knows no node {name}: choose another node"])
        if newest.cluster["master"] not in (old, name):
            known = f"{which} names {newest.cluster['master']} as the master, and {name} takes {old} for it"
            raise PreflightFailed([f"{known}: run gnt-cluster redist-conf on the master, or choose a node that knows it"])
        others = {each for each, node in survey["nodes"].items() if each != name and not node["offline"]}
        return Situation(survey, frozenset(others - found.away), None)

    def _refuse(self, situation: Situation, found: Found, plan: Plan) -> None:
        """Raise PreflightFailed where something speaks against it; note what is only to be known."""
        fenced, accept_loss = self._params["fenced"], self._params["accept_loss"]
        against = problems(situation, fenced, accept_loss=True)  # those of databases do not matter
        loss = [] if found.stopped else newest_files.problems(plan, found.held, found.silent, situation.dead)
        if against or (loss and not accept_loss):
            raise PreflightFailed([*against, *([] if accept_loss else loss)], unreached=found.silent)
        self._warnings += loss
        self._warnings += [
            f"{name} could not be told of the new master ({found.silent[name]}): when it is back, add it again (gnt-node add --readd)"
            for name in situation.away
        ]
        for name in plan.nodes:
            damaged = ", ".join(str(number) for number in sorted(found.held[name].damaged))
            if damaged:
                self._warnings.append(f"The files of job {damaged} on {name} are damaged, and are not brought")

    @staticmethod
    def _change(situation: Situation, found: Found, plan: Plan) -> Difference:
        change = Difference()
        change.add("master", situation.old, situation.new)
        if situation.dead:
            change.add(f"{situation.old} is offline", False, True)
        lacking = newest_files.newer(plan, found.held, situation.new)
        change.add(f"files of {situation.new}", lacking, f"serial number {found.held[plan.source].serial}, of {plan.source}" if lacking else None)
        return change

    def _is_master_by_files(self, found: Found, check_mode: bool) -> Json:
        """It is the master already; only daemons may be missing, or what was staged is left."""
        answers = self._accepts_jobs()
        name = self._params["new_master"]
        change = Difference()
        change.add("master daemons", "running" if answers else "not running", "running")
        change.add("what was brought for a failover", "left over" if found.new["unfinished"] else None, None)
        if not check_mode:
            if not answers:
                succeed(self._new, [DAEMONS, "start-master"], "Starting the master's daemons")
                self._wait("accepts jobs", self._accepts_jobs)
            if found.new["unfinished"]:
                self._hosts.files(self._new, "finish")
        serial = found.held[name].serial if name in found.held else None
        result = {"master": name, "old_master": name, "serial": serial, "source": "files", "warnings": self._warnings}
        return {"changed": change.changed, "diff": change.diff(), **result}

    # --- What is done ------------------------------------------------------------------------------------------------

    def _become_master(self, situation: Situation, found: Found, plan: Plan) -> Json:
        with contextlib.nullcontext() if situation.dead else self._stopped(situation.old):
            taken = self._take_files(situation, found, plan)
        seconds = self._hand_over(situation)
        self._tidy_up(situation, False)
        return {"serial": taken["serial"], "seconds": seconds, "steps": self._steps, "warnings": self._warnings}

    def _take_files(self, situation: Situation, found: Found, plan: Plan) -> Json:
        """Bring what the new master lacks, and have it taken; what the other nodes have to know, which they are told where they do not."""
        with self._timed("bring files"):
            if found.stopped:
                plan = self._bring_all(situation, found)
            else:
                self._bring(found, plan)
        taken = self._take(situation, plan)
        if not situation.survey["nodes"][situation.new]["master_candidate"] or situation.new not in self._ssconf("master_candidates"):
            with self._timed("tell the nodes"):
                self._admit(situation, taken)
        return taken

    def _bring_all(self, situation: Situation, found: Found) -> Plan:
        """Bring what the stopped old master has, until nothing new is there: processes of jobs that were running end a little later than the daemons."""
        deadline = time.monotonic() + self._params["timeout"]
        told = self._facts_of(situation.old)  # it has written since it was asked first
        while True:
            found.held[situation.old] = told
            plan = newest_files.plan(situation.new, found.held, situation.old)
            self._bring(found, plan)
            told = self._facts_of(situation.old)
            if told == found.held[situation.old]:
                return plan
            if time.monotonic() > deadline:
                raise GanetiError(f"The files of {situation.old} still change {self._params['timeout']} s after its daemons were stopped: see what runs there.")

    def _facts_of(self, name: str) -> Held:
        told = self._hosts.files(self._hosts.host(name), "tell")["files"]
        if told is None:
            raise GanetiError(f"{name} has no configuration any more: see what became of its disk.")
        return newest_files.held(told)

    def _take(self, situation: Situation, plan: Plan) -> Json:
        """Have all that was brought taken; what the other nodes have to know."""
        with self._timed("write its files"):
            request = {"name": situation.new, "seen": plan.seen, "job": plan.job, "aside": sorted(plan.aside)}
            taken = self._hosts.files(self._new, "take", request)
            succeed(self._new, [ENSURE, "--full-run"] if plan.archived else [ENSURE], "Giving the files to Ganeti's users")
        if plan.aside:
            self._warnings.append(f"{len(plan.aside)} jobs that {situation.new} had from an earlier time do not run; they are in queue/before-promotion there")
        return taken

    def _bring(self, found: Found, plan: Plan) -> None:
        """Have what the new master lacks lie beside its files, in the place of whatever an earlier run has left there."""
        own = plan.source == self._params["new_master"]
        first: Json = {"first": True, "own": own}
        if not own:
            first.update(self._read(plan.source, configuration=True))
            serial = first["configuration"]["serial_no"]
            if serial != found.held[plan.source].serial:
                told = f"The configuration of {plan.source} has changed from serial number {found.held[plan.source].serial} to {serial} meanwhile"
                raise GanetiError(f"{told}: somebody is the master still. Find out who, and run this again.")
        self._hosts.files(self._new, "stage", first)
        for kind, owners in (("archived", plan.archived), ("jobs", plan.queue)):
            for name, numbers in owners.items():
                for some in batches(sorted(numbers), _BATCH):
                    self._hosts.files(self._new, "stage", self._complete(name, kind, some))

    def _complete(self, name: str, kind: str, numbers: t.Sequence[int]) -> Json:
        """Jobs of a node, all of them: none may be gone meanwhile."""
        read = self._read(name, **{kind: list(numbers)})
        gone = sorted(set(numbers) - {int(number) for number in read[kind]})
        if gone:
            raise GanetiError(f"Job {', '.join(map(str, gone[:5]))} is not on {name} any more as it was: somebody is at work there. Run this again.")
        return read

    def _read(self, name: str, **wanted: t.Any) -> Json:
        request = {"configuration": False, "jobs": [], "archived": [], **wanted}
        try:
            return self._hosts.files(self._hosts.host(name), "read", request)
        except ConnectionFailed as error:
            lost = f"{name} has what {self._params['new_master']} lacks, and does not answer any more"
            raise GanetiError(f"{lost} ({error.message.rstrip('.')}). Repair {name} and run this again, or set accept_loss while it is away.") from error
