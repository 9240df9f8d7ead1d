# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The watcher of a node: looks at the master, says what it sees, answers what others ask, and has a takeover begin where this node is to act.

It never does anything to another machine. On the master it answers, which is a sign of life for whoever cannot reach its address.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
import typing as t

from ...._errors import GanetiError
from ...drivers.disk import DiskStorage
from ...drivers.documents import Json
from ...drivers.interface import Heard, Notes, Storage
from .. import settings, situation, unused_epoch
from ..candidate_survey import of_configuration
from ..ending import end_soon
from ..settings import Settings
from ..signs_of_life import Signs
from . import admission, arming, decision, fence_command, messages, options, sight
from .decision import ALIVE, GONE, MASTER, NO, UNKNOWN, Verdict, View
from .options import Options
from .takeover import OUTCOME

STATUS = "/run/ganeti-couchdb-watchdog/status.json"
UNIT = "ganeti-couchdb-takeover.service"
PATIENCE = 2.0
"""Seconds that another node's server may take to answer. The master's, which is dead, takes all of them."""
_SET_EVERY = 5.0
"""Seconds between two looks at what is stored here, while the master is gone."""
_SOON = 0.3
"""Seconds between two looks while something is going on."""
_AGAIN = 30.0
"""Seconds after which a takeover that came to nothing is begun again, at the earliest."""


class Standing(t.NamedTuple):
    """How the watcher is, for its status."""

    state: str
    says: str
    master: t.Optional[str]
    armed_for: t.Optional[str]
    silent: float = 0.0


class Own(t.NamedTuple):
    """With what this node could be the master."""

    serial: t.Optional[int] = None
    job: t.Optional[int] = None
    problem: t.Optional[str] = None
    files: t.Optional[int] = None
    configuration: t.Optional[Json] = None


def start_takeover() -> None:
    """Begin one, or leave the one alone that runs; it is a unit of its own, so that nothing of this one's cell is around Ganeti's daemons."""
    try:
        done = subprocess.run(  # pylint: disable=ansible-bad-function  # there is no module object in here
            ["systemctl", "start", "--no-block", UNIT], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise GanetiError(f"{UNIT} could not be started: systemd does not answer.") from error
    if done.returncode:
        raise GanetiError(f"{UNIT} could not be started: {done.stderr.strip() or f'exit status {done.returncode}'}.")


class Watcher:
    """Looks again and again; what it knows from one look to the next is how long the master has been silent, and what it has asked."""

    def __init__(
        self,
        chosen: Settings,
        options: Options,
        storage: Storage,
        notes: Notes,
        look: t.Callable[[str], str] = sight.look,
        act: t.Callable[[], None] = start_takeover,
        clock: t.Callable[[], float] = time.monotonic,
    ) -> None:
        self._chosen, self._options, self._storage, self._notes = chosen, options, storage, notes
        self._look, self._act, self._clock = look, act, clock
        self._silence = sight.Silence()
        self._of: t.Optional[str] = None
        """The master that it is the silence of."""
        self._asks: t.Optional[str] = None
        self._own: t.Tuple[float, Own] = (-_SET_EVERY, Own())
        self._admitted: t.Optional[str] = None
        self._put: t.Optional[Json] = None
        self._acted: t.Optional[float] = None
        self._said = ""
        self._unfit: t.Optional[str] = None
        """What was wrong with the command when it was said last."""
        self.busy = False
        """Whether something is going on, so that the next look is to come soon."""

    def use(self, storage: Storage, notes: Notes) -> None:
        """Go on with these, as something was wrong with those before; how long the master was silent is known still, but for what was not seen meanwhile."""
        self._storage, self._notes, self._put = storage, notes, None

    def step(self) -> Standing:
        """Look once; how all is."""
        files = DiskStorage(self._chosen.directory)
        master, armed = files.master(), arming.armed_for(self._chosen.directory)
        if master is None:
            return Standing(NO, "this node knows of no master: see what became of Ganeti here", None, armed)
        if armed not in (None, master):  # for good, also should that one become the master again
            arming.disarm(self._chosen.directory)
            armed = None
        self._look_at_command()
        heard = self._notes.read()
        asked = {who: what for who, what in messages.questions(heard).items() if who != messages.by(self._chosen.name, messages.WATCHER)}
        sees = MASTER if master == self._chosen.name else self._see(master, heard)
        view = View(sees, master, armed == master)
        own = self._own_set() if sees == GONE else Own()
        if sees == GONE:
            view = view._replace(serial=own.serial, job=own.job, problem=own.problem)
            self._admit(heard, view, own)
        verdict = decision.decide(self._known(master, heard, view))
        self.busy = self._silence.since is not None
        standing = self._stand(verdict, view, armed)
        more = {"asks": self._asks, "admitted": self._admitted, "says": standing.says, "takeover": _outcome(self._chosen.directory)}
        self._tell(messages.noted(view, own.files, asked, **more))
        if verdict.step == decision.ACT:
            self._begin()
        return standing

    def _look_at_command(self) -> None:
        """Say what is wrong with the user's command long before it is needed, once."""
        problem = fence_command.problem(self._options.fence_command)
        if problem and problem != self._unfit:
            sys.stderr.write(f"{problem}.\n")
            sys.stderr.flush()
        self._unfit = problem

    def _see(self, master: str, heard: t.Mapping[str, Heard]) -> str:
        """What of the master is seen now, and for how long nothing was."""
        if self._of != master:
            self._of, self._silence, self._asks = master, sight.Silence(), None
        began = self._clock()
        address = _address(self._chosen.directory, master)
        signs = [sight.UNKNOWN if address is None else self._look(address), self._through_storage(master, heard)]
        sign = sight.together(signs)
        self._silence = self._silence.after(sign, began, self._clock(), max(5.0, self._options.silent_for / 3))
        if self._silence.since is None:
            self._asks = self._admitted = None
            return ALIVE if sign == sight.ALIVE else UNKNOWN
        self._asks = self._asks or secrets.token_hex(8)
        return GONE if self._silence.seconds >= self._options.silent_for else UNKNOWN

    def _through_storage(self, master: str, heard: t.Mapping[str, Heard]) -> str:
        """What is heard of the master through the storage: that its own server answers, or that its watcher has read what this one asks."""
        own, its = heard.get(self._chosen.name), heard.get(master)
        if own is None or own.problem is not None or its is None:
            return sight.UNKNOWN  # nobody can be asked
        if self._notes.own_servers and its.answers:
            return sight.ALIVE
        note = its.parts.get(messages.WATCHER)
        who = messages.by(self._chosen.name, messages.WATCHER)
        answered = self._asks is not None and note is not None and messages.answered(note, who, self._asks)
        return sight.ALIVE if answered else sight.SILENT

    def _known(self, master: str, heard: t.Mapping[str, Heard], mine: View) -> decision.Situation:
        views = {self._chosen.name: mine}
        for name, each in heard.items():
            note = each.parts.get(messages.WATCHER)
            if name == self._chosen.name or note is None or self._asks is None:
                continue
            found = messages.view(note)
            if found is not None and messages.answered(note, messages.by(self._chosen.name, messages.WATCHER), self._asks):
                views[name] = found
        acknowledge = self._chosen.acknowledge if self._notes.own_servers else 0  # of a common storage each node has all that was acknowledged
        return decision.Situation(self._chosen.name, self._chosen.nodes, master, views, acknowledge)

    def _own_set(self) -> Own:
        """What is stored here, looked at again after a while."""
        looked, own = self._own
        if self._clock() - looked >= _SET_EVERY:
            own = self._look_at_own()
            self._own = (self._clock(), own)
        return own

    def _look_at_own(self) -> Own:
        try:
            configuration = self._storage.newest().configuration
            wrong = [*situation.of_node({"name": self._chosen.name, **of_configuration(configuration)})]
            problem = fence_command.problem(self._options.fence_command) or "; ".join(wrong) or None
            return Own(configuration["serial_no"], self._storage.last_job(), problem, self._files(configuration), configuration)
        except GanetiError as error:
            return Own(problem=error.message.rstrip("."))

    def _files(self, configuration: Json) -> t.Optional[int]:
        """The serial number of Ganeti's own copy, which master candidates have."""
        if not admission.find(configuration, self._chosen.name)[1]["master_candidate"]:
            return None
        try:
            return int(unused_epoch.made_of(self._chosen.directory, DiskStorage(self._chosen.directory).configuration())["serial_no"])
        except GanetiError:
            return None

    def _admit(self, heard: t.Mapping[str, Heard], view: View, own: Own) -> None:
        """Admit whoever was elected with this node's vote, and say so."""
        for name, each in heard.items():
            note = each.parts.get(messages.TAKEOVER)
            asks, candidate = messages.asks(note), messages.candidate(note or {})
            if name == self._chosen.name or candidate is None or asks is None or asks == self._admitted or not view.votes or own.configuration is None:
                continue
            why = admission.refusal(own.configuration, name, self._storage)
            if why is None:
                changed = admission.admit(self._chosen.directory, own.configuration, name, candidate)
                self._admitted = asks
                why = f"{name} is taken for a master candidate, as it was elected ({', '.join(changed) or 'nothing had to be changed'})"
            self._log(why)

    def _tell(self, note: Json) -> None:
        """Write the note where it is another one."""
        if note != self._put:
            self._put = None
            self._notes.put(messages.WATCHER, note)
            self._put = note

    def leave(self) -> None:
        """Say that nobody watches here any more."""
        master = DiskStorage(self._chosen.directory).master()
        view = View(UNKNOWN, master or "", arming.armed_for(self._chosen.directory) == master)
        self._tell(messages.noted(view, None, {}, says="it was stopped here", takeover=_outcome(self._chosen.directory)))

    def _begin(self) -> None:
        """Begin a takeover, which asks all anew; not again and again at once."""
        if self._acted is None or self._clock() - self._acted >= _AGAIN:
            self._acted = self._clock()
            self._log("a takeover is begun")
            self._act()

    def _stand(self, verdict: Verdict, view: View, armed: t.Optional[str]) -> Standing:
        silent = round(self._silence.seconds, 1)
        if verdict.step == decision.WATCH and not view.armed and view.sees != MASTER:
            words = f"this node is not armed for {view.master} as the master: see that all is well, then arm all nodes (--arm)"
            self._log(words)
            return Standing("disarmed", words, view.master, armed, silent)
        if verdict.step != decision.WATCH:
            self._log(verdict.why)
        return Standing(verdict.step, verdict.why, view.master, armed, silent)

    def _log(self, words: str) -> None:
        if words != self._said:
            sys.stderr.write(f"{words}.\n")
            sys.stderr.flush()
        self._said = words


def _address(directory: str, name: str) -> t.Optional[str]:
    """A node's address, which every node has in a file."""
    try:
        with open(os.path.join(directory, "ssconf_node_primary_ips"), encoding="ascii") as stream:
            return dict(t.cast("t.Tuple[str, str]", line.split()) for line in stream if len(line.split()) == 2).get(name)
    except (OSError, ValueError):
        return None


def _outcome(directory: str) -> t.Optional[str]:
    """What became of the last takeover here."""
    try:
        with open(os.path.join(directory, OUTCOME), encoding="utf-8") as stream:
            return str(json.load(stream)["said"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def identities(files: t.Iterable[str]) -> t.List[t.Optional[t.Tuple[int, int]]]:
    """Which files these are; another one, or none, where it was put there anew or taken away."""
    return [_identity(file) for file in files]


def _identity(file: str) -> t.Optional[t.Tuple[int, int]]:
    try:
        state = os.stat(file)
    except OSError:
        return None
    return state.st_ino, state.st_mtime_ns


def run(config: str, watch: str, status: str = STATUS) -> None:
    """Watch until SIGTERM or SIGINT, or until the program or a file with settings, *config* or *watch*, is another one: systemd starts it anew then.

    What goes wrong is said, and it is tried again: who cannot look has no vote. Raises InvalidInput where the settings cannot be read.
    """
    files = (sys.argv[0], config, watch)
    begun = identities(files)  # before they are read
    chosen, wanted = settings.read(config), options.read(watch)
    ended, signs = end_soon(), Signs(status)
    signs.ready()
    quiet = min(max(wanted.silent_for / 10, 0.5), 3.0)
    watcher: t.Optional[Watcher] = None
    while not ended and identities(files) == begun:
        with chosen.open(_SET_EVERY) as storage:
            notes = storage.notes(chosen.nodes, PATIENCE)
            try:
                if watcher is None:
                    watcher = Watcher(chosen, wanted, storage, notes)
                watcher.use(storage, notes)
                while not ended:
                    signs.give(watcher.step())
                    _rest(_SOON if watcher.busy else quiet, ended)
                    if identities(files) != begun:
                        return
                watcher.leave()
            except (GanetiError, OSError) as error:
                sys.stderr.write(f"{error}\n")
                signs.give(Standing(NO, str(error), None, arming.armed_for(chosen.directory)))
            finally:
                notes.close()
        _rest(_SOON if watcher and watcher.busy else quiet, ended)


def _rest(seconds: float, ended: t.Sequence[int]) -> None:
    until = time.monotonic() + seconds
    while not ended and time.monotonic() < until:
        time.sleep(min(0.2, seconds))
