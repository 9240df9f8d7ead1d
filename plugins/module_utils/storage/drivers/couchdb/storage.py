# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The configuration and the jobs in CouchDB, object by object.

One process writes: the service on the master. It remembers what it has written, so that a change costs what has changed and no
more. Somebody else's writing shows as a conflict and is never overwritten.
"""

from __future__ import annotations

import concurrent.futures
import typing as t

from ...._errors import GanetiError, StorageConflict, StorageFailed, StorageRefused
from .. import documents
from ..documents import ARCHIVE, CONFIG, CONTAINERS, DATABASES, QUEUE, SERIAL, SSCONF, Json
from ..epochs import Claim
from ..interface import Checked, Copies, Feed, History, Newest, Notes, Queue, Storage
from . import ballot, conflicts, description, fence, half_archived, last_writes, other_cluster, seen, server_comparison, whole_configuration
from .bulk import Sent, send
from .changes_feed import ChangesFeed
from .client import Client, Server, brief, described, path
from .notes import CouchNotes
from .preparation import prepare, probe
from .push import Pushes
from .revisions import CouchHistory
from .server_check import ServerCheck
from .standbys import Standbys

_OWN = (*CONTAINERS, CONFIG, QUEUE)
"""The databases of which it is remembered what was written. Archived jobs never change, and the simple configuration is read before each write."""
_ROWS = 2000
"""Documents in one answer; a job has some KiB."""
_CLAIM_SECONDS = 5.0
"""Seconds that an answer may take while a server is claimed: a silent one must not hold up who looks after all others, nor the end of the service."""


class Written(t.NamedTuple):
    """What a document is known to hold: its revision, and a number that stands for its content, 0 where nobody asks for that."""

    rev: str
    fingerprint: int


class CouchStorage(Storage):
    """Storage on one server, *client*'s, by whose user anything may be done there; *prefix* is put before the names of the databases.

    *own* is the name of the node whose server it is, *standbys* are those of others. After a claim all is read and written by the claim's user.
    """

    name = "couchdb"

    def __init__(self, client: Client, prefix: str = "", own: str = "", standbys: t.Optional[t.Mapping[str, Server]] = None) -> None:
        self._client = client
        self._admin = client
        self._prefix = prefix
        self._own = own
        self._standbys = standbys or {}
        self._claimer: t.Optional[Client] = None
        self._held: t.Optional[fence.Held] = None
        self._cluster: t.Optional[str] = None
        """The UUID of the cluster whose storage this is, as soon as that is known."""
        self._copies: t.Optional[Standbys] = None
        self._pushes: t.Optional[Pushes] = None
        self._known: t.Dict[str, t.Dict[str, Written]] = {}
        self._last: t.Optional[documents.Parts] = None
        self._recent: t.Optional[t.List[last_writes.Write]] = None
        self._looked: t.Dict[str, str] = {}
        """How far each database's feed of changes was read by `intruded`."""
        self._seen: t.Dict[str, seen.Seen] = {}
        """What was seen of each database when conflicts were resolved."""

    def database(self, name: str) -> str:
        """The name of a database on the server."""
        return self._prefix + name

    @property
    def where(self) -> str:
        return self._admin.server.url

    @property
    def machines(self) -> int:
        return 1 + len(self._standbys)

    @property
    def apart(self) -> int:
        return self.machines

    def prepare(self) -> None:
        """Make the databases, for nobody but who has claimed them, where they are missing; refuse a server that lets anybody read."""
        prepare(self._admin, self._prefix)
        for server in self._standbys.values():
            with Client(server) as client:
                prepare(client, self._prefix)

    def probe(self) -> None:
        for server in (self._admin.server, *self._standbys.values()):
            with Client(server) as client:
                probe(client)

    def claim(self, wanted: Claim, anew: bool = False) -> Claim:
        """Of this node's own server; standbys are claimed when they are tended (see `copies`). What holds then is said in fence.py."""
        if self._claimer is None:
            self._claimer = Client(self._admin.server, _CLAIM_SECONDS)
        found = fence.claim(self._claimer, self._prefix, wanted, anew)
        if found != self._held:
            self._end_pushes()
            self._held, self._copies = found, None
            if self._client is not self._admin:
                self._client.close()
            self._client = Client(fence.as_writer(self._admin.server, found))
            self.forget()
        return found.claim

    def refuse_other_cluster(self, uuid: t.Optional[str], everywhere: bool = False) -> None:
        """What a standby holds is looked at again before it is claimed (standbys.py)."""
        self._cluster = uuid
        for name, server in {self._own: self._admin.server, **(self._standbys if everywhere else {})}.items():
            with Client(server, _CLAIM_SECONDS) as client:
                other_cluster.refuse(name, client, self._prefix, uuid)

    def claims(self) -> t.List[Claim]:
        """Those of a standby that holds another cluster's configuration do not count: whoever claimed that one is no master of this cluster."""
        own, *others = fence.known([self._admin.server, *self._standbys.values()], self._prefix)
        self._cluster = self._cluster or own.cluster
        ours = [each for each in others if None in (self._cluster, each.cluster) or each.cluster == self._cluster]
        return [each.claim for each in (own, *ours) if each.claim is not None]

    def elect(self, wanted: Claim, nodes: t.Collection[str], dead: t.Collection[str] = ()) -> None:
        """What holds then is said in ballot.py."""
        ballot.elect(self._of(nodes), self._prefix, wanted, dead)

    def elected(self) -> t.Optional[Claim]:
        return ballot.elected(self._admin, self._prefix)

    def begun(self) -> t.List[Claim]:
        return [*self.claims(), *ballot.all_elected([self._admin.server, *self._standbys.values()], self._prefix)]

    def notes(self, nodes: t.Collection[str], seconds: float) -> Notes:
        return CouchNotes(self._own, self._of(nodes), self._prefix, seconds)

    def _of(self, nodes: t.Collection[str]) -> t.Dict[str, Server]:
        """The servers of nodes; not those that are of none."""
        return {name: server for name, server in {self._own: self._admin.server, **self._standbys}.items() if name in nodes}

    @property
    def copies(self) -> t.Optional[Copies]:
        if self._copies is None:
            self._copies = Standbys(self._own, self._admin, self._standbys, self._prefix, self._held)
        return self._copies

    def carry(self, now: bool) -> t.Optional[str]:
        """By writing to them what the own server has taken, with its revisions (push.py). CouchDB's replicator brings the rest. Why it is safe: fence.py."""
        if not now or self._held is None:
            self._end_pushes()
            return None
        if self._pushes is None:
            own = fence.as_writer(self._admin.server, self._held)
            self._pushes = Pushes(own, self._standbys, self._prefix, self._held.claim)
        return self._pushes.problem()

    def _end_pushes(self) -> None:
        if self._pushes is not None:
            self._pushes.end()
        self._pushes = None

    @property
    def history(self) -> t.Optional[History]:
        return CouchHistory(self._client, self._prefix)

    def check(self, files: Storage, lag: int) -> Checked:
        return ServerCheck(self._own, self._admin, self._standbys, self._prefix, files, lag).run()

    def describe(self, serial: int) -> Json:
        return description.describe(self._own, {self._own: self._admin.server, **self._standbys}, self._prefix, serial)

    def everywhere(self, number: int) -> t.Dict[str, t.Union[Json, str, None]]:
        servers = {self._own: self._admin.server, **self._standbys}
        with concurrent.futures.ThreadPoolExecutor(len(servers)) as executor:
            return dict(zip(servers, executor.map(lambda server: self._on(server, number), servers.values())))

    def _on(self, server: Server, number: int) -> t.Union[Json, str, None]:
        try:
            with brief(server) as client:
                there = CouchStorage(client, self._prefix)
                found = [*there.jobs([number]), *there.jobs([number], archived=True)]
        except GanetiError as error:
            return error.message
        return found[-1][1] if found else None

    def feed(self, numbers: t.Collection[int]) -> Feed:
        return ChangesFeed(self._client, self.database(QUEUE), numbers)

    def cluster_name(self) -> t.Optional[str]:
        head = self._head()
        return str(head["info"]["cluster"]["cluster_name"]) if head else None

    def resolve(self) -> None:
        self.forget()
        for name in DATABASES:
            self._seen[name] = seen.resolve(self._client, self.database(name))
            self._went_on(self._seen[name].more)

    def note(self) -> None:
        for name, known in self._seen.items():
            now = seen.resolve(self._client, self.database(name), known)
            self._seen[name] = seen.note(self._client, self.database(name), now)

    def intruded(self) -> bool:
        """By the feeds of changes. A master that was replaced replicates what it has as soon as its server is up; where its branch of a document is the longer
        one it is what everybody reads, and our own next write extends the losing one without any conflict being told.
        """
        found = [self._strange(database, row) for database in _OWN for row in self._changes(database)]
        return any(found)

    def _changes(self, database: str) -> t.List[Json]:
        query = {"style": "all_docs", "since": self._looked.get(database, "now")}
        answer = self._client.get(path(self.database(database), "_changes", **query))
        self._looked[database] = answer["last_seq"]
        return t.cast("t.List[Json]", answer["results"])

    def _strange(self, database: str, row: Json) -> bool:
        """Whether a document that has changed is another one than was written here last."""
        if database not in self._known or row["id"].startswith("_design/"):
            return False
        known = self._known[database].get(row["id"])
        if len(row["changes"]) == 1 and known is not None:
            return bool(row["changes"][0]["rev"] != known.rev)
        return conflicts.live(self._client, self.database(database), row["id"]) != ([known.rev] if known else [])

    def forget(self) -> None:
        self._doubt()
        self._looked.clear()  # a database that was made anew does not know its old sequences
        self._seen.clear()

    def _doubt(self) -> None:
        """Remember nothing of what was written, but how far the feeds were read: what somebody else has written elsewhere is still to be seen."""
        self._known.clear()
        self._last = self._recent = None

    def configuration(self) -> Json:
        """The newest that is whole, which after a cut, on a standby above all, may be older than the newest of all: see `newest`."""
        return self.newest().configuration

    def newest(self) -> Newest:
        found = whole_configuration.newest(self._client, self._prefix)
        return Newest(documents.join({}), 0) if found is None else found

    def write_configuration(self, configuration: Json) -> None:
        wanted = documents.split(configuration, self._last)
        try:
            self._write(wanted)
        except StorageConflict:
            # An answer of the server's was lost, or somebody else has written: what is remembered is wrong. So look, and write what differs.
            self._doubt()
            self._write(documents.split(configuration))
        self._last = wanted

    def _write(self, wanted: documents.Parts) -> None:
        serial, left = wanted.configuration["serial_no"], self._left_over()
        for container in CONTAINERS:
            changed = self._update(container, wanted)
            if changed:
                left.setdefault(container, {}).update(changed)
        if left:
            self._recent = last_writes.added(self._recent or [], serial, left)
        wanted.documents[CONFIG][CONFIG]["recent"] = last_writes.telling(self._recent or [])
        self._update(CONFIG, wanted)  # last: it says that all of them are there

    def _left_over(self) -> last_writes.Objects:
        """What was written, or removed, while its ``config_data`` was not, as far as that is not known yet: the next one is to tell of it as well.

        That is what is newer than ``config_data``, and all of which that tells something else than what is there.
        """
        head = self._head() if self._recent is None else None
        if head is None:
            self._recent = self._recent or []
            return {}
        self._recent = last_writes.told(head)
        told = last_writes.objects(head)
        left: last_writes.Objects = {}
        for container in CONTAINERS:
            held = {each["_id"]: each for each in self._look(container)}
            newer = {name: each["info"] for name, each in held.items() if each.get("serial", 0) > head["serial"]}
            there = {name: held[name]["info"] if name in held else None for name in told.get(container, {})}
            newer.update({name: info for name, info in there.items() if info != told[container][name]})
            if newer:
                left[container] = newer
        return left

    def queue(self) -> Queue:
        last = self.last_job()  # before the jobs: one that comes meanwhile is seen, and counts by its own id
        return Queue(self._numbers(QUEUE), self._archived(), last)

    def last_job(self) -> int:
        return server_comparison.last_job(self._client, self._prefix) or 0

    def jobs(self, numbers: t.Iterable[int], archived: bool = False) -> t.Iterator[t.Tuple[int, Json]]:
        database = ARCHIVE if archived else QUEUE
        for row in self._rows(database, [str(number) for number in numbers], include_docs=True):
            if row.get("doc"):
                try:
                    number = documents.job_number(row["doc"])
                except StorageFailed:  # no job, so it is left out
                    continue
                yield number, row["doc"]["info"]

    def write_jobs(self, jobs: t.Mapping[int, Json], archived: bool = False) -> t.Dict[int, str]:
        wanted = [documents.of_job(number, job, archived) for number, job in jobs.items()]
        return {int(name): why for name, why in self._write_by_id(ARCHIVE if archived else QUEUE, wanted).items()}

    def half_archived(self) -> t.Iterator[t.Tuple[int, Json]]:
        return half_archived.find(self._client, self._prefix)

    def leave_out(self, refused: t.Mapping[int, str], archived: bool = False) -> None:
        """What is in a database could be stored, and is read when somebody asks for it."""

    def remove_jobs(self, numbers: t.Iterable[int], archived: bool = False) -> None:
        database = ARCHIVE if archived else QUEUE
        revs = self._revs(database, [str(number) for number in numbers])
        self._bulk(database, [self._signed({"_id": name, "_rev": rev, "_deleted": True}) for name, rev in revs.items()])
        for name in revs:
            self._known.get(database, {}).pop(name, None)

    def write_serial(self, serial: int) -> None:
        self.write_queue({}, serial)

    def write_queue(self, jobs: t.Mapping[int, Json], serial: t.Optional[int]) -> t.Dict[int, str]:
        wanted = [documents.of_job(number, job, False) for number, job in jobs.items()]
        if serial is not None:
            wanted.append({"_id": SERIAL, "value": serial})
        return {int(name): why for name, why in self._write_by_id(QUEUE, wanted).items() if name != SERIAL}

    def ssconf(self) -> t.Dict[str, str]:
        return {each["_id"]: each["value"] for each in self._all(SSCONF)}

    def write_ssconf(self, values: t.Mapping[str, str]) -> None:
        present = {each["_id"]: each for each in self._all(SSCONF)}
        changed = [self._signed({"_id": name, "value": value}) for name, value in values.items() if name not in present or present[name]["value"] != value]
        gone = [{"_id": name, "_rev": each["_rev"], "_deleted": True} for name, each in present.items() if name not in values]
        revs = {name: each["_rev"] for name, each in present.items()}
        self._bulk(SSCONF, [*_over(changed, revs), *gone])

    def close(self) -> None:
        self._end_pushes()
        for client in (self._client, self._admin, self._claimer):
            if client is not None:
                client.close()

    def _signed(self, document: Json) -> Json:
        """A document as it is written under the claim that was made."""
        return conflicts.signed(document, self._held.user if self._held else None)

    # --- Objects, by what is known of them ---------------------------------------------------------------------------

    def _update(self, database: str, wanted: documents.Parts) -> t.Dict[str, t.Optional[Json]]:
        """Make a database hold these objects and no others; those that were written, and None for each that was removed."""
        known, numbers = self._state(database), wanted.fingerprints[database]
        before = {name: each.fingerprint for name, each in known.items()}
        if wanted.touched is not None and database != CONFIG:
            names = wanted.touched.get(database, frozenset())
            before, numbers = ({name: these[name] for name in names if name in these} for these in (before, numbers))
        written, gone = documents.changes(before, numbers)
        serial = wanted.configuration["serial_no"]
        revs = {name: known[name].rev for name in written if name in known}
        batch = _over([self._signed({**wanted.documents[database][name], "serial": serial}) for name in written], revs)
        batch += [{"_id": name, "_rev": known[name].rev, "_deleted": True, "serial": serial} for name in gone]
        made = self._bulk(database, batch)
        for name in gone:
            del known[name]
        known.update({name: Written(made[name], numbers[name]) for name in written})
        return {**{name: wanted.documents[database][name]["info"] for name in written}, **dict.fromkeys(gone)}

    def _state(self, database: str) -> t.Dict[str, Written]:
        if database not in self._known:
            self._look(database)
        return self._known[database]

    def _look(self, database: str) -> t.List[Json]:
        """What a database holds, which is known then."""
        found = self._all(database)
        self._known[database] = {each["_id"]: Written(each["_rev"], documents.fingerprint(each)) for each in found}
        return found

    # --- Documents ---------------------------------------------------------------------------------------------------

    def _head(self) -> t.Optional[Json]:
        return t.cast("t.Optional[Json]", self._client.get(path(self.database(CONFIG), CONFIG), missing=True))

    def _all(self, database: str) -> t.List[Json]:
        """All documents but those of the design."""
        found: t.List[Json] = []
        start: t.Dict[str, t.Any] = {}
        while True:
            rows = self._client.get(path(self.database(database), "_all_docs", include_docs=True, limit=_ROWS, **start))["rows"]
            found += [row["doc"] for row in rows if not row["id"].startswith("_design/")]
            self._went_on(len(rows))
            if len(rows) < _ROWS:
                return found
            start = {"startkey": rows[-1]["id"], "skip": 1}

    def _archived(self) -> t.FrozenSet[int]:
        if ARCHIVE in self._seen:
            return seen.current(self._client, self.database(ARCHIVE), self._seen[ARCHIVE]).jobs
        return self._numbers(ARCHIVE)

    def _numbers(self, database: str) -> t.FrozenSet[int]:
        rows = self._client.get(path(self.database(database), "_all_docs"))["rows"]
        return frozenset(int(row["id"]) for row in rows if row["id"].isascii() and row["id"].isdigit())

    def _rows(self, database: str, names: t.Sequence[str], **query: t.Any) -> t.Iterator[Json]:
        where = path(self.database(database), "_all_docs", **query)
        for some in documents.batches(names, _ROWS):
            rows = self._client.post(where, {"keys": some})["rows"]
            self._went_on(len(rows))
            yield from rows

    def _revs(self, database: str, names: t.Sequence[str]) -> t.Dict[str, str]:
        """The revisions of those documents that are there."""
        rows = [row for row in self._rows(database, names) if "value" in row and not row["value"].get("deleted")]
        return {row["id"]: row["value"]["rev"] for row in rows}

    def _write_by_id(self, database: str, wanted: t.Sequence[Json]) -> t.Dict[str, str]:
        """Write documents over whatever has their ids; those that the server does not take, and why.

        Those that are not known are taken for new ones, as jobs mostly are; the others are looked up then.
        """
        wanted = [self._signed(each) for each in wanted]
        known = self._known.setdefault(database, {})
        revs = {name: known[name].rev for name in (each["_id"] for each in wanted) if name in known}
        sent = self._send(database, _over(wanted, revs))
        made, refused = dict(sent.made), dict(sent.refused)
        if sent.conflicts:
            colliding = [each for each in wanted if each["_id"] in sent.conflicts]
            again = self._send(database, _over(colliding, self._revs(database, sorted(sent.conflicts))))
            if again.conflicts:
                raise self._conflict(database, again.conflicts)
            made.update(again.made)
            refused.update(again.refused)
        if database != ARCHIVE:  # what is archived changes no more
            known.update({name: Written(rev, 0) for name, rev in made.items()})
        return refused

    def _bulk(self, database: str, batch: t.Sequence[Json]) -> t.Dict[str, str]:
        """Write documents, all of which are needed; their new revisions.

        Raises StorageConflict where somebody else has written one, StorageRefused where the server does not take one, after all others are written.
        """
        sent = self._send(database, batch)
        if sent.conflicts:
            raise self._conflict(database, sent.conflicts)
        for name, why in sent.refused.items():
            raise StorageRefused(f"{name} in {database} at {self._client.server.url} cannot be stored. {why}")
        return sent.made

    def _send(self, database: str, batch: t.Sequence[Json]) -> Sent:
        """Write documents, and bring to the standbys what the server has taken."""
        sent = send(self._client, self.database(database), batch, self._went_on)
        if self._pushes is not None:
            self._pushes.give(database, batch, sent.made)
        return sent

    def _conflict(self, database: str, names: t.Collection[str]) -> StorageConflict:
        some = ", ".join(sorted(names)[:5])
        return StorageConflict(f"Somebody else than this service writes to {database} at {self._client.server.url} ({some}): find out who.")


def _over(wanted: t.Iterable[Json], revs: t.Mapping[str, str]) -> t.List[Json]:
    """Documents as new revisions of those that are there."""
    return [{**each, "_rev": revs[each["_id"]]} if each["_id"] in revs else each for each in wanted]


def open_couchdb(name: str, servers: t.Mapping[str, t.Mapping[str, t.Any]], prefix: str = "", patience: t.Optional[float] = None) -> CouchStorage:
    """The storage on the server of the node *name*, and its standbys on those of others, as *servers* describes them by their nodes' names."""
    made = described(servers)
    own = made.pop(name)
    return CouchStorage(Client(own) if patience is None else Client(own, patience, attempts=1), prefix, name, made)
