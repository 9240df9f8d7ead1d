# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The program of the role ``couchdb`` that has databases compacted."""

from __future__ import annotations

import base64
import http.client
import json
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from couchdb.launch import StandIn

PROGRAM = Path(__file__).resolve().parents[3] / "roles/couchdb/files/compact.py"


@pytest.fixture
def server(tmp_path: Path) -> t.Iterator[StandIn]:
    stand_in = StandIn(tmp_path / "server", volatile=True)
    yield stand_in
    stand_in.stop()


def ask(server: StandIn, method: str, path: str, value: t.Any = None) -> t.Any:
    proof = base64.b64encode(f"admin:{server.password}".encode()).decode()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request(method, path, None if value is None else json.dumps(value), {"Content-Type": "application/json", "Authorization": f"Basic {proof}"})
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return answer


def revisions(server: StandIn, database: str) -> t.List[str]:
    return [each["status"] for each in ask(server, "GET", f"/{database}/a?revs_info=true")["_revs_info"]]


def compact(tmp_path: Path, server: StandIn, **changes: t.Any) -> t.Tuple[int, str]:
    """Run the program; how it ended, and what it said."""
    chosen = {"url": f"http://127.0.0.1:{server.port}", "username": "admin", "password": server.password, "databases": ["queue", "not_there"], **changes}
    file = tmp_path / "compaction.json"
    file.write_text(json.dumps(chosen))
    done = subprocess.run([sys.executable, "-I", str(PROGRAM), str(file)], capture_output=True, text=True, check=False, timeout=60)
    assert server.password not in done.stdout + done.stderr
    return done.returncode, done.stdout + done.stderr


def test_only_what_is_named_loses_its_history(tmp_path: Path, server: StandIn) -> None:
    for database in ("queue", "nodes"):
        ask(server, "PUT", f"/{database}")
        rev = ask(server, "PUT", f"/{database}/a", {"x": 1})["rev"]
        ask(server, "PUT", f"/{database}/a", {"x": 2, "_rev": rev})
    assert compact(tmp_path, server) == (0, "")
    assert revisions(server, "queue") == ["available", "missing"]
    assert revisions(server, "nodes") == ["available", "available"]


def test_a_wrong_password_is_told(tmp_path: Path, server: StandIn) -> None:
    ask(server, "PUT", "/queue")
    status, said = compact(tmp_path, server, password="wrong")
    assert status == 1
    assert "refuses to compact queue: 401" in said


def test_a_server_that_is_gone_is_told(tmp_path: Path, server: StandIn) -> None:
    server.kill()
    status, said = compact(tmp_path, server)
    assert status == 1
    assert "does not answer" in said and "see whether it runs" in said
