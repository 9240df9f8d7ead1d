# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every order in which runs, Ganeti's jobs, faults and an administrator can meet: all states that can be reached, each once.

A run is a value too: what it remembers, and where in its turn it is. Its turn is that of `run._Run`: make sure of the lease, look, plan;
for each job check the lease and submit it; wait; learn. What it decides is the real planner's, what it asks for the real opcodes.
"""

from __future__ import annotations

import functools
import typing as t

from ansible_collections.ganeti.cluster.plugins.module_utils.api.opcodes import sayable
from ansible_collections.ganeti.cluster.plugins.module_utils.move import changes, guards, look, planner, tags, within
from ansible_collections.ganeti.cluster.plugins.module_utils.move.planner import End, Failed, Goal, Memory, Step
from ansible_collections.ganeti.cluster.plugins.module_utils.move.state import Case, View
from ansible_collections.ganeti.cluster.plugins.module_utils.move.steps import JOBS

from . import fakes
from .samples import options

NODES = {"alpha": "a3", "beta": "b1", "gamma": "c1"}
INTERN = {}
OPCODES = []
"""Jobs' opcodes, each kept once; a job is its number here."""


class Task(t.NamedTuple):
    """What somebody wants of the instance."""

    to: str = "beta"
    goal: Goal = Goal.FORWARD
    source_after: str = "fenced"
    start: str = "as_before"
    rapi: bool = False

    def case(self):
        """The case that the planner is asked about."""
        inside = self.to == "alpha"
        return Case("web", "web", "alpha", self.to, f"uuid-{self.to}", inside, self.start, self.source_after, NODES[self.to] if inside else None)


class Item(t.NamedTuple):
    """Something to do for a step: submit opcodes, or wait for what was submitted; ``chain`` tells which job of the step it is for."""

    submit: bool
    chain: int
    cluster: str = ""
    opcodes: int = -1


class Job(t.NamedTuple):
    """A job in a cluster's queue, or on its way there. ``at`` counts the opcodes that are done; ``ended`` is what came of it."""

    owner: int
    chain: int
    cluster: str
    opcodes: int
    at: int = 0
    arrived: bool = True
    ended: str = ""


class Run(t.NamedTuple):
    """A run: ``at`` is where it is in its turn."""

    task: Task
    memory: Memory
    at: str = "begin"
    view: t.Optional[View] = None
    before: t.Optional[View] = None
    """What was seen before jobs were waited for."""
    step: t.Optional[Step] = None
    script: t.Tuple[Item, ...] = ()
    submitted: bool = False
    failed: t.Optional[Failed] = None
    reading: int = 0
    """What the disks of the source hold that this run reads."""
    end: t.Optional[End] = None


class Here(t.NamedTuple):
    """All that there is at one moment. ``faults`` is how many more of them may come."""

    world: fakes.World
    runs: t.Tuple[Run, ...]
    jobs: t.Tuple[Job, ...] = ()
    faults: int = 0
    hands: int = 0
    """How often an administrator may still take a hand."""


LOST = Failed("The connection was lost.", lost=True)


def run_of(task, number):
    """A run that has not begun."""
    return Run(task, Memory(task.goal, "0123456789abcdef"[number] * 16))


def intern(opcodes):
    """The number of a list of opcodes."""
    key = repr(opcodes)
    if key not in INTERN:
        INTERN[key] = len(OPCODES)
        OPCODES.append(opcodes)
    return INTERN[key]


def put(here, number, run, **changed):
    """The moment with one run, and more, replaced."""
    runs = (*here.runs[:number], run, *here.runs[number + 1 :])
    if changed:
        return here._replace(runs=runs, **changed)
    return Here(here.world, runs, here.jobs, here.faults, here.hands)  # mostly, and in half the time


# ---- a run's turn: each function gives the moments that may follow


def begin(here, number, run):
    """The first look, without a lease: it only finds the source, or the copy that remembers it."""
    case, seen = run.task.case(), here.world
    tagged, uuids = _listed(seen, case.destination_cluster)
    name = within.source_of(case.name, tagged, uuids) if case.within else case.name
    found = seen.find("alpha", name) if name else None
    copy = seen.find(case.destination_cluster, case.final)
    noted = [marks["destination"] for marks in tags.marks(copy.tags).values() if marks.get("destination")] if copy else []
    about = found.uuid if found else next(iter(noted), "")
    yield put(here, number, run._replace(at="hold", memory=run.memory._replace(source_uuid=about)))


def _listed(seen, cluster):
    """The tags and the UUIDs of a cluster's instances, by name."""
    there = [each for each in seen.machines if each.cluster == cluster]
    return {each.name: tuple(sorted(each.tags)) for each in there}, {each.name: each.uuid for each in there}


def hold(here, number, run):
    """Make sure of the lease, or take it."""
    if here.world.holder not in (None, number):
        yield over(here, number, False, "web is being moved by another run: wait for its end, then run the same task again.")
    else:
        # Where the lease was lost meanwhile, others may have been at work.
        if here.world.holder == number:
            yield from look_first(here, number, run)
        else:
            again = run._replace(at="look", memory=run.memory._replace(doubtful=True))
            yield put(here, number, again, world=here.world._replace(holder=number))


def look_first(here, number, run):
    """The first half of a look: the list of the destination's instances, and the source."""
    case, seen = run.task.case(), here.world
    tagged, uuids = _listed(seen, case.destination_cluster)
    name = within.source_of(case.name, tagged, uuids) if case.within else case.name
    found = seen.find("alpha", name) if name else None
    source = fakes.described(seen, found) if found else None
    listed = (tuple(tagged.items()), tuple(uuids.items()))
    yield put(here, number, run._replace(at="look again", view=View(source, listed, None)))


def look_again(here, number, run):
    """The second half, the copies; and the plan, where jobs need not be waited for, or this is what was seen before they were."""
    case, seen = run.task.case(), here.world
    source, (tagged, uuids) = run.view.source, map(dict, run.view.copies)
    found = [seen.find(case.destination_cluster, name) for name in look._copies(source, case, tagged, uuids)]
    view = look.view_of(case, source, tuple(fakes.described(seen, each) for each in found if each is not None), tagged, uuids)
    if not run.memory.doubtful or view == run.before:
        yield _planned(here, number, run, view)
    else:
        yield put(here, number, run._replace(at="quiet", view=view))


def quiet(here, number, run):
    """Wait until no job about our instances is under way; where nothing says anything of a move, at first, the run ends."""
    if any(job.arrived and not job.ended for job in here.jobs):
        if not run.memory.begun and look.is_unmarked(run.view):
            yield over(here, number, False, guards.unfinished(["INSTANCE_CREATE(web)"]))
        return
    if look.is_unmarked(run.view):
        yield _planned(here, number, run, run.view)
    else:
        yield put(here, number, run._replace(at="look", before=run.view, view=None))


def _planned(here, number, run, view):
    memory, decided, script = _decided(view, run.memory, run.task)
    if isinstance(decided, End):
        if not decided.well and here.world.holder != number:
            return put(here, number, Run(run.task, run.memory, at="hold"))
        assert_true(here.world, memory, decided)
        return over(here, number, decided.well, decided.message)
    run = run._replace(memory=memory, view=None, before=None, step=decided, script=script, submitted=False, failed=None)
    if decided is Step.PREPARE:  # the clusters notice nothing of it
        return learnt(here, number, run)
    return put(here, number, run._replace(at="next" if decided in JOBS else decided.name))


@functools.cache  # the same is seen in ten moments or more
def _decided(view, memory, task):
    """What the planner makes of a view: what the run remembers then, the step or the end, and the script of that step."""
    case = task.case()
    later, scene, decided = planner.next_step(view, memory, case)
    if decided not in JOBS:
        return later, decided, ()
    made = creation(view.source, task, later.mine) if view.source else None
    recipe = changes.Recipe(case, _asked(task), later.mine, made)
    return later, decided, _script(JOBS[decided](scene, recipe), task)


def assert_true(seen, memory, end):
    """Assert that a run that says that it has moved the instance has: its own copy has replaced the source."""
    source = seen.by_uuid(memory.source_uuid)
    if end.well and memory.action == "move" and source is not None:
        assert any(tag.startswith(f"ganeti-move:{memory.mine}:moved-to:") for tag in source.tags), "it claims another's move for its own"


def _script(jobs, task):
    """What `steps.Steps._jobs` does with the jobs of a step: the first opcodes of each at once, then those of the last, then the others'."""
    chains = []
    for chain, job in enumerate(jobs):
        lists = [[sayable(op, "rapi")] for op in job.opcodes] if task.rapi else [list(job.opcodes)]
        cluster = "alpha" if job.at_source else task.to
        chains.append([Item(True, chain, cluster, intern(each)) for each in lists])
    script = [items.pop(0) for items in chains]
    for chain in reversed(range(len(chains))):
        script.append(Item(False, chain))
        for item in chains[chain]:
            script += [item, Item(False, chain)]
    return tuple(script)


def _options(task):
    changed = {"name": "web", "source_after": task.source_after, "start": task.start}
    return {**changed, "primary_node": NODES["alpha"], "destination": None} if task.to == "alpha" else changed


@functools.cache
def _asked(task):
    """The options of a task."""
    return options(**_options(task))


def creation(source, task, mine):
    """The opcode that makes the copy."""
    inside = task.to == "alpha"
    nics = [{"mac": "generate" if inside else nic.mac, **({} if inside else {"ip": nic.ip})} for nic in source.nics]
    name = within.names(_asked(task), inside, mine).made
    kept = [tag for tag in source.tags if not tag.startswith("ganeti-move:")]
    return {"OP_ID": "OP_INSTANCE_CREATE", "instance_name": name, "pnode": NODES[task.to], "disks": [{}], "nics": nics, "tags": [*kept, tags.destination(mine)]}


def go_on(here, number, run):
    """The next item of the step's script."""
    if not run.script:
        yield learnt(here, number, run)
        return
    item = run.script[0]
    if item.submit:
        yield from check(here, number, run)
        return
    job = next((each for each in here.jobs if each.owner == number and each.chain == item.chain), None)
    if job is None:
        yield put(here, number, run._replace(script=run.script[1:]))
    elif job.ended:
        failed = run.failed if job.ended == "success" else run.failed or Failed(job.ended)
        left = run.script[1:] if job.ended == "success" else _without(run.script, item.chain)
        yield put(here, number, run._replace(script=left, failed=failed), jobs=tuple(each for each in here.jobs if each is not job))


def _without(script, chain):
    return tuple(item for item in script if item.chain != chain)


def check(here, number, run):
    """The lease is asked for; the submission comes after it, and in between a controller may sleep."""
    if here.world.holder == number:
        yield put(here, number, run._replace(at="submit"))
        return
    failed = run.failed or Failed("The lease on a1 was lost.", lost=run.submitted, untried=not run.submitted)
    script = _without(run.script, run.script[0].chain) if run.submitted else ()
    yield put(here, number, run._replace(at="next", script=script, failed=failed))


def submit(here, number, run):
    """A job reaches its cluster."""
    yield _sent(here, number, run, True)


def _sent(here, number, run, arrived):
    item = run.script[0]
    # What arrives late, nobody waits for any more.
    job = Job(number if arrived else -1, item.chain, item.cluster, item.opcodes, 0, arrived)
    return put(here, number, run._replace(at="next", script=run.script[1:], submitted=True), jobs=tuple(sorted((*here.jobs, job))))


def learnt(here, number, run):
    """The step is over, and the next turn begins."""
    memory = planner.learn(run.memory, run.step, run.failed)
    return put(here, number, Run(run.task, memory, at="hold"))


def survey(here, number, run):
    """The preflight, as far as it matters here."""
    case, seen = run.task.case(), here.world
    found = seen.find("alpha", "web")
    taken = not case.within and seen.find(case.destination_cluster, "web") is not None
    odd = found is None or found.admin == "offline" or (found.admin == "up") != found.runs or found.node in seen.silent
    odd = odd or any(tag.startswith("ganeti-move:") for tag in found.tags)
    failed = Failed("The preflight: run the same task again.") if taken or odd else None
    yield learnt(here, number, run._replace(failed=failed))


def copy(here, number, run):
    """The endpoints begin to read the source's disks."""
    source = here.world.by_uuid(run.memory.source_uuid)
    yield put(here, number, run._replace(at="copying", reading=source.version if source else 0))


def copying(here, number, run):
    """The copy's disks hold what was read, if they are still there."""
    made = next((each for each in here.world.machines if any(tag.startswith(tags.destination(run.memory.mine)) for tag in each.tags)), None)
    if made is None or made.node in here.world.silent or here.world.by_uuid(run.memory.source_uuid) is None:
        yield learnt(here, number, run._replace(failed=Failed("The copy failed.")))
        return
    yield learnt(put(here, number, run, world=here.world.replace(made, version=run.reading, complete=True)), number, run)


def over(here, number, well, message):
    """A run has come to its end."""
    world = here.world._replace(holder=None) if here.world.holder == number else here.world
    task = here.runs[number].task
    jobs = tuple(job for job in here.jobs if job.owner != number or not job.ended)
    return put(here, number, Run(task, Memory(task.goal, ""), at="over", end=End(well, message)), world=world, jobs=jobs)


TURN = {
    "begin": begin, "hold": hold, "look": look_first, "look again": look_again, "quiet": quiet, "next": go_on, "submit": submit,
    "SURVEY": survey, "COPY": copy, "copying": copying,
}  # fmt: skip


# ---- what else may happen


def _work(here, job, failing=False):
    """A cluster carries out the next opcode of a job, or fails to."""
    world, ended = (here.world, "Job failed: it failed.") if failing else _carried_out(here.world, job.cluster, job.opcodes, job.at)
    after = Job(job.owner, job.chain, job.cluster, job.opcodes, job.at + 1, job.arrived, ended)
    alive = job.owner >= 0 and here.runs[job.owner].at not in ("dead", "over")
    kept = (after,) if alive or not ended else ()
    return here._replace(world=world, jobs=tuple(sorted((*(each for each in here.jobs if each is not job), *kept))))


@functools.cache  # as _decided
def _carried_out(world, cluster, number, at):
    """The world after an opcode, and what has come of its job if that was the last or failed."""
    opcodes = OPCODES[number]
    ended = ""
    try:
        world = fakes.run_opcode(world, cluster, opcodes[at])[0]
        ended = "success" if at + 1 == len(opcodes) else ""
    except fakes.Refused as refusal:
        world, ended = getattr(refusal, "world", world), f"Job failed: {refusal}."
    fakes.check(world)
    return world, ended


def _kill(here, number):
    world = here.world._replace(holder=None) if here.world.holder == number else here.world
    jobs = tuple(job for job in here.jobs if job.owner != number or not job.ended)
    task = here.runs[number].task
    return put(here, number, Run(task, Memory(task.goal, ""), at="dead"), world=world, jobs=jobs, faults=here.faults - 1)


def _faults(here, kinds):
    """Every fault that can come now, of the *kinds* that are looked at."""
    for number, run in enumerate(here.runs):
        if run.at in ("begin", "over", "dead"):
            continue
        if "kill" in kinds and number == 0:
            yield _kill(here, number)  # of two that are alike, the first
            if run.at == "submit":
                yield _kill(_sent(here, number, run, False), number)  # what was sent arrives later
        if "freeze" in kinds and here.world.holder == number == 0:
            yield here._replace(world=here.world._replace(holder=None), faults=here.faults - 1)
        if "lost" in kinds:
            yield from _lost(here, number, run)
    if "fail" in kinds:
        for job in here.jobs:
            if job.arrived and not job.ended:
                yield _work(here, job, failing=True)._replace(faults=here.faults - 1)
    if "silent" in kinds and not here.world.silent:
        for node in sorted({each.node for each in here.world.machines}):
            yield here._replace(world=here.world._replace(silent=frozenset((node,))), faults=here.faults - 1)


def _lost(here, number, run):
    """An answer is lost: at a submission, that arrives later, or never; or while a job is waited for."""
    if run.at == "submit":
        chain = run.script[0].chain
        for moment in (_sent(here, number, run, False), put(here, number, run._replace(submitted=True))):
            after = moment.runs[number]
            yield put(moment, number, after._replace(at="next", script=_without(after.script, chain), failed=run.failed or LOST), faults=here.faults - 1)
    elif run.at == "next" and run.script and not run.script[0].submit:
        chain = run.script[0].chain
        jobs = tuple(job._replace(owner=-1) if job.owner == number and job.chain == chain else job for job in here.jobs)
        jobs = tuple(job for job in jobs if job.owner >= 0 or not job.ended)
        yield put(here, number, run._replace(script=_without(run.script, chain), failed=run.failed or LOST), jobs=tuple(sorted(jobs)), faults=here.faults - 1)


def _hands(here):
    """An administrator brings the source online and starts it, where no run is alive, nothing is under way, and no copy runs."""
    if here.hands and not here.jobs and all(run.at in ("begin", "dead", "over") for run in here.runs) and not here.world.silent:
        found = here.world.by_uuid("u-web")
        if found is not None and not any(each.runs for each in here.world.machines) and all(each.version <= found.version for each in here.world.machines):
            yield here._replace(world=fakes.start(here.world, found._replace(admin="down")), hands=here.hands - 1)


def follow(here, kinds=()):
    """Every moment that may follow this one."""
    for number, run in enumerate(here.runs):
        if run.at in TURN:
            yield from TURN[run.at](here, number, run)
    for job in here.jobs:
        if not job.arrived:
            yield here._replace(jobs=tuple(sorted((*(each for each in here.jobs if each is not job), job._replace(arrived=True)))))
            yield here._replace(jobs=tuple(each for each in here.jobs if each is not job))
        elif not job.ended:
            yield _work(here, job)
    if here.world.silent:
        yield here._replace(world=here.world._replace(silent=frozenset()))
    if here.faults:
        yield from _faults(here, kinds)
    yield from _hands(here)


def all_of(begun, kinds=()):
    """All moments that can be reached, with one that leads there; the ends among them are those that nothing follows."""
    came = {begun: None}
    todo = [begun]
    ends = []
    while todo:
        here = todo.pop()
        try:
            following = list(follow(here, kinds))
        except fakes.Broken as broken:
            raise fakes.Broken(f"{broken}\n{story(here, came)}") from None
        if not following:
            ends.append(here)
        for moment in following:
            known = len(came)
            came.setdefault(moment, here)  # asked once, as to look one up takes most of the time
            if len(came) > known:
                todo.append(moment)
    return came, ends


def story(here, came):
    """How it came to this, a line for each moment."""
    lines = []
    while here is not None:
        runs = "; ".join(f"{run.at}{f' {run.step.name}' if run.step else ''}{f' ({run.end.message})' if run.end else ''}" for run in here.runs)
        jobs = ", ".join(f"{job.owner}:{_now(job)}{'' if job.arrived else ' on its way'} {job.ended}" for job in here.jobs)
        machines = ", ".join(
            f"{each.name}@{each.cluster} {each.admin}{' runs' if each.runs else ''} v{each.version} {sorted(tag[12:] for tag in each.tags if tag != 'prod')}"
            for each in here.world.machines
        )
        lines.append(f"[{runs}] holder {here.world.holder}, jobs [{jobs}], {machines}")
        here = came[here]
    return "\n".join(reversed(lines))


def _now(job):
    opcodes = OPCODES[job.opcodes]
    return opcodes[min(job.at, len(opcodes) - 1)]["OP_ID"]


def alone(world, task, number=9):
    """What a run comes to that nothing disturbs: the world after it, and its end."""
    here = Here(world._replace(silent=frozenset(), holder=None, starts_fail=False), (run_of(task, number),))
    for _turn in range(2000):
        following = list(follow(here))
        if not following:
            return here.world, here.runs[0].end
        here = following[-1] if here.jobs and any(not job.ended for job in here.jobs) else following[0]
    raise fakes.Broken("it never comes to an end")
