# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A zeroing from beginning to end: take the lease, look, do what follows, and look again, until the instance is as it was."""

from __future__ import annotations

import enum
import os
import time
import typing as t

from .._difference import Difference
from .._errors import ConnectionFailed, GanetiError, JobFailed, LeaseLost, LeaseTaken, PreflightFailed
from .._interrupts import Interrupts
from .._node_program import Start
from .._progress import Progress
from ..api.jobs import is_stop
from ..api.opcodes import opcode
from ..lease.lease import ZEROED, Lease
from . import tags
from .options import Options
from .planner import Step, View, next_step
from .session import Instance, Session
from .stage import ABSENT, ATTENDING, GRACE, Opcode, Report, Stage, Zeroing, is_attended
from .tags import Before, Claim

Result = t.Dict[str, t.Any]

TOLD = ("method", "measure", "before", "after", "freed", "filesystems", "seconds")
"""What others take over of a result, beside its reason."""

_AGAIN = "Run the same task again: it finds out how far this came, and ends it."
_TRIES = 3
"""How often something may go wrong until nothing more is tried: a job that was under way may have changed what was seen."""


class Interrupted(GanetiError):
    """Somebody wants an end."""


class Settled(GanetiError):
    """The zeroing failed, and the instance is as it was, or as somebody else has it."""


class Stopped(Settled):
    """The same, as somebody wants an end."""


class Aim(enum.Enum):
    """How far a run goes. The values are what the user is told."""

    ZERO = "zero it"
    FINISH = "finish what an earlier run has begun"
    """Where somebody has ended that, nothing is begun anew."""
    END = "end what an earlier run has begun"
    """A helper that runs is stopped, none is started."""


def run(options: Options, check_mode: bool, progress: Progress) -> Result:
    """Zero the instance, or end what an earlier run has begun; with *check_mode* find out what would be done.

    Returns the module's result. Raises GanetiError; the instance is as it was then, unless the message says otherwise.
    """
    session = Session(options)
    try:
        instance = session.instance(options.name)
        lease = Lease(session.master().popen, session.master_name, instance.target.uuid, {"name": instance.target.name, "doing": ZEROED})
        lease.acquire()
        try:
            return _Run(session, options, lease, progress, instance.target.uuid).to_the_end(check_mode)
        finally:
            lease.release()
    finally:
        session.close()


def under(lease: Lease, uuid: str, options: Options, progress: Progress, aim: Aim) -> Result:
    """Do the same for whoever holds the instance's *lease* already, and keeps it; as far as *aim* says."""
    session = Session(options)
    try:
        return _Run(session, options, lease, progress, uuid, aim).to_the_end(check_mode=False)
    finally:
        session.close()


def obstacles(uuid: str, options: Options) -> t.List[str]:
    """What stands against zeroing the instance, a sentence each; nothing is changed."""
    session = Session(options)
    try:
        session.examine(session.instance(options.name, uuid), options)
    except PreflightFailed as error:
        return error.problems
    finally:
        session.close()
    return []


class _Scene(Stage):
    """The stage of one run: every job is sent with the lease held."""

    def __init__(self, session: Session, lease: Lease, progress: Progress, instance: Instance, claim: Claim) -> None:
        self._session, self._lease, self._progress = session, lease, progress
        self.instance, self.claim = instance, claim

    @property
    def start(self) -> Start:
        """Starts programs on the primary node."""
        return self._session.start(self.instance.target.node)

    def job(self, opcodes: t.Sequence[Opcode], label: str) -> t.List[t.Any]:
        """Run a job, if the lease is still held."""
        self._lease.check()
        return self._session.job(opcodes, label)

    def taking(self, counted: Before) -> t.List[Opcode]:
        """Take the ticket, or the tag of the start before; note what was counted."""
        taken = tags.ticket(self.claim)
        self.claim = self.claim._replace(ready=False, before=counted)
        return [*([_untag(self.instance, [taken])] if taken else []), _tag(self.instance, [tags.before(self.claim.identifier, counted)])]

    def heed(self) -> None:
        """Note on the instance that it is to be up in the end, where it is marked so meanwhile."""
        now = self._session.instance(self.instance.target.name, self.instance.target.uuid)
        if self.claim.was == "down" and now.admin_state == "up":
            self.job([_heeding(now, self.claim)], f"note that {now.target.name} is to run")
            self.claim = self.claim._replace(was="up")

    def tell(self, phase: str, percent: t.Optional[int] = None) -> None:
        """Show somebody how far it is."""
        if percent is None:
            self._progress.phase(phase)
        else:
            self._progress.emit("progress", phase=phase, percent=percent, logical_rate=None, wire_rate=None, eta=None)


class _Run:
    def __init__(self, session: Session, options: Options, lease: Lease, progress: Progress, uuid: str, aim: Aim = Aim.ZERO) -> None:
        self._session, self._options, self._lease, self._progress = session, options, lease, progress
        self._uuid, self._aim = uuid, aim
        self._begun = time.monotonic()
        self._report: t.Optional[Report] = None
        self._failure: t.Optional[GanetiError] = None
        self._failures = 0
        self._left = False
        """Whether somebody has started it while this run was at work; then it is what that somebody wants."""
        self._heeded = ""
        """What is to be said where somebody has started it while the helper ran."""
        self._done = aim is Aim.END
        self._touched = False
        """Whether this run has changed anything."""
        self._stopped = False
        """Whether somebody wants an end."""
        self._asked_again = False
        """Whether a shutdown has failed while it was at work, and all was looked at once more."""

    def to_the_end(self, check_mode: bool) -> Result:
        """Look and do what follows, until it is as it was."""
        with Interrupts(lambda signal: Interrupted(f"The zeroing was interrupted ({signal}).")) as interrupts, interrupts.allowed():
            while True:
                try:
                    instance, claim, step = self._look()
                    if claim is None and (self._done or self._aim is not Aim.ZERO):
                        return self._result(instance)
                    if check_mode:
                        return self._rehearsed(instance, step)
                    if self._act(step, instance, claim):
                        return self._result(instance)
                except Settled:
                    raise
                except GanetiError as error:
                    self._note(error)

    def _note(self, error: GanetiError) -> None:
        """Remember what went wrong, and go on with bringing the instance back; raise where that cannot be, or has failed too often."""
        if not self._touched:
            raise error
        if isinstance(error, JobFailed) and is_stop(error) and not self._asked_again:
            self._asked_again = True  # the guest was just ending, perhaps; what runs now, if anything, the next look tells
            return
        if isinstance(error, (ConnectionFailed, LeaseLost, LeaseTaken)):
            raise type(error)(f"{error.message} {_AGAIN}", **error.details) from error
        self._stopped = self._stopped or isinstance(error, Interrupted)
        self._failures += 1
        if self._failures > _TRIES:
            before = f"{self._failure.message} " if self._failure is not None else ""
            raise GanetiError(f"{before}{error.message} The instance may not be as it was. {_AGAIN}", **error.details) from error
        self._failure, self._done = self._failure or error, True

    def _look(self) -> t.Tuple[Instance, t.Optional[Claim], Step]:
        instance = self._session.instance(self._options.name, self._uuid)
        found = tags.claims(instance.tags)
        if len(found) > 1 or (tags.own(instance.tags) and not found):
            raise GanetiError(
                f"{instance.target.name} has tags that come of no one zeroing ({', '.join(tags.own(instance.tags))}): "
                "see what it does, and take them away with gnt-instance remove-tags."
            )
        claim = found[0] if found else None
        view = View(claim, instance.running)
        if claim is not None and instance.running:
            runs = is_attended(self._session.start(instance.target.node), instance.target.name, claim.identifier)
            view = View(claim, runs != ABSENT, runs == ATTENDING)  # it may have ended since Ganeti was asked
        return instance, claim, next_step(view, self._done)

    def _act(self, step: Step, instance: Instance, claim: t.Optional[Claim]) -> bool:
        """Do one step; whether that was all."""
        if step is Step.SILENT:
            raise ConnectionFailed(f"The node {instance.target.node} does not tell whether {instance.target.name} runs, so nothing is done.")
        if step is Step.BEGIN:
            return self._begin(instance)
        scene = _Scene(self._session, self._lease, self._progress, instance, t.cast(Claim, claim))
        self._touched = True
        if step is Step.FORGET:
            # Ganeti marks an instance as down before it tries to stop it. One that runs is only marked by this, not started.
            marked = [_of(instance, "OP_INSTANCE_STARTUP")] if scene.claim.was == "up" and instance.admin_state == "down" else []
            scene.job([_untag(instance, tags.own(instance.tags)), *marked], f"remove tags from {instance.target.name}")
            self._left = self._done
        elif step is Step.STOP:
            heeding = [_heeding(instance, scene.claim)] if instance.admin_state == "up" and scene.claim.was == "down" else []
            scene.job([*heeding, _of(instance, "OP_INSTANCE_SHUTDOWN", timeout=GRACE)], f"stop the zeroing helper of {instance.target.name}")
        elif step is Step.RESTORE:
            self._restore(scene)
        else:
            self._zero(scene, step)
        return False

    def _begin(self, instance: Instance) -> bool:
        """Note what it is to be again, and stop it."""
        self._session.examine(instance, self._options)
        if instance.disk_template == "diskless" or not instance.target.sizes:
            return True
        self._progress.phase("stop the instance" if instance.running else "begin")
        identifier = os.urandom(8).hex()
        up = instance.admin_state == "up" or bool(instance.running)
        opcodes = [_tag(instance, [tags.was(identifier, "up" if up else "down"), tags.ready(identifier)])]
        if up:
            opcodes.append(_of(instance, "OP_INSTANCE_SHUTDOWN", timeout=self._options.settings.shutdown_timeout))
        self._touched = True
        self._lease.check()
        self._session.job(opcodes, f"stop {instance.target.name}")
        return False

    def _zero(self, scene: _Scene, step: Step) -> None:
        zeroing = Zeroing(scene, scene.instance.target, self._options.settings, scene.claim.identifier)
        if step is Step.RESUME and scene.claim.before is not None:
            self._report = zeroing.resume(scene.claim.before)
        else:
            self._report = zeroing.run(scene.claim.before)
        self._done = True

    def _restore(self, scene: _Scene) -> None:
        """Make it what it was. All tags are taken away first, so this is done once; what it was stays noted until it is that."""
        self._progress.phase("bring the instance back to what it was")
        instance = scene.instance
        state = "up" if instance.admin_state == "up" else scene.claim.was
        noted = [tags.was(scene.claim.identifier, state)]
        if state == "up" and tags.was(scene.claim.identifier, "down") in instance.tags:
            self._heeded = f"Somebody has started {instance.target.name} meanwhile, so it is running now."
        back = _of(instance, "OP_INSTANCE_STARTUP" if state == "up" else "OP_INSTANCE_DEACTIVATE_DISKS")
        opcodes = [_untag(instance, tags.own(instance.tags)), _tag(instance, noted), back, _untag(instance, noted)]
        scene.job(opcodes, f"restore {instance.target.name}")

    def _rehearsed(self, instance: Instance, step: Step) -> Result:
        if step is Step.BEGIN:
            self._session.examine(instance, self._options)
            nothing = instance.disk_template == "diskless" or not instance.target.sizes
            change = Difference()
            if not nothing:
                change.add("free space", "as it is", "zeroed")
            return {"changed": change.changed, "diff": change.diff(), "action": "none" if nothing else "zero"}
        change = Difference()
        change.add("zeroing", "begun by an earlier run", "ended")
        return {"changed": True, "diff": change.diff(), "action": "finish"}

    def _result(self, instance: Instance) -> Result:
        if self._failure is not None:
            end = f" {self._heeded}".rstrip() if self._left or self._heeded else f" {instance.target.name} is as it was."
            raise (Stopped if self._stopped else Settled)(f"{self._failure.message}{end}", **self._failure.details)
        change, said = Difference(), {"warnings": [self._heeded]} if self._heeded else {}
        if self._report is None:
            return {"changed": False, "diff": change.diff(), "action": "none", "reason": "The disks take nothing, or there are none.", **said}
        found = self._report.verdict
        if found.freed > 0:
            change.add(f"bytes {found.measure}", found.before, found.after)
        return {
            "changed": change.changed, "diff": change.diff(), "action": "zero", "method": self._report.method, "measure": found.measure,
            "before": found.before, "after": found.after, "freed": found.freed, "filesystems": self._report.account.listed(),
            "reason": self._report.words, "seconds": round(time.monotonic() - self._begun, 3), **said,
        }  # fmt: skip


def _of(instance: Instance, op_id: str, **fields: t.Any) -> Opcode:
    return opcode(op_id, instance_name=instance.target.name, instance_uuid=instance.target.uuid, **fields)


def _heeding(instance: Instance, claim: Claim) -> Opcode:
    """Note that it is to be up, beside what it was."""
    return _tag(instance, [tags.was(claim.identifier, "up")])


def _tag(instance: Instance, names: t.Sequence[str]) -> Opcode:
    return opcode("OP_TAGS_SET", kind="instance", name=instance.target.name, tags=list(names))


def _untag(instance: Instance, names: t.Sequence[str]) -> Opcode:
    return opcode("OP_TAGS_DEL", kind="instance", name=instance.target.name, tags=list(names))
