# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Documents that two have written: a master and, until it learned of it, the one before.

The files of today's master are the truth. In its own database the losing revisions go, and what won is compared with the files afterwards.
In a standby's database everything goes that the master's never had, and what another has deleted there comes back. What goes can still be read
as history. The archive alone is only added to: a job that has ended, and of which the master's database never heard, is taken over by that.

The same content on top of the same revision is the same revision, whoever writes it. So what one master deleted at a standby would stay deleted there when
another writes it anew: the standby has that revision already, as one that was outdone. Why a standby comes to show all that its master has:

1. Whatever a master writes under its claim bears that claim's user (`signed`), so nobody else has ever made the same revision.
2. At a standby that is claimed nobody else writes any more. Settling removes there only what the master did not have after the standby was asked. So no
   revision of 1 is outdone there, be it made before settling or after, and it is shown as soon as it is carried there.
3. What the master has from before its claim may be outdone there. That is written again, by 1; or it was written by 1 meanwhile.
"""

from __future__ import annotations

import typing as t

from ...._errors import StorageFailed
from ..documents import Json, batches, job_number
from ..interface import Keep
from .client import Client, path

_BATCH = 1000
_SIGNATURE = "by"


def signed(document: Json, user: t.Optional[str]) -> Json:
    """A document as the user of a claim writes it; without one, as whoever has claimed nothing."""
    unsigned = {key: value for key, value in document.items() if key != _SIGNATURE}
    return {**unsigned, _SIGNATURE: user} if user else unsigned


def is_signed(document: Json) -> bool:
    """Whether some claim's user has written it."""
    return _SIGNATURE in document


def find(client: Client, database: str) -> t.Dict[str, t.List[str]]:
    """The losing revisions, by the ids of their documents."""
    return losing(client, database, _leaves(client, database))


def losing(client: Client, database: str, leaves: t.Mapping[str, t.Sequence[str]]) -> t.Dict[str, t.List[str]]:
    """Of documents with these newest revisions, those that have losing ones, and which these are."""
    found = {name: live(client, database, name)[1:] for name, revs in leaves.items() if len(revs) > 1}
    return {name: revs for name, revs in found.items() if revs}


def resolve(client: Client, database: str) -> t.List[str]:
    """Remove the losing revisions; the ids of their documents."""
    found = find(client, database)
    remove(client, database, found)
    return sorted(found)


def settle(master: Client, standby: Client, database: str, user: t.Optional[str] = None) -> t.List[str]:
    """Remove from the standby's database what the master's never had, and bring back there what the master has; the ids of the documents concerned.

    The standby is asked first. So what the master writes meanwhile is known to it, and stays. A deletion that the master never had cannot be
    removed, and neither can a removal on top of a revision that both have; where such a leaf hides what the master has, the master writes that
    again, as a new revision of the claim's *user*: of two leaves the one that is no deletion wins.
    """
    strange = _strange(master, standby, database)
    living = {name: [rev for rev in live(standby, database, name) if rev in revs] for name, revs in strange.items()}
    removed = {name: revs for name, revs in living.items() if revs}
    remove(standby, database, removed)
    return sorted({*removed, *_bring_back(master, standby, database, sorted(strange), user)})


def adopt(
    master: Client, standby: Client, database: str, known: t.Collection[str] = (), keep: t.Optional[Keep] = None, user: t.Optional[str] = None
) -> t.List[str]:
    """Write into the master's database the jobs that it never had under any revision, and the standby has, but for those *known* elsewhere; their ids.

    They are given to *keep* first: what dies between leaves them in the master's files, from where they come into its database as well.
    """
    written = []
    for names in batches(sorted(_strange(master, standby, database).keys() - set(known)), _BATCH):
        rows = master.post(path(database, "_all_docs"), {"keys": list(names)})["rows"]
        unheard = [row["key"] for row in rows if row.get("error") == "not_found"]  # what was deleted has a row of its own
        jobs = dict(_jobs(_shown(standby, database, unheard).values()))
        taken = set(keep({number: document["info"] for number, document in jobs.items()}) if keep and jobs else jobs)
        found = [signed({key: value for key, value in jobs[number].items() if key != "_rev"}, user) for number in sorted(taken)]
        _write(master, database, found, "take over")
        written += [document["_id"] for document in found]
    return written


def _jobs(found: t.Iterable[Json]) -> t.Iterator[t.Tuple[int, Json]]:
    """The documents that are of jobs, by the jobs' ids."""
    for document in found:
        try:
            yield job_number(document), document
        except StorageFailed:  # somebody else than a master wrote it, and it goes
            continue


def _strange(master: Client, standby: Client, database: str) -> t.Dict[str, t.List[str]]:
    """The newest revisions at the standby that the master's database never had, deletions among them, by the ids of their documents."""
    leaves = _leaves(standby, database)
    found: t.Dict[str, t.List[str]] = {}
    for names in batches(sorted(leaves), _BATCH):
        answers = master.post(path(database, "_revs_diff"), {name: leaves[name] for name in names})
        found.update({name: answer["missing"] for name, answer in answers.items()})
    return found


def _bring_back(master: Client, standby: Client, database: str, names: t.Sequence[str], user: t.Optional[str]) -> t.List[str]:
    """Write again those of the documents that the standby has got in the master's revision and does not show; their ids."""
    written = []
    for some in batches(names, _BATCH):
        here, there = (_shown(client, database, some) for client in (master, standby))
        hidden = {name: document for name, document in here.items() if document["_rev"] != there.get(name, {}).get("_rev")}
        coming = standby.post(path(database, "_revs_diff"), {name: [document["_rev"]] for name, document in hidden.items()}) if hidden else {}
        again = [signed(document, user) for name, document in hidden.items() if name not in coming]
        _write(master, database, again, "write again")
        written += [document["_id"] for document in again]
    return written


def _shown(client: Client, database: str, names: t.Sequence[str]) -> t.Dict[str, Json]:
    """Those of the documents that are there and not deleted."""
    rows = client.post(path(database, "_all_docs", include_docs=True), {"keys": list(names)})["rows"]
    return {row["id"]: row["doc"] for row in rows if row.get("doc")}


def _leaves(client: Client, database: str) -> t.Dict[str, t.List[str]]:
    """The newest revisions of all documents, several where two have written; deletions are revisions too."""
    rows = client.get(path(database, "_changes", style="all_docs"))["results"]
    return {row["id"]: [each["rev"] for each in row["changes"]] for row in rows}


def live(client: Client, database: str, name: str) -> t.List[str]:
    """The newest revisions of a document that are no deletions, the winning one first; none where it is deleted."""
    document: t.Optional[Json] = client.get(path(database, name, conflicts=True), missing=True)
    return [] if document is None else [document["_rev"], *document.get("_conflicts", [])]


def remove(client: Client, database: str, found: t.Mapping[str, t.Sequence[str]]) -> None:
    """Remove these revisions; one of each document in a request, as of two edits of the same the second may be refused."""
    for turn in range(max(map(len, found.values()), default=0)):
        batch = [{"_id": name, "_rev": revs[turn], "_deleted": True} for name, revs in found.items() if turn < len(revs)]
        _write(client, database, batch, "remove a revision of")


def _write(client: Client, database: str, batch: t.Sequence[Json], what: str) -> None:
    """A conflict is no error: the revision went meanwhile, or has a newer one."""
    answers = client.post(path(database, "_bulk_docs"), {"docs": list(batch)}) if batch else []
    bad = [each for each in answers if "error" in each and each["error"] != "conflict"]
    if bad:
        raise StorageFailed(f"CouchDB at {client.server.url} did not {what} {bad[0]['id']} in {database}: {bad[0].get('reason')}.")
