# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The configuration and the jobs in CouchDB, object by object.

One process writes: the service on the master. It remembers what it has written, so that a change costs what has changed and no
more. Somebody else's writing shows as a conflict and is never overwritten.
"""

from __future__ import annotations

import typing as t

from .._errors import AuthenticationFailed, StorageConflict, StorageFailed
from . import conflicts, documents, recent, whole
from .base import Queue, Storage
from .client import Client, Server, path
from .documents import ARCHIVE, CONFIG, CONTAINERS, DATABASES, QUEUE, SERIAL, SSCONF, Json

_SYSTEM = ("_users", "_replicator")
"""What CouchDB itself needs, and makes only where it is configured as a single node."""
_ROWS = 2000
"""Documents in one answer; a job has some KiB."""


class Written(t.NamedTuple):
    """What a document is known to hold: its revision, and a number that stands for its content, 0 where nobody asks for that."""

    rev: str
    fingerprint: int


class CouchStorage(Storage):
    """Storage on one server; *prefix* is put before the names of the databases."""

    name = "couchdb"

    def __init__(self, client: Client, prefix: str = "") -> None:
        self._client = client
        self._prefix = prefix
        self._known: t.Dict[str, t.Dict[str, Written]] = {}
        self._last: t.Optional[documents.Parts] = None
        self._recent: t.Optional[t.List[recent.Write]] = None

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
        for name in DATABASES:
            conflicts.resolve(self._client, self.database(name))
        self.forget()

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
        self._known.clear()
        self._last = self._recent = None

    def configuration(self) -> Json:
        """The newest that is whole, which after a cut, on a standby above all, may be older than the newest of all: see `newest_whole`."""
        return self.newest_whole().configuration

    def newest_whole(self) -> whole.Whole:
        """The newest configuration that is whole, and how far it is behind; raise StorageIncomplete where there is none."""
        found = whole.newest(self._client, self._prefix)
        return whole.Whole(documents.join({}), 0) if found is None else found

    def write_configuration(self, configuration: Json) -> None:
        wanted = documents.split(configuration, self._last)
        try:
            self._write(wanted)
        except StorageConflict:
            # An answer of the server's was lost, or somebody else has written: what is remembered is wrong. So look, and write what differs.
            self.forget()
            self._write(documents.split(configuration))
        self._last = wanted

    def _write(self, wanted: documents.Parts) -> None:
        serial, left = wanted.configuration["serial_no"], self._left_over()
        for container in CONTAINERS:
            changed = self._update(container, wanted)
            if changed:
                left.setdefault(container, {}).update(changed)
        if left:
            self._recent = recent.added(self._recent or [], serial, left)
        wanted.documents[CONFIG][CONFIG]["recent"] = recent.telling(self._recent or [])
        self._update(CONFIG, wanted)  # last: it says that all of them are there

    def _left_over(self) -> recent.Objects:
        """What was written, or removed, while its ``config_data`` was not, as far as that is not known yet: the next one is to tell of it as well.

        That is what is newer than ``config_data``, and all of which that tells something else than what is there.
        """
        head = self._head() if self._recent is None else None
        if head is None:
            self._recent = self._recent or []
            return {}
        self._recent = recent.told(head)
        told = recent.objects(head)
        left: recent.Objects = {}
        for container in CONTAINERS:
            held = {each["_id"]: each for each in self._look(container)}
            newer = {name: each["info"] for name, each in held.items() if each["serial"] > head["serial"]}
            there = {name: held[name]["info"] if name in held else None for name in told.get(container, {})}
            newer.update({name: info for name, info in there.items() if info != told[container][name]})
            if newer:
                left[container] = newer
        return left

    def queue(self) -> Queue:
        serial = self._client.get(path(self.database(QUEUE), SERIAL), missing=True)
        return Queue(self._numbers(QUEUE), self._numbers(ARCHIVE), serial["value"] if serial else 0)

    def jobs(self, numbers: t.Iterable[int], archived: bool = False) -> t.Iterator[t.Tuple[int, Json]]:
        database = ARCHIVE if archived else QUEUE
        for row in self._rows(database, [str(number) for number in numbers], include_docs=True):
            if row.get("doc"):
                yield documents.job_number(row["doc"]), row["doc"]["info"]

    def write_jobs(self, jobs: t.Mapping[int, Json], archived: bool = False) -> None:
        wanted = [documents.of_job(number, job, archived) for number, job in jobs.items()]
        self._write_by_id(ARCHIVE if archived else QUEUE, wanted)

    def remove_jobs(self, numbers: t.Iterable[int], archived: bool = False) -> None:
        database = ARCHIVE if archived else QUEUE
        revs = self._revs(database, [str(number) for number in numbers])
        self._bulk(database, [{"_id": name, "_rev": rev, "_deleted": True} for name, rev in revs.items()])
        for name in revs:
            self._known.get(database, {}).pop(name, None)

    def write_serial(self, serial: int) -> None:
        self.write_queue({}, serial)

    def write_queue(self, jobs: t.Mapping[int, Json], serial: t.Optional[int]) -> None:
        wanted = [documents.of_job(number, job, False) for number, job in jobs.items()]
        if serial is not None:
            wanted.append({"_id": SERIAL, "value": serial})
        self._write_by_id(QUEUE, wanted)

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
        written, gone = documents.changes({name: each.fingerprint for name, each in known.items()}, numbers)
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
            if len(rows) < _ROWS:
                return found
            start = {"startkey": rows[-1]["id"], "skip": 1}

    def _numbers(self, database: str) -> t.FrozenSet[int]:
        rows = self._client.get(path(self.database(database), "_all_docs"))["rows"]
        return frozenset(int(row["id"]) for row in rows if row["id"].isascii() and row["id"].isdigit())

    def _rows(self, database: str, names: t.Sequence[str], **query: t.Any) -> t.Iterator[Json]:
        for first in range(0, len(names), _ROWS):
            where = path(self.database(database), "_all_docs", **query)
            yield from self._client.post(where, {"keys": names[first : first + _ROWS]})["rows"]

    def _revs(self, database: str, names: t.Sequence[str]) -> t.Dict[str, str]:
        """The revisions of those documents that are there."""
        rows = [row for row in self._rows(database, names) if "value" in row and not row["value"].get("deleted")]
        return {row["id"]: row["value"]["rev"] for row in rows}

    def _write_by_id(self, database: str, wanted: t.Sequence[Json]) -> None:
        """Write documents over whatever has their ids. Those that are not known are taken for new ones, as jobs mostly are; the others are looked up then."""
        known = self._known.setdefault(database, {})
        revs = {name: known[name].rev for name in (each["_id"] for each in wanted) if name in known}
        made, refused = self._send(database, _over(wanted, revs))
        if refused:
            made.update(self._bulk(database, _over([each for each in wanted if each["_id"] in refused], self._revs(database, sorted(refused)))))
        if database != ARCHIVE:  # what is archived changes no more
            known.update({name: Written(rev, 0) for name, rev in made.items()})

    def _bulk(self, database: str, batch: t.Sequence[Json]) -> t.Dict[str, str]:
        """Write documents in one request; their new revisions. Raises StorageConflict, after all that could be written is."""
        made, refused = self._send(database, batch)
        if refused:
            names = ", ".join(sorted(refused)[:5])
            raise StorageConflict(f"Somebody else than this service writes to {database} at {self._client.server.url} ({names}): find out who.")
        return made

    def _send(self, database: str, batch: t.Sequence[Json]) -> t.Tuple[t.Dict[str, str], t.Set[str]]:
        """Write documents in one request; the new revisions of those that were written, and the ids of those that have another revision there."""
        if not batch:
            return {}, set()
        answers = self._client.post(path(self.database(database), "_bulk_docs"), {"docs": list(batch)})
        bad = [each for each in answers if "error" in each]
        refused = {each["id"] for each in bad if each["error"] == "conflict"}
        wrong = [each for each in bad if each["id"] not in refused]
        if wrong:
            why = wrong[0].get("reason", wrong[0]["error"])
            raise StorageFailed(f"CouchDB at {self._client.server.url} did not take {wrong[0]['id']} in {database}: {why}.")
        return {each["id"]: each["rev"] for each in answers if "error" not in each}, refused


def _over(wanted: t.Iterable[Json], revs: t.Mapping[str, str]) -> t.List[Json]:
    """Documents as new revisions of those that are there."""
    return [{**each, "_rev": revs[each["_id"]]} if each["_id"] in revs else each for each in wanted]


def open_server(url: str, username: str, password: str, ca_path: t.Optional[str] = None, prefix: str = "") -> CouchStorage:
    """The storage on a server."""
    return CouchStorage(Client(Server(url, username, password, ca_path)), prefix)
