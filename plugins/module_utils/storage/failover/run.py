# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Making a standby the master, from elsewhere: by SSH to all nodes, out of the standby's own database, with Ganeti's own failover.

Whatever step it dies at, the same task again goes on: nothing that is done twice does harm, and until Ganeti's failover the old master is one.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import time
import typing as t

from ..._difference import Difference
from ..._errors import GanetiError, InvalidInput, PreflightFailed
from ...api import Cluster, jobs
from ...api.master import succeed
from ...api.opcodes import opcode
from ...api.ssh import SshHost, luxi_over_ssh
from ..cluster import candidate_pool
from ..drivers.disk import DIRECTORY
from ..drivers.documents import Json
from ..service import admit_candidate, ganeti_failover, standing
from ..service.situation import Situation, losses, problems
from .hosts import Hosts

DAEMONS = "/usr/lib/ganeti/daemon-util"
ENSURE = "/usr/lib/ganeti/ensure-dirs"
_AUTHORIZED = "/root/.ssh/authorized_keys"
_STEP = 0.5
_STOP = "stop the old master"
"""A step of the result; out of a database it lasts until all that the old master has written is there."""


class Failover:
    """One failover; the steps in the order in which they are done."""

    def __init__(self, hosts: Hosts, params: t.Mapping[str, t.Any]) -> None:
        self._hosts = hosts
        self._params = params
        self._new = hosts.host(params["new_master"])
        self._warnings: t.List[str] = []
        self._steps: t.Dict[str, float] = {}

    def run(self, check_mode: bool) -> Json:
        started = time.monotonic()
        survey, unreached = self._look_around()
        if survey["name"] != self._params["new_master"]:
            raise GanetiError(f"{self._params['new_master']} is a node that Ganeti knows as {survey['name']}: give it that name.")
        expected = self._params["cluster_name"]
        if expected not in (None, survey["cluster_name"]):
            found = f"{survey['name']} is a node of {survey['cluster_name']}, not of {expected}"
            raise InvalidInput(f"Wrong cluster: {found}. Correct new_master, or cluster_name.")
        if survey["master"] == survey["name"]:
            return self._is_master(survey, check_mode)
        situation = self._judge(survey, unreached)
        self._steps["look around"] = round(time.monotonic() - started, 1)
        change = Difference()
        change.add("master", situation.old, situation.new)
        if situation.dead:
            change.add(f"{situation.old} is offline", survey["nodes"][situation.old]["offline"], True)
        result = {"changed": True, "diff": change.diff(), "master": situation.new, "old_master": situation.old}
        if check_mode:
            return {**result, "serial": survey["serial"], "warnings": self._warnings}
        return {**result, **self._carry_out(situation)}

    def _is_master(self, survey: Json, check_mode: bool) -> Json:
        """It is the master already; only daemons and archived jobs may be missing, where an earlier failover did not come to its end."""
        answers = self._accepts_jobs()
        result = {"master": survey["name"], "old_master": survey["name"], "serial": survey["serial"], "warnings": self._warnings}
        change = Difference()
        change.add("master daemons", "running" if answers else "not running", "running")
        if not answers and not check_mode:
            succeed(self._new, [DAEMONS, "start-master"], "Starting the master's daemons")
            self._wait("accepts jobs", self._accepts_jobs)
        change.add("archived jobs", "not all written" if survey["unfinished"] else "written", "written")
        if survey["unfinished"] and not check_mode:
            self._write_archive()
        return {"changed": change.changed, "diff": change.diff(), **result}

    def _look_around(self) -> t.Tuple[Json, t.Dict[str, str]]:
        """The new master's survey, and why nodes cannot be reached; both at once, as a dead node costs either of them seconds."""
        nodes: t.Dict[str, str] = dict(t.cast("t.Tuple[str, str]", line.split()) for line in self._ssconf("node_primary_ips"))
        nodes.pop(self._new.name, None)
        off = self._ssconf("master_node") if self._params["fenced"] else []
        with concurrent.futures.ThreadPoolExecutor(1) as executor:
            reaching = executor.submit(self._hosts.reach, nodes, off)
            return self._hosts.program(self._new, "survey"), reaching.result()

    def _ssconf(self, name: str) -> t.List[str]:
        """The lines of a file of the simple configuration, which every node has."""
        text = succeed(self._new, ["cat", f"{DIRECTORY}/ssconf_{name}"], f"Asking {self._new.name} for the cluster's {name.replace('_', ' ')}")
        return text.decode("utf-8", "replace").splitlines()

    def _judge(self, survey: Json, unreached: t.Mapping[str, str]) -> Situation:
        """What is known; raise PreflightFailed where it speaks against a failover."""
        others = {name for name, node in survey["nodes"].items() if name != survey["name"] and not node["offline"]}
        reached = frozenset(others - unreached.keys())
        situation = Situation(survey, reached, None)
        if survey["master"] in reached:
            situation = situation._replace(**self._ask_old_master(survey["master"]))
        if situation.waited_for is None:
            situation = situation._replace(candidates=self._ask_candidates(situation), own=self._ask_own(situation))
        found = problems(situation, self._params["fenced"], self._params["accept_loss"])
        if found:
            raise PreflightFailed(found, unreached=unreached)
        if survey["behind"]:
            found_there = f"{survey['name']} has serial number {survey['serial']} as a whole, and of {survey['serial'] + survey['behind']} parts alone"
            self._warnings.append(f"{found_there}: the changes in between are lost if no other server has them")
        self._warnings += [
            f"{name} could not be told of the new master ({unreached[name]}): when it is back, add it again (gnt-node add --readd)" for name in situation.away
        ]
        self._warnings += losses(situation, self._params["accept_loss"])
        return situation

    def _ask_own(self, situation: Situation) -> t.Optional[standing.Standing]:
        """The same of the new master itself, where its files are used as they are."""
        found = self._hosts.files(self._new, "tell")["files"] if situation.from_files else None
        return standing.of_files(found) if found else None

    def _ask_candidates(self, situation: Situation) -> t.Dict[str, standing.Standing]:
        """How far the files of master candidates have come that tell; a word about each that does not, if it is not away anyhow (Situation.away)."""
        told = {}
        for name in sorted(situation.reached):
            if situation.survey["nodes"][name]["master_candidate"]:
                try:
                    found = self._hosts.files(self._hosts.host(name), "tell")
                except GanetiError as error:
                    found = {"files": None, "problem": error.message}
                if found["files"]:
                    told[name] = standing.of_files(found["files"])
                else:
                    self._warnings.append(f"Nobody knows what the files of the master candidate {name} hold ({found['problem'] or 'it has none'})")
        return told

    def _ask_old_master(self, name: str) -> Json:
        """What its files hold, and its survey or why there is none, as where its database does not answer; by the names that a Situation has for them."""
        host = self._hosts.host(name)
        found: Json = {"old_files": None, "old_survey": None, "old_problem": None}
        try:
            found["old_files"] = self._hosts.program(host, "files")
            found["old_survey"] = self._hosts.program(host, "survey")
        except GanetiError as error:
            found["old_problem"] = error.message
        return found

    def _carry_out(self, situation: Situation) -> Json:
        if not situation.dead:
            with self._timed(_STOP):
                situation = self._stop(situation)
        promoted = None
        if not situation.from_files:
            with self._timed("write its files"):
                promoted = self._hosts.program(self._new, "promote", situation.request)
                succeed(self._new, [ENSURE], "Giving the files to Ganeti's users")
            with self._timed("tell the nodes"):
                self._admit(situation, promoted)
        else:
            self._hosts.program(self._new, "reserve", situation.request)
        seconds = self._hand_over(situation)
        self._tidy_up(situation, bool(promoted))
        serial = promoted["serial"] if promoted else situation.survey["serial"]
        self._wait("writes to its database", lambda: bool(self._hosts.program(self._new, "survey")["serial"] >= serial))
        source = situation.survey["storage"] if promoted else "files"
        return {"serial": serial, "seconds": seconds, "steps": self._steps, "source": source, "warnings": self._warnings}

    @contextlib.contextmanager
    def _timed(self, step: str) -> t.Iterator[None]:
        started = time.monotonic()
        yield
        self._steps[step] = round(time.monotonic() - started, 1)

    @contextlib.contextmanager
    def _stopped(self, name: str) -> t.Iterator[None]:
        """The old master is stopped, and goes on where what is done meanwhile fails, or is interrupted: nobody else is the master yet."""
        old = self._hosts.host(name)
        with self._timed(_STOP):
            succeed(old, [DAEMONS, "stop-master"], f"Stopping the master's daemons on {name}")
        try:
            yield
        except BaseException as error:
            try:
                succeed(old, [DAEMONS, "start-master"], f"Starting the master's daemons on {name} again")
            except GanetiError as another:
                if not isinstance(error, GanetiError):
                    raise
                raise GanetiError(f"{error.message} Then: {another.message} Start them by hand, or run this again.") from error
            raise

    def _hand_over(self, situation: Situation) -> float:
        """Ganeti's own failover, and what follows it until jobs are accepted; how many seconds all has taken until then."""
        with self._timed("Ganeti's own failover"):
            self._ganetis_failover(situation)
        with self._timed("accept jobs"):
            self._wait("accepts jobs", self._accepts_jobs)
        seconds = round(sum(self._steps.values()), 1)
        self._hosts.files(self._new, "finish")
        return seconds

    def _stop(self, situation: Situation) -> Situation:
        """Stop the old master's daemons, and wait until all that it has written, in its files and its database, is at the new one."""
        with self._stopped(situation.old):
            return self._wait_for_all(situation._replace(stopped=True))

    def _wait_for_all(self, situation: Situation) -> Situation:
        """What is known when nothing is missing; raise GanetiError where something is, unless a loss is accepted."""
        deadline = time.monotonic() + self._params["timeout"]
        while True:
            situation = situation._replace(survey=self._hosts.program(self._new, "compare"), **self._ask_old_master(situation.old))
            if situation.same:
                return situation
            nothing_known = situation.old_files is None and (situation.from_files or self._params["accept_loss"])
            if nothing_known or time.monotonic() > deadline:
                break
            time.sleep(_STEP)
        if situation.old_files is None and situation.from_files:
            return situation
        lost = "; ".join(situation.behind) or "all of its database"
        if not self._params["accept_loss"]:
            raise GanetiError(
                f"Within {self._params['timeout']} s {situation.new} did not get what {situation.old} has: {lost}. {situation.old} goes on as the master. "
                f"See what its service says (--check), and run this again; or set accept_loss."
            )
        self._warnings.append(f"{situation.new} becomes the master without what {situation.old} has: {lost}")
        return situation

    def _admit(self, situation: Situation, promoted: Json) -> None:
        """Have all nodes take the new master for a master candidate, by its certificate and its key."""
        lines = {f"ssconf_{name}": line for name, line in promoted["candidates"].items()}
        given = {"directory": DIRECTORY, "lines": lines, "keys": {_AUTHORIZED: promoted["key"]} if promoted["key"] else {}}
        for name in sorted({*situation.reached, situation.new}):
            self._hosts.text(self._hosts.host(name), admit_candidate, given, f"Telling {name} of the new master")

    def _tidy_up(self, situation: Situation, promoted: bool) -> None:
        """What no client waits for: archived jobs; a dead node that Ganeti still counts on; a candidate too many where the pool has room for one."""
        if promoted:
            self._write_archive()
        with self._luxi() as cluster:
            limits = {"timeout": self._params["job_timeout"], "lock_timeout": self._params["lock_timeout"]}
            for name in [] if promoted else situation.dead:
                jobs.run(cluster, [opcode("OP_NODE_SET_PARAMS", node_name=name, offline=True, auto_promote=True)], label=f"mark {name} offline", **limits)
            if situation.survey["pool_size"] == 1:
                candidate_pool.shrink(cluster, candidate_pool.read(cluster, situation.new), self._params)

    def _write_archive(self) -> None:
        """The last step of a promotion; until it is done, nothing is removed from the new master's database because its files do not have it."""
        self._hosts.program(self._new, "archive")
        succeed(self._new, [ENSURE, "--full-run"], "Giving archived jobs to their users")

    def _ganetis_failover(self, situation: Situation) -> None:
        """Ganeti tells by its exit status of warnings too, as of an old master that does not answer; what counts is who is the master then."""
        found = self._hosts.text(self._new, ganeti_failover, situation.takeover, "Running Ganeti's own failover")
        self._warnings += [f"gnt-cluster master-failover: {line}" for line in found["lines"]]
        if found["status"] and self._ssconf("master_node") != [situation.new]:
            why = " ".join(found["lines"]) or f"exit status {found['status']}"
            raise GanetiError(f"Ganeti's own failover on {situation.new} failed: {why}. Repair that, and run this again.")

    def _accepts_jobs(self) -> bool:
        """Whether the new master's luxid answers as that of the master."""
        try:
            with self._luxi() as cluster:
                return bool(cluster.info()["master"] == self._params["new_master"])
        except GanetiError:
            return False

    def _luxi(self) -> Cluster:
        return luxi_over_ssh(SshHost(self._new.name, self._params["ssh"]))

    def _wait(self, what: str, holds: t.Callable[[], bool]) -> None:
        deadline = time.monotonic() + self._params["timeout"]
        while not holds():
            if time.monotonic() > deadline:
                raise GanetiError(f"Within {self._params['timeout']} s it did not come to be that {self._new.name} {what}: see its logs, and run this again.")
            time.sleep(_STEP)
