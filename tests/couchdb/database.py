# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One database: documents by id and by sequence, kept in a log."""

from __future__ import annotations

import base64
import bisect
import threading
import time
import typing as t
import uuid
from pathlib import Path

from . import documents, revisions
from .documents import Edit
from .errors import BadRequest, Conflict, HttpError, NotFound
from .log import Log
from .revisions import Revision, Tree

ADMINS_ONLY = {"members": {"roles": ["_admin"]}, "admins": {"roles": ["_admin"]}}
BAD_SINCE = "Malformed sequence supplied in 'since' parameter."


class Document:
    """A document and the sequence number of its latest change."""

    def __init__(self) -> None:
        self.sequence = 0
        self.tree = Tree()


class Database:
    """Writers take turns (``writing``). Readers see only what is on stable storage, and wait for more with ``changed``."""

    def __init__(self, name: str, path: Path, create: bool = False, volatile: bool = False) -> None:
        self.name = name
        self.writing = threading.Lock()
        self.changed = threading.Condition()
        self.closed = False
        self.documents: dict[str, Document] = {}
        self.ids: list[str] = []  # of what is not deleted, in order
        self.local: dict[str, tuple[int, dict[str, t.Any]]] = {}
        self.security: dict[str, t.Any] = ADMINS_ONLY
        self.revs_limit = 1000
        self.sequence = 0
        self._order: list[tuple[int, str]] = []  # every change, also those that later ones replaced
        self.identity = uuid.uuid4().hex
        self.created = int(time.time())
        if create:
            self._log = Log.create(path, [self._header()], volatile)
        else:
            for record in Log.replay(path):
                self._apply(record)
            self._log = Log(path, volatile)

    def _header(self) -> dict[str, t.Any]:
        return {"database": self.name, "identity": self.identity, "created": self.created}

    def _write(self, record: dict[str, t.Any]) -> None:
        """Make a record permanent, then visible; the caller holds ``writing``."""
        if self.closed:
            raise NotFound("Database does not exist.")
        self._log.append(record)
        with self.changed:
            self._apply(record)
            self.changed.notify_all()

    def _apply(self, record: dict[str, t.Any]) -> None:
        if "database" in record:
            self.name, self.identity, self.created = record["database"], record["identity"], record["created"]
        for row in record.get("documents", ()):
            self._apply_document(row)
        if "local" in record:
            if record["body"] is None:
                self.local.pop(record["local"], None)
            else:
                self.local[record["local"]] = (record["count"], record["body"])
        self.security = record.get("security", self.security)
        self.revs_limit = record.get("revs_limit", self.revs_limit)
        self.sequence = max(self.sequence, record.get("sequence", 0))

    def _apply_document(self, row: dict[str, t.Any]) -> None:
        name = row["id"]
        document = self.documents.get(name)
        if document is None:
            document = self.documents[name] = Document()
        document.sequence = self.sequence = row["sequence"]
        self._order.append((row["sequence"], name))
        if "tree" in row:
            document.tree = Tree.load(row["tree"])
        else:
            document.tree.add([revisions.parse(each) for each in row["path"]], row["deleted"], row["body"])
        document.tree.stem(self.revs_limit)
        self._list(name, not document.tree.deleted())
        if len(self._order) > 2 * len(self.documents) + 1000:
            self._order = [(sequence, each) for sequence, each in self._order if self.documents[each].sequence == sequence]

    def _list(self, name: str, living: bool) -> None:
        place = bisect.bisect_left(self.ids, name)
        listed = self.ids[place : place + 1] == [name]
        if living and not listed:
            self.ids.insert(place, name)
        elif listed and not living:
            del self.ids[place]

    # Reading

    def get(self, name: str) -> Document:
        """A document that exists or existed."""
        document = self.documents.get(name)
        if document is None:
            raise NotFound
        return document

    def sequence_text(self, number: int) -> str:
        """A sequence as clients get it: opaque, and of this database only, not of another that had the same name."""
        secret = base64.urlsafe_b64encode(f"{self.identity}:{number}".encode()).decode().rstrip("=")
        return f"{number}-{secret}"

    def sequence_number(self, text: str) -> int:
        """The number in a sequence; 0 if it is of an earlier database of that name, which starts over."""
        if text == "now":
            return self.sequence
        if text == "0":
            return 0
        try:
            secret = text.split("-", 1)[1]
            identity, number = base64.urlsafe_b64decode(secret + "=" * (-len(secret) % 4)).decode().split(":")
            return int(number) if identity == self.identity else 0
        except (IndexError, ValueError):
            raise BadRequest(BAD_SINCE) from None

    def changes(self, since: int) -> list[tuple[int, str]]:
        """The documents that changed after a sequence number, each once, in the order of their latest change."""
        start = bisect.bisect_right(self._order, (since, "\U0010ffff"))
        return [(sequence, name) for sequence, name in self._order[start:] if self.documents[name].sequence == sequence]

    def counts(self) -> tuple[int, int]:
        """How many documents there are, and how many were deleted."""
        return len(self.ids), len(self.documents) - len(self.ids)

    # Writing

    def update(self, edits: list[Edit]) -> list[t.Union[Revision, HttpError]]:
        """Edit documents, each on its own; the result of each is its new revision or why there is none."""
        with self.writing:
            rows: list[dict[str, t.Any]] = []
            results: list[t.Union[Revision, HttpError]] = []
            seen: set[str] = set()
            for edit in edits:
                try:
                    if edit.id in seen:
                        raise Conflict
                    parent = self._parent(edit)
                    revision = revisions.following(parent, edit.deleted, edit.body)
                    seen.add(edit.id)
                    rows.append(self._row(edit, [revision, parent] if parent else [revision], len(rows)))
                    results.append(revision)
                except HttpError as error:
                    results.append(error)
            if rows:
                self._write({"documents": rows})
            return results

    def _parent(self, edit: Edit) -> t.Optional[Revision]:
        """The revision that an edit follows: the one that it names, or the deleted one that it replaces."""
        document = self.documents.get(edit.id)
        if document is None:  # CouchDB refuses a revision here only as long as the database is new
            return edit.revision
        if document.tree.deleted():
            if edit.revision is not None or edit.deleted:
                raise Conflict
            return document.tree.winner()
        if edit.revision is None or not document.tree.is_leaf(edit.revision):
            raise Conflict
        return edit.revision

    def _row(self, edit: Edit, path: list[Revision], offset: int) -> dict[str, t.Any]:
        return {
            "id": edit.id,
            "sequence": self.sequence + 1 + offset,
            "path": [str(each) for each in path],
            "deleted": edit.deleted,
            "body": edit.body,
        }

    def replicate(self, edits: list[Edit]) -> None:
        """Take over revisions of another server as they are (new_edits=false); what is known already changes nothing."""
        with self.writing:
            rows: list[dict[str, t.Any]] = []
            seen: set[tuple[str, Revision]] = set()
            for edit in edits:
                assert edit.path
                document = self.documents.get(edit.id)
                if (document is not None and edit.path[0] in document.tree.nodes) or (edit.id, edit.path[0]) in seen:
                    continue
                seen.add((edit.id, edit.path[0]))
                rows.append(self._row(edit, edit.path, len(rows)))
            if rows:
                self._write({"documents": rows})

    def put_local(self, edit: Edit) -> str:
        """Write a document that is not replicated. It has no conflicts: the last writer wins, as in CouchDB."""
        with self.writing:
            if edit.deleted and edit.id not in self.local:
                raise NotFound
            count = 0 if edit.deleted else 1 + (int(edit.revision.hash) if edit.revision else 0)
            self._write({"local": edit.id, "count": count, "body": None if edit.deleted else edit.body})
            return f"0-{count}"

    def set_security(self, value: dict[str, t.Any]) -> None:
        """Who may read and who may administer."""
        with self.writing:
            self._write({"security": value})

    def set_revs_limit(self, value: int) -> None:
        """How many revisions of a document are remembered."""
        with self.writing:
            self._write({"revs_limit": value})

    def compact(self) -> None:
        """Drop the bodies of old revisions and write the log anew."""
        with self.writing, self.changed:
            if self.closed:
                return
            for document in self.documents.values():
                document.tree.compact()
            path = self._log.path
            old, self._log = self._log, Log.create(path, list(self._records()), self._log.volatile)
            old.close()

    def _records(self) -> t.Iterator[dict[str, t.Any]]:
        yield self._header()
        yield {"security": self.security, "revs_limit": self.revs_limit}
        for sequence, name in self.changes(0):
            yield {"documents": [{"id": name, "sequence": sequence, "tree": self.documents[name].tree.dump()}]}
        for name, (count, body) in self.local.items():
            yield {"local": name, "count": count, "body": body}
        yield {"sequence": self.sequence}

    def sizes(self) -> dict[str, int]:
        """Bytes of the file; what of them is in use is not counted."""
        size = self._log.path.stat().st_size
        return {"file": size, "external": size, "active": size}

    def close(self) -> None:
        """End writing and wake whoever waits."""
        with self.writing, self.changed:
            self.closed = True
            self._log.close()
            self.changed.notify_all()

    def show(self, name: str, revision: t.Optional[Revision] = None, options: t.Optional[t.Mapping[str, bool]] = None) -> dict[str, t.Any]:
        """A version of a document as clients get it; the winner if none is named."""
        tree = self.get(name).tree
        return documents.show(name, tree, revision or tree.winner(), options or {}, self.revs_limit)
