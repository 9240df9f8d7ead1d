# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Who of several begins an epoch, decided by the servers: for promotions that nobody has ordered (service/watchdog).

A claim (fence.py) fences server by server, and of two that meet there the greater one stays, whoever came first. So two nodes that promote themselves at once
could each hold their own server for a while. Here a document on each server, beside that of the claim, names who may begin an epoch:

1. **A server names one node for an epoch, and for good.** The document is written by compare and swap on its revision, only for an epoch above the one in it.
2. **Whoever is named by more than half of all servers is elected**, and nobody else ever is for that epoch: two such halves share a server, see 1. Servers that
   do not answer count as all others do, so the smaller part of a network elects nobody.
3. **An epoch that somebody is seen to have claimed is not elected for any more**: a failover by hand was quicker.
4. **All ask in the order of names, and whoever is refused asks no further.** So of several who begin at once one mostly gets through. Where none does, the
   epoch is spent; a failover by hand begins one above it, which needs no election.
5. **The document is never replicated**, as the database of claims is not.

What does not hold: an administrator of a server may write what he likes, and a disk that was put back has forgotten whom its server had named. A server has to
be one CouchDB: a cluster of several takes two writes of the same revision for a conflict to be resolved later.
"""

from __future__ import annotations

import concurrent.futures
import typing as t

from ...._errors import GanetiError, StorageConflict, StorageFailed, StorageFenced
from ..documents import Json
from ..epochs import Claim
from . import fence
from .client import Client, Server, brief, path

_DOCUMENT = "promotion"
_TRIES = 5


def elect(servers: t.Mapping[str, Server], prefix: str, wanted: Claim, dead: t.Collection[str] = ()) -> None:
    """Have more than half of the servers name this one; raise StorageFenced where one has named another, StorageFailed where too few answer."""
    named: t.List[str] = []
    problems: t.Dict[str, str] = {name: "its node is dead" for name in dead if name in servers}
    for name in sorted(servers.keys() - problems.keys()):
        try:
            with brief(servers[name]) as admin:
                _have_named(admin, prefix, wanted)
            named.append(name)
        except StorageFenced:
            raise
        except GanetiError as error:
            problems[name] = error.message.rstrip(".")
    if 2 * len(named) <= len(servers):
        away = "; ".join(f"{name}: {why}" for name, why in sorted(problems.items()))
        few = f"Only {len(named)} of {len(servers)} servers answer ({away})"
        raise StorageFailed(f"{few}, and more than half have to agree to who begins epoch {wanted.epoch}: start them, or make a master by hand.")


def elected(admin: Client, prefix: str) -> t.Optional[Claim]:
    """Whom a server has named last."""
    return _claim(_document(admin, prefix))


def all_elected(servers: t.Collection[Server], prefix: str) -> t.List[Claim]:
    """Whom all servers have named last that can be asked now: one that is away is another's business."""
    with concurrent.futures.ThreadPoolExecutor(len(servers)) as executor:
        return [each for each in executor.map(lambda server: _ask(server, prefix), servers) if each is not None]


def _ask(server: Server, prefix: str) -> t.Optional[Claim]:
    try:
        with brief(server) as admin:
            return elected(admin, prefix)
    except GanetiError:
        return None


def _have_named(admin: Client, prefix: str, wanted: Claim) -> None:
    for _try in range(_TRIES):
        document = _document(admin, prefix)
        found, claimed = _claim(document), fence.standing(admin, prefix)
        for other, what in ((found, "has named"), (claimed, "is claimed by")):
            if other is not None and (other.epoch > wanted.epoch or (other.epoch == wanted.epoch and other.master != wanted.master)):
                raise StorageFenced(f"{admin.server.url} {what} {other.master} for epoch {other.epoch}: another promotion was quicker. Nothing was written.")
        if found is not None and found.epoch == wanted.epoch:
            return
        rev = {"_rev": document["_rev"]} if document else {}
        try:
            admin.put(path(prefix + fence.DATABASE, _DOCUMENT), {**wanted._asdict(), **rev})
            return
        except StorageConflict:  # somebody else was quicker, or the answer to one's own request was lost
            continue
    raise StorageConflict(f"{admin.server.url} is asked by several at once, again and again.")


def _document(admin: Client, prefix: str) -> t.Optional[Json]:
    return t.cast("t.Optional[Json]", admin.get(path(prefix + fence.DATABASE, _DOCUMENT), missing=True))


def _claim(document: t.Optional[Json]) -> t.Optional[Claim]:
    return None if document is None else Claim(int(document["serial"]), str(document["master"]))
