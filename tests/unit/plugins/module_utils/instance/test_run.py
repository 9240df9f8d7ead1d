# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The order of things around the plan, with a cluster that is told what becomes of a job."""

from __future__ import annotations

import re
import typing as t

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import GanetiError, InvalidInput, JobFailed, JobTimeout, PreflightFailed
from ansible_collections.ganeti.cluster.plugins.module_utils.api import cluster_parameters
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
        self.jobs: list[dict[str, t.Any]] = []
        self.result: t.Any = None
        self.fails: t.Optional[str] = None
        self.refuses: t.Callable[[t.Any], bool] = lambda op: op["OP_ID"] == self.fails
        self.then: t.Callable[[t.Any], None] = lambda op: None

    def info(self) -> dict[str, t.Any]:
        return dict(INFO)

    def query(self, what: str, fields: t.Any, qfilter: t.Any = None) -> list[dict[str, t.Any]]:
        if what == "job":
            return self.jobs
        asked = re.findall(r"'name', '(.*?)'", str(qfilter))
        names = (self.row["name"], self.row["name"].partition(".")[0]) if self.row else ()
        return [dict(self.row)] if self.row and (not asked or {*names} & {*asked}) else []

    def submit(self, opcodes: t.Any) -> int:
        (op,) = opcodes
        self.submitted.append(op)
        if self.takes and not op.get("dry_run") and not self.refuses(op):
            getattr(self, op["OP_ID"].lower())(op)
        self.then(op)
        return 1

    def op_instance_shutdown(self, op: t.Any) -> None:
        assert self.row
        self.row.update(oper_state=False, admin_state="down")

    def op_instance_set_params(self, op: t.Any) -> None:
        assert self.row
        self.row["custom_beparams"] = {**self.row["custom_beparams"], **op.get("beparams", {})}
        for how, _index, given in op.get("nics", ()):
            assert how == "add" and given == {"name": "eth1"}
            self.row.update({"nic.names": [None, "eth1"], "nic.uuids": ["n0", "n1"]})

    def op_tags_set(self, op: t.Any) -> None:
        assert self.row and self.row["name"] == op["name"]
        self.row["tags"] = [*self.row["tags"], *op["tags"]]

    def op_instance_rename(self, op: t.Any) -> None:
        assert self.row and self.row["oper_state"] is False
        self.row["name"] = self.result = f"{op['new_name'].partition('.')[0]}.example.com" if op["name_check"] else op["new_name"]

    def op_instance_reinstall(self, op: t.Any) -> None:
        assert self.row and self.row["oper_state"] is False
        self.row["os"] = op["os_type"]

    def op_instance_create(self, op: t.Any) -> None:
        self.row = {
            **dict.fromkeys(FIELDS), "name": op["instance_name"], "uuid": "u", "oper_state": False, "admin_state": "down", "os": op["os_type"],
            "hypervisor": "fake", "disk_template": "file", "custom_beparams": op["beparams"], "beparams": INFO["beparams"]["default"],
            "tags": op["tags"],
            "disk.names": [disk["name"] for disk in op["disks"]], "disk.uuids": ["d0"], "disk.sizes": [disk["size"] for disk in op["disks"]],
        }  # fmt: skip

    def op_tags_del(self, op: t.Any) -> None:
        assert self.row
        self.row["tags"] = [tag for tag in self.row["tags"] if tag not in op["tags"]]

    def op_instance_startup(self, op: t.Any) -> None:
        assert self.row
        self.row.update(oper_state=True, admin_state="up")

    def op_instance_remove(self, op: t.Any) -> None:
        self.row = None

    def op_instance_query_data(self, op: t.Any) -> None:
        self.result = {NAME: {"disks": [{"uuid": "d0", "mode": "ro"}]}}

    def job(self, job_id: int) -> t.Any:
        end = "error" if self.refuses(self.submitted[-1]) else "success"
        return {"id": 1, "status": end, "summary": ["X"], "opstatus": [end], "opresult": [self.result], "oplog": [[]], "received": 0, "start": 0, "end": 0}

    def wait_for_job_change(self, *args: t.Any) -> t.Any:
        return JobChange(self.job(1)["status"], [])

    def cancel(self, job_id: int) -> tuple[bool, str]:
        return False, ""

    def close(self) -> None:
        pass


@pytest.fixture
def ensure(monkeypatch: pytest.MonkeyPatch) -> t.Any:
    monkeypatch.setattr(run.time, "sleep", lambda seconds: None)

    def call(cluster: Cluster, check_mode: bool = False, **given: t.Any) -> dict[str, t.Any]:
        monkeypatch.setattr(cluster_parameters, "connect", lambda options: cluster)
        return run.ensure({**WAY, "name": "WEB1.example.com.", **params(**given)}, check_mode)

    return call


def test_made_once_and_removed_once(ensure: t.Any) -> None:
    cluster = Told()
    made = ensure(cluster, state="started", **MADE)
    assert made["changed"] and made["instance"]["name"] == NAME and made["instance"]["oper_state"] is True
    assert [op["OP_ID"] for op in cluster.submitted] == ["OP_INSTANCE_CREATE", "OP_TAGS_DEL", "OP_INSTANCE_STARTUP"]
    assert not ensure(cluster, state="started", **MADE)["changed"] and len(cluster.submitted) == 3
    assert ensure(cluster, check_mode=True, state="absent")["changed"] and cluster.row
    gone = ensure(cluster, state="absent")
    assert gone["changed"] and gone["instance"] is None and not ensure(cluster, state="absent")["changed"]


def test_one_whose_installation_failed_is_not_taken_for_made(ensure: t.Any) -> None:
    """Ganeti keeps it, with disks that are empty."""
    cluster = Told()
    cluster.fails = "OP_INSTANCE_CREATE"
    cluster.then = lambda op: cluster.op_instance_create(op) if op["OP_ID"] == "OP_INSTANCE_CREATE" else None
    with pytest.raises(GanetiError):
        ensure(cluster, state="started", **MADE)
    for state in ("started", "present", "stopped"):
        with pytest.raises(GanetiError, match=f"{NAME} was not made to its end.*state: absent.*remove-tags {NAME} ganeti-instance:unfinished"):
            ensure(cluster, state=state, **MADE)
    assert [op["OP_ID"] for op in cluster.submitted] == ["OP_INSTANCE_CREATE"] and ensure(cluster, state="absent")["changed"]


def test_one_that_was_stopped_meanwhile_is_not_restarted_for_what_is_pending(ensure: t.Any) -> None:
    cluster = Told()
    ensure(cluster, state="started", **MADE)
    cluster.then = lambda op: cluster.op_instance_shutdown(op) if op["OP_ID"] == "OP_INSTANCE_SET_PARAMS" else None
    with pytest.raises(GanetiError, match="does not run any more, and is not restarted for what is pending"):
        ensure(cluster, beparams={"vcpus": 2}, restart_if_pending=True)
    assert cluster.submitted[-1]["OP_ID"] == "OP_INSTANCE_SET_PARAMS"


def test_a_disk_that_has_another_index_by_now_does_not_grow(ensure: t.Any) -> None:
    cluster = Told()
    ensure(cluster, **MADE)
    assert cluster.row
    cluster.row.update({"disk.names": ["root", "data"], "disk.uuids": ["d0", "d1"], "disk.sizes": [64, 64]})

    def remove(op: t.Any) -> None:
        assert cluster.row
        cluster.row.update({"disk.names": ["data", "other"], "disk.uuids": ["d1", "d2"]})

    cluster.then = remove
    with pytest.raises(GanetiError, match="has other disks than a moment ago"):
        ensure(cluster, beparams={"vcpus": 2}, disks=[{"name": "data", "size": 128}])
    assert cluster.submitted[-1]["OP_ID"] == "OP_INSTANCE_SET_PARAMS"


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


def test_what_was_done_before_a_job_that_failed_is_told(ensure: t.Any) -> None:
    cluster = Told()
    ensure(cluster, state="started", **MADE)
    cluster.fails = "OP_INSTANCE_SET_PARAMS"
    with pytest.raises(GanetiError, match="Before that this was done: OP_INSTANCE_SHUTDOWN. The same task goes on from there."):
        ensure(cluster, state="stopped", beparams={"vcpus": 2})
    assert cluster.row and cluster.row["oper_state"] is False


def test_a_move_that_begins_between_two_jobs_is_left_alone(ensure: t.Any) -> None:
    cluster = Told()
    ensure(cluster, state="started", **MADE)

    def begin(op: t.Any) -> None:
        assert cluster.row
        cluster.row["tags"] = ["ganeti-move:0123456789abcdef:source:up"]

    cluster.then = begin
    with pytest.raises(GanetiError, match="takes part in move 0123456789abcdef.*nothing more was changed.*this was done: OP_INSTANCE_SHUTDOWN"):
        ensure(cluster, state="stopped", beparams={"vcpus": 2})
    assert [op["OP_ID"] for op in cluster.submitted][3:] == ["OP_INSTANCE_SHUTDOWN"]


def test_one_that_cannot_be_looked_at_after_its_job_was_changed_all_the_same(ensure: t.Any) -> None:
    cluster = Told()
    ensure(cluster, **MADE)

    def fall_silent(op: t.Any) -> None:
        assert cluster.row
        cluster.row["oper_state"] = None

    cluster.then = fall_silent
    with pytest.raises(GanetiError, match=f"{NAME} was changed, and is not as it should be: .*does not tell whether it runs") as told:
        ensure(cluster, state="started")
    assert "problems" not in told.value.details


@pytest.mark.parametrize(("said", "pending"), [("hotplug:done", []), ("hotplug:failed", ["nics.eth1"]), ("add:x", ["nics.eth1"])])
def test_a_device_is_plugged_if_ganeti_says_so(ensure: t.Any, said: str, pending: list[str]) -> None:
    cluster = Told()
    ensure(cluster, state="started", **MADE)
    assert cluster.row
    cluster.row.update({"nic.names": [None], "nic.uuids": ["n0"]})
    cluster.result = [["nic.1", "add:mac=x"], ["nic.1", said]]
    assert ensure(cluster, nics=[{}, {"name": "eth1"}], hotplug=True)["pending"] == pending


def test_growing_is_not_rehearsed_with_an_index_of_afterwards(ensure: t.Any) -> None:
    cluster = Told()
    ensure(cluster, **MADE)
    assert cluster.row
    cluster.row.update({"disk.names": ["root", "data"], "disk.uuids": ["d0", "d1"], "disk.sizes": [64, 64]})
    for gone, wanted in (([], ["OP_INSTANCE_GROW_DISK"]), ([{"name": "root", "state": "absent"}], ["OP_INSTANCE_SET_PARAMS"])):
        del cluster.submitted[:]
        ensure(cluster, check_mode=True, disks=[*gone, {"name": "data", "size": 128}])
        assert [op["OP_ID"] for op in cluster.submitted] == wanted and all(op["dry_run"] for op in cluster.submitted)


def test_over_the_remote_api_modes_take_a_job_and_private_parameters_cannot_be_compared(ensure: t.Any) -> None:
    cluster = Told()
    ensure(cluster, osparams_private={"key": "hush"}, **MADE)
    assert ensure(cluster, disks=[{"name": "root", "mode": "ro"}])["changed"] is False
    assert cluster.submitted[-1]["OP_ID"] == "OP_INSTANCE_QUERY_DATA"
    with pytest.raises(InvalidInput, match="cannot be read over RAPI"):
        ensure(cluster, osparams_private={"key": "hush"})


OTHER = "www.example.com"


def test_one_that_was_renamed_is_found_under_its_new_name(ensure: t.Any) -> None:
    cluster = Told()
    ensure(cluster, state="started", **MADE)
    del cluster.submitted[:]
    rehearsed = ensure(cluster, check_mode=True, new_name=OTHER, restart_if_pending=True)
    assert rehearsed["changed"] and cluster.submitted == [], "Ganeti would look at one that runs"
    renamed = ensure(cluster, new_name=OTHER, restart_if_pending=True)
    assert renamed["changed"] and renamed["instance"]["name"] == OTHER and renamed["instance"]["oper_state"] is True and renamed["instance"]["tags"] == []
    assert not ensure(cluster, new_name=OTHER, restart_if_pending=True)["changed"]
    with pytest.raises(InvalidInput, match="new_name is given with state absent"):
        ensure(cluster, new_name=OTHER, state="absent")


def test_a_short_name_that_ganeti_makes_whole_is_the_one_that_is_started(ensure: t.Any) -> None:
    cluster = Told()
    ensure(cluster, state="started", **MADE)
    renamed = ensure(cluster, new_name="www", name_check=True, restart_if_pending=True)
    assert renamed["instance"]["name"] == OTHER and renamed["instance"]["oper_state"] is True and renamed["instance"]["tags"] == []
    assert [op.get("instance_name") or op["name"] for op in cluster.submitted[-3:]] == [NAME, OTHER, OTHER]


def test_a_renaming_that_queries_tell_of_a_little_later_is_no_surprise(ensure: t.Any) -> None:
    cluster = Told()
    ensure(cluster, state="started", **MADE)
    query, late = cluster.query, ["once", "twice"]

    def lag(what: str, fields: t.Any, qfilter: t.Any = None) -> t.Any:
        rows = query(what, fields, qfilter)
        if cluster.submitted[-1]["OP_ID"] in ("OP_INSTANCE_RENAME", "OP_INSTANCE_STARTUP") and "uuid" in str(qfilter) and late:
            late.pop()
            return [{**row, "name": NAME} for row in rows]
        return rows

    cluster.query = lag  # type: ignore[method-assign]
    assert ensure(cluster, new_name=OTHER, restart_if_pending=True)["instance"]["name"] == OTHER and not late


def test_one_that_somebody_else_has_renamed_meanwhile_is_left_alone(ensure: t.Any) -> None:
    cluster = Told()
    ensure(cluster, **MADE)

    def rename(op: t.Any) -> None:
        assert cluster.row
        cluster.row["name"] = "theirs.example.com"

    cluster.then = rename
    with pytest.raises(GanetiError, match=f"theirs.example.com was {NAME} a moment ago: run the same task again; nothing more was changed"):
        ensure(cluster, beparams={"vcpus": 2}, new_name=OTHER)


def test_the_policy_of_the_group_is_asked_for_before_a_conversion(ensure: t.Any) -> None:
    cluster = Told()
    ensure(cluster, state="started", **MADE)
    query = cluster.query
    cluster.query = lambda what, *rest: [{"ipolicy": {"disk-templates": ["file"]}}] if what == "group" else query(what, *rest)  # type: ignore[method-assign]
    count = len(cluster.submitted)
    with pytest.raises(PreflightFailed, match="the policy of its node group allows file alone"):
        ensure(cluster, disk_template="plain", restart_if_pending=True)
    assert len(cluster.submitted) == count and not ensure(cluster, disk_template="file")["changed"]


def test_one_that_was_stopped_for_a_change_that_is_refused_is_started_again(ensure: t.Any) -> None:
    cluster = Told()
    ensure(cluster, state="started", **MADE)
    cluster.fails = "OP_INSTANCE_RENAME"
    with pytest.raises(GanetiError, match=f"{NAME} was stopped for it, and is started again. The same task goes on from there."):
        ensure(cluster, new_name=OTHER, restart_if_pending=True)
    assert cluster.row and cluster.row["oper_state"] is True and cluster.row["tags"] == [] and cluster.row["name"] == NAME


@pytest.fixture
def installed(ensure: t.Any, monkeypatch: pytest.MonkeyPatch) -> Told:
    """One that runs, on a cluster whose master can be asked for private OS parameters."""
    read = run.read
    cluster = Told()
    ensure(cluster, state="started", **MADE)
    del cluster.submitted[:]
    monkeypatch.setattr(run, "read", lambda *args: read(*args)._replace(private={}))
    monkeypatch.setattr(run, "sayable", lambda op, transport: op)
    return cluster


ANEW: dict[str, t.Any] = {"state": "reinstalled", "os": "debian", "restart_if_pending": True}


def test_an_installation_is_rehearsed_once_it_is_stopped(ensure: t.Any, installed: Told) -> None:
    assert ensure(installed, **ANEW)["instance"]["os"] == "debian"
    assert [(op["OP_ID"], op.get("dry_run")) for op in installed.submitted if "REINSTALL" in op["OP_ID"]] == [
        ("OP_INSTANCE_REINSTALL", True),
        ("OP_INSTANCE_REINSTALL", None),
    ]
    assert installed.row and installed.row["oper_state"] is True and installed.row["tags"] == [] and not ensure(installed, **ANEW)["changed"]


def test_check_mode_rehearses_an_installation_once(ensure: t.Any, installed: Told) -> None:
    ensure(installed, state="stopped")
    del installed.submitted[:]
    assert ensure(installed, check_mode=True, **ANEW)["changed"]
    assert [(op["OP_ID"], op["dry_run"]) for op in installed.submitted] == [("OP_INSTANCE_REINSTALL", True)]


def test_an_installation_that_is_refused_leaves_what_was_there_and_starts_it_again(ensure: t.Any, installed: Told) -> None:
    installed.refuses = lambda op: op.get("dry_run") is True
    with pytest.raises(GanetiError, match=f"rehearsal of OP_INSTANCE_REINSTALL.*: OP_TAGS_SET, OP_INSTANCE_SHUTDOWN. {NAME} .* is started again"):
        ensure(installed, **ANEW)
    assert installed.row and installed.row["oper_state"] is True and installed.row["tags"] == [] and installed.row["os"] == "noop"
    assert not ensure(installed, **{**ANEW, "os": "noop"})["changed"], "intact disks are not installed anew"


@pytest.mark.parametrize("error", [JobTimeout("Job 7 waited too long.", status="canceled"), JobFailed("Job 7 was cancelled: waited too long.")])
def test_an_installation_that_has_not_begun_leaves_no_mark(ensure: t.Any, installed: Told, monkeypatch: pytest.MonkeyPatch, error: GanetiError) -> None:
    once = run.jobs.run

    def late(cluster: t.Any, ops: t.Any, **how: t.Any) -> t.Any:
        if ops[0]["OP_ID"] == "OP_INSTANCE_REINSTALL" and not ops[0].get("dry_run"):
            raise error
        return once(cluster, ops, **how)

    monkeypatch.setattr(run.jobs, "run", late)
    with pytest.raises(type(error), match="waited too long.*and is started again"):
        ensure(installed, **ANEW)
    assert installed.row and installed.row["oper_state"] is True and installed.row["tags"] == []


def test_an_installation_that_has_failed_is_marked_and_not_started(ensure: t.Any, installed: Told) -> None:
    installed.refuses = lambda op: op["OP_ID"] == "OP_INSTANCE_REINSTALL" and not op.get("dry_run")
    with pytest.raises(GanetiError, match="OP_TAGS_SET, OP_INSTANCE_SHUTDOWN, OP_TAGS_SET. The same task"):
        ensure(installed, **ANEW)
    assert installed.row and installed.row["oper_state"] is False and installed.row["tags"] == ["ganeti-instance:stopped", "ganeti-instance:unfinished"]


def another_run(cluster: Told, at: str, **changes: t.Any) -> None:
    """Another run changes the instance while the job of the opcode *at* waits."""

    def then(op: t.Any) -> None:
        if op["OP_ID"] == at and cluster.row:
            cluster.then = lambda op: None
            cluster.row.update(changes)

    cluster.then = then


@pytest.mark.parametrize("at", ["OP_TAGS_SET", "OP_INSTANCE_SHUTDOWN", "OP_INSTANCE_REINSTALL"])
def test_what_another_run_has_installed_meanwhile_is_not_wiped(ensure: t.Any, installed: Told, at: str) -> None:
    another_run(installed, at, os="debian")
    with pytest.raises(GanetiError, match=f"{NAME} has another operating system than a moment ago: run the same task again; nothing more was changed"):
        ensure(installed, **ANEW)
    assert all(op.get("dry_run") for op in installed.submitted if op["OP_ID"] == "OP_INSTANCE_REINSTALL")
    assert installed.row and installed.row["oper_state"] is True
    del installed.submitted[:]
    ensure(installed, **ANEW)
    assert installed.row["tags"] == [] and "OP_INSTANCE_REINSTALL" not in [op["OP_ID"] for op in installed.submitted]


def test_what_another_run_is_installing_is_neither_wiped_nor_started(ensure: t.Any, installed: Told) -> None:
    """Of the same system, as no other is named."""
    another_run(installed, "OP_INSTANCE_SHUTDOWN", tags=["ganeti-instance:stopped", "ganeti-instance:unfinished"])
    with pytest.raises(GanetiError, match=f"{NAME} is being installed by somebody else, or was a moment ago: wait"):
        ensure(installed, state="reinstalled", restart_if_pending=True)
    assert [op["OP_ID"] for op in installed.submitted] == ["OP_TAGS_SET", "OP_INSTANCE_SHUTDOWN"]


def test_what_was_changed_since_the_look_is_not_installed_anew(ensure: t.Any, installed: Told) -> None:
    look, serials = installed.query, iter((3, 5))
    installed.query = lambda *asked: [{**row, "serial_no": next(serials)} for row in look(*asked)]  # type: ignore[method-assign]
    with pytest.raises(GanetiError, match=f"{NAME} was changed by somebody else a moment ago"):
        ensure(installed, state="reinstalled", restart_if_pending=True)
    assert not installed.submitted


@pytest.mark.parametrize("tag", ["ganeti-instance:stopped", "ganeti-instance:unfinished"])
def test_a_tag_is_no_proof_of_a_death_while_a_job_is_under_way(ensure: t.Any, installed: Told, tag: str) -> None:
    assert installed.row
    installed.row.update(oper_state=False, admin_state="down", tags=[tag])
    state = "present" if tag.endswith("stopped") else "reinstalled"
    installed.jobs = [{"id": 7, "summary": ["INSTANCE_SET_PARAMS(web1)"], "ops": [{"OP_ID": "OP_INSTANCE_SET_PARAMS", "instance_name": "web1"}]}]
    with pytest.raises(GanetiError, match=f"{NAME} was stopped for a change.*: 7 .INSTANCE_SET_PARAMS.web1... Another run may be at work on it: wait"):
        ensure(installed, state=state)
    assert not installed.submitted
    installed.jobs[0]["ops"][0]["instance_name"] = "web2"
    assert ensure(installed, state=state)["changed"] and installed.row["tags"] == []


@pytest.mark.parametrize(
    ("tags", "runs", "words"),
    [
        ([], True, f"{NAME} was stopped for it, and runs; another run was at work on it meanwhile"),
        (["ganeti-instance:stopped"], True, f"{NAME} was stopped for it, and runs, and has its tag still: Job 1 "),
        (["ganeti-instance:stopped"], False, f"{NAME} was stopped for it, and could not be started again: Job 1 "),
    ],
)
def test_whether_one_runs_that_another_run_has_started_is_told(ensure: t.Any, installed: Told, tags: list[str], runs: bool, words: str) -> None:
    installed.refuses = lambda op: op["OP_ID"] in ("OP_INSTANCE_RENAME", "OP_TAGS_DEL" if runs else "OP_INSTANCE_STARTUP")
    another_run(installed, "OP_INSTANCE_RENAME", oper_state=runs, admin_state="up" if runs else "down", tags=tags)
    with pytest.raises(GanetiError, match=words):
        ensure(installed, new_name=OTHER, restart_if_pending=True)


def test_a_run_that_dies_while_it_has_stopped_an_instance_leaves_it_to_the_next(ensure: t.Any) -> None:
    """At each of its jobs."""
    for last in ("OP_TAGS_SET", "OP_INSTANCE_SHUTDOWN", "OP_INSTANCE_RENAME", "OP_INSTANCE_STARTUP"):
        cluster = Told()
        ensure(cluster, state="started", **MADE)

        def die(op: t.Any, last: str = last) -> None:
            if op["OP_ID"] == last:
                raise KeyboardInterrupt

        cluster.then = die
        with pytest.raises(KeyboardInterrupt):
            ensure(cluster, new_name=OTHER, restart_if_pending=True)
        cluster.then = lambda op: None
        assert ensure(cluster, new_name=OTHER, restart_if_pending=True)["changed"]
        assert cluster.row and (cluster.row["name"], cluster.row["oper_state"], cluster.row["tags"]) == (OTHER, True, []), last
        assert not ensure(cluster, new_name=OTHER)["changed"]


def test_names_are_looked_at_before_anybody_is_asked(ensure: t.Any) -> None:
    with pytest.raises(InvalidInput, match="name is 'a/b', which is not a host name.*new_name is 'c d'"):
        run.ensure({**WAY, **params(new_name="c d"), "name": "a/b"}, False)
