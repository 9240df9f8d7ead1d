# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is done only to an instance that is stopped, and that it runs again afterwards. What Ganeti makes of it is tested on the lab."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import GanetiError, PreflightFailed
from ansible_collections.ganeti.cluster.plugins.module_utils.api import claims
from ansible_collections.ganeti.cluster.plugins.module_utils.instance.plan import plan

from .samples import INFO, NAME, disk, facts, instance, params, running

OTHER = "www.example.com"
MIRRORING = {**INFO, "enabled_disk_templates": ["drbd", "file", "plain"], "default_iallocator": ""}
EXTERNAL = {**INFO, "enabled_disk_templates": ["ext", "file"]}


def planned(there: t.Any, known: t.Any = None, **given: t.Any) -> t.Any:
    return plan(NAME, params(**given), facts(there, **{"private": {}, **(known or {})}))


def kinds(there: t.Any, **given: t.Any) -> list[str]:
    return [op["OP_ID"].replace("OP_INSTANCE_", "").replace("OP_", "") for op in planned(there, **given).opcodes]


def problems(there: t.Any, known: t.Any = None, **given: t.Any) -> str:
    with pytest.raises(PreflightFailed) as caught:
        planned(there, known, **given)
    return caught.value.message


# --- Another name -----------------------------------------------------------------------------------------------------


def test_one_that_is_stopped_is_renamed_after_all_else_and_started_by_its_new_name() -> None:
    made = planned(instance(), new_name="WWW.example.com.", tags=["web"], beparams={"vcpus": 2}, state="started")
    assert [op["OP_ID"] for op in made.opcodes] == ["OP_INSTANCE_SET_PARAMS", "OP_TAGS_SET", "OP_INSTANCE_RENAME", "OP_INSTANCE_STARTUP"]
    assert made.opcodes[2] == {
        "OP_ID": "OP_INSTANCE_RENAME", "instance_name": NAME, "instance_uuid": "u", "new_name": OTHER, "name_check": False, "ip_check": False
    }  # fmt: skip
    assert made.opcodes[3]["instance_name"] == OTHER and made.opcodes[1]["name"] == NAME and made.difference.diff()["after"]["name"] == OTHER


def test_one_that_has_the_new_name_is_as_it_should_be() -> None:
    for name in (NAME, "web1", "Web1.Example.com"):
        assert kinds(running(), new_name=name) == []


@pytest.mark.parametrize(
    ("known", "given", "words"),
    [
        ({"namesake": OTHER}, {"new_name": OTHER}, f"{NAME} is to be named {OTHER}, and there is {OTHER} besides"),
        ({}, {"new_name": f"web1.{'0' * 16}.twin"}, "names that end so are for moves within a cluster"),
        ({}, {"new_name": OTHER, "ip_check": True}, "ip_check needs name_check"),
    ],
)
def test_names_that_are_refused(known: t.Any, given: t.Any, words: str) -> None:
    assert words in problems(instance(), known, **given)


def test_what_is_not_there_is_neither_renamed_nor_reinstalled() -> None:
    assert f"no instance {NAME}, and no {OTHER}, and what is not there cannot be renamed" in problems(None, new_name=OTHER, os="noop")
    assert f"no instance {NAME}, and what is not there cannot be reinstalled" in problems(None, state="reinstalled", os="noop")


# --- Another installation ---------------------------------------------------------------------------------------------


def test_an_installation_brings_all_os_parameters_as_ganeti_keeps_no_others() -> None:
    there = instance(osparams={"own": {"a": "1", "b": "2", "c": "3"}, "effective": {}})
    given: dict[str, t.Any] = dict(state="reinstalled", os="debian", osparams={"b": "9", "c": "default"}, osparams_private={"key": "hush"})
    made = planned(there, {"private": {"old": "secret"}}, **given, force_variant=True)
    before, rehearsal, tag, install, untag = made.opcodes
    assert before["OP_ID"] == "OP_INSTANCE_SET_PARAMS" and before["osparams"] == {"c": "default"} and "osparams_private" not in before
    assert install == {
        "OP_ID": "OP_INSTANCE_REINSTALL", "instance_name": NAME, "instance_uuid": "u", "os_type": "debian", "force_variant": True,
        "osparams": {"a": "1", "b": "9"}, "osparams_private": {"old": "secret", "key": "hush"},
    }  # fmt: skip
    assert rehearsal == {**install, "dry_run": True}, "before the disks are said to be no more what they were"
    assert tag == {**untag, "OP_ID": "OP_TAGS_SET"} and tag["tags"] == [claims.UNFINISHED]
    shown = made.difference.diff()
    assert shown["before"]["os"] == "noop" and shown["after"]["os"] == "debian" and "hush" not in str(shown) and "secret" not in str(shown)


def test_the_same_system_is_installed_only_if_no_other_is_named_or_its_installation_failed() -> None:
    install = ["REINSTALL", "TAGS_SET", "REINSTALL", "TAGS_DEL"]
    assert kinds(instance(), state="reinstalled", os="noop") == [] == kinds(running(), state="reinstalled", os="noop")
    assert kinds(instance(), state="reinstalled") == install == kinds(instance(tags=[claims.UNFINISHED]), state="reinstalled", os="noop")
    assert planned(instance(), state="reinstalled").difference.diff()["after"] == {"os": "noop, installed anew"}
    with pytest.raises(GanetiError, match=f"was not made to its end.*state: reinstalled.*remove-tags {NAME} {claims.UNFINISHED}"):
        planned(instance(tags=[claims.UNFINISHED]))
    assert "os of" in problems(instance(), os="debian"), "nothing is installed that is not asked for"


def test_installations_that_are_refused() -> None:
    assert "has no disks to install on" in problems(instance(disks=[], disk_template="diskless"), state="reinstalled")
    assert "is offline, and not reinstalled" in problems(instance(admin_state="offline"), state="reinstalled")
    assert "cannot be read over RAPI" in problems(instance(), {"private": None}, state="reinstalled")
    assert "has no operating system to install again" in problems(instance(os=""), state="reinstalled")


# --- Another disk template --------------------------------------------------------------------------------------------


def test_what_the_policy_of_the_group_forbids_is_refused_before_anything_is_stopped() -> None:
    given: dict[str, t.Any] = dict(disk_template="plain", restart_if_pending=True)
    assert "the policy of its node group allows ext, file alone" in problems(running(), {"allowed": ["file", "ext"]}, **given)
    assert planned(running(), {"allowed": ["file", "plain"]}, **given).interrupted


def test_disks_are_converted_after_they_were_changed_by_a_job_of_its_own() -> None:
    """Ganeti does not take both at once, and gives other UUIDs to disks that it converts."""
    made = planned(instance(), disk_template="plain", file_driver="loop", disks=[{"name": "d0", "mode": "ro", "size": 512}])
    modify, grow, convert = made.opcodes
    assert modify["disks"] == [["modify", "u0", {"mode": "ro"}]] and "disk_template" not in modify and grow["OP_ID"] == "OP_INSTANCE_GROW_DISK"
    assert convert == {
        "OP_ID": "OP_INSTANCE_SET_PARAMS", "instance_name": NAME, "instance_uuid": "u", "disk_template": "plain", "conflicts_check": True,
        "ignore_ipolicy": False, "wait_for_sync": True,
    }  # fmt: skip
    assert made.difference.diff()["after"]["disk_template"] == "plain"


def test_a_conversion_takes_what_its_template_needs() -> None:
    (op,) = planned(instance(), {"info": EXTERNAL}, disk_template="ext", ext_params={"provider": "san", "pool": 7}, iallocator="hail").opcodes
    assert op["ext_params"] == {"provider": "san", "pool": "7"} and "iallocator" not in op
    (op,) = planned(instance(), {"info": MIRRORING}, disk_template="drbd", secondary_node="n2", file_driver="loop").opcodes
    assert op["remote_node"] == "n2" and "file_driver" not in op
    (op,) = planned(instance(), {"info": MIRRORING}, disk_template="drbd", iallocator="hail").opcodes
    assert op["iallocator"] == "hail"
    (op,) = planned(instance(disk_template="plain"), disk_template="file", file_driver="loop", file_storage_dir="sub").opcodes
    assert (op["file_driver"], op["file_storage_dir"]) == ("loop", "sub")


@pytest.mark.parametrize(
    ("now", "known", "given", "words"),
    [
        ("diskless", {}, {"disk_template": "file"}, "there are no disks to convert"),
        ("mixed", {}, {"disk_template": "file"}, "disks of several templates at once"),
        ("file", {}, {"disk_template": "diskless"}, "remove each one, with its state absent"),
        ("file", {}, {"disk_template": "blockdev"}, "devices that it has not made"),
        ("file", {}, {"disk_template": "rbd"}, "the cluster has enabled file, plain alone; enable it with the module cluster, or move .* instance_move"),
        ("file", EXTERNAL, {"disk_template": "ext"}, "needs a provider in ext_params"),
        ("file", EXTERNAL, {"disk_template": "ext", "ext_params": {"provider": "san", "size": 1}}, "ext_params cannot set size"),
        ("file", {}, {"disk_template": "plain", "ext_params": {"provider": "san"}}, "which only disks of template ext have"),
        ("file", {}, {"disk_template": "plain", "secondary_node": "n2"}, "mirrored to none"),
        ("file", MIRRORING, {"disk_template": "drbd"}, "needs a secondary_node or an iallocator"),
        ("file", MIRRORING, {"disk_template": "drbd", "secondary_node": "n2", "iallocator": "hail"}, "either chooses the node"),
    ],
)
def test_conversions_that_are_refused(now: str, known: t.Any, given: t.Any, words: str) -> None:
    with pytest.raises(PreflightFailed, match=f"disk_template of {NAME} is {now} and cannot become .*{words}"):
        planned(instance(disk_template=now, disks=[disk(0)]), {"info": known or INFO}, **given)


# --- What runs --------------------------------------------------------------------------------------------------------

CHANGES = pytest.mark.parametrize(
    ("given", "ops", "words"),
    [
        ({"new_name": OTHER}, ["RENAME"], "renamed"),
        ({"disk_template": "plain"}, ["SET_PARAMS"], "converted to plain"),
        ({"state": "reinstalled"}, ["REINSTALL", "TAGS_SET", "REINSTALL", "TAGS_DEL"], "reinstalled"),
    ],
)


@CHANGES
def test_one_that_runs_is_stopped_only_if_it_may_be_and_runs_again(given: t.Any, ops: list[str], words: str) -> None:
    assert f"{NAME} runs, and is {words} only while it is stopped: set restart_if_pending" in problems(running(), **given)
    assert f"cannot be {words}: its node" in problems(running(oper_state=None), **given)
    made = planned(running(), **given, restart_if_pending=True)
    tag, stop, *between, start, untag = made.opcodes
    assert kinds(running(), **given, restart_if_pending=True) == ["TAGS_SET", "SHUTDOWN", *ops, "STARTUP", "TAGS_DEL"] and made.interrupted
    assert tag["tags"] == untag["tags"] == [claims.STOPPED] and start["instance_name"] == untag["name"] == (given.get("new_name") or NAME)
    assert made.difference.diff()["after"]["state"] == "restarted" and made.pending == []
    if "state" not in given:
        assert kinds(running(), **given, state="restarted") == ["TAGS_SET", "SHUTDOWN", *ops, "STARTUP", "TAGS_DEL"]
        assert kinds(running(), **given, state="stopped") == ["SHUTDOWN", *ops]
        assert kinds(instance(), **given, state="restarted") == [*ops, "STARTUP"]


@CHANGES
def test_one_that_does_not_run_though_it_should_is_marked_as_stopped_and_started_again(given: t.Any, ops: list[str], words: str) -> None:
    assert kinds(instance(admin_state="up"), **given) == ["TAGS_SET", "SHUTDOWN", *ops, "STARTUP", "TAGS_DEL"]


def test_one_that_a_run_has_stopped_and_not_started_is_started_by_the_next() -> None:
    left = instance(tags=[claims.STOPPED])
    assert kinds(left) == ["STARTUP", "TAGS_DEL"] == kinds(left, state="started") and kinds(left, state="stopped") == ["TAGS_DEL"]
    assert planned(left).difference.changed and kinds(left, new_name=OTHER) == ["RENAME", "STARTUP", "TAGS_DEL"]
    assert planned(left, new_name=OTHER).opcodes[-1]["name"] == OTHER
    assert kinds(running(tags=[claims.STOPPED])) == ["TAGS_DEL"]
    assert kinds(instance(tags=[claims.STOPPED], oper_state=None)) == [] == kinds(instance(tags=[claims.STOPPED], admin_state="offline"))
    both = instance(tags=[claims.STOPPED, claims.UNFINISHED])
    assert kinds(both, state="reinstalled", os="noop") == ["REINSTALL", "TAGS_SET", "REINSTALL", "TAGS_DEL", "STARTUP", "TAGS_DEL"]
    assert kinds(left, tags=[], exact_tags=True, state="stopped") == ["TAGS_DEL"], "it is no tag of the user's"
