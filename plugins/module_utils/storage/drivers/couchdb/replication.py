# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Continuous replication from the master's server to the standbys', by documents of ``_replicator`` that survive restarts."""

from __future__ import annotations

import typing as t

from ...._errors import GanetiError
from ..documents import CONFIG, DATABASES, Json
from .client import Client, Server, brief, path

_REPLICATOR = "_replicator"
_OURS = "from_"
_WORKERS = 1
"""By default CouchDB shares what has changed among four workers, each with requests of its own; here all of it fits in one request."""
WORKING = ("running", "initializing", "pending")
"""The states of a replication with which all is well."""


class Link(t.NamedTuple):
    """A replication of one database; its document has the name that the thesis gives it (chapter 4)."""

    source: str
    target: str
    database: str

    @property
    def name(self) -> str:
        """The document's id."""
        return f"{_OURS}{self.source}_to_{self.target}_{self.database}"


class Arranged(t.NamedTuple):
    """The replications that were made or changed, and those that were removed."""

    written: t.List[str]
    removed: t.List[str]


class State(t.NamedTuple):
    """What CouchDB says of a replication, as "running"; the reason where it does not run, without credentials."""

    name: str
    state: str
    reason: t.Optional[str]


def document(link: Link, source: Server, target: Server, prefix: str = "") -> Json:
    """The document of a replication. The credentials in it can be read by administrators of the server alone."""
    ends = {"source": _end(source, prefix + link.database), "target": _end(target, prefix + link.database)}
    return {"_id": link.name, **ends, "continuous": True, "worker_processes": _WORKERS}


def _end(server: Server, database: str) -> Json:
    return {"url": server.url + path(database), "auth": {"basic": {"username": server.username, "password": server.password}}}


def wanted(master: t.Tuple[str, Server], standbys: t.Mapping[str, Server], prefix: str = "") -> t.Dict[str, Json]:
    """The documents of all replications from a master to its standbys, by id."""
    name, server = master
    links = [(Link(name, standby, database), there) for standby, there in standbys.items() for database in DATABASES]
    return {link.name: document(link, server, there, prefix) for link, there in links}


def names(master: str, standbys: t.Iterable[str]) -> t.Dict[str, t.List[str]]:
    """The documents' names of all replications from a master, by standby."""
    return {standby: [Link(master, standby, database).name for database in DATABASES] for standby in standbys}


def arrange(client: Client, documents: t.Mapping[str, Json], change: bool = True, let_be: t.Collection[str] = ()) -> Arranged:
    """Make a server have these replications and none of ours beside, but for those of the names to *let be*; without *change* only tell what would be done."""
    present = _present(client)
    written = [name for name, each in documents.items() if name not in present or _differs(present[name], each)]
    removed = sorted(present.keys() - documents.keys() - set(let_be))
    if change:
        for name in removed:
            client.delete(path(_REPLICATOR, name, rev=present[name]["_rev"]))
        for name in written:
            client.put(path(_REPLICATOR, name), {**documents[name], **({"_rev": present[name]["_rev"]} if name in present else {})})
    return Arranged(written, removed)


def lacking(client: Client, wanted: t.Iterable[str]) -> t.List[str]:
    """Those of the names of replications that a server has not, whatever is in them."""
    present = _present(client)
    return [name for name in wanted if name not in present]


def _present(client: Client) -> t.Dict[str, Json]:
    """Our documents, by id."""
    found = client.get(path(_REPLICATOR, "_all_docs", include_docs=True), missing=True) or {"rows": []}
    return {row["id"]: row["doc"] for row in found["rows"] if row["id"].startswith(_OURS)}


def _differs(present: Json, document: Json) -> bool:
    return any(present.get(key) != value for key, value in document.items())


def kick(client: Client, documents: t.Mapping[str, Json]) -> None:
    """Make replications anew. After an outage CouchDB waits for up to hours before it tries again; this makes it try at once.

    To write the document again is not enough: CouchDB 3.5 keeps the task, and its patience, where the replication is the same.
    """
    for name, document in documents.items():
        found = client.get(path(_REPLICATOR, name), missing=True)
        if found is not None:
            client.delete(path(_REPLICATOR, name, rev=found["_rev"]), missing=True)
        client.put(path(_REPLICATOR, name), document)


def states(client: Client) -> t.List[State]:
    """How our replications are."""
    rows = client.get(path("_scheduler", "docs", _REPLICATOR))["docs"]
    return [State(row["doc_id"], row["state"], _reason(row)) for row in rows if row["doc_id"].startswith(_OURS)]


def _reason(row: Json) -> t.Optional[str]:
    info = row.get("info")
    return " ".join(str(info["error"]).split()) if isinstance(info, dict) and info.get("error") else None


def serial(client: Client, prefix: str = "") -> t.Optional[int]:
    """The serial number of the configuration that a server has; None where it has none yet."""
    head = client.get(path(prefix + CONFIG, CONFIG), missing=True)
    return head["serial"] if head else None


def glance(server: Server, prefix: str = "") -> t.Union[int, str, None]:
    """The same of a server that may be away; in words why it is not known, where the server does not tell it soon."""
    try:
        with brief(server) as client:
            return serial(client, prefix)
    except GanetiError as error:
        return error.message
