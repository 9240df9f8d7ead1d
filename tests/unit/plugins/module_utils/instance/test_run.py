# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The order of things around the plan, with a cluster that is told what becomes of a job."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import GanetiError, InvalidInput
from ansible_collections.ganeti.cluster.plugins.module_utils.api.cluster import Cluster, JobChange
from ansible_collections.ganeti.cluster.plugins.module_utils.api.instances import FIELDS
from ansible_collections.ganeti.cluster.plugins.module_utils.instance import run

from .samples import INFO, NAME, params

WAY = {"transport": "rapi", "address": "alpha", "cluster_name": None, "ssh": {}, "rapi": {}, "lock_timeout": 1, "job_timeout": 1}
MADE: dict[str, t.Any] = {"os": "noop", "disks": [{"name": "root", "size": 64}], "beparams": {"vcpus": 1}}


class Told(Cluster):
    """A cluster with one instance at most, which takes jobs about it, or only says so."""

    transport, address = "rapi", "alpha"

    def __init__(self, takes: bool = True) -> None:
        self.row: t.Optional[dict[str, t.Any]] = None
        self.takes = takes
        self.submitted: list[t.Any] = []
        self.result: t.Any = None

    def info(self) -> dict[str, t.Any]:
        return dict(INFO)

    def query(self, what: str, fields: t.Any, qfilter: t.Any = None) -> list[dict[str, t.Any]]:
        return [dict(self.row)] if self.row else []

    def submit(self, opcodes: t.Any) -> int:
        (op,) = opcodes
        self.submitted.append(op)
        if self.takes and not op.get("dry_run"):
            getattr(self, op["OP_ID"].lower())(op)
        return 1

    def op_instance_create(self, op: t.Any) -> None:
        self.row = {
            **dict.fromkeys(FIELDS), "name": op["instance_name"], "uuid": "u", "oper_state": False, "admin_state": "down", "os": op["os_type"],
            "hypervisor": "fake", "disk_template": "file", "custom_beparams": op["beparams"], "beparams": INFO["beparams"]["default"],
            "disk.names": [disk["name"] for disk in op["disks"]], "disk.uuids": ["d0"], "disk.sizes": [disk["size"] for disk in op["disks"]],
        }  # fmt: skip

    def op_instance_startup(self, op: t.Any) -> None:
        assert self.row
        self.row.update(oper_state=True, admin_state="up")

    def op_instance_remove(self, op: t.Any) -> None:
        self.row = None

    def op_instance_query_data(self, op: t.Any) -> None:
        self.result = {NAME: {"disks": [{"uuid": "d0", "mode": "ro"}]}}

    def job(self, job_id: int) -> t.Any:
        end = "success"
        return {"id": 1, "status": end, "summary": ["X"], "opstatus": [end], "opresult": [self.result], "oplog": [[]], "received": 0, "start": 0, "end": 0}

    def wait_for_job_change(self, *args: t.Any) -> t.Any:
        return JobChange("success", [])

    def cancel(self, job_id: int) -> tuple[bool, str]:
        return False, ""

    def close(self) -> None:
        pass


@pytest.fixture
def ensure(monkeypatch: pytest.MonkeyPatch) -> t.Any:
    monkeypatch.setattr(run.time, "sleep", lambda seconds: None)

    def call(cluster: Cluster, check_mode: bool = False, **given: t.Any) -> dict[str, t.Any]:
        monkeypatch.setattr(run, "connect", lambda options: cluster)
        return run.ensure({**WAY, "name": "WEB1.example.com.", **params(**given)}, check_mode)

    return call


def test_made_once_and_removed_once(ensure: t.Any) -> None:
    cluster = Told()
    made = ensure(cluster, state="started", **MADE)
    assert made["changed"] and made["instance"]["name"] == NAME and made["instance"]["oper_state"] is True
    assert [op["OP_ID"] for op in cluster.submitted] == ["OP_INSTANCE_CREATE", "OP_INSTANCE_STARTUP"]
    assert not ensure(cluster, state="started", **MADE)["changed"] and len(cluster.submitted) == 2
    assert ensure(cluster, check_mode=True, state="absent")["changed"] and cluster.row
    gone = ensure(cluster, state="absent")
    assert gone["changed"] and gone["instance"] is None and not ensure(cluster, state="absent")["changed"]


def test_check_mode_lets_ganeti_rehearse(ensure: t.Any) -> None:
    cluster = Told()
    assert ensure(cluster, check_mode=True, state="started", **MADE)["changed"] and cluster.row is None
    assert [(op["OP_ID"], op["dry_run"]) for op in cluster.submitted] == [("OP_INSTANCE_CREATE", True)]


def test_a_job_that_changes_nothing_is_no_success(ensure: t.Any) -> None:
    cluster = Told()
    ensure(cluster, **MADE)
    cluster.takes = False
    with pytest.raises(GanetiError, match=f"did not take beparams.vcpus, tags of {NAME}"):
        ensure(cluster, beparams={"vcpus": 2}, tags=["x"])
    cluster.row = None
    with pytest.raises(GanetiError, match="was there a moment ago and is gone"):
        ensure(cluster, **MADE)


def test_over_the_remote_api_modes_take_a_job_and_private_parameters_cannot_be_compared(ensure: t.Any) -> None:
    cluster = Told()
    ensure(cluster, osparams_private={"key": "hush"}, **MADE)
    assert ensure(cluster, disks=[{"name": "root", "mode": "ro"}])["changed"] is False
    assert cluster.submitted[-1]["OP_ID"] == "OP_INSTANCE_QUERY_DATA"
    with pytest.raises(InvalidInput, match="cannot be read over RAPI"):
        ensure(cluster, osparams_private={"key": "hush"})


def test_names_are_looked_at_before_anybody_is_asked(ensure: t.Any) -> None:
    with pytest.raises(InvalidInput, match="is not a host name"):
        run.ensure({**WAY, **params(), "name": "a/b"}, False)
