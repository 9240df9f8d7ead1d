# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests for one document."""

from __future__ import annotations

import typing as t
import urllib.parse

from . import accounts, documents, replication_documents, revisions
from .database import Database
from .documents import Edit
from .errors import BadRequest, HttpError, MethodNotAllowed, NotFound, NotImplementedHere
from .exchange import Answer, Request
from .revisions import Revision

SHOWN = ("revs", "revs_info", "conflicts", "deleted_conflicts", "meta")


def handle(request: Request, database: Database, name: str) -> Answer:
    """Answer what is asked of a document."""
    documents.check_id(name)
    if name.startswith("_local/"):
        return _local(request, database, name)
    if request.method == "GET":
        return _get(request, database, name)
    if request.method == "PUT":
        return _put(request, database, name)
    if request.method == "DELETE":
        return _delete(request, database, name)
    if request.method == "COPY":
        raise NotImplementedHere("COPY")
    raise MethodNotAllowed("DELETE,GET,HEAD,POST,PUT,COPY")


def _visible(request: Request, database: Database, name: str) -> None:
    """Users see their own document in ``_users`` only."""
    if database.name == "_users" and not request.user.is_admin and name != f"{accounts.PREFIX}{request.user.name}":
        raise NotFound


def _get(request: Request, database: Database, name: str) -> Answer:
    request.only("rev", "open_revs", "latest", *SHOWN)
    _visible(request, database, name)
    options = {option: request.flag(option) for option in SHOWN}
    with database.changed:
        if "open_revs" in request.query:
            return _open_revisions(request, database, name, options)
        if request.flag("latest"):
            raise NotImplementedHere("parameter 'latest' without open_revs")
        revision = _existing(database, name, request.query.get("rev"))
        if "rev" in request.query:  # of other than the current revision CouchDB only shows the history
            options = {"revs": options["revs"]}
        value = database.show(name, revision, options)
    if any(options.values()):  # these may change while the revision stays
        return Answer(200, value)
    tag = f'"{revision}"'
    return Answer(304 if request.headers.get("If-None-Match") == tag else 200, value, (("ETag", tag),))


def _existing(database: Database, name: str, wanted: t.Optional[str]) -> Revision:
    """The revision that is asked for, if its body is still there."""
    revision = None if wanted is None else revisions.parse(wanted)
    tree = database.get(name).tree
    if revision is None:
        if tree.deleted():
            raise NotFound("deleted")
        return tree.winner()
    node = tree.nodes.get(revision)
    if node is None or node.body is None:
        raise NotFound
    return revision


def _open_revisions(request: Request, database: Database, name: str, options: dict[str, bool]) -> Answer:
    accept = request.headers.get("Accept", "*/*")
    if "multipart/mixed" in accept or "*/*" in accept:
        raise NotImplementedHere("open_revs as multipart; ask with Accept: application/json")
    wanted = request.query["open_revs"]
    if wanted == "all":
        return Answer(200, [{"ok": database.show(name, each, options)} for each in database.get(name).tree.leaves()])
    texts = request.json_parameter("open_revs")
    if not isinstance(texts, list):
        raise BadRequest("open_revs must be all or a list of revisions")
    return Answer(200, [row for text in texts for row in open_revision(database, name, text, request.flag("latest"), options)])


def open_revision(database: Database, name: str, text: str, latest: bool, options: t.Mapping[str, bool]) -> list[dict[str, t.Any]]:
    """A revision, with *latest* what became of it, or that it is missing."""
    revision = revisions.parse(text)
    document = database.documents.get(name)
    if document is None or revision not in document.tree.nodes:
        return [{"missing": text}]
    found = document.tree.latest(revision) if latest else [revision]
    present = [each for each in found if document.tree.nodes[each].body is not None]
    return [{"ok": database.show(name, each, options)} for each in present] or [{"missing": text}]


def written(request: Request, database: Database, name: str, revision: t.Any, status: int = 201) -> Answer:
    """What a successful write is answered with."""
    location = f"{request.base}/{urllib.parse.quote(database.name, safe='')}/{urllib.parse.quote(name, safe='')}"
    headers: tuple[tuple[str, str], ...] = (("Location", location),) if status == 201 else ()
    if request.method != "POST":
        headers += (("ETag", f'"{revision}"'),)
    return Answer(status, {"ok": True, "id": name, "rev": str(revision)}, headers)


def _named_revision(request: Request, body: dict[str, t.Any]) -> None:
    """The revision may stand in the body, the URL or a header; those that are there must be the same."""
    match = request.headers.get("If-Match", "").strip('"')
    for value, what in ((request.query.get("rev"), "from request body and query string"), (match, "and etag")):
        if value and body.get("_rev", value) != value:
            raise BadRequest(f"Document rev {what} have different values")
        if value:
            body["_rev"] = value


def prepare(request: Request, database: Database, edit: Edit) -> Edit:
    """What some databases of the system make of a document before it is written."""
    if database.name == "_users" and not edit.deleted:
        accounts.check_user_document(edit.id, edit.body)
        return edit._replace(body=accounts.hash_password(edit.body))
    if database.name == "_replicator" and not edit.deleted:
        return edit._replace(body=replication_documents.check(edit.body, request.user))
    return edit


def _put(request: Request, database: Database, name: str) -> Answer:
    request.only("rev", "new_edits")
    _visible(request, database, name)
    body = request.json()
    if isinstance(body, dict):
        _named_revision(request, body)
    new_edits = request.flag("new_edits", True)
    edit = prepare(request, database, documents.read(body, name, new_edits))
    if not new_edits:
        assert edit.path
        database.replicate([edit])
        return written(request, database, name, edit.path[0])
    result = database.update([edit])[0]
    if isinstance(result, HttpError):
        raise result
    return written(request, database, name, result, 200 if edit.deleted else 201)


def _delete(request: Request, database: Database, name: str) -> Answer:
    request.only("rev")
    _visible(request, database, name)
    with database.changed:
        _existing(database, name, None)
    body: dict[str, t.Any] = {"_deleted": True}
    _named_revision(request, body)
    result = database.update([documents.read(body, name)])[0]
    if isinstance(result, HttpError):
        raise result
    return written(request, database, name, result, 200)


def _local(request: Request, database: Database, name: str) -> Answer:
    """A document that stays on this server."""
    if request.method == "GET":
        request.only()
        entry = database.local.get(name)
        if entry is None:
            raise NotFound
        return Answer(200, {"_id": name, "_rev": f"0-{entry[0]}", **entry[1]})
    request.require_method("GET", "PUT", "DELETE")
    request.only("rev")
    body = request.json_object() if request.method == "PUT" else {"_deleted": True}
    if request.method == "DELETE" and name not in database.local:
        raise NotFound
    _named_revision(request, body)
    revision = database.put_local(documents.read(body, name))
    return written(request, database, name, revision, 201 if request.method == "PUT" else 200)
