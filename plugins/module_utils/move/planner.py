# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What follows from what is known: the state machine of a move, as a table. Pure; nothing here talks to anybody.

A run looks at both clusters, asks :func:`next_step` for the one thing to do next, does it, notes what came of it with :func:`learn`,
and looks again. What it remembers is small (`Memory`); all else is read. ``GOALS`` are: *forward*, to a finished move, and
*back*, to what was before, which is wanted with ``state: aborted`` and after a failure of this run's own.

=========  ==============================================  =======================================
state      forward                                         back
=========  ==============================================  =======================================
PLAIN      survey, then begin                              end: as before
ORPHAN     remove the copy                                 remove the copy
CLAIMED    restore the source                              restore the source
COPYING    this run's: prepare, stop, copy, release;       remove the copy
           another's: remove the copy
RELEASED   the copy is as wanted: commit; else: resume     this run's release failed: take it back;
                                                           else: end, people decide
COMMITTED  tidy                                            end: it is moved
MOVED      end: moved                                      end: it is moved
=========  ==============================================  =======================================

Why never both copies run and nothing is lost, as numbered invariants. Each is kept by Ganeti itself (by tickets, see
:mod:`tags`, or by its rules for instances that are offline), so that neither a controller that slept nor a message that
comes late can break it; the lease keeps runs out of each other's way long before.

1. *A copy is offline from its creation to its release*, so Ganeti refuses to start it. Creation and fence are one job; where
   they are two (RAPI), the copy's state is "down" in between, and nothing starts an instance that is down by itself.
2. *Released or condemned, never both*: the job that releases a copy and the job that removes it both begin by taking the
   ticket ``unused``.
3. *Stopped at most once*: the job that stops the source begins by taking ``ready``. A source that is still ``ready`` was
   never touched, and undoing takes ``ready`` away, so that a late stop does nothing.
4. *Restored or given up, never both*: the job that brings the source back and the job that commits begin by taking
   ``restorable``. The source is brought back only when its copy is gone, and committed only when its copy was released.
5. *Before a release both are read*: the source is offline, known not to run, and carries the tags of this move and no other;
   the copy is unused. Nobody else can have been in between: whoever takes over a move takes its tickets first.
6. *A copy is removed only* if it was not released, or this very run has released it and knows that it does not run; and
   only while the source is there and its node answers. The job that removes it marks it offline first, which Ganeti refuses
   where it runs.
7. *A source is removed only* after the commit, and the job marks it offline first, which Ganeti refuses where it runs.
8. *Unknown is a value*: a node that does not answer, a job that has not ended, an answer that was lost lead to another look,
   and to an end with a message where looking does not help. They never lead to a start or a removal.
9. *A move is of one source and one destination*: the source's tags name the destination's cluster, the copy's tag names the
   source by UUID. A run for another destination cannot take the move for a dead one that left no copy.
10. *Forward, or back, or asked*: each state has a row above. Where a guard stands against the row's step, the run ends with
   a message that names the commands that decide.
"""

from __future__ import annotations

import enum
import typing as t

from . import guards, within
from .state import Case, Scene, State, View, recognise

_TRIES = 3
"""How often a step is tried whose answer was lost."""


class Step(enum.Enum):
    """What a run can do next. The values are what the user and the journal are told."""

    SURVEY = "preflight"
    BEGIN = "create the destination"
    PREPARE = "prepare the copy"
    STOP = "stop and fence the source"
    COPY = "copy the disks"
    RELEASE = "start the destination"
    RESUME = "start the destination again"
    COMMIT = "commit"
    TIDY = "tidy up"
    TAKE_BACK = "undo: take the destination back"
    REMOVE = "undo: remove the destination"
    RESTORE = "undo: restore the source"


OWN = (Step.SURVEY, Step.BEGIN, Step.PREPARE, Step.STOP, Step.COPY, Step.RELEASE)
"""The steps of a move from its beginning; each is done once by the run that has begun it."""

UNDOING = (Step.TAKE_BACK, Step.REMOVE, Step.RESTORE)


class Goal(enum.Enum):
    """Where a run is going."""

    FORWARD = "moved"
    BACK = "aborted"


class Memory(t.NamedTuple):
    """What a run knows beside what it reads."""

    goal: Goal
    mine: str
    """The id of the move that this run begins, if it begins one."""
    source_uuid: str = ""
    """The UUID of the source that this run holds the lease of."""
    reached: t.Optional[Step] = None
    """The last of its own steps that this run has done."""
    begun: bool = False
    """Whether this run has put, or may have put, anything on a cluster for its own move."""
    released: bool = False
    """Whether this run itself took the ticket of a copy that had never run."""
    failure: str = ""
    """Why this run's own move is undone."""
    tried: t.Optional[Step] = None
    tries: int = 0
    trouble: str = ""
    """The step that did not come off last, how often in a row, and why; not for steps whose failure is undone."""
    stuck: bool = False
    """Whether that step must not be tried again."""
    doubtful: bool = True
    """Whether jobs may be under way that are not this run's, or of which it does not know the end: always, but while its own move goes well."""
    action: str = "none"
    """What this run has come to: move, finish, undo or none."""
    overtaken: bool = False
    """Whether another run has begun this run's move anew, and its copy is the one that is used."""


class End(t.NamedTuple):
    """A run's end: well, or with a message."""

    well: bool
    message: str = ""


class Failed(t.NamedTuple):
    """A step that did not come off: the message, and what is known of it."""

    message: str
    lost: bool = False
    """Whether it was done is not known: it may be tried again if it turns out that it was not."""
    untried: bool = False
    """Nothing of it was sent, as the lease was not held: it may be tried again."""


TABLE: t.Mapping[t.Tuple[State, Goal], t.Optional[Step]] = {
    (State.ORPHAN, Goal.FORWARD): Step.REMOVE,
    (State.ORPHAN, Goal.BACK): Step.REMOVE,
    (State.CLAIMED, Goal.FORWARD): Step.RESTORE,
    (State.CLAIMED, Goal.BACK): Step.RESTORE,
    (State.COPYING, Goal.FORWARD): Step.REMOVE,  # another's; see _own
    (State.COPYING, Goal.BACK): Step.REMOVE,
    (State.RELEASED, Goal.FORWARD): Step.COMMIT,  # or RESUME; see _released
    (State.RELEASED, Goal.BACK): Step.TAKE_BACK,
    (State.COMMITTED, Goal.FORWARD): Step.TIDY,
    (State.INHERITED, Goal.FORWARD): Step.TIDY,
}
"""The step for each state and goal; where there is none the run ends."""


USED = (State.RELEASED, State.INHERITED, State.COMMITTED, State.MOVED)
"""The states in which a copy has taken the source's place, or is about to."""


def next_step(view: View, memory: Memory, case: Case) -> t.Tuple[Memory, Scene, t.Union[Step, End]]:
    """What to do next, the state that it follows from, and the memory with what planning adds to it."""
    scene = recognise(view, case, memory.mine if memory.begun else "", bool(memory.failure))
    if view.jobs:
        return memory, scene, _refuse(memory, guards.unfinished(view.jobs))
    memory = memory._replace(overtaken=memory.begun and scene.state in USED and scene.move_id != memory.mine)
    if scene.state is State.MOVED and memory.begun and not memory.overtaken and not memory.failure and memory.action == "none":
        memory = memory._replace(action="move")  # whose last answers were lost
    if view.source is not None and memory.source_uuid and view.source.uuid != memory.source_uuid:
        return memory, scene, _replaced(memory, case)
    if scene.state is State.STRANGE and memory.begun and not memory.failure:
        return next_step(view, memory._replace(failure=scene.why), case)
    decided = _decide(scene, memory, case)
    if isinstance(decided, End):
        return memory, scene, decided
    if decided is memory.tried and memory.stuck and decided in OWN and not memory.failure:
        return next_step(view, memory._replace(failure=memory.trouble), case)
    if decided is memory.tried and memory.stuck:
        return memory, scene, _refuse(memory, memory.trouble + STUCK[decided](scene, case))
    problem = next(filter(None, (guard(scene, case) for guard in GUARDS[decided])), "")
    if problem and decided in OWN and not memory.failure:
        lost = memory.trouble if decided is memory.tried else ""  # what was lost is the cause of what is seen
        return next_step(view, memory._replace(failure=lost or problem), case)
    return memory, scene, _refuse(memory, problem) if problem else decided


def _replaced(memory: Memory, case: Case) -> End:
    """The end where the name belongs to another instance than this run holds the lease of; within a cluster, to the copy that it has moved."""
    return End(True) if case.within and memory.action in ("move", "finish") else _refuse(memory, guards.another(case))


def _decide(scene: Scene, memory: Memory, case: Case) -> t.Union[Step, End]:
    if scene.state is State.STRANGE:
        return _refuse(memory, scene.why)
    goal = Goal.BACK if memory.failure else memory.goal
    if scene.state in (State.PLAIN, State.GONE, State.NOWHERE, State.BEREFT, State.MOVED):
        return _without_move(scene, memory, case)
    if scene.state is State.RELEASED:
        return _released(scene, memory, case)
    if scene.state in (State.COMMITTED, State.INHERITED) and memory.goal is Goal.BACK:
        return _refuse(memory, guards.moved(scene, case))
    if scene.state is State.COMMITTED:
        goal = Goal.FORWARD  # what failed before the commit does not count any more
    if scene.state is State.COPYING and goal is Goal.FORWARD and scene.move_id == memory.mine and memory.begun:
        return _own(memory)
    step = TABLE.get((scene.state, goal))
    return step if step is not None else _refuse(memory, guards.moved(scene, case))


def _without_move(scene: Scene, memory: Memory, case: Case) -> t.Union[Step, End]:
    """Nothing of a move is there, or it is all done."""
    twice = guards.replaced_source_rests(scene, case) if scene.state is State.MOVED else guards.predecessor_rests(scene, case)
    if twice and not memory.failure:
        return _refuse(memory, twice)
    if memory.goal is Goal.FORWARD and (scene.state is State.MOVED or memory.action in ("move", "finish")):
        return End(True)
    if memory.failure and scene.state is State.PLAIN:
        undone = " The move was undone: the source is as it was, and nothing is left at the destination." if memory.begun else ""
        return End(False, memory.failure + undone)
    if scene.state is State.MOVED and memory.goal is Goal.BACK:
        return End(False, guards.moved(scene, case))
    if scene.state is State.NOWHERE:
        return _refuse(memory, guards.nowhere(case))
    if scene.state is State.BEREFT:
        return _refuse(memory, guards.bereft(scene, case))
    if scene.state is State.GONE or memory.goal is Goal.BACK:
        return End(True)
    if memory.begun:
        return End(False, guards.vanished(scene, case))
    if memory.reached is None:
        if case.within and scene.source is not None and within.is_in_place(scene.source, case.primary_node, case.disk_template):
            return End(True)
        return Step.SURVEY
    return Step.BEGIN


def _own(memory: Memory) -> Step:
    """The step after the last one of this run's own move."""
    return OWN[OWN.index(memory.reached) + 1] if memory.reached is not None else Step.SURVEY


def _released(scene: Scene, memory: Memory, case: Case) -> t.Union[Step, End]:
    """A copy that may have run: it is used, made to run, or, by the run whose release failed, taken back."""
    if memory.goal is Goal.BACK:
        return _refuse(memory, guards.may_have_run(scene, case))
    satisfied = guards.is_as_wanted(scene, case)
    if satisfied is None:
        return _refuse(memory, guards.silent_copy(scene, case))
    if satisfied:
        return Step.COMMIT
    if memory.failure and memory.released:
        return Step.TAKE_BACK
    return Step.RESUME


def _refuse(memory: Memory, why: str) -> End:
    """The end of a run that may not go on; what it was about to undo stays to be undone."""
    if not memory.failure or memory.failure == why:
        return End(False, why)
    return End(False, f"{memory.failure} Undoing the move is not finished: {why}")


GUARDS: t.Mapping[Step, t.Tuple[guards.Guard, ...]] = {
    Step.SURVEY: (),
    Step.BEGIN: (),
    Step.PREPARE: (guards.source_ready, guards.copy_unused),
    Step.STOP: (guards.source_ready, guards.copy_unused),
    Step.COPY: (guards.source_fenced, guards.copy_unused),
    Step.RELEASE: (guards.source_fenced, guards.copy_unused),
    Step.RESUME: (guards.source_fenced, guards.copy_stopped),
    Step.COMMIT: (guards.source_fenced, guards.copy_has_its_name),
    Step.TIDY: (guards.copy_answers, guards.source_answers, guards.source_removable),
    Step.TAKE_BACK: (guards.copy_stopped,),
    Step.REMOVE: (guards.source_known, guards.copy_stopped),
    Step.RESTORE: (guards.source_known, guards.source_has_its_name),
}
"""What has to be true for each step; the first guard that speaks ends the run with its words."""


STUCK: t.Mapping[Step, t.Callable[[Scene, Case], str]] = {
    Step.RESUME: guards.not_started,
    Step.COMMIT: guards.not_tidy,
    Step.TIDY: guards.not_tidy,
    **dict.fromkeys((*OWN, *UNDOING), guards.not_undone),
}
"""What is said, after the trouble itself, where a step does not come off."""


def learn(memory: Memory, step: Step, failed: t.Optional[Failed]) -> Memory:
    """What the run knows after *step*; *failed* is None where it came off.

    A step of its own that fails is undone. But a release whose answer is lost goes on: its start may come at any time.
    """
    if failed is not None and failed.untried:
        return _troubled(memory, step, failed)
    after = memory._replace(begun=memory.begun or step is Step.BEGIN, released=memory.released or step is Step.RELEASE)
    if failed is None:
        return _done(after, step)
    if step in OWN and not (step is Step.RELEASE and failed.lost):
        return after._replace(failure=failed.message, doubtful=True)
    return _troubled(after, step, failed)


def _troubled(memory: Memory, step: Step, failed: Failed) -> Memory:
    tries = memory.tries + 1 if memory.tried is step else 1
    again = (failed.lost or failed.untried) and tries < _TRIES
    return memory._replace(doubtful=True, tried=step, tries=tries, stuck=not again, trouble=failed.message)


def _done(memory: Memory, step: Step) -> Memory:
    doubtful = bool(memory.failure) or not memory.begun
    after = memory._replace(doubtful=doubtful, tried=None, tries=0, stuck=False, trouble="")
    if step in OWN:
        return after._replace(reached=step)
    if step in UNDOING:
        return after._replace(action="undo" if memory.action == "none" else memory.action)
    if step in (Step.COMMIT, Step.TIDY):
        return after._replace(action="move" if memory.begun and not memory.overtaken else "finish")
    return after
