# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A move from beginning to end: look for what is left of an earlier run, check, move, and undo what fails."""

from __future__ import annotations

import os
import time
import typing as t

from .._difference import Difference
from .._errors import GanetiError
from . import facts, interrupts, plan, tags, within
from .journal import Journal
from .options import Options
from .progress import Progress
from .recovery import Action, Decision, decide
from .session import Session
from .steps import Steps
from .survey import Survey, difference, named, survey

Result = t.Dict[str, t.Any]


def run(options: Options, check_mode: bool, progress: Progress) -> Result:
    """Move the instance, or with *check_mode* find out what would happen.

    Returns the module's result. Raises GanetiError; the source is then as it was
    and the destination gone, unless the message says otherwise.
    """
    with interrupts.as_exception():
        progress.phase("connect to both clusters")
        session = Session(options)
        try:
            return _Move(session, named(session, options), progress).run(check_mode)
        finally:
            session.close()


class _Move:
    def __init__(self, session: Session, options: Options, progress: Progress) -> None:
        self._session = session
        self._options = options
        self._progress = progress

    def run(self, check_mode: bool) -> Result:
        names = (self._options.name, self._session.source.name, self._options.destination_name, self._session.destination.name)
        if check_mode:
            return self._rehearse(names)
        journal = Journal(self._options.journal_directory, names[1], names[0], names[3])
        try:
            return self._act(names, journal)
        finally:
            journal.close()

    def _act(self, names: t.Tuple[str, str, str, str], journal: Journal) -> Result:
        source, destination = self._instances()
        decision = self._decide(source, destination, names)
        if decision.action is Action.UNDO:
            self._undo_earlier(decision, journal)
            source, destination = self._instances()
            decision = self._decide(source, destination, names)
        if decision.action is Action.DONE:
            return self._unchanged(decision, destination or source)
        if decision.action is Action.FINISH and destination is not None:
            return self._finish(decision, source, destination, journal)
        if decision.action is Action.FRESH and source is not None:
            return self._move(source, destination is not None, journal)
        raise GanetiError(f"{names[0]} changed while it was looked at: somebody else moves it. Run the same task again.")

    def _instances(self) -> t.Tuple[t.Optional[facts.Instance], t.Optional[facts.Instance]]:
        source, destination = self._options.name, t.cast("t.Optional[str]", self._options.destination_name)
        if self._session.within:
            source, destination = within.taking_part(source, *facts.tagged(self._session.source.cluster))
        return (
            facts.instance(self._session.source.cluster, source),
            facts.instance(self._session.destination.cluster, destination) if destination else None,
        )

    def _decide(self, source: t.Optional[facts.Instance], destination: t.Optional[facts.Instance], names: t.Tuple[str, str, str, str]) -> Decision:
        decision = decide(source, destination, names)
        if decision.action is Action.FRESH and self._session.within and source is not None and within.in_place(source, self._options):
            return Decision(Action.DONE)
        return decision

    def _rehearse(self, names: t.Tuple[str, str, str, str]) -> Result:
        """What would happen: the preflight in full where a new move would begin."""
        source, destination = self._instances()
        decision = self._decide(source, destination, names)
        if decision.action is Action.DONE:
            return self._unchanged(decision, destination or source)
        if decision.action is Action.FRESH and source is not None:
            _move_id, found = self._survey(source, destination is not None, estimate=True)
            return _result(self._difference(found, found.node), action="move", move_id=None, **found.shown)
        change = Difference()
        outcome = "finished" if decision.action is Action.FINISH else "undone and begun anew"
        change.add("move", f"{decision.move_id}: {decision.action.value}", outcome)
        return _result(change, action=decision.action.name.lower(), move_id=decision.move_id)

    def _survey(self, source: facts.Instance, name_taken: bool, estimate: bool = False) -> t.Tuple[str, Survey]:
        move_id = os.urandom(8).hex()
        self._progress.phase("preflight")
        found = survey(self._session, self._options, source, name_taken, move_id, estimate)
        self._options = self._options._replace(compress=found.choice.tool)
        return move_id, found

    def _difference(self, found: Survey, node: t.Optional[str]) -> Difference:
        return difference(found, self._session, self._options, node)

    def _unchanged(self, decision: Decision, found: t.Optional[facts.Instance]) -> Result:
        said = plan.elsewhere(found, self._options) if found is not None else None
        node = {"node": found.node} if found is not None else {}
        return _result(Difference(), action="none", move_id=decision.move_id or None, warnings=[said] if said else [], **node)

    def _move(self, source: facts.Instance, name_taken: bool, journal: Journal) -> Result:
        begun = time.monotonic()
        move_id, found = self._survey(source, name_taken)
        journal.begin(move_id)
        steps = Steps(self._session, self._options, journal, self._progress, move_id)
        try:
            made = steps.create(found)
            steps.prepare(found, made)
            steps.stop(found.source.instance)
            steps.copy(found, made)
            steps.release(plan.will_run(found.source.instance, self._options.start))
        except BaseException as error:
            interrupts.ignore()
            # Once the destination runs it may hold newer data than the source: then the only way is forward.
            if not steps.destination_runs():
                steps.close()
                self._undo(steps, journal, error)
                raise
        self._commit(steps, journal)
        steps.result["seconds"] = round(time.monotonic() - begun, 3)
        return _result(self._difference(found, made.node), action="move", move_id=move_id, node=made.node, **found.shown, **steps.result)

    def _commit(self, steps: Steps, journal: Journal) -> None:
        source, destination = self._instances()
        if destination is None:
            raise GanetiError(f"{self._options.destination_name} has vanished from {self._session.destination.name}: somebody removed it.")
        try:
            steps.commit(source, destination)
        except GanetiError as error:
            journal.add("commit incomplete", message=error.message)
            message = f"{destination.name} is moved and in use, but tidying up failed: {error.message} Run the same task again to finish it."
            raise GanetiError(message, **error.details) from error
        journal.add("committed")

    def _finish(self, decision: Decision, source: t.Optional[facts.Instance], destination: facts.Instance, journal: Journal) -> Result:
        """Take up a move whose copy is verified where its run ended."""
        committed = source is None or "moved-to" in tags.marks(source.tags)
        steps = Steps(self._session, self._options, journal, self._progress, decision.move_id)
        change = Difference()
        change.add("move", f"{decision.move_id}: {decision.action.value}", "finished")
        if destination.admin_state != "up" and not committed:
            wanted = decision.was_up if self._options.start == "as_before" else self._options.start == "yes"
            steps.release(wanted)
        self._commit(steps, journal)
        return _result(change, action="finish", move_id=decision.move_id, node=destination.node, **steps.result)

    def _undo_earlier(self, decision: Decision, journal: Journal) -> None:
        steps = Steps(self._session, self._options, journal, self._progress, decision.move_id)
        failures = self._undo_steps(steps, journal)
        if failures:
            what = f"An earlier run of this move ({decision.move_id}) could not be undone"
            raise GanetiError(f"{what}: {' '.join(failures)} Repair that and run the same task again.")

    def _undo(self, steps: Steps, journal: Journal, cause: BaseException) -> None:
        """Undo after *cause*; add to its message what could not be undone."""
        journal.add("failed", message=str(cause))
        failures = self._undo_steps(steps, journal)
        if failures:
            raise GanetiError(f"{cause} Undoing the move failed too: {' '.join(failures)} Run the same task again to finish the undo.") from cause
        if isinstance(cause, GanetiError):
            cause.message += " The move was undone: the source is as it was, and nothing is left at the destination."

    def _undo_steps(self, steps: Steps, journal: Journal) -> t.List[str]:
        failures = []
        # The order matters: the source may run again only when the destination is gone.
        for step in (steps.remove_destination, steps.restore_source):
            try:
                step()
            except GanetiError as error:
                failures.append(error.message)
                break
        journal.add("undo incomplete" if failures else "undone", failures=failures)
        return failures


def _result(change: Difference, **fields: t.Any) -> Result:
    return {"changed": change.changed, "diff": change.diff(), **fields}
