# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Three servers: those that COUCHDB_URLS names, or else stand-ins. The result says which."""

from __future__ import annotations

import os
import secrets
import typing as t
from pathlib import Path

import pytest
from couchdb.launch import StandIn

from .client import Database, Server, eventually, runs

URLS = [url for url in os.environ.get("COUCHDB_URLS", "").split(",") if url]
# What only concerns the stand-in: it is killed, and asked for what it does not do.
collect_ignore_glob = ["test_standin_*.py"] if URLS else []


def kind() -> str:
    """What this run is held against, without passwords."""
    if not URLS:
        return "stand-in of tests/couchdb"
    found = []
    for server in map(Server, URLS):
        about = server.request("GET", "/").value
        found.append(f"{about['version']} of {about['vendor']['name']} at {server.address}")
    return ", ".join(found)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The last lines of the output name the servers."""
    terminalreporter.write_line(f"CouchDB: {kind()}")


@pytest.fixture(scope="session", autouse=True)
def _recorded(record_testsuite_property: t.Callable[[str, object], None]) -> None:
    record_testsuite_property("couchdb", kind())


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[t.List[Server]]:
    """At least three servers; the same one more than once if there are fewer."""
    if URLS:
        found = [Server(url) for url in URLS]
        for server in found:
            assert server.request("GET", "/").value["couchdb"] == "Welcome"
        yield (found * 3)[: max(3, len(found))]
        return
    directory = tmp_path_factory.mktemp("couchdb")
    stand_ins = [StandIn(directory / str(number)) for number in range(3)]
    yield [Server(stand_in.url) for stand_in in stand_ins]
    for stand_in in stand_ins:
        stand_in.stop()
        assert stand_in.errors() == ""


@pytest.fixture(scope="session")
def server(servers: t.List[Server]) -> Server:
    """The first of them."""
    return servers[0]


@pytest.fixture
def make(servers: t.List[Server]) -> t.Iterator[t.Callable[..., Database]]:
    """Makes databases that are removed after the test."""
    made: t.List[Database] = []

    def create(number: int = 0, name: str = "") -> Database:
        database = Database(servers[number], name or f"test_{secrets.token_hex(6)}")
        assert database.request("PUT").status == 201
        made.append(database)
        return database

    yield create
    for database in made:
        database.request("DELETE")


@pytest.fixture
def database(make: t.Callable[..., Database]) -> Database:
    """An empty database."""
    return make()


@pytest.fixture
def user(server: Server) -> t.Iterator[t.Callable[..., t.Tuple[str, str]]]:
    """Makes users of the first server who can log in; they are removed after the test."""
    made: t.List[str] = []

    def create(*roles: str) -> t.Tuple[str, str]:
        name, password = f"user{secrets.token_hex(6)}", secrets.token_hex(8)
        body = {"name": name, "password": password, "roles": list(roles), "type": "user"}
        assert server.request("PUT", f"/_users/org.couchdb.user:{name}", body).status == 201
        made.append(name)
        return name, password

    yield create
    for name in made:
        path = f"/_users/org.couchdb.user:{name}"
        found = server.request("GET", path)
        if found.status == 200:
            server.request("DELETE", f"{path}?rev={found.value['_rev']}")


@pytest.fixture
def replication(servers: t.List[Server]) -> t.Iterator[t.Callable[..., str]]:
    """Writes documents of ``_replicator`` that are deleted after the test; returns their paths."""
    made: t.List[t.Tuple[Server, str]] = []

    def create(number: int, body: t.Dict[str, t.Any]) -> str:
        path = f"/_replicator/test_{secrets.token_hex(6)}"
        answer = servers[number].request("PUT", path, body)
        assert answer.status == 201, answer
        made.append((servers[number], path))
        return path

    yield create
    for server, path in made:
        found = server.request("GET", path)
        if found.status == 200:
            server.request("DELETE", f"{path}?rev={found.value['_rev']}")
    for server, path in made:  # whose databases are removed next
        eventually(lambda server=server, path=path: not runs(server, path))


@pytest.fixture
def private(tmp_path: Path) -> t.Iterator[StandIn]:
    """A stand-in for one test, which may kill it."""
    stand_in = StandIn(tmp_path / "private")
    yield stand_in
    stand_in.stop()
