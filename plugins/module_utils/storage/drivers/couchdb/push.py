# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What the master's own server has taken is brought to the standbys at once, to all at the same time, with the revisions that it got (carried.py).

CouchDB's replicator needs a hundred milliseconds and opens each document by itself. It runs beside, and brings what is not brought here: what was written
before, while a standby was away, or while it was slow. So nothing here has to succeed, nobody waits for it, and what fails is only told.

A thread for each standby:

1. It waits until the standby is claimed for this master (standbys.py), takes the user of that claim (fence.py, 7), and is given what is written from then on.
2. It waits until the standby has the configuration's objects of before that; the replicator brings them. Else a ``config_data`` would come there before them.
3. It brings what it was given, all that waits in one turn.
4. Where the standby fails, does not answer, or has not taken in time what waits, that is dropped, as the replicator brings it too, and it begins anew.
"""

from __future__ import annotations

import threading
import time
import typing as t

from ...._errors import AuthenticationFailed, GanetiError, StorageFailed, StorageRefused
from ..documents import CONFIG, CONTAINERS, Json, batches
from ..epochs import Claim
from . import bulk, carried, fence
from .carried import Change, There
from .client import Client, Server, brief, path

SECONDS = 5.0
"""How long an answer may take, and what waits: a standby that needs longer is left to the replicator for now."""
MOST = 2000
"""Documents that may wait for one standby."""
_ATTEMPTS = 2
"""A connection that was kept may turn out to be closed."""
_RETRY = (1.0, 5.0)
"""Seconds until another try after an error: at first, and at most."""
_LOCKED = 300.0
"""Seconds until another try with a user that was refused: CouchDB locks a user for five minutes after five of them."""
_JOIN = 30.0
"""Seconds in which the replicator has to bring what was written before; with CouchDB's defaults it begins within five."""
_PAUSE = 0.1
_BATCH = 1000
"""Documents in a request that asks for revisions."""
_HISTORIES = 100
"""Documents in a request for their histories, which brings the documents too."""
_STRANGE = (LookupError, TypeError, AttributeError)
"""What comes of an answer that is none of CouchDB's."""


class Way(t.NamedTuple):
    """From where to where: the master's own server, by its writer; a standby, by its administrator; the databases' prefix; and the claim of the master."""

    own: Server
    standby: Server
    prefix: str
    mine: Claim


class Push(threading.Thread):
    """Brings to one standby what it is given."""

    def __init__(self, way: Way) -> None:
        super().__init__(daemon=True)
        self._way = way
        self._lock = threading.Condition()
        self._ended = threading.Event()
        self._waiting: t.Optional[t.List[Change]] = None
        """None while nothing is taken: it has not begun, or the standby was too slow."""
        self._since = 0.0
        """When the first of those that wait was given."""
        self._delay = _RETRY[0]
        self._refused = ("", 0.0)
        """The user who was refused last, and until when that one is not tried again."""
        self.problem: t.Optional[str] = None
        self.in_step = threading.Event()
        """Set while what it is given is brought at once."""

    def give(self, changes: t.Sequence[Change]) -> None:
        """Take what was written; never waits."""
        with self._lock:
            if self._waiting is None or not changes:
                return
            now = time.monotonic()
            if self._waiting and (now - self._since > SECONDS or len(self._waiting) + len(changes) > MOST):
                self._waiting = None
            else:
                self._since = self._since if self._waiting else now
                self._waiting.extend(changes)
            self._lock.notify()

    def end(self) -> None:
        """Begin nothing any more; a request that is on its way is not waited for."""
        self._ended.set()
        self._drop()

    def run(self) -> None:
        """Until the end."""
        while not self._ended.is_set():
            self._ended.wait(self._try())

    def _try(self) -> float:
        """Bring what there is, as long as that goes well; in how many seconds to begin anew."""
        try:
            found = self._writer()
            if found is None:
                return _RETRY[0]
            self._go(found)
            return 0.0
        except AuthenticationFailed as error:
            self.problem = error.message
            return _LOCKED
        except GanetiError as error:
            self.problem = error.message
        except _STRANGE as error:
            self.problem = f"{self._way.standby.url} or the master's own server does not answer as CouchDB does ({error!r})."
        finally:
            self.in_step.clear()
            self._drop()
        seconds, self._delay = self._delay, min(2 * self._delay, _RETRY[1])
        return seconds

    def _drop(self) -> None:
        with self._lock:
            self._waiting = None
            self._lock.notify()

    def _writer(self) -> t.Optional[fence.Held]:
        """The user as whom the standby is written to; None where it is not claimed for this very master, or that user was refused a while ago."""
        with brief(self._way.standby) as admin:
            found = fence.ready(admin, self._way.prefix)
        if found is None or (found.claim.epoch, found.claim.master) != (self._way.mine.epoch, self._way.mine.master):
            return None
        user, until = self._refused
        return None if found.user == user and time.monotonic() < until else found

    def _go(self, found: fence.Held) -> None:
        with Client(self._way.own, SECONDS, _ATTEMPTS) as own, Client(fence.as_writer(self._way.standby, found), SECONDS, _ATTEMPTS) as standby:
            try:
                there = self._join(own, standby)
                self.problem, self._delay = None, _RETRY[0]
                self.in_step.set()
                for changes in iter(self._take, []):
                    self._bring(own, standby, there, changes)
            except AuthenticationFailed as error:
                self._refused = (found.user, time.monotonic() + _LOCKED)
                raise StorageFailed(error.message) from error

    def _take(self) -> t.List[Change]:
        """All that waits, as soon as there is some; nothing at the end."""
        with self._lock:
            while self._waiting == []:
                self._lock.wait()
            if self._ended.is_set():
                return []
            if self._waiting is None:
                raise StorageFailed(f"CouchDB at {self._way.standby.url} did not take within {SECONDS:g} s what was written: see what it is busy with.")
            taken, self._waiting = self._waiting, []
            return taken

    def _join(self, own: Client, standby: Client) -> There:
        """Be given what is written, and wait until the standby has what there is of the configuration by now, be it an older revision of what changes then.

        Where that takes long, what is given has to be dropped; then it is as if there had been nothing given yet.
        """
        deadline = time.monotonic() + _JOIN
        while True:
            with self._lock:
                self._waiting = None if self._ended.is_set() else []
            there = There()
            wanted = {name: _newest(own, self._way.prefix + name) for name in (*CONTAINERS, CONFIG)}
            for database, revs in wanted.items():
                for name, rev in revs.items():
                    there.note(database, name, rev)
            self._wait_for(standby, wanted, deadline)
            if self._waiting is not None or self._ended.is_set():
                return there

    def _wait_for(self, standby: Client, wanted: t.Mapping[str, t.Mapping[str, str]], deadline: float) -> None:
        """Until the standby has these revisions, by database and id."""
        while not self._ended.is_set():
            lacking = {name: _lacking(standby, self._way.prefix + name, revs) for name, revs in wanted.items()}
            wanted = {name: revs for name, revs in lacking.items() if revs}
            if not wanted:
                return
            if time.monotonic() > deadline:
                what = f"CouchDB at {standby.server.url} lacks something of {', '.join(wanted)}"
                raise StorageFailed(f"{what}, which replications from the master have not brought yet: see how they are.")
            self._ended.wait(_PAUSE)

    def _bring(self, own: Client, standby: Client, there: There, changes: t.Sequence[Change]) -> None:
        for database, some in carried.in_order(changes):
            wanted = [each for each in some if there.may_have(each)]
            if self._ended.is_set() or not wanted:
                continue
            sent = bulk.send(standby, self._way.prefix + database, self._with_histories(own, there, wanted), as_they_are=True)
            for why in sent.refused.values():
                raise StorageRefused(why)
            for each in wanted:
                there.noted(each)

    def _with_histories(self, own: Client, there: There, changes: t.Sequence[Change]) -> t.List[Json]:
        """The documents with their histories. What is not known here is asked of the own server: at the first change of a job that was there before."""
        histories: t.List[t.Optional[Json]] = []
        before: t.Dict[str, str] = {}
        for each in changes:
            histories.append(there.history(each, before))
            before[each.name] = each.rev
        unknown = [each for each, history in zip(changes, histories) if history is None]
        asked = _histories(own, self._way.prefix, unknown) if unknown else {}
        return [carried.with_history(each, history or asked[each.name, each.rev]) for each, history in zip(changes, histories)]


def _newest(client: Client, database: str) -> t.Dict[str, str]:
    """The newest revisions of all documents, deletions among them; not of design documents, which no replication of ours may bring."""
    rows = client.get(path(database, "_changes"))["results"]
    return {row["id"]: row["changes"][0]["rev"] for row in rows if not row["id"].startswith("_design/")}


def _lacking(client: Client, database: str, revs: t.Mapping[str, str]) -> t.Dict[str, str]:
    """Those of the revisions of which a server does not know."""
    found: t.Dict[str, str] = {}
    for names in batches(list(revs), _BATCH):
        answer = client.post(path(database, "_revs_diff"), {name: [revs[name]] for name in names})
        found.update({name: revs[name] for name in answer})
    return found


def _histories(client: Client, prefix: str, changes: t.Sequence[Change]) -> t.Dict[t.Tuple[str, str], Json]:
    """The names of all revisions before those of changes in one database, by ids and revisions."""
    found: t.Dict[t.Tuple[str, str], Json] = {}
    for some in batches(changes, _HISTORIES):
        asked = {"docs": [{"id": each.name, "rev": each.rev} for each in some]}
        for result in client.post(path(prefix + some[0].database, "_bulk_get", revs=True), asked)["results"]:
            found.update({(result["id"], row["ok"]["_rev"]): row["ok"]["_revisions"] for row in result["docs"] if "ok" in row})
    return found


class Pushes:
    """Brings to all standbys, by their nodes' names, what the master's own server has taken."""

    def __init__(self, own: Server, standbys: t.Mapping[str, Server], prefix: str, mine: Claim) -> None:
        self._pushes = {name: Push(Way(own, server, prefix, mine)) for name, server in standbys.items()}
        for push in self._pushes.values():
            push.start()

    def give(self, database: str, batch: t.Sequence[Json], made: t.Mapping[str, str]) -> None:
        """Bring what was written of documents, which have these revisions now."""
        changes = carried.changes(database, batch, made) if self._pushes else []
        for push in self._pushes.values():
            push.give(changes)

    def in_step(self) -> t.List[str]:
        """The standbys that get what is new at once."""
        return [name for name, push in self._pushes.items() if push.in_step.is_set()]

    def problem(self) -> t.Optional[str]:
        """Which standbys get what is new by replication alone, and why; None where nothing went wrong."""
        return "; ".join(f"{name} is left to CouchDB's replicator: {push.problem}" for name, push in self._pushes.items() if push.problem) or None

    def end(self) -> None:
        """Begin nothing any more."""
        for push in self._pushes.values():
            push.end()
