# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documents as clients send and get them."""

from __future__ import annotations

import typing as t
import uuid

from . import revisions
from .errors import BadRequest, HttpError, NotImplementedHere
from .json_text import dumps
from .revisions import Revision, Tree

MAXIMUM = 8_000_000  # bytes, CouchDB's max_document_size
IGNORED = {"_id", "_rev", "_deleted", "_revisions", "_attachments", "_revs_info", "_conflicts", "_deleted_conflicts", "_local_seq"}
REPLICATION = {"_replication_id", "_replication_state", "_replication_state_time", "_replication_state_reason", "_replication_stats"}


class Edit(t.NamedTuple):
    """A document that a client wants written."""

    id: str
    revision: t.Optional[Revision]  # the one that is edited
    path: t.Optional[list[Revision]]  # the new one and its ancestors, where the client decides (new_edits=false)
    deleted: bool
    body: dict[str, t.Any]


def check_id(name: t.Any) -> str:
    """An id that a document may have."""
    if not isinstance(name, str):
        raise BadRequest("Document id must be a string", "illegal_docid")
    if not name:
        raise BadRequest("Document id must not be empty", "illegal_docid")
    if name.startswith("_design/"):
        raise NotImplementedHere("design documents")
    if name.startswith("_") and not name.startswith("_local/"):
        raise BadRequest("Only reserved document ids may start with underscore.", "illegal_docid")
    return name


def _check_members(value: dict[str, t.Any]) -> dict[str, t.Any]:
    body = {}
    for key, member in value.items():
        if key == "_attachments" and member:
            raise NotImplementedHere("attachments")
        if key.startswith("_") and key not in IGNORED and key not in REPLICATION:
            raise BadRequest(f"Bad special document member: {key}", "doc_validation")
        if key not in IGNORED:
            body[key] = member
    return body


def _path(value: dict[str, t.Any]) -> t.Optional[list[Revision]]:
    """The history that a replicated document brings along, newest first."""
    history = value.get("_revisions")
    if history is None:
        return [revisions.parse(value["_rev"])] if value.get("_rev") else None
    try:
        start, hashes = int(history["start"]), list(history["ids"])
    except (KeyError, TypeError, ValueError):
        raise BadRequest("_revisions.start isn't an integer or _revisions.ids isn't an array.", "doc_validation") from None
    return [revisions.parse(f"{start - back}-{digest}") for back, digest in enumerate(hashes)]


def read(value: t.Any, name: t.Optional[str] = None, new_edits: bool = True) -> Edit:
    """What a client sent; *name* is the id in the URL, which counts."""
    if not isinstance(value, dict):
        raise BadRequest("Document must be a JSON object")
    identity = check_id(name if name is not None else value.get("_id", uuid.uuid4().hex))
    body = _check_members(value)
    if len(dumps(body).encode()) > MAXIMUM:
        raise HttpError(413, "document_too_large", identity)
    revision = revisions.parse(value["_rev"]) if value.get("_rev") else None
    path = None
    if not new_edits:
        path = _path(value)
        if not path:
            raise BadRequest("When `new_edits: false`, the document needs `_rev` or `_revisions` specified")
    return Edit(identity, revision, path, value.get("_deleted") is True, body)


def show(name: str, tree: Tree, revision: Revision, options: t.Mapping[str, bool], limit: int) -> dict[str, t.Any]:
    """One version of a document, with what the options add: revs, revs_info, conflicts, deleted_conflicts, meta.

    Of the revisions as many are shown as *limit* says, though another branch may have kept more of them.
    """
    node = tree.nodes[revision]
    result: dict[str, t.Any] = {"_id": name, "_rev": str(revision)}
    if node.deleted:
        result["_deleted"] = True
    result.update(node.body or {})
    path = tree.history(revision)
    meta = options.get("meta")
    if options.get("revs"):
        result["_revisions"] = {"start": revision.position, "ids": [each.hash for each in path[:limit]]}
    if options.get("revs_info") or meta:
        result["_revs_info"] = [{"rev": str(each), "status": _status(tree, each)} for each in path]
    others = [leaf for leaf in tree.leaves() if leaf != revision]
    for key, deleted in (("conflicts", False), ("deleted_conflicts", True)):
        found = [str(leaf) for leaf in others if tree.nodes[leaf].deleted is deleted]
        if (options.get(key) or meta) and found:
            result[f"_{key}"] = found
    return result


def _status(tree: Tree, revision: Revision) -> str:
    node = tree.nodes[revision]
    if node.body is None:
        return "missing"
    return "deleted" if node.deleted else "available"
