# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who may do what. A wrong password is given rarely here: five lock the user for five minutes."""

from __future__ import annotations

import concurrent.futures
import itertools
import re
import secrets
import threading
import time
import typing as t

import pytest

from .client import JSON, Database, Server, eventually

NOBODY = None
FOR_MEMBERS = [("GET", "", 200), ("GET", "/_all_docs", 200), ("GET", "/_changes", 200), ("PUT", "/new", 201), ("GET", "/_security", 200)]
FOR_ADMINS = [("POST", "/_compact"), ("PUT", "/_security"), ("PUT", "/_revs_limit")]


def allow(database: Database, admins: t.Iterable = (), members: t.Iterable = (), roles: t.Iterable = ()) -> None:
    """Say who may use a database."""
    value = {"admins": {"names": list(admins), "roles": []}, "members": {"names": list(members), "roles": list(roles)}}
    assert database.request("PUT", "/_security", value).value == {"ok": True}
    assert database.request("GET", "/_security").value == value


def test_a_new_database_is_for_admins_only(database: Database, user) -> None:
    someone = user()
    assert database.request("GET", "/_security").value == {"members": {"roles": ["_admin"]}, "admins": {"roles": ["_admin"]}}
    for method, path, _status in FOR_MEMBERS:
        value = {} if method == "PUT" else None
        nobody = database.request(method, path, value, user=NOBODY)
        assert (nobody.status, nobody.value["error"]) == (401, "unauthorized")
        refused = database.request(method, path, value, user=someone)
        assert (refused.status, refused.value["error"]) == (403, "forbidden")


def test_a_member_reads_and_writes(database: Database, user) -> None:
    member, other = user(), user()
    allow(database, members=[member[0]])
    for method, path, status in FOR_MEMBERS:
        assert database.request(method, path, {} if method == "PUT" else None, user=member).status == status
        assert database.request(method, path, {} if method == "PUT" else None, user=other).status == 403
        assert database.request(method, path, {} if method == "PUT" else None, user=NOBODY).status == 401


def test_a_member_by_role(database: Database, user) -> None:
    member, other = user("friends"), user("others")
    allow(database, roles=["friends"])
    assert database.request("GET", user=member).status == 200
    assert database.request("GET", user=other).status == 403


def test_a_member_does_not_administer(database: Database, user) -> None:
    member = user()
    allow(database, members=[member[0]])
    before = database.request("GET", "/_security").value
    for method, path in FOR_ADMINS:
        assert database.request(method, path, {} if path == "/_security" else 5, user=member).status >= 400
    assert database.request("GET", "/_security").value == before
    assert database.request("GET", "/_revs_limit").value == 1000
    refused = database.request("POST", "/_compact", user=member)
    assert (refused.status, refused.value["error"]) == (401, "unauthorized")


def test_who_is_a_member_no_more_is_refused_at_the_next_request(server: Server, database: Database, user) -> None:
    """By password and by cookie. What fences an older master stands on this."""
    before, after = user(), user()
    allow(database, members=[before[0]])
    headers = cookie(server.request("POST", "/_session", {"name": before[0], "password": before[1]}, user=NOBODY))
    for number in range(10):
        assert database.request("PUT", f"/a{number}", {}, user=before).status == 201
        assert database.request("PUT", f"/b{number}", {}, user=NOBODY, headers=headers).status == 201
        allow(database, members=[after[0]])
        for method, path in (("PUT", f"/c{number}"), ("GET", "/_all_docs"), ("GET", "/_changes")):
            assert database.request(method, path, {} if method == "PUT" else None, user=before).status == 403
            assert database.request(method, path, {} if method == "PUT" else None, user=NOBODY, headers=headers).status == 403
        copied = {"docs": [{"_id": "d", "_rev": f"1-{'a' * 32}"}], "new_edits": False}
        assert database.request("POST", "/_bulk_docs", copied, user=before).status == 403
        assert database.request("PUT", f"/e{number}", {}, user=after).status == 201
        allow(database, members=[before[0]])


def test_under_load_no_request_that_begins_after_rights_are_taken_is_carried_out(database: Database, user) -> None:
    """Of several who write at once; one that has begun before may end after it."""
    member = user()
    for turn in range(5):
        allow(database, members=[member[0]])
        begun: t.List[float] = []
        ended = threading.Event()

        def write(name: str, begun: t.List[float], ended: threading.Event) -> None:
            for number in itertools.count():
                at = time.monotonic()
                status = database.request("PUT", f"/{name}-{number}", {}, user=member).status
                assert status in (201, 403)
                begun += [at] if status == 201 else []
                if ended.is_set():
                    return

        with concurrent.futures.ThreadPoolExecutor(4) as executor:
            writers = [executor.submit(write, f"{turn}-{writer}", begun, ended) for writer in range(4)]
            eventually(lambda begun=begun: len(begun) >= 20)
            allow(database, members=["somebody"])
            taken = time.monotonic()
            before = len(database.request("GET", "/_all_docs").value["rows"])
            ended.set()
            for writer in writers:
                writer.result()
        assert [at for at in begun if at > taken] == []
        assert len(database.request("GET", "/_all_docs").value["rows"]) - before <= 4, "one for each that had begun"


def test_a_user_who_is_gone_is_soon_let_in_no_more(server: Server, database: Database, user) -> None:
    name, password = user()
    allow(database, members=[name])
    headers = cookie(server.request("POST", "/_session", {"name": name, "password": password}, user=NOBODY))
    path = f"/_users/org.couchdb.user:{name}"
    assert server.request("DELETE", f"{path}?rev={server.request('GET', path).value['_rev']}").status == 200
    eventually(lambda: database.request("GET", user=(name, password)).status == 401)
    eventually(lambda: database.request("GET", user=NOBODY, headers=headers).status in (401, 403))


def test_an_admin_of_the_database_administers(database: Database, user) -> None:
    admin = user()
    allow(database, admins=[admin[0]], members=["somebody"])
    assert database.request("GET", user=admin).status == 200
    assert database.request("PUT", "/_revs_limit", 5, user=admin).status == 200
    assert database.request("POST", "/_compact", user=admin).status == 202
    value = {"admins": {"names": [admin[0]], "roles": []}, "members": {"names": [], "roles": ["x"]}}
    assert database.request("PUT", "/_security", value, user=admin).status == 200
    assert database.request("DELETE", user=admin).status == 401


def test_without_members_a_database_is_open(database: Database) -> None:
    assert database.request("PUT", "/_security", {}).status == 200
    assert database.request("PUT", "/a", {}, user=NOBODY).status == 201
    assert database.request("POST", "/_compact", user=NOBODY).status == 401


@pytest.mark.parametrize("value", [[], {"members": {"names": 5}}, {"admins": {"roles": [5]}}])
def test_rules_that_make_no_sense(database: Database, value) -> None:
    before = database.request("GET", "/_security").value
    assert database.request("PUT", "/_security", value).status >= 400
    assert database.request("GET", "/_security").value == before


def test_what_only_the_administrator_of_the_server_may_do(server: Server, database: Database, user) -> None:
    someone = user()
    name = f"/test_{secrets.token_hex(6)}"
    paths = [("PUT", name), ("DELETE", database.path), ("GET", "/_all_dbs"), ("GET", "/_active_tasks"), ("GET", "/_scheduler/docs")]
    paths += [("GET", "/_replicator/_all_docs"), ("GET", "/_replicator/_changes"), ("GET", "/_users/_all_docs"), ("GET", "/_users/_changes")]
    for who in (NOBODY, someone):
        for method, path in paths:
            answer = server.request(method, path, user=who)
            assert (path, answer.status, answer.value["error"]) == (path, 401, "unauthorized")
    assert database.request("GET").status == 200
    assert server.request("GET", name).status == 404


def test_what_anyone_may_ask(server: Server) -> None:
    for path in ("/", "/_up", "/_session", "/_uuids"):
        assert server.request("GET", path, user=NOBODY).status == 200
    assert server.request("GET", "/test_missing", user=NOBODY).status == 404


def test_only_admins_write_replications(server: Server, user) -> None:
    body = {"source": "http://127.0.0.1:1/a", "target": "http://127.0.0.1:1/b"}
    nobody = server.request("PUT", "/_replicator/test", body, user=NOBODY)
    assert (nobody.status, nobody.value["error"]) == (401, "unauthorized")
    someone = server.request("PUT", "/_replicator/test", body, user=user())
    assert (someone.status, someone.value["error"]) == (403, "forbidden")


def test_a_wrong_password(server: Server, database: Database, user) -> None:
    name, _password = user()
    for path in ("/", database.path):
        answer = server.request("GET", path, user=(name, "wrong"))
        assert (answer.status, answer.value) == (401, {"error": "unauthorized", "reason": "Name or password is incorrect."})
    assert server.request("GET", "/", user=(f"unknown{secrets.token_hex(4)}", "x")).status == 401


def test_five_wrong_passwords_lock_a_user(server: Server, user) -> None:
    name, password = user()
    assert server.request("GET", "/_session", user=(name, password)).status == 200
    statuses = [server.request("GET", "/_session", user=(name, "wrong")).status for _each in range(7)]
    assert statuses[0] == 401 and statuses[-1] == 403
    locked = server.request("GET", "/_session", user=(name, password))
    assert (locked.status, locked.value["error"]) == (403, "forbidden")
    assert server.request("GET", "/_session").status == 200


def test_other_headers_of_authorization(database: Database) -> None:
    answer = database.request("GET", user=NOBODY, headers={**JSON, "Authorization": "Basic !!!"})
    assert (answer.status, answer.value["error"]) == (400, "bad_request")
    assert database.request("GET", user=NOBODY, headers={**JSON, "Authorization": "Other x"}).status == 401


def test_who_is_logged_in(server: Server, user) -> None:
    someone = user("friends")
    found = server.request("GET", "/_session").value
    assert found["userCtx"] == {"name": server.name, "roles": ["_admin"]} and found["info"]["authenticated"] == "default"
    assert server.request("GET", "/_session", user=someone).value["userCtx"] == {"name": someone[0], "roles": ["friends"]}
    found = server.request("GET", "/_session", user=NOBODY).value
    assert found["userCtx"] == {"name": None, "roles": []} and "authenticated" not in found["info"]


def cookie(answer) -> t.Dict[str, str]:
    """Headers with the cookie of a session."""
    match = re.match("AuthSession=([^;]+);", answer.headers["Set-Cookie"])
    assert match and "HttpOnly" in answer.headers["Set-Cookie"]
    return {**JSON, "Cookie": f"AuthSession={match[1]}"}


def test_a_session_by_cookie(server: Server, database: Database) -> None:
    answer = server.request("POST", "/_session", {"name": server.name, "password": server.password}, user=NOBODY)
    assert (answer.status, answer.value) == (200, {"ok": True, "name": server.name, "roles": ["_admin"]})
    headers = cookie(answer)
    assert database.request("PUT", "/a", {"n": 1}, user=NOBODY, headers=headers).status == 201
    found = server.request("GET", "/_session", user=NOBODY, headers=headers).value
    assert found["userCtx"]["name"] == server.name and found["info"]["authenticated"] == "cookie"
    ended = server.request("DELETE", "/_session", user=NOBODY, headers=headers)
    assert (ended.status, ended.value) == (200, {"ok": True})
    assert ended.headers["Set-Cookie"].startswith("AuthSession=;")


def test_a_session_of_a_user_by_form(server: Server, database: Database, user) -> None:
    name, password = user("friends")
    allow(database, members=[name])
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = server.request("POST", "/_session", raw=f"name={name}&password={password}".encode(), user=NOBODY, headers=form)
    assert (answer.status, answer.value["name"], answer.value["roles"]) == (200, name, ["friends"])
    assert database.request("GET", user=NOBODY, headers=cookie(answer)).status == 200


def test_a_session_with_a_wrong_password(server: Server, user) -> None:
    answer = server.request("POST", "/_session", {"name": user()[0], "password": "wrong"}, user=NOBODY)
    assert (answer.status, answer.value["error"]) == (401, "unauthorized")


def test_cookies_that_are_not_from_here(server: Server, database: Database) -> None:
    malformed = database.request("GET", user=NOBODY, headers={**JSON, "Cookie": "AuthSession=abc"})
    assert (malformed.status, malformed.value["error"]) == (400, "bad_request")
    forged = {**JSON, "Cookie": "AuthSession=YWRtaW46NjU0MzIxOmFiY2Q"}
    assert database.request("GET", user=NOBODY, headers=forged).status == 401
    assert server.request("GET", "/_session", user=NOBODY, headers=forged).value["userCtx"]["name"] is None


def test_passwords_are_not_stored(server: Server, user) -> None:
    name, password = user()
    answer = server.request("GET", f"/_users/org.couchdb.user:{name}")
    assert password not in answer.text and "password" not in answer.value
    assert (answer.value["password_scheme"], answer.value["pbkdf2_prf"]) == ("pbkdf2", "sha256")
    assert re.fullmatch("[0-9a-f]{64}", answer.value["derived_key"])


def test_a_new_password_counts_soon(server: Server, user) -> None:
    name, password = user()
    path = f"/_users/org.couchdb.user:{name}"
    assert server.request("GET", "/_session", user=(name, password)).status == 200
    body = server.request("GET", path).value
    assert server.request("PUT", path, {**body, "password": "another"}).status == 201
    eventually(lambda: server.request("GET", "/_session", user=(name, password)).status == 401)
    assert server.request("GET", "/_session", user=(name, "another")).status == 200


def test_only_admins_see_users(server: Server, user) -> None:
    one, other = user(), user()
    for name in (one[0], other[0]):
        assert server.request("GET", f"/_users/org.couchdb.user:{name}", user=one).status == 403
        assert server.request("GET", f"/_users/org.couchdb.user:{name}", user=NOBODY).status == 401


@pytest.mark.parametrize(
    "change",
    [{"type": "other"}, {"name": "other"}, {"roles": "none"}, {"roles": ["_admin"]}],
    ids=["type", "name", "roles", "role of the system"],
)
def test_users_that_are_refused(server: Server, change: dict) -> None:
    name = f"user{secrets.token_hex(6)}"
    body = {"name": name, "password": "x", "roles": [], "type": "user", **change}
    answer = server.request("PUT", f"/_users/org.couchdb.user:{name}", body)
    assert (answer.status, answer.value["error"]) == (403, "forbidden")
