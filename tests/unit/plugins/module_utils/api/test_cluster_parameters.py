# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The order of things around the table, with a cluster that is told how to fail. What Ganeti really does is tested on the lab."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import GanetiError, InvalidInput, JobFailed, PreflightFailed
from ansible_collections.ganeti.cluster.plugins.module_utils.api import cluster_parameters, parameters
from ansible_collections.ganeti.cluster.plugins.module_utils.api.cluster import Cluster, JobChange

BASE = {"transport": "rapi", "address": "alpha", "cluster_name": None, "ssh": {}, "rapi": {}, "lock_timeout": 1, "job_timeout": 1}


class Told(Cluster):
    """A cluster with a few parameters. ``takes`` says which it stores before the job ends in ``end``."""

    transport, address = "rapi", "alpha"

    def __init__(self, takes: t.Any = None, end: str = "success") -> None:
        self.parameters: dict[str, t.Any] = {"name": "alpha", "candidate_pool_size": 10, "max_running_jobs": 20, "enabled_hypervisors": ["kvm", "fake"]}
        self.takes = takes
        self.end = end
        self.submitted: list[t.Any] = []

    def info(self) -> dict[str, t.Any]:
        return dict(self.parameters)

    def query(self, what: str, fields: t.Any, qfilter: t.Any = None) -> list[dict[str, t.Any]]:
        return [{"name": "inst1", "hypervisor": "fake"}]

    def submit(self, opcodes: t.Any) -> int:
        self.submitted += opcodes
        for name, value in opcodes[0].items():
            if not opcodes[0].get("dry_run") and (self.takes is None or name in self.takes):
                self.parameters[name] = value
        return 1

    def job(self, job_id: int) -> t.Any:
        result = ["OpExecError", ["the disk is full"]] if self.end == "error" else None
        return {"id": 1, "status": self.end, "summary": ["X"], "opstatus": [self.end], "opresult": [result], "oplog": [[]], "received": 0, "start": 0, "end": 0}

    def wait_for_job_change(self, *args: t.Any) -> t.Any:
        return JobChange(self.end, [])

    def cancel(self, job_id: int) -> tuple[bool, str]:
        return False, ""

    def close(self) -> None:
        pass


@pytest.fixture
def ensure(monkeypatch: pytest.MonkeyPatch) -> t.Any:
    def run(cluster: Cluster, check_mode: bool = False, **given: t.Any) -> dict[str, t.Any]:
        monkeypatch.setattr(cluster_parameters, "connect", lambda options: cluster)
        return cluster_parameters.ensure({**dict.fromkeys(parameters.BY_NAME), **BASE, **given}, check_mode)

    return run


def test_a_change_and_then_none(ensure: t.Any) -> None:
    cluster = Told()
    changed = ensure(cluster, candidate_pool_size="3", max_running_jobs="20")
    assert changed["changed"] and changed["diff"] == {"before": {"candidate_pool_size": 10}, "after": {"candidate_pool_size": 3}}
    assert changed["parameters"] == {"candidate_pool_size": 3, "max_running_jobs": 20}
    assert not ensure(cluster, candidate_pool_size="3")["changed"]
    assert cluster.submitted == [{"OP_ID": "OP_CLUSTER_SET_PARAMS", "candidate_pool_size": 3}]


def test_check_mode_lets_ganeti_rehearse(ensure: t.Any) -> None:
    cluster = Told()
    assert ensure(cluster, check_mode=True, candidate_pool_size="3")["changed"]
    assert cluster.submitted == [{"OP_ID": "OP_CLUSTER_SET_PARAMS", "candidate_pool_size": 3, "dry_run": True}]
    assert cluster.parameters["candidate_pool_size"] == 10


def test_success_that_changed_nothing_is_a_failure(ensure: t.Any) -> None:
    with pytest.raises(GanetiError, match="did not take candidate_pool_size") as caught:
        ensure(Told(takes=["max_running_jobs"]), candidate_pool_size="3", max_running_jobs="7")
    assert caught.value.details["not_taken"] == ["candidate_pool_size"]


def test_a_failure_halfway_says_what_is_in_force(ensure: t.Any) -> None:
    with pytest.raises(JobFailed, match="the disk is full") as caught:
        ensure(Told(takes=["max_running_jobs"], end="error"), candidate_pool_size="3", max_running_jobs="7")
    assert caught.value.details["applied"] == ["max_running_jobs"]
    assert caught.value.message.endswith("These are in force all the same: max_running_jobs.")


def test_a_hypervisor_in_use_stays(ensure: t.Any) -> None:
    cluster = Told()
    with pytest.raises(PreflightFailed, match=r"instances use: inst1 \(fake\)"):
        ensure(cluster, enabled_hypervisors=["kvm"])
    assert not cluster.submitted


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "No parameter"),
        ({"allow_cipher_bypassing": False}, "allow_cipher_bypassing cannot be set or read over RAPI"),
        ({"transport": "luxi", "tags": []}, "transport luxi reaches only the host"),
    ],
)
def test_nothing_is_connected_to_for_what_makes_no_sense(monkeypatch: pytest.MonkeyPatch, given: dict[str, t.Any], words: str) -> None:
    def connect(options: t.Any) -> Cluster:
        raise AssertionError("connected")

    monkeypatch.setattr(cluster_parameters, "connect", connect)
    with pytest.raises(InvalidInput, match=words):
        cluster_parameters.ensure({**dict.fromkeys(parameters.BY_NAME), **BASE, **given}, False)
