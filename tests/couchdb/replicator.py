# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the replications of the ``_replicator`` database: starts what appears there, stops what is deleted."""

from __future__ import annotations

import ssl
import threading
import typing as t

from .database import Database
from .disorder import pauses
from .documents import Edit
from .endpoint import Endpoint
from .errors import NotFound
from .replication import Replication, timestamp
from .replication_documents import ENDED
from .revisions import parse


class Replicator(threading.Thread):
    """Follows the database from the beginning, so that replications go on after a restart."""

    def __init__(self, database: Database, trust: t.Optional[ssl.SSLContext] = None, disorder: t.Optional[str] = None) -> None:
        """*disorder* is the seed of replications that dawdle; without it they are as quick as they can."""
        super().__init__(name="replicator", daemon=True)
        self._database = database
        self._trust = trust
        self._disorder = disorder
        self._jobs: dict[str, Replication] = {}
        self._ending: list[Replication] = []  # told to stop, and perhaps not there yet
        self._lock = threading.Lock()
        self._seen = -1

    def run(self) -> None:
        """Compare what runs with what is wanted after each change."""
        while True:
            with self._database.changed:
                self._database.changed.wait_for(lambda: self._database.sequence != self._seen)
                self._seen = self._database.sequence
                wanted = self._documents()
            self._arrange(wanted)

    def _documents(self) -> dict[str, dict[str, t.Any]]:
        names = [name for name, document in self._database.documents.items() if not document.tree.deleted()]
        return {name: self._database.show(name) for name in names}

    def _arrange(self, wanted: dict[str, dict[str, t.Any]]) -> None:
        with self._lock:
            self._ending = [job for job in self._ending if job.is_alive()]
            for name, job in list(self._jobs.items()):
                if name not in wanted or wanted[name]["_rev"] != job.revision:
                    job.stop()
                    self._ending.append(self._jobs.pop(name))
            for name, body in wanted.items():
                if name not in self._jobs and body.get("_replication_state") not in ENDED:
                    late = () if self._disorder is None else pauses(self._disorder, name)
                    self._jobs[name] = Replication(name, body["_rev"], body, self._completed, self._trust, late)
                    self._jobs[name].start()

    def _completed(self, job: Replication) -> None:
        """Write the end of a replication into its document, unless that was changed meanwhile."""
        with self._database.changed:
            body = self._database.show(job.document)
        for name in ("_id", "_rev"):
            body.pop(name)
        body["_replication_state"] = "completed"
        body["_replication_state_time"] = timestamp()
        body["_replication_stats"] = {**job.statistics, "start_time": job.started}
        self._database.update([Edit(job.document, parse(job.revision), None, False, body)])

    def describe_jobs(self) -> list[dict[str, t.Any]]:
        """What runs or waits to run, as ``_scheduler/jobs`` shows it."""
        with self._lock:
            jobs = [job for job in [*self._jobs.values(), *self._ending] if job.is_alive()]
        return [{"database": "_replicator", "doc_id": job.document, **self._running(job)} for job in jobs]

    @staticmethod
    def _running(job: Replication) -> dict[str, t.Any]:
        info = {"error": job.error} if job.error else {**job.statistics, "changes_pending": None}
        return {"id": job.identity, "source": job.source.url, "target": job.target.url, "info": info, "start_time": job.started}

    def describe(self) -> list[dict[str, t.Any]]:
        """All replications as ``_scheduler/docs`` shows them."""
        with self._lock, self._database.changed:
            documents = self._documents()
            return [self._describe(name, documents[name], self._jobs.get(name)) for name in sorted(documents)]

    def describe_one(self, name: str) -> dict[str, t.Any]:
        """One replication."""
        for row in self.describe():
            if row["doc_id"] == name:
                return row
        raise NotFound

    def _describe(self, name: str, body: dict[str, t.Any], job: t.Optional[Replication]) -> dict[str, t.Any]:
        row: dict[str, t.Any] = {"database": "_replicator", "doc_id": name, "node": "nonode@nohost", "source_proxy": None, "target_proxy": None}
        if job is None:
            state = body.get("_replication_state")
            ends = {role: Endpoint(body[role]).url for role in ("source", "target")}
            times = {"start_time": None, "last_updated": body.get("_replication_state_time")}
            return {**row, **ends, **times, "id": None, "state": state, "info": body.get("_replication_stats"), "error_count": 0}
        return {**row, **self._running(job), "state": job.state, "error_count": job.error_count, "last_updated": job.updated}
