# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The feed of changes: at once, or as soon as there is one."""

from __future__ import annotations

import time
import typing as t

from .database import Database
from .errors import BadRequest, NotFound, NotImplementedHere
from .exchange import Answer, Request

PARAMETERS = ("since", "limit", "descending", "include_docs", "feed", "timeout", "style", "filter", "doc_ids", "conflicts", "seq_interval")
LONGEST = 60_000  # milliseconds, CouchDB's changes_timeout


def changes(request: Request, database: Database) -> Answer:
    """What has changed since a sequence; a longpoll waits until something has."""
    request.require_method("GET", "POST")
    request.only(*PARAMETERS)
    if request.method == "POST":
        request.require_json_type()
    feed = request.query.get("feed", "normal")
    if feed not in ("normal", "longpoll"):
        raise NotImplementedHere(f"feed {feed!r}")
    wanted = _wanted(request)
    timeout = request.number("timeout")
    deadline = time.monotonic() + (LONGEST if timeout is None else timeout) / 1000
    with database.changed:
        since = database.sequence_number(request.query.get("since", "0").strip('"'))
        while True:
            found = [entry for entry in database.changes(since) if wanted is None or entry[1] in wanted]
            left = deadline - time.monotonic()
            if found or feed == "normal" or left <= 0:
                return _page(request, database, found, since)
            database.changed.wait(left)
            if database.closed:
                raise NotFound("Database does not exist.")


def _wanted(request: Request) -> t.Optional[set[str]]:
    """The ids to which the feed is limited."""
    name = request.query.get("filter")
    if name is None:
        return None
    if name != "_doc_ids":
        raise NotImplementedHere(f"filter {name!r}")
    ids = request.json_object().get("doc_ids") if request.method == "POST" else request.json_parameter("doc_ids")
    if not isinstance(ids, list):
        raise BadRequest("`doc_ids` filter parameter is not a list of doc ids.")
    return set(ids)


def _page(request: Request, database: Database, found: list[tuple[int, str]], since: int) -> Answer:
    """The answer: as many changes as are wanted, and the sequence from which to go on."""
    descending = request.flag("descending")
    if descending:
        found = found[::-1]
    limit = request.number("limit")
    shown = found if limit is None else found[:limit]
    left = len(found) - len(shown)
    last = database.sequence
    if shown and (left or descending):
        last = shown[-1][0]
    elif left:
        last = since
    rows = [_row(request, database, sequence, name) for sequence, name in shown]
    return Answer(200, {"results": rows, "last_seq": database.sequence_text(last), "pending": left})


def _row(request: Request, database: Database, sequence: int, name: str) -> dict[str, t.Any]:
    tree = database.documents[name].tree
    leaves = tree.leaves() if request.query.get("style") == "all_docs" else [tree.winner()]
    row: dict[str, t.Any] = {"seq": database.sequence_text(sequence), "id": name, "changes": [{"rev": str(each)} for each in leaves]}
    if tree.deleted():
        row["deleted"] = True
    if request.flag("include_docs"):
        row["doc"] = database.show(name, None, {"conflicts": request.flag("conflicts")})
    return row
