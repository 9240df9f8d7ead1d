# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which servers have a job, asked of two; and what modules do with that."""

from __future__ import annotations

import io
import json

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import NotAcknowledged
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.cluster import wait_for_jobs
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb.client import Client
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb.storage import CouchStorage
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service import acknowledged, commands, settings

from ..samples import job


@pytest.fixture
def standby(servers, prefix):
    """The second server's storage."""
    storage = CouchStorage(Client(servers[1]), prefix)
    storage.prepare()
    yield storage
    storage.close()


@pytest.fixture
def chosen(servers, prefix, couch, standby, tmp_path):
    """Settings of a master that wants both servers to have a job."""
    described = {name: {"url": server.url, "username": server.username, "password": server.password} for name, server in zip(("a1", "a2"), servers)}
    terms = {"acknowledge": 2, "degrade": "refuse", "degrade_after": 0.0}
    file = tmp_path / "couchdb.json"
    file.write_text(json.dumps({"name": "a1", "servers": described, "prefix": prefix, **terms}))
    file.chmod(0o600)
    return settings.read(str(file))


def ask(chosen, status="success"):
    """What is told of job 5."""
    found = acknowledged.answer(chosen, {"job": 5, "status": status}, 0.0)
    assert (found["wanted"], found["degrade"], found["after"]) == (2, "refuse", 0.0)
    return found["has"], found["others"]


def test_who_has_a_job_is_asked_of_every_server(chosen, couch, standby):
    assert ask(chosen) == ([], {"a1": "has it not", "a2": "has it not"})
    couch.write_jobs({5: job(5)})
    standby.write_jobs({5: job(5, "running")})
    assert ask(chosen) == (["a1"], {"a2": "has it as running"}) and ask(chosen, "running") == (["a1", "a2"], {})
    standby.write_jobs({5: job(5)}, archived=True)
    assert ask(chosen) == (["a1", "a2"], {}), "it has ended there, and was archived"


def test_a_server_that_is_away_does_not_count(chosen, couch):
    couch.write_jobs({5: job(5)})
    away = {**chosen.options["servers"], "a2": {**chosen.options["servers"]["a2"], "url": "http://127.0.0.1:9"}}
    has, others = ask(chosen._replace(options={**chosen.options, "servers": away}))
    assert has == ["a1"] and "does not answer" in others["a2"]


def test_it_is_waited_for_where_it_is(chosen, couch, standby, monkeypatch):
    """The answer comes with the last server, not with the end of the moment."""
    couch.write_jobs({5: job(5)})
    monkeypatch.setattr(acknowledged.time, "sleep", lambda _seconds: standby.write_jobs({5: job(5)}))
    assert acknowledged.answer(chosen, {"job": 5, "status": "success"}, 3600.0)["has"] == ["a1", "a2"]


def test_where_nobody_is_waited_for_no_server_is_asked(chosen):
    away = chosen._replace(acknowledge=0, options={})
    assert acknowledged.answer(away, {"job": 5, "status": "success"}) == {"wanted": 0, "degrade": "refuse", "after": 0.0, "has": [], "others": {}}


def test_the_program_answers(chosen, couch, standby, monkeypatch):
    for storage in (couch, standby):
        storage.write_jobs({5: job(5)})
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps({"job": 5, "status": "success"})))
    assert json.loads(commands.fail_over(chosen, "acknowledged")) == {"wanted": 2, "degrade": "refuse", "after": 0.0, "has": ["a1", "a2"], "others": {}}


def test_job_info_tells_of_a_job_when_both_have_it(chosen, couch, standby, tmp_path, monkeypatch):
    monkeypatch.setattr(acknowledged.answer, "__defaults__", (0.0,))
    params = {"jobs": [5], "timeout": 5, "until": "ended", "wait": True, "fail": None, "server": None, "etcd": None,
              "settings_file": str(tmp_path / "couchdb.json"), "cluster_name": None}  # fmt: skip
    couch.write_jobs({5: job(5)})
    with pytest.raises(NotAcknowledged, match=r"Job 5 \(success\) is not on 2 servers within 0 s: a1 has it; a2: has it not"):
        wait_for_jobs.tell(params)
    standby.write_jobs({5: job(5)})
    assert wait_for_jobs.tell(params)["jobs"][0]["status"] == "success"
