# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests for the server as a whole: what it is, who is logged in, its databases and replications."""

from __future__ import annotations

import typing as t
import urllib.parse
import uuid

from . import accounts, database_api
from .accounts import Accounts
from .errors import BadRequest, NotImplementedHere, Unauthorized
from .exchange import Answer, Request
from .replicator import Replicator
from .store import SYSTEM, Store, check_name

VERSION = "3.5.0"  # the one that it is held against
VENDOR = "ganeti.cluster's stand-in for tests"


class Server:
    """All that requests can reach."""

    def __init__(self, store: Store, account_list: Accounts, replicator: Replicator, identity: str, closed: bool = False) -> None:
        """*closed* is ``require_valid_user``."""
        self.store = store
        self.accounts = account_list
        self.replicator = replicator
        self.identity = identity
        self._closed = closed

    def answer(self, request: Request) -> Answer:
        """Answer any request, or raise why not."""
        parts = request.parts
        if self._closed and request.user.name is None and (request.method, parts) != ("POST", ["_session"]):
            raise Unauthorized("Authentication required.")
        if not parts:
            request.require_method("GET")
            vendor = {"name": VENDOR}
            return Answer(200, {"couchdb": "Welcome", "version": VERSION, "uuid": self.identity, "features": [], "vendor": vendor})
        if parts[0] in OPEN:
            return OPEN[parts[0]](self, request)
        if parts[0].startswith("_") and parts[0] not in SYSTEM:
            accounts.require_admin(request.user)
            if parts[0] in FOR_ADMINS:
                request.require_method("GET")
                return FOR_ADMINS[parts[0]](self, request)
            raise NotImplementedHere("/".join(parts))
        if len(parts) == 1 and request.method in ("PUT", "DELETE"):
            return self._make_or_remove(request)
        if parts[0] in SYSTEM and parts[1:2] in (["_all_docs"], ["_changes"]):
            accounts.require_admin(request.user)
        database = self.store.get(parts[0])
        accounts.require_member(request.user, database.security)
        return database_api.handle(request, database)

    def _make_or_remove(self, request: Request) -> Answer:
        accounts.require_admin(request.user)
        request.only()
        name = request.parts[0]
        if request.method == "PUT":
            check_name(name)
            self.store.create(name)
            return Answer(201, {"ok": True}, (("Location", f"{request.base}/{urllib.parse.quote(name, safe='')}"),))
        if name in SYSTEM:
            raise NotImplementedHere("removal of a database of the system")
        self.store.delete(name)
        return Answer(200, {"ok": True})

    def up(self, request: Request) -> Answer:
        """Whether the server can be used."""
        request.require_method("GET")
        return Answer(200, {"status": "ok", "seeds": {}})

    def uuids(self, request: Request) -> Answer:
        """Unique ids for clients that have none."""
        request.require_method("GET")
        request.only("count")
        count = request.number("count")
        return Answer(200, {"uuids": [uuid.uuid4().hex for _each in range(1 if count is None else count)]})

    def session(self, request: Request) -> Answer:
        """Log in, log out, or see who is logged in."""
        request.require_method("GET", "POST", "DELETE")
        request.only()
        if request.method == "DELETE":
            return Answer(200, {"ok": True}, (("Set-Cookie", f"{accounts.COOKIE}=; Version=1; Path=/; HttpOnly"),))
        if request.method == "POST":
            name, password = _credentials(request)
            user = self.accounts.check(name, password, request.address)
            cookie = f"{accounts.COOKIE}={self.accounts.cookie(user)}; Version=1; Max-Age={accounts.SESSION_SECONDS}; Path=/; HttpOnly"
            return Answer(200, {"ok": True, "name": user.name, "roles": list(user.roles)}, (("Set-Cookie", cookie),))
        info: dict[str, t.Any] = {"authentication_handlers": ["cookie", "default"]}
        if request.proof is not None:
            info["authenticated"] = request.proof
        return Answer(200, {"ok": True, "userCtx": {"name": request.user.name, "roles": list(request.user.roles)}, "info": info})

    def all_dbs(self, request: Request) -> Answer:
        """The names of all databases."""
        request.only()
        return Answer(200, self.store.names())

    def active_tasks(self, request: Request) -> Answer:
        """Nothing here takes so long that it would be listed."""
        request.only()
        return Answer(200, [])

    def scheduler(self, request: Request) -> Answer:
        """The replications and their states."""
        request.only()
        rest = request.parts[1:]
        if rest == ["jobs"]:
            jobs = self.replicator.describe_jobs()
            return Answer(200, {"total_rows": len(jobs), "offset": 0, "jobs": jobs})
        if rest[:1] != ["docs"] or len(rest) > 3 or rest[1:2] not in ([], ["_replicator"]):
            raise NotImplementedHere("/".join(request.parts))
        if len(rest) == 3:
            return Answer(200, self.replicator.describe_one(rest[2]))
        rows = self.replicator.describe()
        return Answer(200, {"total_rows": len(rows), "offset": 0, "docs": rows})


def _credentials(request: Request) -> tuple[str, str]:
    kind = request.headers.get("Content-Type", "").split(";")[0].strip()
    if kind == "application/json":
        fields = request.json_object()
    elif kind == "application/x-www-form-urlencoded":
        fields = dict(urllib.parse.parse_qsl(request.body.decode(), keep_blank_values=True))
    else:
        raise BadRequest("Credentials are wanted as JSON or as a form.")
    return str(fields.get("name", "")), str(fields.get("password", ""))


OPEN: dict[str, t.Callable[[Server, Request], Answer]] = {"_up": Server.up, "_uuids": Server.uuids, "_session": Server.session}
FOR_ADMINS: dict[str, t.Callable[[Server, Request], Answer]] = {
    "_all_dbs": Server.all_dbs,
    "_active_tasks": Server.active_tasks,
    "_scheduler": Server.scheduler,
}
