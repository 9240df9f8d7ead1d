# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""One writer at a time, which the servers themselves see to.

CouchDB has no transaction over documents, and a replication of an older time writes with whatever it was given, long after. But each request is
authorised anew. So each claim has a user of its own on each server, made with it, and nobody else may read or write the databases there. All that the
service writes, on its own server and on others, and both ends of all replications, go by that user. A claim is made on a server in this order:

   a. the document of the claim, by compare and swap on its revision, greater than the one before, with a new random name of a user;
   b. that user, who may do nothing yet; then the document is read again, and must be the same;
   c. the rights of all databases, for that user alone;
   d. the users of older claims go: those that are there then, if the document is the same still, as else there may be one of a newer claim among them.

What holds, for each server by itself, from when `claim` has returned there:

1. **Claims only grow.** The document is written on top of the revision that was read, and only with a greater claim; it is never replicated.
2. **No request that begins then is carried out for an older claim.** Rights name one user. To be named again after (c), an older user would have to be
   written into the rights after that; whoever does has read its own document (b) before (a) of the newer one, and made its user before that: that user
   is gone with (d), and none is ever made with the same name again. Without a user there is no request. Whoever finds a newer claim after (c) gives the
   rights to that one's user, as it may have taken them; where a third is newer still, that user has not made a request, as its own (d) fails.
3. **So replications of an older master end there,** whenever its server comes back and resumes them: at this server as their target, and as their source.
4. **And so does the service of an older master,** on its own server too, from the moment on in which the newer master has claimed that one.
5. **Of two that claim at once one is left:** each server keeps the greater claim, whoever came first, and the order of claims is the same everywhere. That
   it is the same one later takes that both go on claiming with the number of the beginning (service/begun_epoch.py).
6. **A reader of the new epoch reads what was claimed for it:** a promotion claims its own server before it reads what it makes files of, and the service
   claims a standby before it settles what is there (standbys.py) and carries anything to it.

The service itself also writes to standbys (push.py), with revisions that are taken over as they are, so that no leading revision is asked for. For that:

7. **A push is refused where a replication would be.** It goes by the user of the claim on that standby, never by the administrator, and only of a claim of its
   own master and epoch, in which there is one: so by (2) none that begins after a newer claim is carried out. One that is refused looks at the claim again,
   as the administrator, and finds another's. Of a claim of the same node in a later epoch it takes no user either: that is another process's.
8. **A push claims nothing.** It reads the claim, and makes, changes and removes no document of it, no user and no rights. So (1) and (5) are as they were.
9. **What is pushed is in the master's own database already,** under this revision and on top of the same ones. So settling takes it for the master's (6), and
   a replication that comes to it as well finds it there. A push never makes a second branch of what the standby has of this master's.
10. **Nothing is pushed but by who follows as the master:** what is written while all is compared, or a promotion is unfinished, is left to the replications.

What does not hold:

* Rights count for the next request; that a user is gone counts milliseconds later, and where a server has just been made, or somebody looked that user
  up at the same moment, CouchDB may let it in for longer: up to ten minutes (tests/conformance/test_security.py). It has no rights then.
* A request that the server has begun to carry out before (c) may end after it: one batch, be it of a service, of a replication or a push. Writers that are
  not the service are looked for every few seconds, and what they have written is taken back (`CouchStorage.intruded`, conflicts.py).
* A server that cannot be reached is not claimed. An old master that is cut off together with its own server goes on writing there. Nobody of the newer
  epoch reads that before it is claimed; what it has written is lost then, but for archived jobs that nobody else has.
* The administrator of a server may do anything. So may replications of releases before this one, which have its password, until they are removed or
  `intruded` finds what they brought. Whoever has an older disk of a server put back has its older claim too.
* The claim of a promotion that came to nothing takes the master out of service that has begun the same epoch, where the UUIDs decide so. It is not ignored
  where it is seen on one server alone: whoever claimed may run, and reach no other server than its own, and be read there all the same. Then two would be
  believed (tests/unit/plugins/module_utils/storage/drivers/test_two_promotions.py goes through all states). So somebody has to say who it is (--reclaim).
* Ganeti's own failover raises no epoch. Its new master claims with the serial number that it has, which has to be greater than the old one's claim.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import hashlib
import hmac
import secrets
import typing as t

from ...._errors import GanetiError, StorageConflict, StorageFailed, StorageFenced
from ..documents import DATABASES, Json
from ..epochs import Claim, kept, newer
from . import other_cluster
from .client import Client, Server, brief, path

DATABASE, _DOCUMENT = "claims", "claim"
"""Where a claim stands, on each server. No replication has anything to do with it."""
_USERS = "_users"
_ID = "org.couchdb.user:"
_TRIES = 5


class Held(t.NamedTuple):
    """A claim as it stands on a server, and its user there."""

    claim: Claim
    user: str


def claim(admin: Client, prefix: str, wanted: Claim, anew: bool = False) -> Held:
    """Claim a server, on which the databases are; how it stands then. Raises StorageFenced where a newer claim of another does. *admin* may do all.

    With *anew* a lower claim of the same master is not kept (epochs.kept).
    """
    for _try in range(_TRIES):
        document = _document(admin, prefix)
        found = _held(document)
        keeps = found is not None and kept(found.claim, wanted, anew)
        if found is not None and keeps and _has_user(admin, found.user):
            if _fence(admin, prefix, found):
                return found
            continue
        if found is not None and newer([found.claim], wanted):
            raise StorageFenced(f"{admin.server.url} is claimed by {found.claim.master} since serial number {found.claim.serial}, which is newer.")
        standing = found.claim if found is not None and keeps else wanted
        made = Held(standing, f"{_prefix_of_users(prefix)}{secrets.token_hex(8)}")
        if _swap(admin, prefix, document, made) and _make(admin, prefix, made):
            return made
    raise StorageConflict(f"{admin.server.url} is being claimed by several at once, again and again: see which nodes take themselves for the master.")


def held(admin: Client, prefix: str) -> t.Optional[Held]:
    """The claim that stands on a server; None where there is none."""
    return _held(_document(admin, prefix))


def ready(admin: Client, prefix: str) -> t.Optional[Held]:
    """The claim that stands on a server once its user has got the rights (step c), who would be locked out by coming before; None until then."""
    found = held(admin, prefix)
    return found if found is not None and admin.get(f"{path(prefix + DATABASES[-1])}/_security") == rights(found) else None


def standing(admin: Client, prefix: str) -> t.Optional[Claim]:
    """The newest claim of which a server knows: that which was made there, or what the configuration there says where that is of a later epoch."""
    return _standing(held(admin, prefix), other_cluster.head(admin, prefix))


def _standing(found: t.Optional[Held], head: t.Optional[Json]) -> t.Optional[Claim]:
    told = Claim(head["serial"], head["info"]["cluster"].get("master_node", "")) if head else None
    if found is None or (told is not None and told.epoch > found.claim.epoch):
        return told
    return found.claim


class Known(t.NamedTuple):
    """What a server knows: the claim, and the UUID of the cluster whose configuration it holds."""

    claim: t.Optional[Claim] = None
    cluster: t.Optional[str] = None


def claims(servers: t.Collection[Server], prefix: str) -> t.List[Claim]:
    """What all servers know that can be asked now, each without much patience: one that is away is another's business."""
    return [each.claim for each in known(servers, prefix) if each.claim is not None]


def known(servers: t.Collection[Server], prefix: str) -> t.List[Known]:
    """The same, server by server, with whose configuration it holds."""
    if not servers:
        return []
    with concurrent.futures.ThreadPoolExecutor(len(servers)) as executor:
        return list(executor.map(lambda server: _ask(server, prefix), servers))


def _ask(server: Server, prefix: str) -> Known:
    try:
        with brief(server) as client:
            head = other_cluster.head(client, prefix)
            return Known(_standing(held(client, prefix), head), other_cluster.owner(head))
    except GanetiError:
        return Known()


def as_writer(server: Server, found: Held) -> Server:
    """The server for the user of a claim. The password follows from the administrator's and is kept nowhere else than in documents of replications."""
    return server.as_user(found.user, _password(server, found.user))


def rights(found: t.Optional[Held]) -> Json:
    """Who may use the databases: the user of the claim that stands, and the administrator always."""
    return {"admins": {"names": [], "roles": ["_admin"]}, "members": {"names": [found.user] if found else [], "roles": ["_admin"]}}


def _document(admin: Client, prefix: str) -> t.Optional[Json]:
    return t.cast("t.Optional[Json]", admin.get(path(prefix + DATABASE, _DOCUMENT), missing=True))


def _held(document: t.Optional[Json]) -> t.Optional[Held]:
    return None if document is None else Held(Claim(document["serial"], document["master"]), document["user"])


def _swap(admin: Client, prefix: str, before: t.Optional[Json], made: Held) -> bool:
    """Step a; False where somebody else was faster."""
    if before is None and admin.get(path(prefix + DATABASE), missing=True) is None:
        answer = admin.ask("PUT", path(prefix + DATABASE))
        if answer.status not in (201, 202, 412):  # 412: somebody else has made it
            raise StorageFailed(f"CouchDB at {admin.server.url} did not make the database {prefix + DATABASE} ({answer.status}): see its log.")
    rev = {"_rev": before["_rev"]} if before else {}
    try:
        admin.put(path(prefix + DATABASE, _DOCUMENT), {**made.claim._asdict(), "user": made.user, **rev})
    except StorageConflict:
        return False
    return True


def _make(admin: Client, prefix: str, made: Held) -> bool:
    """Steps b to d; False where another claim stands by now."""
    document = {"name": made.user, "password": _password(admin.server, made.user), "roles": [], "type": "user", "proof": _proof(admin.server, made.user)}
    with contextlib.suppress(StorageConflict):  # nobody else makes a user of this name: it is one's own request, which was asked again for lack of an answer
        admin.put(path(_USERS, _ID + made.user), document)
    if held(admin, prefix) != made:
        _remove(admin, [made.user])
        return False
    return _fence(admin, prefix, made)


def _fence(admin: Client, prefix: str, found: Held) -> bool:
    """Steps c and d, at each look anew, as who began may have died between them; False where another claim stands by now."""
    _give_rights(admin, prefix, found.user)
    others = [name for name in _users(admin, prefix) if name != found.user]
    standing = held(admin, prefix)
    if standing != found:
        if standing is not None:
            _give_rights(admin, prefix, standing.user)  # which may just have been taken from it here
        return False
    _remove(admin, others)
    return True


def _give_rights(admin: Client, prefix: str, user: str) -> None:
    wanted = rights(Held(Claim(0, ""), user))
    for name in DATABASES:
        where = f"{path(prefix + name)}/_security"
        if admin.get(where) != wanted:
            admin.put(where, wanted)


def _has_user(admin: Client, user: str) -> bool:
    """Whether the user is there, with the password that follows from the administrator's of now."""
    found = admin.get(path(_USERS, _ID + user), missing=True)
    return found is not None and found.get("proof") == _proof(admin.server, user)


def _users(admin: Client, prefix: str) -> t.List[str]:
    """The users of all claims on these databases. Names of others never begin so: what follows the prefix is of one length."""
    start = _ID + _prefix_of_users(prefix)
    rows = admin.get(path(_USERS, "_all_docs", startkey=start, endkey=start + "g"))["rows"]
    return [row["id"][len(_ID) :] for row in rows if len(row["id"]) == len(start) + 16]


def _remove(admin: Client, names: t.Iterable[str]) -> None:
    for name in names:
        found = admin.get(path(_USERS, _ID + name), missing=True)
        if found is not None:
            admin.delete(path(_USERS, _ID + name, rev=found["_rev"]), missing=True)


def _prefix_of_users(prefix: str) -> str:
    return f"ganeti-{prefix}-"


def _password(server: Server, user: str) -> str:
    return _derived(server, f"writer {user}")


def _proof(server: Server, user: str) -> str:
    """Says nothing of the password, and is another one where that is."""
    return _derived(server, f"proof {user}")[:16]


def _derived(server: Server, what: str) -> str:
    return hmac.new(server.password.encode(), what.encode(), hashlib.sha256).hexdigest()
