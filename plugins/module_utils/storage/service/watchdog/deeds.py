# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What the steps of a takeover do on a node: see takeover.py for their order. The same as a failover by hand does there from afar (failover/run.py)."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import sys
import time
import typing as t

from ...._errors import GanetiError
from ...._files import replace
from ...drivers.disk import DiskStorage
from ...drivers.documents import Json
from ...drivers.epochs import EPOCH, Claim, raised
from ...drivers.interface import Notes, Storage
from .. import ganeti_failover, promote, unused_epoch
from ..candidate_survey import survey
from ..settings import Settings
from ..situation import Situation, losses, problems
from ..standing import Standing
from . import admission, arming, decision, fence_command, messages
from .options import Options
from .takeover import OUTCOME, STEPS, steps

_ANSWERS = 15.0
"""Seconds in which nodes have to answer: a few looks of theirs."""
_ADMITTED = 30.0
"""Seconds in which they have to admit this node."""
_ACCEPTS = 60.0
"""Seconds in which the new master has to accept jobs after Ganeti's failover."""
_STEP = 0.2
_SECONDS = 600.0
"""How long a program of Ganeti's may take."""
_PATIENCE = 2.0
ENSURE = "/usr/lib/ganeti/ensure-dirs"


def run_command(argv: t.Sequence[str]) -> t.Tuple[int, str]:
    """Run a program to its end: its exit status and what it said."""
    try:
        done = subprocess.run(  # pylint: disable=ansible-bad-function  # there is no module object in here
            list(argv), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return 124, f"it did not end within {_SECONDS:g} s"
    return done.returncode, done.stdout.strip()


class NodesDeeds:
    """Those of one takeover."""

    def __init__(
        self,
        chosen: Settings,
        options: Options,
        storage: Storage,
        notes: Notes,
        run: t.Callable[[t.Sequence[str]], t.Tuple[int, str]] = run_command,
        hand_over: t.Callable[[t.Sequence[str], t.Sequence[str]], Json] = ganeti_failover.take_over,
        authorized: str = admission.AUTHORIZED,
    ) -> None:
        self._chosen, self._options, self._storage, self._notes = chosen, options, storage, notes
        self._run, self._hand_over, self._authorized = run, hand_over, authorized
        self._files = DiskStorage(chosen.directory)
        self.master = self._files.master() or ""
        self._shown: Json = {}
        self._voters: t.Dict[str, Json] = {}
        """The notes of the watchers that have answered last, by their nodes."""
        self._expected = set(chosen.nodes) - {self.master}
        self._disarmed = False
        self._situation: t.Optional[Situation] = None
        self._uuid = ""
        self.warnings: t.List[str] = []

    # --- Asking --------------------------------------------------------------------------------------------------------

    def ask(self) -> t.Optional[str]:
        """Ask all watchers, this node's own too, and decide by what they have seen since."""
        if self._files.master() != self.master:
            return f"the master is {self._files.master()} by now, and not {self.master} any more"
        who, what = messages.by(self._chosen.name, messages.TAKEOVER), secrets.token_hex(8)
        self._notes.put(messages.TAKEOVER, {"asks": what, **self._shown})
        self._voters = self._wait(_ANSWERS, lambda note: messages.answered(note, who, what))
        views = {name: view for name, note in self._voters.items() for view in [messages.view(note)] if view is not None}
        mine = views.get(self._chosen.name)
        if mine is not None and self._disarmed:  # by this takeover itself
            views[self._chosen.name] = mine._replace(armed=True)
        acknowledge = self._chosen.acknowledge if self._notes.own_servers else 0  # of a common storage each node has all that was acknowledged
        verdict = decision.decide(decision.Situation(self._chosen.name, self._chosen.nodes, self.master, views, acknowledge))
        self._expected = set(self._voters) - {self.master}
        return None if verdict.step == decision.ACT else verdict.why

    def _wait(self, seconds: float, holds: t.Callable[[Json], bool]) -> t.Dict[str, Json]:
        """The notes of watchers for which it holds; all that are expected to, or those of a while later."""
        deadline = time.monotonic() + seconds
        while True:
            notes = {name: each.parts.get(messages.WATCHER) for name, each in self._notes.read().items()}
            found = {name: dict(note) for name, note in notes.items() if note is not None and holds(dict(note))}
            if self._expected <= found.keys() or time.monotonic() >= deadline:
                return found
            time.sleep(_STEP)

    def prove(self) -> t.Optional[str]:
        """Run the user's command."""
        return fence_command.prove(self._options.fence_command, self.master, self._options.fence_timeout, os.geteuid())

    # --- Deciding ------------------------------------------------------------------------------------------------------

    def judge(self) -> t.Optional[str]:
        """Whether what is stored here may be promoted, by the rules of a failover by hand; and whether nobody has begun one."""
        found = survey(self._chosen.name, self._storage, self._chosen.directory, acknowledge=self._chosen.acknowledge)
        configuration = self._storage.newest().configuration
        reached = frozenset(name for name in self._voters if name in found["nodes"]) - {self._chosen.name, self.master}
        told = {name: messages.files(self._voters[name]) for name in reached if found["nodes"][name]["master_candidate"]}
        situation = Situation(found, reached, None, candidates={name: Standing(serial) for name, serial in told.items() if serial is not None})
        against = problems(situation, fenced=True, accept_loss=False)
        if against:
            return "; ".join(against)
        if situation.old != self.master or configuration["cluster"]["master_node"] != found["nodes"].get(self.master, {}).get("uuid"):
            return f"the configuration that is stored here is not one of {self.master} as the master"
        if situation.seen // EPOCH != configuration["serial_no"] // EPOCH:
            return f"epoch {situation.seen // EPOCH} has begun, and what is stored here is of {configuration['serial_no'] // EPOCH}: somebody else is at it"
        self._situation, self._uuid = situation, str(found["nodes"][self._chosen.name]["uuid"])
        self.warnings = losses(situation, accept_loss=False)
        silent = sorted(set(self._chosen.nodes) - self._voters.keys() - {self.master})
        self.warnings += [f"nobody knows what {name} has, as it did not answer" for name in silent]
        if found["behind"]:
            self.warnings.append(f"the newest whole set is {found['serial']}, and there are parts of one {found['behind']} later: those changes are lost")
        return None

    def disarm(self) -> t.Optional[str]:
        """Never twice."""
        arming.disarm(self._chosen.directory)
        self._disarmed = True
        return None

    def elect(self) -> t.Optional[str]:
        """By the storage."""
        self._storage.elect(Claim(raised(self._judged.seen), self._uuid), self._chosen.nodes, dead=[self.master])
        return None

    @property
    def _judged(self) -> Situation:
        if self._situation is None:
            raise AssertionError("nothing is done that was not judged")
        return self._situation

    # --- Acting --------------------------------------------------------------------------------------------------------

    def write(self) -> t.Optional[str]:
        """The files of a master; where Ganeti itself has kept them they are taken as they are."""
        request = promote.Request(**self._judged.request, epoch=raised(self._judged.seen) // EPOCH)
        if self._judged.from_files:
            promote.reserve(self._chosen.directory, request)
            return None
        promoted = promote.promote(self._storage, self._chosen.directory, request)
        self._shown = {"digest": promoted["candidates"]["master_candidates_certs"].partition("=")[2], "key": promoted["key"]}
        return self._succeed([ENSURE])

    def admit(self) -> t.Optional[str]:
        """Have most nodes take this one for a master candidate, where they do not yet."""
        if not self._shown:  # it is one
            return None
        candidate = messages.candidate(self._shown)
        if candidate is None:
            return "its certificate or its key for SSH is not of the form that Ganeti makes: see /var/lib/ganeti/client.pem and /root/.ssh"
        admission.admit(self._chosen.directory, self._storage.newest().configuration, self._chosen.name, candidate, self._authorized)
        what = secrets.token_hex(8)
        self._notes.put(messages.TAKEOVER, {"asks": what, **self._shown})
        self._expected.discard(self._chosen.name)
        admitted = {self._chosen.name, *self._wait(_ADMITTED, lambda note: note.get("admitted") == what)}
        self._expected = set(self._voters) - {self.master}
        self.warnings += [f"{name} has not taken this node for a master candidate: add it again (gnt-node add --readd)" for name in self._expected - admitted]
        if 2 * len(admitted) > len(self._chosen.nodes):
            return None
        return f"{len(admitted)} of {len(self._chosen.nodes)} nodes take it for a master candidate, and more than half have to"

    def hand_over(self) -> t.Optional[str]:
        """Ganeti's own failover. It tells by its exit status of warnings too; what counts is who is the master then."""
        done = self._hand_over(self._judged.takeover["argv"], self._judged.takeover["closed"])
        self.warnings += [f"gnt-cluster master-failover: {line}" for line in done["lines"]]
        if self._files.master() != self._chosen.name:
            return f"gnt-cluster master-failover ended with {done['status']}: {' '.join(done['lines'])}"
        deadline = time.monotonic() + _ACCEPTS
        while self._run(["gnt-cluster", "queue", "info"])[0]:
            if time.monotonic() > deadline:
                return f"within {_ACCEPTS:g} s it accepts no jobs: see the logs of luxid and wconfd"
            time.sleep(_STEP)
        unused_epoch.forget(self._chosen.directory)
        return None

    def finish(self) -> t.Optional[str]:
        """What no client waits for."""
        if self._shown:
            promote.archive(self._storage, self._chosen.directory)
            return self._succeed([ENSURE, "--full-run"])
        return self._succeed(["gnt-node", "modify", "--offline=yes", "--auto-promote", self.master])

    def _succeed(self, argv: t.Sequence[str]) -> t.Optional[str]:
        status, said = self._run(argv)
        return f"{' '.join(argv[:2])} ended with {status}: {said.splitlines()[-1] if said else 'it said nothing'}" if status else None


def take_over(chosen: Settings, options: Options) -> t.Tuple[int, str]:
    """Do it; an exit status, and a line about it. What is done is said as it is done, and what came of it stays in a file."""
    with chosen.open() as storage:
        notes = storage.notes(chosen.nodes, _PATIENCE)
        try:
            deeds = NodesDeeds(chosen, options, storage, notes)
            return _carry_out(chosen, deeds)
        finally:
            with contextlib.suppress(GanetiError):  # a question that nobody waits for any more does no harm
                notes.put(messages.TAKEOVER, {})
            notes.close()


def _carry_out(chosen: Settings, deeds: NodesDeeds) -> t.Tuple[int, str]:
    started, taken, why = time.monotonic(), {}, None
    for done in steps(deeds):
        taken[done.step.name] = round(time.monotonic() - started, 1)
        sys.stderr.write(f"{taken[done.step.name]:6.1f} s  {done.words}\n")
        why = None if done.why is None else done.words
    sys.stderr.writelines(f"{words}\n" for words in deeds.warnings)
    handed = len(taken) > [step.name for step in STEPS].index("hand over") and (why is None or "finish" in taken)
    said = f"{chosen.name} {'is the master' if handed else 'is not made the master'} instead of {deeds.master}" + (f" ({why})" if why else "")
    replace(os.path.join(chosen.directory, OUTCOME), (json.dumps({"said": said, "seconds": taken}) + "\n").encode(), 0o600)
    return (0 if handed else 1), f"{said}."
