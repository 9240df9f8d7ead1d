# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waiting for jobs: what their status is, what is told of them, and a wait that nothing disturbs: no archive, no outage, no new database."""

from __future__ import annotations

import json
import queue
import threading
import time

import pytest
from couchdb.launch import StandIn
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import (
    AuthenticationFailed,
    ConnectionFailed,
    InvalidInput,
    JobFailed,
    JobTimeout,
    StorageFailed,
)
from ansible_collections.ganeti.cluster.plugins.module_utils.api.cluster import FINAL_STATUS
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.cluster import wait_for_jobs
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb.client import Client, path
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb.storage import CouchStorage

from ..samples import configuration
from ..servers import of_url

STATUSES = ["queued", "waiting", "canceling", "running", "canceled", "success", "error"]


def job(number, *statuses, **changes):
    """A job with opcodes of these statuses, as Ganeti 3.0.2 writes it."""
    ops = [{"input": {"OP_ID": "OP_TEST_DELAY", "duration": 0.5}, "status": each, "result": None, "log": []} for each in statuses]
    return {"id": number, "ops": ops, "received_timestamp": [1795272345, 500000], "start_timestamp": None, "end_timestamp": None, **changes}


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (["queued", "queued"], "queued"),
        (["success", "queued"], "queued"),
        (["success", "waiting", "queued"], "waiting"),
        (["success", "running", "queued"], "running"),
        (["success", "success"], "success"),
        (["success", "error", "error"], "error"),
        (["canceled", "error"], "canceled"),
        (["canceling", "queued"], "canceling"),
        ([], "success"),
    ],
)
def test_a_jobs_status(statuses, expected):
    assert wait_for_jobs.status(job(1, *statuses)) == expected


@given(st.lists(st.sampled_from(STATUSES), min_size=1))
def test_a_status_is_final_just_where_ganeti_calls_it_so(statuses):
    """The rule in other words than the code's: the first that ends it all, or else all of them."""
    found = wait_for_jobs.status(job(1, *statuses))
    first = next((each for each in statuses if each in ("error", "canceled", "canceling")), None)
    assert found == first if first else (found == "success") == (set(statuses) == {"success"})
    assert wait_for_jobs.reached(found, "ended") == (found in FINAL_STATUS)
    assert not wait_for_jobs.reached(found, "ended") or wait_for_jobs.reached(found, "running")
    assert not wait_for_jobs.reached(found, "running") or wait_for_jobs.reached(found, "waiting")


def test_what_is_told_holds_neither_inputs_nor_results():
    op = {
        "input": {"OP_ID": "OP_INSTANCE_CREATE", "instance_name": "web1", "osparams_private": {"key": "moonlight"}},
        "status": "error",
        "result": ["OpExecError", ["OS says: moonlight is no key"]],
        "log": [[1, [1795272346, 0], "message", "with moonlight"], [2, [1795272346, 1], "remote-import", {"magic": "sesame"}]],
        "start_timestamp": [1795272346, 250000],
        "end_timestamp": [1795272347, 0],
    }
    told = wait_for_jobs.describe(7, job(7, ops=[op]), False)
    assert "moonlight" not in json.dumps(told) and "sesame" not in json.dumps(told)
    assert told["opcodes"] == [
        {"summary": "INSTANCE_CREATE(web1)", "status": "error", "started": 1795272346.25, "ended": 1795272347.0,
         "log": ["with ********"], "error": "OS says: ******** is no key"},
    ]  # fmt: skip
    assert (told["received"], told["started"], told["ended"]) == (1795272345.5, None, None)


@pytest.mark.parametrize(
    ("given_input", "expected"),
    [
        ({"OP_ID": "OP_TEST_DELAY", "duration": 0.5}, "TEST_DELAY(0.5)"),
        ({"OP_ID": "OP_NODE_SET_PARAMS", "node_name": "n1"}, "NODE_SET_PARAMS(n1)"),
        ({"OP_ID": "OP_CLUSTER_VERIFY"}, "CLUSTER_VERIFY"),
        ({"OP_ID": "OP_CLUSTER_RENAME", "name": "c"}, "CLUSTER_RENAME(c)"),
        ({}, "UNKNOWN"),
    ],
)
def test_an_opcode_in_a_word(given_input, expected):
    assert wait_for_jobs.summary(given_input) == expected


@pytest.fixture
def watcher(servers, couch):
    """Makes watchers of jobs."""
    clients = []

    def make(*numbers):
        clients.append(Client(servers[0]))
        return wait_for_jobs.JobWatcher(CouchStorage(clients[-1], couch.database("")), numbers)

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def later(servers, couch):
    """Does something to the storage a moment later, with a connection of its own."""
    threads = []

    def do(*actions):
        def run():
            storage = CouchStorage(Client(servers[0]), couch.database(""))
            for action in actions:
                time.sleep(0.1)
                action(storage)
            storage.close()

        threads.append(threading.Thread(target=run))
        threads[-1].start()

    yield do
    for thread in threads:
        thread.join()


def test_jobs_that_have_ended_are_told_at_once(couch, watcher, monkeypatch):
    couch.write_jobs({7: job(7, "success"), 8: job(8, "error"), 9: job(9, "queued")})
    couch.write_jobs({5: job(5, "success")}, archived=True)
    found, asked = watcher(8, 5, 7), []
    listen = found._listen
    monkeypatch.setattr(found, "_listen", lambda seconds: asked.append(seconds) or listen(seconds))
    told = found.wait("ended", 60)
    assert {number: (each["status"], each["archived"]) for number, each in told.items()} == {
        8: ("error", False), 5: ("success", True), 7: ("success", False),
    }  # fmt: skip
    assert asked == [0.0], "nothing is waited for"


def test_a_change_ends_the_wait(couch, watcher, later):
    couch.write_jobs({7: job(7, "queued"), 8: job(8, "running")})
    later(
        lambda storage: storage.write_jobs({7: job(7, "running"), 9: job(9, "success")}),
        lambda storage: storage.write_jobs({8: job(8, "success")}),
        lambda storage: storage.write_jobs({7: job(7, "canceled")}),
    )
    assert watcher(7).wait("running", 30)[7]["status"] == "running"
    assert {each["status"] for each in watcher(7, 8).wait("ended", 30).values()} == {"canceled", "success"}


@pytest.mark.parametrize("archive_first", [True, False])
def test_a_job_that_is_archived_meanwhile_is_found_there(couch, watcher, later, archive_first):
    """On a standby either database may be the first to have the news."""
    couch.write_jobs({7: job(7, "running")})
    moves = [lambda storage: storage.write_jobs({7: job(7, "success")}, archived=True), lambda storage: storage.remove_jobs([7])]
    later(*(moves if archive_first else moves[::-1]))
    told = watcher(7).wait("ended", 30)[7]
    assert (told["status"], told["archived"]) == ("success", True)


def test_a_new_job_may_be_on_its_way(couch, watcher, later):
    later(lambda storage: storage.write_jobs({7: job(7, "success")}))
    assert watcher(7).wait("ended", 30)[7]["status"] == "success"


def test_jobs_that_are_not_there_are_refused(couch, watcher, monkeypatch):
    monkeypatch.setattr(wait_for_jobs, "_ARRIVAL", 0.2)
    monkeypatch.setattr(wait_for_jobs, "_HURRY", 0.05)
    couch.write_jobs({7: job(7, "success")})
    couch.write_serial(7)
    with pytest.raises(InvalidInput, match=r"There is no job 8, 12 in .*: it never was, or was removed; the last id given out is 7\."):
        watcher(7, 8, 12).wait("ended", 60)
    couch.write_jobs({7: job(7, "running")})
    found = watcher(7)
    with pytest.raises(JobTimeout, match=r"Not all jobs are ended after 0.3 s: 7 is running\."):
        found.wait("ended", 0.3)
    couch.remove_jobs([7])
    with pytest.raises(InvalidInput, match="removed before it was seen to end"):
        found.wait("ended", 60)


def test_a_database_that_was_made_anew_is_read_anew(servers, couch, watcher):
    couch.write_jobs({7: job(7, "running")})
    found = watcher(7)
    with pytest.raises(JobTimeout):
        found.wait("ended", 0.1)
    found._feed._since = "not-of-this-database"
    couch.write_jobs({7: job(7, "success")})
    assert found.wait("ended", 30)[7]["status"] == "success"
    with pytest.raises(StorageFailed, match="404"):
        wait_for_jobs.JobWatcher(CouchStorage(Client(servers[0]), "nowhere_"), [7]).wait("ended", 5)


def test_a_document_of_somebody_else_is_no_job(servers, couch, watcher):
    client = Client(servers[0])
    client.put(path(couch.database("queue"), "7"), {"info": {"id": 8, "ops": []}})
    client.close()
    with pytest.raises(StorageFailed, match="somebody else than Ganeti's storage wrote it"):
        watcher(7).wait("ended", 5)


def test_a_server_that_is_away_for_a_while_is_waited_for(tmp_path, monkeypatch):
    stand_in = StandIn(tmp_path / "couchdb", volatile=True)
    server = of_url(stand_in.url)
    storage = CouchStorage(Client(server))
    storage.prepare()
    storage.write_jobs({7: job(7, "running")})
    problems, step = queue.Queue(), wait_for_jobs.JobWatcher._step

    def noted(self, *arguments):
        problem = step(self, *arguments)
        problems.put(problem)
        return problem

    def outage():
        while problems.get(timeout=60) is not None:
            pass
        stand_in.kill()
        while problems.get(timeout=60) is None:
            pass
        stand_in.start()
        storage.write_jobs({7: job(7, "success")})

    monkeypatch.setattr(wait_for_jobs, "_PAUSE", 0.05)
    monkeypatch.setattr(wait_for_jobs.JobWatcher, "_step", noted)
    thread = threading.Thread(target=outage)
    thread.start()
    try:
        with Client(server) as client:
            assert wait_for_jobs.JobWatcher(CouchStorage(client), [7]).wait("ended", 60)[7]["status"] == "success"
        thread.join()
        stand_in.kill()
        with Client(server) as client, pytest.raises(ConnectionFailed, match="does not answer"):
            wait_for_jobs.JobWatcher(CouchStorage(client), [7]).wait("ended", 0.1)
    finally:
        storage.close()
        stand_in.kill()


def options(servers, **changes):
    """The module's parameters."""
    server = {"url": servers[0].url, "username": servers[0].username, "password": servers[0].password, "ca_path": None}
    asked = {"jobs": [7], "wait": True, "until": "ended", "timeout": 5, "fail": None}
    return {**asked, "server": server, "etcd": None, "settings_file": "/nowhere", "cluster_name": None, **changes}


def test_a_failed_job_fails_the_task_unless_told_otherwise(servers):
    told = {"id": 7, "status": "error", "opcodes": [{"summary": "CLUSTER_VERIFY", "status": "error", "error": "disk is full."}]}
    cancelled = {"id": 8, "status": "canceled", "opcodes": [{"summary": "TEST_DELAY(1)", "status": "canceled", "error": "was"}]}
    with pytest.raises(JobFailed, match=r"^Job 7 \(CLUSTER_VERIFY\) failed: disk is full; Job 8 \(TEST_DELAY\(1\)\) was cancelled\.$") as caught:
        wait_for_jobs.check({"jobs": [told, cancelled, {"id": 9, "status": "success", "opcodes": []}], "server": "x"})
    assert [each["id"] for each in caught.value.details["jobs"]] == [7, 8, 9]


def test_without_waiting_a_failed_job_is_told(couch, servers, tmp_path):
    file = tmp_path / "couchdb.json"
    described = {"a1": options(servers)["server"]}
    file.write_text(json.dumps({"name": "a1", "servers": described, "prefix": couch.database("")}))
    file.chmod(0o600)
    couch.write_configuration(configuration())
    couch.write_jobs({7: job(7, "error"), 8: job(8, "running"), 9: job(9, "queued")})
    asked = options(servers, server=None, settings_file=str(file), jobs=[9, 7, 8], wait=False)
    assert [each["status"] for each in wait_for_jobs.tell(asked)["jobs"]] == ["queued", "error", "running"]
    assert wait_for_jobs.tell({**asked, "cluster_name": "alpha.lab.example"})["server"] == servers[0].url
    with pytest.raises(JobFailed, match="Job 7"):
        wait_for_jobs.tell({**asked, "fail": True})
    with pytest.raises(JobFailed, match="Job 7"):
        wait_for_jobs.tell({**asked, "jobs": [7], "wait": True})
    assert wait_for_jobs.tell({**asked, "jobs": [7], "wait": True, "fail": False})["jobs"][0]["status"] == "error"
    with pytest.raises(InvalidInput, match=r"are of alpha\.lab\.example, not of beta\.lab\.example"):
        wait_for_jobs.tell({**asked, "cluster_name": "beta.lab.example"})
    with pytest.raises(InvalidInput, match=r"are of alpha\.lab\.example"):  # before anybody waits for a job there
        wait_for_jobs.tell({**asked, "cluster_name": "beta.lab.example", "jobs": [8, 99], "wait": True})


def test_what_makes_no_sense_is_refused(servers):
    for changes, words in (({"jobs": []}, "Nothing is no job's id"), ({"jobs": [7, 0, -1]}, "0, -1 is no job's id"), ({"timeout": -1}, "timeout is -1")):
        with pytest.raises(InvalidInput, match=words):
            wait_for_jobs.tell(options(servers, **changes))
    with pytest.raises(InvalidInput, match="/nowhere is not there"):
        wait_for_jobs.tell(options(servers, server=None))
    wrong = {**options(servers)["server"], "password": "wr0ng"}
    with pytest.raises(AuthenticationFailed) as caught:
        wait_for_jobs.tell(options(servers, server=wrong))
    assert "wr0ng" not in caught.value.message
