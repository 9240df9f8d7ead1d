# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waiting for real jobs with the standby's database alone: while they run, while they are archived, and while the database is away."""

from __future__ import annotations

import re
import time

import pytest

from .databases import PORTS
from .lab import side_by_side

pytestmark = pytest.mark.on("gamma")


@pytest.fixture
def wait(site, followed):
    """Runs the module against the standby's database, for jobs that were just submitted."""
    standby = {key: value for key, value in followed.servers()[1].items() if key != "node"}

    def run(*jobs, **arguments):
        return site.module("job_info", {"jobs": list(jobs), "wait": True, "server": standby, "timeout": 60, **arguments})

    return run


def submit(site, *argv):
    """The id of a job that was submitted."""
    command, action, *words = argv
    return int(site.master(command, action, "--submit", "--print-jobid", *words))


def test_jobs_that_run_succeed_and_fail(site, wait):
    slow = site.ganeti.hold()
    try:
        running = wait(slow, until="running")
        assert not running["failed"] and not running["changed"] and running["jobs"][0]["status"] == "running", running
        looked = wait(slow, wait=False)
        assert not looked["failed"] and looked["jobs"][0]["status"] == "running", looked
        early = wait(slow, timeout=1)
        assert early["failed"] and f"Not all jobs are ended after 1 s: {slow} is running" in early["msg"], early
    finally:
        site.ganeti.let_go(slow)
    done = wait(slow)
    assert done["jobs"][0]["status"] == "success" and done["jobs"][0]["opcodes"][0]["summary"] == "TEST_DELAY(600.0)", done
    assert 600 > done["jobs"][0]["ended"] - done["jobs"][0]["started"] >= 1 and done["server"].endswith(f":{PORTS[1]}")

    bad = submit(site, "gnt-network", "remove", "no-such-network")
    failed = wait(slow, bad)
    assert failed["failed"] and re.search(rf"Job {bad} \(NETWORK_REMOVE\(no-such-network\)\) failed: .*not found", failed["msg"]), failed
    assert [each["status"] for each in failed["jobs"]] == ["success", "error"]
    assert not wait(slow, bad, fail=False)["failed"] and not wait(slow, bad, wait=False)["failed"]
    strange = wait(slow, wait=False, cluster_name="alpha.lab.example")
    assert strange["failed"] and f"are of {site.full}, not of alpha.lab.example" in strange["msg"], strange


def test_a_job_that_is_archived_while_the_database_is_away(site, followed, wait):
    job = site.ganeti.hold()
    assert wait(job, until="running")["jobs"][0]["status"] == "running"

    def disturb():
        followed.stop(PORTS[1])
        site.ganeti.let_go(job)
        site.master("gnt-job", "archive", str(job))
        time.sleep(2)  # so that the module meets a server that is away; whether it does decides nothing
        followed.start(PORTS[1])

    told = []
    side_by_side(disturb, lambda: told.append(wait(job, timeout=180)))
    (told,) = told
    assert not told["failed"] and (told["jobs"][0]["status"], told["jobs"][0]["archived"]) == ("success", True), told


def test_private_parameters_are_not_told(site, wait, resident_name):
    """They are in the job's file and in the database."""
    made = ["-t", "file", "--disk=0:size=64M", "-o", "noop", "--no-install", "-n", site.hosts[1], "--no-ip-check", "--no-name-check", "--no-start"]
    job = submit(site, "gnt-instance", "add", *made, "--os-parameters-private", "region=moonlight", resident_name)
    told = wait(job)
    assert told["jobs"][0]["opcodes"][0]["summary"] == f"INSTANCE_CREATE({resident_name})" and "moonlight" not in told["shown"], told


def test_what_is_refused(site, followed, wait):
    unknown = wait(999999, timeout=3)
    assert unknown["failed"] and re.search(r"There is no job 999999 .*it never was, or was removed; the last id given out is \d+", unknown["msg"]), unknown
    senseless = wait(0)
    assert senseless["failed"] and "0 is no job's id" in senseless["msg"]
    bare = site.module("job_info", {"jobs": [1]}, on=2)
    assert bare["failed"] and "/etc/ganeti/couchdb.json is not there" in bare["msg"], bare
    own = site.module("job_info", {"jobs": [999999], "wait": True, "timeout": 1}, ["--check"])
    assert own["failed"] and f":{PORTS[0]}" in own["msg"] and followed.password not in own["shown"], own
