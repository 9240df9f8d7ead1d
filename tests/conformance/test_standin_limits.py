# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the stand-in has not, it refuses with 501 and says so. Real servers do these things, so this is for the stand-in only."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from .client import JSON, Database, Server

DIRECTORY = Path(__file__).resolve().parents[1] / "couchdb"
MISSING = [
    ("PUT", "/_design/a", {"views": {}}),
    ("GET", "/_design/a/_view/b", None),
    ("GET", "/_design_docs", None),
    ("GET", "/_local_docs", None),
    ("POST", "/_bulk_docs", {"docs": [{"_id": "_design/a"}]}),
    ("POST", "/_bulk_docs", {"docs": [{"_id": "_local/a"}]}),
    ("POST", "/_bulk_docs", {"docs": [], "all_or_nothing": True}),
    ("POST", "/_find", {"selector": {}}),
    ("POST", "/_index", {}),
    ("POST", "/_purge", {}),
    ("POST", "/_missing_revs", {}),
    ("POST", "/_all_docs/queries", {}),
    ("POST", "/_all_docs", {"keys": [], "limit": 1}),
    ("GET", "/_all_docs?startkey=5", None),
    ("GET", "/_all_docs?update_seq=true", None),
    ("PUT", "/a/attachment", {}),
    ("PUT", "/a", {"_attachments": {"x": {"data": ""}}}),
    ("PUT", "/a?batch=ok", {}),
    ("GET", "/a?attachments=true", None),
    ("COPY", "/a", None),
    ("GET", "/_changes?feed=continuous", None),
    ("GET", "/_changes?feed=eventsource", None),
    ("GET", "/_changes?filter=_view", None),
    ("GET", "/_changes?filter=app/mine", None),
    ("POST", "/_changes?filter=_selector", {"selector": {}}),
    ("GET", "/_changes?heartbeat=1000", None),
]


@pytest.mark.parametrize("method, path, value", MISSING, ids=[f"{method} {path}" for method, path, _value in MISSING])
def test_what_a_database_has_not(database: Database, method: str, path: str, value) -> None:
    answer = database.request(method, path, value)
    assert (answer.status, answer.value["error"]) == (501, "not_implemented")
    assert "stand-in" in answer.value["reason"]
    assert database.request("GET").value["doc_count"] == 0


@pytest.mark.parametrize("path", ["/_node/_local/_config", "/_membership", "/_db_updates", "/_utils/", "/_cluster_setup"])
def test_what_the_server_has_not(server: Server, path: str) -> None:
    assert server.request("GET", path).status == 501


@pytest.mark.parametrize("options", [{"selector": {}}, {"filter": "a/b"}, {"since_seq": "0"}])
def test_replications_that_it_has_not(server: Server, options: dict) -> None:
    body = {"source": "http://127.0.0.1:1/a", "target": "http://127.0.0.1:1/b", **options}
    assert server.request("PUT", "/_replicator/test", body).status == 501
    assert server.request("POST", "/_replicate", body).status == 501


def test_open_revisions_as_multipart(database: Database) -> None:
    database.put("a")
    assert database.request("GET", "/a?open_revs=all", headers={**JSON, "Accept": "*/*"}).status == 501


def test_it_says_what_it_is(server: Server) -> None:
    assert "stand-in" in server.request("GET", "/").value["vendor"]["name"]


@pytest.mark.parametrize("path", sorted(DIRECTORY.glob("*.py")), ids=lambda path: path.name)
def test_it_runs_with_python_alone(path: Path) -> None:
    tree = ast.parse(path.read_text(), feature_version=(3, 9))
    names = {alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {(node.module or "").split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and not node.level}
    assert names <= {*sys.stdlib_module_names, "couchdb"}
