# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The configuration and the jobs in CouchDB, object by object.

One process writes: the service on the master. It remembers what it has written, so that a change costs what has changed and no
more. Somebody else's writing shows as a conflict and is never overwritten.
"""

from __future__ import annotations

import typing as t

from ...._errors import AuthenticationFailed, StorageConflict, StorageFailed, StorageRefused
from .. import documents
from ..documents import ARCHIVE, CONFIG, CONTAINERS, DATABASES, QUEUE, SERIAL, SSCONF, Json
from ..interface import Queue, Storage
from . import conflicts, last_writes, pieces, seen, server_comparison, whole_configuration
from .client import Client, Server, path

_SYSTEM = ("_users", "_replicator")
"""What CouchDB itself needs, and makes only where it is configured as a single node."""
_OWN = (*CONTAINERS, CONFIG, QUEUE)
"""The databases of which it is remembered what was written. Archived jobs never change, and the simple configuration is read before each write."""
_ROWS = 2000
"""Documents in one answer; a job has some KiB."""


class Written(t.NamedTuple):
    """What a document is known to hold: its revision, and a number that stands for its content, 0 where nobody asks for that."""

    rev: str
    fingerprint: int


_FOR_GOOD = ("forbidden", "unauthorized", "doc_validation", "document_too_large", "bad_request")
"""Errors of one document that no other try mends: its content, or a rule of the database's own, is the reason."""


class Sent(t.NamedTuple):
    """What became of documents: the new revisions of those that were written, those that have another revision there, and those that are not taken and why."""

    made: t.Dict[str, str]
    conflicts: t.Set[str]
    refused: t.Dict[str, str]


class CouchStorage(Storage):
    """Storage on one server; *prefix* is put before the names of the databases."""

    name = "couchdb"

    def __init__(self, client: Client, prefix: str = "") -> None:
        self._client = client
        self._prefix = prefix
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

    def prepare(self) -> None:
        """Make the databases, for this user alone, where they are missing; refuse a server that lets anybody read."""
        user = self._client.server.username
        for name in _SYSTEM:
            if self._client.get(path(name), missing=True) is None:
                self._client.put(path(name), None)
        for name in DATABASES:
            where = path(self.database(name))
            if self._client.get(where, missing=True) is None:
                self._client.put(where, None)
            rights = {"admins": {"names": [], "roles": ["_admin"]}, "members": {"names": [user], "roles": ["_admin"]}}
            if self._client.get(f"{where}/_security") != rights:
                self._client.put(f"{where}/_security", rights)
        self.check_closed()

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

    def check_closed(self) -> None:
        """Raise AuthenticationFailed where somebody without a password can read: the configuration holds secrets."""
        server = self._client.server
        connection = server.connection(20)
        try:
            connection.request("GET", path(self.database(CONFIG), CONFIG))
            status = connection.getresponse().status
        finally:
            connection.close()
        if status not in (401, 403):
            open_to_all = f"CouchDB at {server.url} lets anybody read the configuration, which holds secrets"
            raise AuthenticationFailed(f"{open_to_all}: set require_valid_user to true there.")

    def forget(self) -> None:
        self._doubt()
        self._looked.clear()  # a database that was made anew does not know its old sequences
        self._seen.clear()

    def _doubt(self) -> None:
        """Remember nothing of what was written, but how far the feeds were read: what somebody else has written elsewhere is still to be seen."""
        self._known.clear()
        self._last = self._recent = None

    def configuration(self) -> Json:
        """The newest that is whole, which after a cut, on a standby above all, may be older than the newest of all: see `newest_whole`."""
        return self.newest_whole().configuration

    def newest_whole(self) -> whole_configuration.Whole:
        """The newest configuration that is whole, and how far it is behind; raise StorageIncomplete where there is none."""
        found = whole_configuration.newest(self._client, self._prefix)
        return whole_configuration.Whole(documents.join({}), 0) if found is None else found

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
        last = server_comparison.last_job(self._client, self._prefix)  # before the jobs: one that comes meanwhile is seen, and counts by its own id
        return Queue(self._numbers(QUEUE), self._archived(), last or 0)

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

    def leave_out(self, refused: t.Mapping[int, str], archived: bool = False) -> None:
        """What is in a database could be stored, and is read when somebody asks for it."""

    def remove_jobs(self, numbers: t.Iterable[int], archived: bool = False) -> None:
        database = ARCHIVE if archived else QUEUE
        revs = self._revs(database, [str(number) for number in numbers])
        self._bulk(database, [{"_id": name, "_rev": rev, "_deleted": True} for name, rev in revs.items()])
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
        changed = [{"_id": name, "value": value} for name, value in values.items() if name not in present or present[name]["value"] != value]
        gone = [{"_id": name, "_rev": each["_rev"], "_deleted": True} for name, each in present.items() if name not in values]
        revs = {name: each["_rev"] for name, each in present.items()}
        self._bulk(SSCONF, [*_over(changed, revs), *gone])

    def close(self) -> None:
        self._client.close()

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
        batch = _over([{**wanted.documents[database][name], "serial": serial} for name in written], revs)
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
        known = self._known.setdefault(database, {})
        revs = {name: known[name].rev for name in (each["_id"] for each in wanted) if name in known}
        sent = self._send(database, _over(wanted, revs))
        made, refused = dict(sent.made), dict(sent.refused)
        if sent.conflicts:
            again = self._send(database, _over([each for each in wanted if each["_id"] in sent.conflicts], self._revs(database, sorted(sent.conflicts))))
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
        """Write documents, in pieces that cost the server no more than so many requests: what a large one takes grows faster than it does."""
        whole = Sent({}, set(), {})
        for piece in pieces.of(batch):
            part = self._send_piece(database, piece)
            whole = Sent({**whole.made, **part.made}, whole.conflicts | part.conflicts, {**whole.refused, **part.refused})
            self._went_on(len(piece))
        return whole

    def _send_piece(self, database: str, batch: t.Sequence[Json]) -> Sent:
        """Write documents, in one request where the server takes all of them.

        It refuses a request as a whole for one document that is too large. Halves of it are sent then, and their halves, until the document is alone.
        """
        try:
            answers = self._client.post(path(self.database(database), "_bulk_docs"), {"docs": list(batch)})
        except StorageRefused as error:
            if len(batch) == 1:
                return Sent({}, set(), {batch[0]["_id"]: error.message})
            half = len(batch) // 2
            first, second = self._send_piece(database, batch[:half]), self._send_piece(database, batch[half:])
            return Sent({**first.made, **second.made}, first.conflicts | second.conflicts, {**first.refused, **second.refused})
        return self._sent(database, answers)

    def _sent(self, database: str, answers: t.Sequence[Json]) -> Sent:
        """What the server says of each document; raise StorageFailed for what another try may mend."""
        sent = Sent({}, set(), {})
        for each in answers:
            name, error = each["id"], each.get("error")
            why = f"CouchDB at {self._client.server.url} did not take {name} in {database}: {each.get('reason', error)}."
            if error is None:
                sent.made[name] = each["rev"]
            elif error == "conflict":
                sent.conflicts.add(name)
            elif error in _FOR_GOOD:
                sent.refused[name] = why
            else:
                raise StorageFailed(why)
        return sent

    def _conflict(self, database: str, names: t.Collection[str]) -> StorageConflict:
        some = ", ".join(sorted(names)[:5])
        return StorageConflict(f"Somebody else than this service writes to {database} at {self._client.server.url} ({some}): find out who.")


def _over(wanted: t.Iterable[Json], revs: t.Mapping[str, str]) -> t.List[Json]:
    """Documents as new revisions of those that are there."""
    return [{**each, "_rev": revs[each["_id"]]} if each["_id"] in revs else each for each in wanted]


def open_server(url: str, username: str, password: str, ca_path: t.Optional[str] = None, prefix: str = "") -> CouchStorage:
    """The storage on a server."""
    return CouchStorage(Client(Server(url, username, password, ca_path)), prefix)
