# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""News of jobs by CouchDB's feed of changes.

The successor of the thesis's _CouchDBJobFileChangesWaiter (chapter 4, listing 4.14): a long poll of ``_changes``, limited to the jobs' documents by the
built-in filter ``_doc_ids`` instead of a filter function.
"""

from __future__ import annotations

import typing as t

from ...._errors import StorageFailed
from .. import documents
from ..documents import Json
from ..interface import Feed
from .client import Client, path

_SLACK = 5.0
_START = "0"


class ChangesFeed(Feed):
    """News out of a database of jobs."""

    def __init__(self, client: Client, database: str, numbers: t.Iterable[int]) -> None:
        self._client = client
        self._database = database
        self._names = [str(number) for number in numbers]
        self._since = _START

    def news(self, seconds: float) -> t.Dict[int, t.Optional[Json]]:
        """The first time, and where the database was made anew, it waits for nothing."""
        waits = seconds > 0 and self._since != _START
        query = {"feed": "longpoll" if waits else "normal", "filter": "_doc_ids", "include_docs": True, "since": self._since}
        where = path(self._database, "_changes", timeout=int(seconds * 1000), **query)
        try:
            answer = self._client.post(where, {"doc_ids": self._names}, seconds=seconds + _SLACK)
        except StorageFailed:
            if self._since == _START:
                raise
            self._since = _START  # the database was made anew, and does not know its old sequences
            return {}
        self._since = answer["last_seq"]
        return {int(row["id"]): _job(row["doc"]) for row in answer["results"]}


def _job(document: Json) -> t.Optional[Json]:
    if document.get("_deleted"):
        return None
    documents.job_number(document)
    return t.cast(Json, document["info"])
