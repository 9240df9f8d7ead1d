# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Carrying out the steps that :mod:`planner` decides on: jobs on both clusters, and the copy between two nodes."""

from __future__ import annotations

import time
import traceback
import typing as t

from .._errors import GanetiError, JobFailed, LeaseLost, LeaseTaken, PreflightFailed, StreamFailed
from .._progress import Progress
from ..api.jobs import is_unknown, rest_after
from ..api.ssh import SshHost
from ..lease.lease import Lease
from . import changes, facts, guards, plan
from .changes import Job, Opcode, Recipe
from .events import printable
from .journal import Journal
from .nodes import lane_count
from .options import Options
from .planner import UNDOING, Failed, Step
from .retry import opportunistically
from .session import Session, Side
from .state import Case, Scene
from .survey import Survey, check_nodes, survey
from .transfer import Transfer, TransferPlan
from .zero_first import ZeroFirst

_UNDO_LOCKS = 600.0
"""Seconds that an undo waits for locks: longer than a step, as giving up would leave wreckage."""

JOBS: t.Mapping[Step, t.Callable[[Scene, Recipe], t.List[Job]]] = {
    Step.BEGIN: changes.begin,
    Step.STOP: changes.stop,
    Step.RELEASE: changes.release,
    Step.RESUME: changes.resume,
    Step.COMMIT: changes.commit,
    Step.TIDY: changes.tidy,
    Step.TAKE_BACK: changes.take_back,
    Step.REMOVE: changes.remove,
    Step.RESTORE: changes.restore,
}
"""What each step asks of the clusters; the others ask nodes, or nobody."""


Ran = t.Tuple[Job, t.List[t.Any]]
"""A job and its opcodes' results."""


class _Unsent(Exception):
    """The lease was not held, so nothing of a step was sent."""


class Context(t.NamedTuple):
    """What a run works with, from its beginning to its end."""

    session: Session
    options: Options
    case: Case
    lease: Lease
    journal: Journal
    progress: Progress


class Steps:
    """One run's steps, and what they come to know on the way."""

    def __init__(self, context: Context, move_id: str, estimate: bool = False) -> None:
        self.found: t.Optional[Survey] = None
        self.result: t.Dict[str, t.Any] = {}
        self._errors: t.List[GanetiError] = []
        self._session, self.options, self._case, self._lease, self._journal, self._progress = context
        self.zero_first = ZeroFirst(self._session, self.options, self._lease, self._journal, self._progress)
        self._asked = self.options
        self._move_id = move_id
        self._estimate = estimate
        self._made: t.Optional[facts.Instance] = None
        self._paths: t.Dict[bool, t.List[str]] = {}
        self._transfer: t.Optional[Transfer] = None
        self._lanes = 0
        self._stopped_at: t.Optional[float] = None
        self._by_hand = {Step.SURVEY: self._survey, Step.PREPARE: self._prepare, Step.COPY: self._copy}

    def carry_out(self, step: Step, scene: Scene) -> t.Optional[Failed]:
        """Do one step; None where it came off."""
        self._announce(step)
        if step in UNDOING:
            self.close()  # so that nobody has the disks open
        try:
            if step in self._by_hand:
                self._by_hand[step](scene)
            else:
                self._learn(step, scene, self._jobs(step, scene))
        except _Unsent as error:
            return Failed(str(error), untried=True)
        except GanetiError as error:
            self._journal.add("failed", at=step.value, message=error.message)
            return self.failed(error)
        except Exception as error:  # a mistake of ours must not leave the instance down: what it leads to is the same
            message = f"A mistake in this collection ended the step '{step.value}' ({type(error).__name__}: {error}); please report it."
            self._journal.add("failed", at=step.value, message=message)
            return self.failed(GanetiError(message, exception=traceback.format_exc()))
        return None

    def failed(self, error: GanetiError) -> Failed:
        """A step that came off badly; its error is kept for its kind and its details."""
        self._errors.append(error)
        return Failed(sentence(error.message), lost=_is_lost(error))

    def cause(self, message: str) -> GanetiError:
        """The error that a run ends with *message* for: of the kind of the one that the message begins with."""
        for error in self._errors:
            if message.startswith(error.message):
                error.reword(message)
                return error
        return GanetiError(message)

    def _announce(self, step: Step) -> None:
        if step is Step.BEGIN:
            self._journal.begin(self._move_id)
        self._journal.add(step.value)
        self._progress.phase(step.value)

    def _survey(self, scene: Scene) -> None:
        source = t.cast(facts.Instance, scene.source)
        taken = facts.instance(self._session.destination.cluster, self.options.destination_name) is not None and not self._case.within
        against = self.zero_first.problems(source)
        try:
            measured = self._estimate or self.zero_first.measures(source)
            self.found = survey(self._session, self._asked, source, taken, self._move_id, measured)
        except PreflightFailed as error:
            raise PreflightFailed([*error.problems, *against]) from error
        if against:
            raise PreflightFailed(against)
        self.options = self._asked._replace(compress=self.found.choice.tool)
        self.zero_first.decide(source, self.found)

    def _compare_source(self, scene: Scene, disks: t.Optional[t.Tuple[facts.InstanceDisk, ...]] = None) -> None:
        """Raise GanetiError where the source is not what it was at the preflight, its *disks* as they were read now."""
        before, instance = t.cast(Survey, self.found).source, t.cast(facts.Instance, scene.source)
        after = before._replace(instance=instance)
        if disks is not None:
            after = after._replace(disks=disks, **self._hidden(before, instance))
        found = plan.source_changes(before, after)
        if found:
            raise GanetiError(" ".join(found))

    def _compare_copy(self, copy: facts.Instance) -> None:
        """Raise GanetiError where the copy's disks are not those that the data went to."""
        made = self._made
        if made is not None and (made.uuid, made.node, made.disks) != (copy.uuid, copy.node, copy.disks):
            raise GanetiError(
                f"{copy.name} on {self._session.destination.name} was changed while it was made: the data went to the disks {', '.join(made.disks)} "
                f"on {made.node}, and it has {', '.join(copy.disks) or 'none'} on {copy.node} now."
            )

    def _hidden(self, before: plan.Source, instance: facts.Instance) -> t.Dict[str, t.Any]:
        """What only the configuration tells, read again; nothing where it could not be read the first time, or the user gave it."""
        hidden = self._session.hidden(instance)
        if hidden is None:
            return {}
        private = before.private if self.options.osparams_private else dict(hidden.private)
        return {"private": private, "disk_params": hidden.disk_params}

    def _held(self) -> None:
        """Make sure of the lease, as before a job; raise _Unsent where it is not held."""
        try:
            hold(self._lease)
        except (LeaseLost, LeaseTaken) as error:
            raise _Unsent(error.message) from error

    def _recipe(self, step: Step) -> Recipe:
        creation = None
        if step in (Step.BEGIN, Step.STOP) and self.found is not None:
            creation = plan.creation(self.found.source, self._session.destination.info, self.options, self._move_id, self._session.within)
        return Recipe(self._case, self.options, self._move_id, creation)

    def _jobs(self, step: Step, scene: Scene) -> t.List[Ran]:
        """Run the jobs of a step, those of both clusters at the same time; them, each with its opcodes' results."""
        if step in (Step.BEGIN, Step.RELEASE):
            self._compare_source(scene)
        if step is Step.RELEASE:
            self._compare_copy(t.cast(facts.Instance, scene.copy))
        if step is Step.STOP and self._transfer is not None:
            self._transfer.check()
        jobs = JOBS[step](scene, self._recipe(step))
        if step is Step.STOP:
            self._stopped_at = time.monotonic()
        locks = _UNDO_LOCKS if step in UNDOING or step in (Step.COMMIT, Step.TIDY) else self.options.lock_timeout
        running = []
        for number, job in enumerate(jobs[:-1]):
            running.append(_Running(self._session, self._lease, job, locks))
            running[-1].start(first=number == 0)
        error: t.Optional[GanetiError] = None
        results: t.List[t.List[t.Any]] = []
        try:
            last = self._last(step, jobs[-1], locks, first=not running) if jobs else []
        except GanetiError as raised:
            error, last = raised, []
        for each in running:
            try:
                results.append(each.finish())
            except GanetiError as raised:
                error, results = error or raised, [*results, []]
        if error is not None:
            raise error
        return list(zip(jobs, [*results, last]))

    def _last(self, step: Step, job: Job, locks: float, first: bool) -> t.List[t.Any]:
        """Run the last job of a step to its end."""

        def attempt(extra: t.Dict[str, t.Any]) -> t.List[t.Any]:
            tried = job._replace(opcodes=({**job.opcodes[0], **extra}, *job.opcodes[1:]))
            running = _Running(self._session, self._lease, tried, locks)
            running.start(first)
            return running.finish()

        return opportunistically(attempt, self.options.opportunistic_tries if step is Step.BEGIN else 0, self.options.opportunistic_delay)

    def _learn(self, step: Step, scene: Scene, ran: t.Sequence[Ran]) -> None:
        """Take from a step's results what later ones need."""
        found = self.found
        if step is Step.STOP and found is not None:
            told = _result_of(ran[0], "OP_INSTANCE_QUERY_DATA")
            disks = facts.described_disks(told[t.cast(facts.Instance, scene.source).name])
            self._compare_source(scene, disks)
            self._paths[True] = _activated(ran[0]) or [str(disk.file) for disk in disks]
        if step is Step.BEGIN and found is not None and found.source.disks:
            self._paths[False] = _activated(ran[-1])
        if step in (Step.RELEASE, Step.RESUME, Step.COMMIT) and scene.marks.get("source") == "up" and guards.wants_start(scene, self._case):
            self._note_downtime()
        if step in (Step.COMMIT, Step.TIDY) and scene.source is not None and self.options.source_after == "fenced":
            self.result["source_name"] = scene.source.name
        if scene.copy is not None and step not in UNDOING:
            self.result["node"] = scene.copy.node

    def _note_downtime(self) -> None:
        """From the stop to the start, or, where the answer of that was lost, to what came next."""
        if self._stopped_at is not None:
            self.result.setdefault("downtime_seconds", round(time.monotonic() - self._stopped_at, 3))

    def _prepare(self, scene: Scene) -> None:
        """Do all that can be done for the copy while the source still runs."""
        found, made = t.cast(Survey, self.found), t.cast(facts.Instance, scene.copy)
        node = found.destination_nodes.get(made.node) or facts.nodes(self._session.destination.cluster).get(made.node)
        if node is None:
            raise GanetiError(f"{self._session.destination.name} made {made.name} on the node {made.node}, and does not list that: run the same task again.")
        if made.node != found.node:
            problems = check_nodes(self._session, self.options, found.source, found.source_node, node)
            if problems:
                raise GanetiError(" ".join(problems))
        self._made = made
        if not found.source.disks:
            return
        sides: t.Tuple[Side, Side] = (self._session.source, self._session.destination)
        nodes = found.source_node, node
        hosts: t.List[SshHost] = [self._session.host(side, node) for side, node in zip(sides, nodes)]
        self._lanes = lane_count(self.options.lanes, hosts, found.cores)
        agreed = TransferPlan(
            move_id=self._move_id,
            address=self._session.data_address(nodes[1]),
            port=self.options.data_port,
            lanes=self._lanes,
            tool=self.options.compress,
            ciphers=self.options.ciphers,
            checksum=self.options.checksum,
            readback=self.options.verify == "readback",
            sizes=[disk.bytes for disk in found.source.disks],
            targets=self._paths[False],
            skip_free=self.options.skip_free_space,
        )
        self._held()  # what follows empties the copy's disks
        self._transfer = Transfer(self._progress, self.options.stall_timeout)
        self._transfer.prepare(hosts[1], hosts[0], agreed)

    def close(self) -> None:
        """End what still runs on the nodes."""
        if self._transfer is not None:
            self._transfer.close()

    def _copy(self, scene: Scene) -> None:
        """Copy the disks; raise StreamFailed unless both ends agree on every digest."""
        found = t.cast(Survey, self.found)
        self._compare_source(scene)
        if self._transfer is None:
            return
        begun = time.monotonic()
        sizes = [disk.bytes for disk in found.source.disks]
        self._held()
        with self._transfer:
            sent, received = self._transfer.run(self._paths[True])
        compare(sent["digests"], received["digests"], len(sizes))
        self._journal.add("verified", digests=received["digests"])
        self.result.update(
            disks=[{"size": size, "digest": digest} for size, digest in zip(sizes, received["digests"])],
            lanes=self._lanes,
            payload=sent["payload"],
            wire=sent["wire"],
            tls=[dict(zip(("version", "cipher", "bits"), agreed)) for agreed in sent["tls"]],
            copy_seconds=round(time.monotonic() - begun, 3),
        )
        if self.options.skip_free_space:
            self.result["free_space_skipped"] = skipped(sent["free_space"])


def skipped(told: t.Sequence[t.Sequence[t.Mapping[str, t.Any]]]) -> t.List[t.Dict[str, t.Any]]:
    """What was told of the parts of each disk, as the user gets it; their words are the guest's in part."""
    shown = ("partition", "file_system", "reason")
    return [
        {"disk": index, **{name: printable(value) if name in shown and value else value for name, value in part.items()}}
        for index, parts in enumerate(told)
        for part in parts
    ]


def sentence(text: str) -> str:
    """*text* so that another sentence can follow it: what Ganeti says has often no full stop."""
    text = text.rstrip()
    return text if text.endswith((".", "?", "!")) else f"{text}."


def hold(lease: Lease) -> None:
    """Make sure that *lease* is held now; raise LeaseLost or LeaseTaken where it is not."""
    lease.check()
    # What was asked before this process slept is not worth anything any more.
    while not lease.fresh:
        lease.check()


class _Running:
    """A job under way; over RAPI, which takes one opcode a job, a chain of them."""

    def __init__(self, session: Session, lease: Lease, job: Job, locks: float) -> None:
        self._session = session
        self._side = session.source if job.at_source else session.destination
        self._lease = lease
        self._job = job
        self._locks = locks
        self._batches = self._in_batches(job.opcodes)
        self._sent: t.List[Opcode] = []
        self._job_id = 0

    def start(self, first: bool) -> None:
        """Submit the first job; raise _Unsent where the lease is not held and this is the *first* of a step."""
        try:
            self._submit()
        except (LeaseLost, LeaseTaken) as error:
            if first:
                raise _Unsent(error.message) from error
            raise

    def finish(self) -> t.List[t.Any]:
        """Wait, and run what is left; the opcodes' results."""
        results = self._wait()
        while self._batches:
            self._submit()
            results += self._wait()
        return results

    def _submit(self) -> None:
        hold(self._lease)
        self._sent = self._batches.pop(0)
        self._job_id = self._session.submit(self._side, self._sent)

    def _wait(self) -> t.List[t.Any]:
        try:
            return self._results()
        except JobFailed as error:
            rest = rest_after(error, self._sent)
            if not rest:
                raise
            return [*(error.before or []), *self._once_more([*self._job.guard, *rest])[len(self._job.guard) :]]

    def _once_more(self, opcodes: t.List[Opcode]) -> t.List[t.Any]:
        batches, results = self._in_batches(opcodes), []
        self._batches[:0] = batches
        for _batch in batches:
            self._submit()
            results += self._results()
        return results

    def _in_batches(self, opcodes: t.Sequence[Opcode]) -> t.List[t.List[Opcode]]:
        return [[op] for op in opcodes] if self._side.cluster.transport == "rapi" else [list(opcodes)]

    def _results(self) -> t.List[t.Any]:
        return self._session.results(self._side, self._job_id, self._job.what, self._locks)


def _is_lost(error: GanetiError) -> bool:
    """Whether what became of a step is not known."""
    return is_unknown(error) or isinstance(error, (LeaseLost, LeaseTaken))


def _result_of(ran: Ran, op_id: str) -> t.Any:
    """What the only opcode of a kind in a job has given."""
    job, results = ran
    return next(result for op, result in zip(job.opcodes, results) if op["OP_ID"] == op_id)


def _activated(ran: Ran) -> t.List[str]:
    """The devices that OP_INSTANCE_ACTIVATE_DISKS names, in order; none where a job has no such opcode, as the disks lie in files."""
    job, results = ran
    return [str(path) for op, result in zip(job.opcodes, results) if op["OP_ID"] == "OP_INSTANCE_ACTIVATE_DISKS" for _node, _name, path in result]


def compare(sent: t.Sequence[str], received: t.Sequence[str], count: int) -> None:
    """Raise StreamFailed unless both ends report *count* digests, and the same ones."""
    if not len(sent) == len(received) == count:
        raise StreamFailed("The two ends do not agree on the number of disks.")
    for index, (theirs, ours) in enumerate(zip(sent, received)):
        if theirs != ours:
            raise StreamFailed(
                f"Disk {index} differs at the destination: its digest is {ours}, the source's is {theirs}. "
                "The copy is thrown away; look at the storage of the destination node."
            )
