# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Zeroing before a move: between a preflight that has found nothing and the first change that the move makes, which knows nothing of it.

It is a zeroing like any other, under the lease that the move holds from before it to its own end. It ends with the instance as it was, and with no tag;
so the move that follows is one like any other, and all is asked anew for it. A run that dies in it leaves what a zeroing leaves. The next one ends that,
where nothing of a move is there, before it does anything else.
"""

from __future__ import annotations

import typing as t

from .._errors import GanetiError, LeaseLost, LeaseTaken, MoveInterrupted, PreflightFailed
from .._progress import Progress
from ..lease.lease import Lease
from ..zeroing import choose, tags
from ..zeroing import options as zeroing
from ..zeroing import run as zeroings
from ..zeroing.map_reader import program
from ..zeroing.verdict import AUTO, DISCARD
from . import plan
from .events import printable
from .facts import Instance, Running
from .journal import Journal
from .nodes import ask
from .options import Options
from .session import Session
from .state import Scene, State
from .survey import Survey

_COUNTING = 300.0
"""Seconds that a node may take to read the maps of all file systems."""
_MOST_REASONS = 3


class ZeroFirst:
    """What becomes of the source's free space in one run."""

    def __init__(self, session: Session, options: Options, lease: Lease, journal: Journal, progress: Progress) -> None:
        self._session, self._options, self._lease, self._journal, self._progress = session, options, lease, journal, progress
        self._wanted = options.zero_free_space if options.state == "moved" else choose.NO
        self._choice = choose.Choice(self._wanted == choose.YES, "It was asked for." if self._wanted == choose.YES else "")
        self._over = self._wanted == choose.NO
        """Whether it was done, or has failed, or is not to be done."""
        self._result: t.Dict[str, t.Any] = {}
        self.ended = False
        """Whether this run has ended what an earlier one had begun."""
        self.warnings: t.List[str] = []

    # -- What an earlier run has begun --

    def is_left(self, scene: Scene) -> bool:
        """Whether to end the zeroing of a run that died: it is not another's any more, as this run holds the lease."""
        if scene.state is not State.PLAIN or scene.source is None or not tags.own(scene.source.tags):
            return False
        return not self.ended and (self._options.state == "aborted" or self._options.zero_free_space != choose.NO)

    def end(self, source: Instance) -> None:
        """End it; with yes, finish it, as what it is for was not refused before it was begun."""
        self._journal.add("end an earlier zeroing")
        if self._options.source.get("transport") == "rapi":
            raise GanetiError(
                f"{source.name} is being zeroed by a run that died, which the remote API cannot end: "
                "set source.transport to ssh, or run that task (instance_zero) again."
            )
        finish = self._wanted == choose.YES
        found = self._zero(source, zeroings.Aim.FINISH if finish else zeroings.Aim.END)
        self.ended, self._result = True, {}
        if finish and found and found["action"] == "zero":
            self._note(found)

    # -- Before the move --

    def measures(self, source: Instance) -> bool:
        """Whether the preflight has to measure how fast the copy will be."""
        return self._wanted == choose.AUTO and not self._over and choose.obstacle(self._facts(source)) is None

    def problems(self, source: Instance) -> t.List[str]:
        """What stands against it, where it must be done."""
        if self._over or self._wanted != choose.YES or not source.disks:
            return []
        return zeroings.obstacles(source.uuid, self._asked(source))

    def decide(self, source: Instance, found: Survey) -> None:
        """Decide whether to do it, where that is left open."""
        if not source.disks:
            self._choice = choose.Choice(False, "There are no disks.")
        if self._over or self._wanted != choose.AUTO:
            return
        self._choice = choose.obstacle(self._facts(source)) or self._unless_it_cannot_be(source) or choose.pays(self._numbers(found))
        self._journal.add("zero free space?", zero=self._choice.zero, reason=self._choice.reason)

    @property
    def is_due(self) -> bool:
        """Whether it is to be done now, once the preflight has found nothing."""
        return not self._over and self._choice.zero

    def carry_out(self, source: Instance) -> None:
        """Do it. Raises GanetiError where the move must not be begun then."""
        self._over = True
        self._journal.add("zero free space")
        found = self._zero(source, zeroings.Aim.ZERO)
        if found:
            self._note(found)

    @property
    def shown(self) -> t.Dict[str, t.Any]:
        """The part of the module's result that is about it: what was done, or would be."""
        if self._wanted == choose.NO:
            return {}
        return {"zeroing": self._result or {"done": not self._over and self._choice.zero, "reason": self._choice.reason}}

    # -- How --

    def _zero(self, source: Instance, aim: zeroings.Aim) -> t.Optional[t.Dict[str, t.Any]]:
        """Run it; None where it failed, the instance is as it was, and the move goes on all the same."""
        try:
            return zeroings.under(self._lease, source.uuid, self._asked(source), self._progress, aim)
        except (zeroings.Stopped, zeroings.Interrupted) as error:
            raise MoveInterrupted(f"{error.message} The move was not begun.", **error.details) from error
        except (LeaseLost, LeaseTaken):
            raise
        except GanetiError as error:
            settled = isinstance(error, (zeroings.Settled, PreflightFailed))
            if settled and self._wanted == choose.AUTO:
                self._result = {"done": False, "reason": error.message}
                self.warnings.append(f"The free space of {source.name} was not zeroed before the move: {error.message}")
                return None
            error.reword(error.message + _not_begun(self._options, settled))
            raise

    def _note(self, found: t.Mapping[str, t.Any]) -> None:
        self._over = True
        self.warnings += found.get("warnings", ())
        told = {name: found[name] for name in zeroings.TOLD if name in found}
        self._result = {"done": found["action"] == "zero", "reason": found["reason"], **told}
        self._journal.add("zeroed", reason=found["reason"])

    def _asked(self, source: Instance) -> zeroing.Options:
        """The same as a zeroing is asked for. By auto no zeros are written, as it has not reckoned with them."""
        how = self._options.zeroing
        if self._wanted == choose.AUTO and how.method == AUTO:
            how = how._replace(method=DISCARD)
        stop = self._wanted == choose.YES
        return zeroing.Options(source.name, stop, how, self._options.source, int(self._options.lock_timeout), int(self._options.job_timeout))

    def _facts(self, source: Instance) -> choose.Facts:
        return choose.Facts(
            remote=self._options.source.get("transport") == "rapi",
            disks=len(source.disks),
            up=source.admin_state == "up" or source.running is not Running.NO,
            skipped=self._options.skip_free_space,
            method=self._options.zeroing.method,
        )

    def _unless_it_cannot_be(self, source: Instance) -> t.Optional[choose.Choice]:
        try:
            problems = zeroings.obstacles(source.uuid, self._asked(source))
        except GanetiError as error:
            problems = [f"It is not known whether it can be done: {error.message}"]
        return choose.Choice(False, " ".join(problems)) if problems else None

    def _numbers(self, found: Survey) -> choose.Numbers:
        """What the source's node counts of disks that nobody uses now."""
        disks, speed = plan.paths(found.source), found.choice.speed
        if len(disks) < len(found.source.disks):
            return choose.Numbers(None, speed, ("the disks are not kept in files",))
        host = self._session.host(self._session.source, found.source_node)
        self._progress.phase("count what is free")
        try:
            counted = ask(host, {"command": "count_free", "disks": disks, "map_reader": program()}, _COUNTING)
        except GanetiError as error:
            return choose.Numbers(None, speed, (error.message.rstrip("."),))
        reasons = {printable(part["reason"]) for parts in counted["free_space"] for part in parts if part["reason"]}
        return choose.Numbers(int(counted["idle"]), speed, tuple(sorted(reasons)[:_MOST_REASONS]))


def _not_begun(options: Options, settled: bool) -> str:
    if options.state == "aborted":
        return ""
    if not settled:
        return " The move was not begun."
    return " The move was not begun: put that right, or set zero_free_space to no, which moves the instance as it is."


__all__ = ("ZeroFirst",)
