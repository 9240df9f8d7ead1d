# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The client against members that are away, silent, or something else than etcd: bounded, and each is told of by its address."""

from __future__ import annotations

import http.server
import json
import socket
import threading

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import (
    AuthenticationFailed,
    ConnectionFailed,
    InvalidInput,
    StorageFailed,
    StorageRefused,
)
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.etcd import client as module
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.etcd.client import Client, Compacted, TooMuch
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.etcd.endpoints import Access
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.etcd.wire import Get, Put

HEADER = {"header": {"revision": "7"}}
GOOD = (200, json.dumps(HEADER).encode())


class Member(http.server.ThreadingHTTPServer):
    """Answers with what it is given, in turn, the last of it again and again; what it was asked is kept."""

    daemon_threads = True

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server.asked.append((self.path, body, self.headers.get("Authorization")))
        answer = server.answers.pop(0) if len(server.answers) > 1 else server.answers[0]
        if answer == "close":
            self.close_connection = True
            return
        self.send_response(answer[0])
        self.send_header("Content-Length", str(len(answer[1])))
        self.end_headers()
        self.wfile.write(answer[1])

    def log_message(self, *_args):
        """Nobody reads it."""


@pytest.fixture
def serve(monkeypatch):
    """Starts members, and a client that asks them and does not wait."""
    monkeypatch.setattr(module, "_PAUSE", 0.0)
    started = []

    def start(*members, **options):
        started.extend(Member(*answers) for answers in members)
        return Client(Access([each.url for each in started], **options)), started

    yield start
    for each in started:
        each.shutdown()
        each.server_close()


def failed(status, message, code):
    """An error as etcd's gateway tells it."""
    return status, json.dumps({"error": message, "message": message, "code": code}).encode()


@pytest.mark.parametrize(
    ("answer", "kind", "said"),
    [
        (failed(400, "etcdserver: mvcc: required revision has been compacted", 11), Compacted, "too old"),
        (failed(429, "etcdserver: mvcc: database space exceeded", 8), StorageFailed, "reached its quota.*alarm disarm"),
        (failed(400, "etcdserver: request is too large", 3), StorageRefused, "max-request-bytes"),
        (failed(400, "etcdserver: too many operations in txn request", 3), StorageRefused, "max-request-bytes"),
        (failed(429, "grpc: received message larger than max (9 vs. 5)", 8), TooMuch, "so much at once"),
        (failed(403, "etcdserver: permission denied", 7), AuthenticationFailed, "give it a role for the prefix"),
        (failed(400, "etcdserver: user name is empty", 3), AuthenticationFailed, "without a user.*give username and password"),
        (failed(401, "etcdserver: invalid auth token", 16), AuthenticationFailed, "without a user"),
        (failed(504, "etcdserver: request timed out", 4), ConnectionFailed, "request timed out"),
        (failed(500, "context deadline exceeded", 2), ConnectionFailed, "context deadline exceeded"),
        (failed(500, "etcdserver: corrupt", 2), StorageFailed, "see its log"),
        (failed(400, "etcdserver: key is not provided", 3), StorageFailed, "key is not provided"),
        ((404, b"Not Found"), InvalidInput, "etcd 3.4 or later"),
        ((502, b"<html>a proxy</html>"), ConnectionFailed, "HTTP status 502"),
        ((200, b"<html>hello</html>"), StorageFailed, "HTTP status 200"),
        ((200, b"[]"), StorageFailed, "HTTP status 200"),
        ((200, b"[" * 100000), StorageFailed, "HTTP status 200"),
        ((200, b"{}"), StorageFailed, "no etcd"),
        ("close", ConnectionFailed, "closed connection without response|Connection reset"),
    ],
)
def test_each_answer_that_is_none_is_told_of(serve, answer, kind, said):
    client, members = serve([answer])
    with client, pytest.raises(kind, match=said) as caught:
        client.get("a")
    if "no etcd" not in said:
        assert members[0].url in caught.value.message


def test_a_write_that_is_too_large_for_the_way_to_a_member_is_refused_for_good(serve):
    client, _members = serve([failed(429, "grpc: received message larger than max (9 vs. 5)", 8)])
    with client, pytest.raises(StorageRefused, match="max-request-bytes"):
        client.transact([], [Put("a", b"x")])
    with client, pytest.raises(TooMuch):
        client.transact([], [Get("a")])


def test_the_next_member_is_asked_where_one_does_not_do_it_and_stays_the_first(serve):
    client, (first, second) = serve([failed(503, "etcdserver: no leader", 14)], [GOOD])
    with client:
        assert client.get("a") is None and client.get("b") is None
    assert len(first.asked) == 1 and len(second.asked) == 2


def test_a_member_is_asked_again_where_it_was_only_late(serve):
    client, members = serve([failed(504, "etcdserver: request timed out", 4), GOOD])
    with client:
        assert client.get("a") is None
    assert len(members[0].asked) == 2


def test_members_are_asked_for_as_long_as_a_leader_is_elected(serve):
    """The one that led has died with the master, and a failover begins before the others have a new one."""
    client, members = serve([failed(503, f"etcdserver: {each}", 14) for each in ("no leader", "leader changed") * 4] + [GOOD], ["close"])
    with client:
        assert client.get("a") is None
    assert len(members[0].asked) == 9


def test_an_election_without_end_costs_a_bounded_time(serve):
    client, _members = serve([failed(503, "etcdserver: no leader", 14)])
    client._seconds = 2.0
    with client, pytest.raises(ConnectionFailed, match="see whether a majority of the members runs"):
        client.get("a")


def test_a_kept_connection_that_was_closed_meanwhile_is_opened_anew(serve):
    client, members = serve([GOOD, "close", GOOD])
    with client:
        assert client.get("a") is None and client.get("a") is None
    assert len(members[0].asked) == 3


def test_members_that_are_away_or_silent_cost_a_bounded_time_and_are_named(serve, monkeypatch):
    monkeypatch.setattr(module, "_EACH_SECONDS", 0.2)
    with socket.socket() as silent, socket.socket() as away:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        away.bind(("127.0.0.1", 0))  # and does not listen
        urls = [f"http://127.0.0.1:{each.getsockname()[1]}" for each in (silent, away)]
        with Client(Access(urls), seconds=1.0) as client, pytest.raises(ConnectionFailed) as caught:
            client.get("a")
    assert f"{urls[0]}: no answer in time; {urls[1]}: Connection refused" in caught.value.message


def test_an_answer_without_end_is_not_read_to_it(serve, monkeypatch):
    monkeypatch.setattr(module, "_ANSWER_BYTES", 1000)
    client, members = serve([(200, b"x" * 5000), GOOD])
    with client:
        with pytest.raises(TooMuch, match="larger than"):
            client.get("a")
        assert client.get("a") is None, "over a connection of its own"


def test_a_page_that_is_too_much_is_asked_for_in_smaller_ones(serve):
    page = {**HEADER, "kvs": [{"key": "YS8x", "mod_revision": "1"}], "more": True}
    answers = [failed(429, "grpc: received message larger than max", 8), (200, json.dumps(page).encode()), GOOD]
    client, members = serve(answers)
    with client:
        kvs, revision = client.scan("a/")
    assert [kv.key for kv in kvs] == ["a/1"] and revision == 7
    limits, revisions = ([asked[1].get(name) for asked in members[0].asked] for name in ("limit", "revision"))
    assert limits == ["500", "125", "125"] and revisions == [None, None, "7"]


def test_a_token_is_got_once_and_again_when_it_is_too_old(serve):
    def token(text):
        return 200, json.dumps({**HEADER, "token": text}).encode()

    old = failed(400, "etcdserver: revision of auth store is old", 3)
    client, members = serve([token("one"), GOOD, GOOD, old, token("two"), GOOD], username="ganeti", password="secret")
    with client:
        for _each in range(3):
            assert client.get("a") is None
    assert [(path, token) for path, _body, token in members[0].asked] == [
        ("/v3/auth/authenticate", None), ("/v3/kv/range", "one"), ("/v3/kv/range", "one"), ("/v3/kv/range", "one"),
        ("/v3/auth/authenticate", None), ("/v3/kv/range", "two"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (failed(400, "etcdserver: authentication failed, invalid user ID or password", 3), "check username and password"),
        (failed(400, "etcdserver: authentication is not enabled", 9), "auth enable"),
        ((200, json.dumps(HEADER).encode()), "no token"),
    ],
)
def test_a_user_who_is_not_let_in_is_named_and_the_password_is_not(serve, answer, said):
    client, _members = serve([answer], username="ganeti", password="secret")
    with client, pytest.raises(AuthenticationFailed, match=said) as caught:
        client.get("a")
    assert "ganeti" in caught.value.message and "secret" not in caught.value.message
