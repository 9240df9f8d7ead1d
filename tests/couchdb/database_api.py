# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests for a database as a whole or for many of its documents."""

from __future__ import annotations

import bisect
import typing as t

from . import accounts, changes_api, document_api, documents, revisions
from .database import Database
from .documents import Edit
from .errors import BadRequest, HttpError, NotImplementedHere
from .exchange import Answer, Request

RANGE = ("startkey", "start_key", "endkey", "end_key", "key", "keys", "include_docs", "limit", "skip", "descending", "inclusive_end", "conflicts")
Handler = t.Callable[[Request, Database], Answer]


def information(request: Request, database: Database) -> Answer:
    """What CouchDB tells about a database, as far as it makes sense here."""
    with database.changed:
        count, deleted = database.counts()
        return Answer(
            200,
            {
                "instance_start_time": str(database.created),
                "db_name": database.name,
                "purge_seq": database.sequence_text(0),
                "update_seq": database.sequence_text(database.sequence),
                "doc_del_count": deleted,
                "doc_count": count,
                "compact_running": False,
                "sizes": database.sizes(),
            },
        )


def post(request: Request, database: Database) -> Answer:
    """A new document whose id may be left to the server."""
    request.require_json_type()
    request.only()
    edit = document_api.prepare(request, database, documents.read(request.json_object()))
    result = database.update([edit])[0]
    if isinstance(result, HttpError):
        raise result
    return document_api.written(request, database, edit.id, result)


def bulk_docs(request: Request, database: Database) -> Answer:
    """Write many documents, each on its own."""
    request.require_method("POST")
    request.require_json_type()
    request.only()
    body = request.json_object()
    if "docs" not in body:
        raise BadRequest("POST body must include `docs` parameter.")
    if not isinstance(body["docs"], list):
        raise BadRequest("`docs` parameter must be an array.")
    new_edits = body.get("new_edits", True)
    if not isinstance(new_edits, bool):
        raise BadRequest("`new_edits` parameter must be a boolean.")
    for name in body:
        if name not in ("docs", "new_edits", "w"):
            raise NotImplementedHere(f"member {name!r} for _bulk_docs")
    edits = [document_api.prepare(request, database, documents.read(each, None, new_edits)) for each in body["docs"]]
    if any(edit.id.startswith("_local/") for edit in edits):
        raise NotImplementedHere("_local documents in _bulk_docs")
    if not new_edits:
        database.replicate(edits)
        return Answer(201, [])
    return Answer(201, [_bulk_row(edit, result) for edit, result in zip(edits, database.update(edits))])


def _bulk_row(edit: Edit, result: t.Any) -> dict[str, t.Any]:
    if isinstance(result, HttpError):
        return {"id": edit.id, "error": result.error, "reason": result.reason}
    return {"ok": True, "id": edit.id, "rev": str(result)}


def bulk_get(request: Request, database: Database) -> Answer:
    """Read many documents, at the revisions named."""
    request.require_method("POST")
    request.require_json_type()
    request.only("revs", "latest", "attachments")
    wanted = request.json_object().get("docs")
    if not isinstance(wanted, list) or not all(isinstance(each, dict) and isinstance(each.get("id"), str) for each in wanted):
        raise BadRequest("Missing JSON list of 'docs'.")
    options = {"revs": request.flag("revs")}
    results = []
    with database.changed:
        for each in wanted:
            name = each["id"]
            if "rev" in each:
                rows = document_api.open_revision(database, name, each["rev"], request.flag("latest"), options)
            elif name in database.documents:
                rows = [{"ok": database.show(name, None, options)}]
            else:
                rows = [{"missing": "undefined"}]
            results.append({"id": name, "docs": [_bulk_get_row(name, row) for row in rows]})
    return Answer(200, {"results": results})


def _bulk_get_row(name: str, row: dict[str, t.Any]) -> dict[str, t.Any]:
    if "ok" in row:
        return row
    return {"error": {"id": name, "rev": row["missing"], "error": "not_found", "reason": "missing"}}


def all_docs(request: Request, database: Database) -> Answer:
    """The documents in the order of their ids, or those with the ids named."""
    request.require_method("GET", "POST")
    options = {**request.query}
    request.only(*RANGE)
    keys = request.json_parameter("keys")
    if request.method == "POST":
        request.require_json_type()
        body = request.json_object()
        options.update(body)
        if any(name != "keys" for name in body):
            raise NotImplementedHere("parameters of _all_docs in the body other than keys")
        keys = body.get("keys")
    if keys is not None and not isinstance(keys, list):
        raise BadRequest("`keys` must be an array.")
    with database.changed:
        total = database.counts()[0]
        if keys is not None:
            rows = [_key_row(request, database, key) for key in keys]
            offset = None
        else:
            names, before = _range(request, database)
            rows = [_row(request, database, name) for name in names]
            offset = before
        rows = rows[::-1] if keys is not None and request.flag("descending") else rows
        skip, limit = request.number("skip") or 0, request.number("limit")
        rows = rows[skip:] if limit is None else rows[skip : skip + limit]
        return Answer(200, {"total_rows": total, "offset": offset if offset is None else min(offset + skip, total), "rows": rows})


def _range(request: Request, database: Database) -> tuple[list[str], int]:
    """The ids between the bounds, and how many lie before them."""
    start, end, key = request.json_parameter("startkey", "start_key"), request.json_parameter("endkey", "end_key"), request.json_parameter("key")
    for bound in (start, end, key):
        if bound is not None and not isinstance(bound, str):
            raise NotImplementedHere("keys of _all_docs that are not strings")
    living = database.ids
    descending = request.flag("descending")
    if key is not None:
        start = end = key
    low, high = (end, start) if descending else (start, end)
    ends_at_low = descending and not request.flag("inclusive_end", True)
    ends_at_high = not descending and not request.flag("inclusive_end", True)
    first = 0 if low is None else (bisect.bisect_right if ends_at_low else bisect.bisect_left)(living, low)
    last = len(living) if high is None else (bisect.bisect_left if ends_at_high else bisect.bisect_right)(living, high)
    names = living[first:last]
    return (names[::-1], len(living) - last) if descending else (names, first)


def _row(request: Request, database: Database, name: str) -> dict[str, t.Any]:
    tree = database.documents[name].tree
    row: dict[str, t.Any] = {"id": name, "key": name, "value": {"rev": str(tree.winner())}}
    if tree.deleted():
        row["value"]["deleted"] = True
    if request.flag("include_docs"):
        row["doc"] = None if tree.deleted() else database.show(name, None, {"conflicts": request.flag("conflicts")})
    return row


def _key_row(request: Request, database: Database, key: t.Any) -> dict[str, t.Any]:
    if not isinstance(key, str) or key not in database.documents:
        return {"key": key, "error": "not_found"}
    return _row(request, database, key)


def revs_diff(request: Request, database: Database) -> Answer:
    """Which revisions of those named are not here."""
    request.require_method("POST")
    request.require_json_type()
    request.only()
    result: dict[str, t.Any] = {}
    with database.changed:
        for name, wanted in request.json_object().items():
            if not isinstance(wanted, list):
                raise BadRequest("_revs_diff wants a list of revisions for each document")
            document = database.documents.get(name)
            parsed = [revisions.parse(text) for text in wanted]
            missing = [each for each in parsed if document is None or each not in document.tree.nodes]
            if not missing:
                continue
            result[name] = {"missing": [str(each) for each in missing]}
            highest = max(each.position for each in missing)
            ancestors = [leaf for leaf in document.tree.leaves() if leaf.position < highest] if document else []
            if ancestors:
                result[name]["possible_ancestors"] = [str(each) for each in ancestors]
    return Answer(200, result)


def security(request: Request, database: Database) -> Answer:
    """Who may read and who may administer."""
    request.require_method("GET", "PUT")
    request.only()
    if request.method == "GET":
        return Answer(200, database.security)
    value = request.json()
    if not accounts.is_database_admin(request.user, database.security) or not isinstance(value, dict):
        raise HttpError(500, "error", "no_majority")  # what CouchDB says
    for group in ("admins", "members"):
        for kind in ("names", "roles"):
            listed = value.get(group, {}).get(kind, [])
            if not isinstance(listed, list) or not all(isinstance(each, str) for each in listed):
                raise HttpError(500, "error", "no_majority")
    database.set_security(value)
    return Answer(200, {"ok": True})


def revs_limit(request: Request, database: Database) -> Answer:
    """How many revisions of a document are remembered."""
    request.require_method("GET", "PUT")
    request.only()
    if request.method == "GET":
        return Answer(200, database.revs_limit)
    if not accounts.is_database_admin(request.user, database.security):
        raise HttpError(500, "badmatch", "You are not a db or server admin.")  # what CouchDB says
    value = request.json()
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise HttpError(500, "unknown_error", "function_clause")
    database.set_revs_limit(value)
    return Answer(200, {"ok": True})


def compact(request: Request, database: Database) -> Answer:
    """Drop the bodies of old revisions. CouchDB does it in the background; here it is done when the answer comes."""
    request.require_method("POST")
    request.require_json_type()
    request.only()
    accounts.require_database_admin(request.user, database.security)
    database.compact()
    return Answer(202, {"ok": True})


def full_commit(request: Request, database: Database) -> Answer:
    """All writes are on stable storage anyway."""
    request.require_method("POST")
    request.require_json_type()
    return Answer(201, {"ok": True, "instance_start_time": str(database.created)})


HANDLERS: dict[str, Handler] = {
    "_all_docs": all_docs,
    "_bulk_docs": bulk_docs,
    "_bulk_get": bulk_get,
    "_changes": changes_api.changes,
    "_compact": compact,
    "_ensure_full_commit": full_commit,
    "_revs_diff": revs_diff,
    "_revs_limit": revs_limit,
    "_security": security,
}


def handle(request: Request, database: Database) -> Answer:
    """Answer what is asked of a database; the name of it is the first part of the path."""
    rest = request.parts[1:]
    if not rest:
        request.require_method("GET", "POST")
        return information(request, database) if request.method == "GET" else post(request, database)
    if rest[0] == "_local" and len(rest) == 2:
        return document_api.handle(request, database, f"_local/{rest[1]}")
    if rest[0] == "_design":
        raise NotImplementedHere("design documents")
    if len(rest) > 1:
        raise NotImplementedHere("attachments")
    if rest[0] in HANDLERS:
        return HANDLERS[rest[0]](request, database)
    if rest[0].startswith("_") and not rest[0].startswith("_local/") and request.method != "PUT":
        raise NotImplementedHere(rest[0])
    return document_api.handle(request, database, rest[0])
