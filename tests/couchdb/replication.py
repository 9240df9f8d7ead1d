# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One replication: from a database on some server to a database on some server."""

from __future__ import annotations

import hashlib
import http.client
import ssl
import threading
import time
import typing as t
import urllib.parse
import uuid

from .endpoint import Endpoint, EndpointError
from .json_text import dumps

BATCH = 500
POLL = 10_000  # milliseconds that a longpoll of the source lasts
FIRST_RETRY = 0.25  # seconds; a request that finds no server is repeated
RETRIES = 5
BACKOFF = 30.0  # seconds after which a replication that crashed is started again, twice as long each time
LONGEST_BACKOFF = 8 * 3600.0


class Crash(Exception):
    """The replication cannot go on; it is tried again later."""


def timestamp() -> str:
    """The time as CouchDB writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


class Replication(threading.Thread):
    """Runs until it is stopped, or until all is copied if it is not continuous."""

    def __init__(
        self,
        name: str,
        revision: str,
        body: dict[str, t.Any],
        completed: t.Callable[[Replication], None],
        trust: t.Optional[ssl.SSLContext],
        late: t.Iterable[float] = (),
    ) -> None:
        """*late* is for how many seconds each time it does nothing before it copies what it was told of."""
        super().__init__(name=f"replication {name}", daemon=True)
        self.document = name
        self.revision = revision
        self.continuous = bool(body.get("continuous"))
        self.state = "initializing"
        self.error: t.Optional[str] = None
        self.error_count = 0
        self.started = self.updated = timestamp()
        self.statistics = dict.fromkeys(("revisions_checked", "missing_revisions_found", "docs_read", "docs_written", "doc_write_failures"), 0)
        self.source, self.target = Endpoint(body["source"], trust), Endpoint(body["target"], trust)
        self._doc_ids: t.Optional[list[str]] = body.get("doc_ids")
        self._create_target = bool(body.get("create_target"))
        self._completed = completed
        self._late = iter(late)
        self._stopped = threading.Event()
        self._checkpoint: dict[str, t.Any] = {"session_id": uuid.uuid4().hex, "source_last_seq": "0"}
        key = dumps([self.source.url, self.target.url, self.continuous, self._doc_ids])
        self.identity = hashlib.md5(key.encode()).hexdigest() + ("+continuous" if self.continuous else "")

    def stop(self) -> None:
        """Write nothing more to the target."""
        self._stopped.set()
        self.source.interrupt()

    def run(self) -> None:
        """Start over after each crash, later each time."""
        while not self._stopped.is_set():
            try:
                self._replicate()
            except (Crash, EndpointError, OSError, http.client.HTTPException, ValueError) as error:
                self.error_count += 1
                self._enter("crashing", str(error))
                self._stopped.wait(min(BACKOFF * 2 ** (self.error_count - 1), LONGEST_BACKOFF))
            else:
                break
        self.source.close()
        self.target.close()

    def _enter(self, state: str, error: t.Optional[str] = None) -> None:
        self.state, self.error, self.updated = state, error, timestamp()

    def _replicate(self) -> None:
        self._enter("running")
        self._open(self.source, create=False)
        self._open(self.target, create=self._create_target)
        since = self._read_checkpoint()
        while not self._stopped.is_set():
            since, pending = self._copy(since)
            self.error_count = 0
            if not self.continuous and not pending and not self._stopped.is_set():
                self._enter("completed")
                self._completed(self)
                return

    def _ask(self, endpoint: Endpoint, method: str, path: str = "", value: t.Any = None, accept: t.Collection[int] = ()) -> tuple[int, t.Any]:
        """A request, repeated a few times where there is no answer."""
        for attempt in range(RETRIES + 1):
            if self._stopped.is_set():
                raise Crash("stopped")
            try:
                return endpoint.request(method, path, value, accept)
            except (OSError, http.client.HTTPException):
                if attempt == RETRIES or self._stopped.wait(FIRST_RETRY * 2**attempt):
                    raise
        raise AssertionError("not reached")

    def _open(self, endpoint: Endpoint, create: bool) -> None:
        if create:
            self._ask(endpoint, "PUT", accept=(412,))
        status, _value = self._ask(endpoint, "GET", accept=(401, 403, 404))
        if status == 404:
            raise Crash(f"db_not_found: could not open {endpoint.url}")
        if status != 200:
            raise Crash(f"unauthorized: unauthorized to access or create database {endpoint.url}")

    def _local(self) -> str:
        return f"/_local/{urllib.parse.quote(self.identity)}"

    def _read_checkpoint(self) -> str:
        """Where an earlier run ended, if both sides remember the same."""
        found = [self._ask(endpoint, "GET", self._local(), accept=(404,)) for endpoint in (self.source, self.target)]
        if any(status == 404 for status, _value in found):
            return "0"
        source, target = (value for _status, value in found)
        if source["session_id"] != target["session_id"] or source["source_last_seq"] != target["source_last_seq"]:
            return "0"
        self.statistics.update(source["statistics"])  # they go on as well
        return str(source["source_last_seq"])

    def _write_checkpoint(self, since: str) -> None:
        self._checkpoint.update(source_last_seq=since, statistics=self.statistics)
        for endpoint in (self.target, self.source):
            self._ask(endpoint, "PUT", self._local(), self._checkpoint)

    def _copy(self, since: str) -> tuple[str, int]:
        """Copy the next changes; returns up to where, and how many are left."""
        found = self._changes(since)
        revisions = {row["id"]: [change["rev"] for change in row["changes"]] for row in found["results"]}
        if self._stopped.wait(next(self._late, 0.0) if revisions else 0.0):
            return since, 0
        if revisions:
            missing = self._ask(self.target, "POST", "/_revs_diff", revisions)[1]
            self.statistics["revisions_checked"] += sum(map(len, revisions.values()))
            if missing and not self._stopped.is_set():
                self._transfer(missing)
            self._write_checkpoint(found["last_seq"])
        return found["last_seq"], found.get("pending") or 0

    def _changes(self, since: str) -> dict[str, t.Any]:
        query = f"/_changes?style=all_docs&limit={BATCH}&since={urllib.parse.quote(since)}"
        if self.continuous:
            query += f"&feed=longpoll&timeout={POLL}"
        if self._doc_ids is None:
            return t.cast("dict[str, t.Any]", self._ask(self.source, "GET", query)[1])
        return t.cast("dict[str, t.Any]", self._ask(self.source, "POST", f"{query}&filter=_doc_ids", {"doc_ids": self._doc_ids})[1])

    def _transfer(self, missing: dict[str, t.Any]) -> None:
        wanted = [{"id": name, "rev": revision} for name, entry in missing.items() for revision in entry["missing"]]
        results = self._ask(self.source, "POST", "/_bulk_get?revs=true&latest=true", {"docs": wanted})[1]["results"]
        found = [row["ok"] for result in results for row in result["docs"] if "ok" in row]
        if self._stopped.is_set():
            return
        failed = self._ask(self.target, "POST", "/_bulk_docs", {"docs": found, "new_edits": False})[1]
        self.statistics["missing_revisions_found"] += len(wanted)
        self.statistics["docs_read"] += len(found)
        self.statistics["docs_written"] += len(found) - len(failed)
        self.statistics["doc_write_failures"] += len(failed)
