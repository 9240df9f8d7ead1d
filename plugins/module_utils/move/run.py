# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A run from beginning to end: take the lease, look, plan, act, and look again, until the planner says that it is over."""

from __future__ import annotations

import os
import time
import typing as t

from .._difference import Difference
from .._errors import ConnectionFailed, GanetiError, LeaseLost, LeaseTaken, MoveInterrupted
from .._interrupts import Interrupts
from .._progress import Progress
from ..lease.lease import Lease
from . import guards, plan
from .facts import Instance, Running
from .journal import Journal
from .look import identify, look, source_uuid_of
from .options import Options
from .planner import OWN, End, Failed, Goal, Memory, Step, learn, next_step
from .retry import patiently
from .session import Session
from .state import Case, Scene, View
from .steps import Context, Steps, sentence
from .survey import Survey, difference, named

_SILENCES = 15
"""How often a run looks again, in all, because a node did not answer: as long as a restart of its node daemon takes, and then some."""
_PAUSE = 2.0

Result = t.Dict[str, t.Any]


def run(options: Options, check_mode: bool, progress: Progress) -> Result:
    """Move the instance, undo an unfinished move of it, or with *check_mode* find out what would happen.

    Returns the module's result. Raises GanetiError; the source is then as it was
    and the destination gone, unless the message says otherwise.
    """
    with Interrupts(lambda signal: MoveInterrupted(f"The move was interrupted ({signal}).")) as interrupts:
        progress.phase("connect to both clusters")
        with interrupts.allowed():
            session = Session(options)
        try:
            return _run(session, named(session, options), check_mode, progress, interrupts)
        finally:
            session.close()


def _run(session: Session, options: Options, check_mode: bool, progress: Progress, interrupts: Interrupts) -> Result:
    with interrupts.allowed():
        options, case = identify(session, options)
        view = look(session, case, settle=False)
        source_uuid = source_uuid_of(view)
        if source_uuid is None:
            return _nothing(view, options, case)
        case = case._replace(source_uuid=source_uuid)
        how = f"{', with state: aborted' if options.state == 'aborted' else ''}{', in check mode' if check_mode else ''}"
        introduction = {"name": case.name, "to": f"{case.final} on {case.destination_cluster}{how}"}
        lease = Lease(session.master().popen, str(session.source.info["master"]), source_uuid, introduction)
        lease.acquire()
    try:
        journal = None if check_mode else Journal(options.journal_directory, case.source_cluster, case.name, case.destination_cluster)
        try:
            memory = Memory(_goal(options), os.urandom(8).hex(), source_uuid)
            context = Context(session, options, case, lease, journal or _NoJournal(), progress)
            return _Run(context, interrupts, memory, check_mode).to_the_end()
        finally:
            if journal is not None:
                journal.close()
    finally:
        lease.release()


def _nothing(view: View, options: Options, case: Case) -> Result:
    """The end where there is no source, and no copy that remembers one: it changes nothing, so it needs no lease."""
    _memory, _scene, ended = next_step(view, Memory(_goal(options), ""), case)
    if isinstance(ended, End) and ended.well:
        return _result(Difference(), action="none", move_id=None)
    raise GanetiError(ended.message if isinstance(ended, End) else f"{case.name} changed while it was looked at: run the same task again.")


def _goal(options: Options) -> Goal:
    return Goal.BACK if options.state == "aborted" else Goal.FORWARD


class _NoJournal(Journal):
    """What check mode writes into: nothing."""

    def __init__(self) -> None:
        self._entries = []
        self.problem = None

    def add(self, step: str, **fields: t.Any) -> None:
        """Record nothing."""


class _Run:
    def __init__(self, context: Context, interrupts: Interrupts, memory: Memory, check_mode: bool) -> None:
        self._session, self._case, self._lease, self._journal = context.session, context.case, context.lease, context.journal
        self._interrupts = interrupts
        self._begun = time.monotonic()
        self._memory = memory
        self._steps = Steps(context, memory.mine, estimate=check_mode)
        self._zero_first = self._steps.zero_first
        self._check_mode = check_mode
        self._silences = _SILENCES
        self._move_id = ""
        """The move that this run has dealt with."""

    def to_the_end(self) -> Result:
        """Look, plan, act, again and again."""
        try:
            while True:
                scene, decided = self._next()
                left = self._zero_first.is_left(scene) and not (isinstance(decided, End) and not decided.well)
                if left and self._check_mode:
                    return _zeroing_left()
                if isinstance(decided, End) and not left:
                    return self._end(scene, decided)
                if self._check_mode and decided is not Step.SURVEY:
                    return self._rehearsed(scene, t.cast(Step, decided))
                if left or (decided is Step.BEGIN and self._zero_first.is_due):
                    self._zero(t.cast(Instance, scene.source), left)
                    continue
                self._move_id = scene.move_id or self._move_id
                step = t.cast(Step, decided)
                self._memory = learn(self._memory, step, self._do(step, scene))
        finally:
            self._steps.close()

    def _zero(self, source: Instance, left: bool) -> None:
        """Zero the source before its move is begun, or end what of that is *left*; all is asked anew then, as it may have taken long."""
        with self._interrupts.allowed():
            (self._zero_first.end if left else self._zero_first.carry_out)(source)
        self._memory = self._memory._replace(reached=None)

    def _next(self) -> t.Tuple[Scene, t.Union[Step, End]]:
        while True:
            memory, scene, decided = next_step(self._look(), self._memory, self._case)
            if not isinstance(decided, End) or decided.well or self._still_held():
                self._memory = memory
                return scene, decided

    def _still_held(self) -> bool:
        """Whether what was seen is still ours to judge; where it is not, it has to be seen anew, with the lease."""
        try:
            self._lease.check()
        except LeaseLost:
            return False
        return True

    def _look(self) -> View:
        """Make sure of the lease and read both clusters, with patience for connections that are gone for a moment.

        Once this run has begun its move, also for nodes: to give up at the first silence could leave the instance down.
        """
        try:
            view = patiently(self._hold_and_look)
            while self._memory.begun and self._silences and _is_silent(view):
                self._silences -= 1
                time.sleep(_PAUSE)
                view = patiently(self._hold_and_look)
            return view
        except (ConnectionFailed, LeaseLost, LeaseTaken) as error:
            raise self._lost(error) from error

    def _hold_and_look(self) -> View:
        if not self._memory.begun:
            with self._interrupts.allowed():
                self._hold()
                return look(self._session, self._case, self._memory.doubtful, at_first=True)
        self._hold()
        return look(self._session, self._case, self._memory.doubtful)

    def _hold(self) -> None:
        """Make sure that the lease is held, on the master: if it was lost it is taken again, unless another has it by now."""
        master = str(self._session.source.cluster.info()["master"])
        if master != self._lease.node:
            raise LeaseLost(f"{self._lease.node} is not the master of {self._case.source_cluster} any more, {master} is.")
        try:
            self._lease.check()
        except LeaseLost:
            self._lease.acquire()
            self._memory = self._memory._replace(doubtful=True)  # others may have been at work meanwhile

    def _do(self, step: Step, scene: Scene) -> t.Optional[Failed]:
        if step not in OWN:
            return self._steps.carry_out(step, scene)
        try:
            with self._interrupts.allowed():
                return self._steps.carry_out(step, scene)
        except MoveInterrupted as error:
            # It came before the step began.
            return self._steps.failed(error)

    def _lost(self, error: GanetiError) -> GanetiError:
        """The error for a run that may not, or cannot, go on; what it has left, the next one finds."""
        memory = self._memory
        what = error.message
        if not (memory.begun or memory.failure or memory.tried):
            return type(error)(what, **error.details)
        before = f"{memory.failure or memory.trouble} " if memory.failure or memory.trouble else ""
        self._journal.add("given up", message=f"{before}{what}")
        return type(error)(
            f"{before}{sentence(what)} What became of the move after that is not known, and nothing more was done. "
            "Run the same task again: it finds out, and finishes the move or undoes it.",
            **error.details,
        )

    def _end(self, scene: Scene, ended: End) -> Result:
        if not ended.well:
            self._journal.add("ended", message=ended.message)
            raise self._steps.cause(ended.message)
        move_id = scene.move_id or self._move_id or None
        if self._memory.action == "none":
            return self._unchanged(scene, move_id)
        if self._memory.action == "move":
            self._journal.add("committed")
            return self._moved()
        self._journal.add("committed" if self._memory.action == "finish" else "undone")
        change = Difference()
        change.add("move", f"{move_id}: not finished", "finished" if self._memory.action == "finish" else "undone")
        return _result(change, action=self._memory.action, move_id=move_id, **self._steps.result)

    def _unchanged(self, scene: Scene, move_id: t.Optional[str]) -> Result:
        found = scene.copy or scene.source
        said = [plan.elsewhere(found, self._steps.options)] if found is not None and self._memory.goal is Goal.FORWARD else []
        if self._memory.begun or self._memory.failure:
            said.append(guards.overtaken(self._memory.failure, scene, self._case))
            self._journal.add("ended", message=said[-1])
        node = {"node": found.node} if found is not None else {}
        change, warnings = Difference(), [each for each in (*said, *self._zero_first.warnings) if each]
        if self._zero_first.ended:
            change.add("zeroing", "begun by an earlier run", "ended")
        return _result(change, action="undo" if self._zero_first.ended else "none", move_id=move_id, warnings=warnings, **node)

    def _moved(self) -> Result:
        found = t.cast(Survey, self._steps.found)
        self._steps.result["seconds"] = round(time.monotonic() - self._begun, 3)
        change = self._difference(found, t.cast(t.Optional[str], self._steps.result.get("node")))
        shown = dict(found.shown)
        shown["warnings"] = [*shown["warnings"], *self._zero_first.warnings, *([self._journal.problem] if self._journal.problem else [])]
        return _result(change, action="move", move_id=self._memory.mine, **{**shown, **self._zero_first.shown, **self._steps.result})

    def _difference(self, found: Survey, node: t.Optional[str]) -> Difference:
        return difference(found, self._session, self._steps.options, node)

    def _rehearsed(self, scene: Scene, step: Step) -> Result:
        """What would happen next: a new move, of which the preflight is done, or something about an earlier one."""
        if step is Step.BEGIN:
            found = t.cast(Survey, self._steps.found)
            return _result(self._difference(found, found.node), action="move", move_id=None, **found.shown, **self._zero_first.shown)
        finishing = step in (Step.COMMIT, Step.RESUME, Step.TIDY)
        change = Difference()
        back = "undone" if self._memory.goal is Goal.BACK else "undone and begun anew"
        change.add("move", f"{scene.move_id}: {scene.state.value}", "finished" if finishing else back)
        return _result(change, action="finish" if finishing else "undo", move_id=scene.move_id)


def _zeroing_left() -> Result:
    """What check mode tells of a zeroing that has to be ended before anything else can be said."""
    change = Difference()
    change.add("zeroing", "begun by an earlier run", "ended")
    return _result(change, action="undo", move_id=None)


def _is_silent(view: View) -> bool:
    """Whether a node that may be back in a moment does not tell what runs there."""
    found = [each for each in (view.source, *view.copies) if each is not None]
    return any(each.running is Running.UNKNOWN and not each.node_given_up for each in found)


def _result(change: Difference, **fields: t.Any) -> Result:
    return {"changed": change.changed, "diff": change.diff(), **fields}
