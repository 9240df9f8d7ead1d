# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is done with an instance, by what is wanted and what is known. What Ganeti makes of it is tested on the lab."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import GanetiError, PreflightFailed
from ansible_collections.ganeti.cluster.plugins.module_utils.api import claims
from ansible_collections.ganeti.cluster.plugins.module_utils.api.opcodes import MASK, OPCODES
from ansible_collections.ganeti.cluster.plugins.module_utils.instance import table
from ansible_collections.ganeti.cluster.plugins.module_utils.instance.plan import STATES, plan

from .samples import NAME, disk, facts, instance, nic, params, running

ID = "0123456789abcdef"
MOVING = [f"ganeti-move:{ID}:source:up"]


def planned(there: t.Any, private: t.Any = None, **given: t.Any) -> t.Any:
    return plan(NAME, params(**given), facts(there, private=private))


def ops(there: t.Any, **given: t.Any) -> list[dict[str, t.Any]]:
    return t.cast("list[dict[str, t.Any]]", planned(there, **given).opcodes)


def kinds(there: t.Any, **given: t.Any) -> list[str]:
    return [op["OP_ID"].replace("OP_INSTANCE_", "") for op in ops(there, **given)]


def problems(there: t.Any, **given: t.Any) -> str:
    with pytest.raises(PreflightFailed) as caught:
        planned(there, **given)
    return caught.value.message


# --- The table --------------------------------------------------------------------------------------------------------


def test_every_field_of_the_opcodes_is_in_the_table_or_left_out_for_a_reason() -> None:
    for kind, (op_id, left_out) in table.FIELDS.items():
        known = {getattr(row, kind) for row in table.TABLE} - {""}
        assert known | set(left_out) == OPCODES[op_id].fields and not known & set(left_out) and all(left_out.values()), op_id
    assert {row.name for row in table.HOW} == {"conflicts_check", "ignore_ipolicy", "wait_for_sync"}


# --- Making and removing ----------------------------------------------------------------------------------------------


def test_one_that_is_not_there_is_made_and_started_by_a_job_of_its_own() -> None:
    made = planned(
        None, state="started", os="noop", primary_node="n1", beparams={"memory": "1G"}, disks=[{"name": "root", "size": "10G"}], tags=["b", "a"],
        osparams_private={"key": "hush"}, install=False,
    )  # fmt: skip
    create, start = made.opcodes
    assert create == {
        "OP_ID": "OP_INSTANCE_CREATE", "instance_name": NAME, "mode": "create", "start": False, "no_install": True, "os_type": "noop", "pnode": "n1",
        "force_variant": False, "name_check": False, "ip_check": False, "opportunistic_locking": False, "conflicts_check": True, "ignore_ipolicy": False,
        "wait_for_sync": True, "beparams": {"minmem": 1024, "maxmem": 1024}, "hvparams": {}, "osparams": {}, "osparams_private": {"key": "hush"},
        "disks": [{"name": "root", "size": 10240}], "nics": [{}], "tags": ["a", "b"],
    }  # fmt: skip
    assert start == {"OP_ID": "OP_INSTANCE_STARTUP", "instance_name": NAME} and made.pending == []
    assert "hush" not in str(made.difference.diff()) and made.difference.diff()["after"]["osparams_private.key"].startswith(MASK)
    create, finished = ops(None, state="stopped", os="noop", disks=[{"size": 1}], tags=["a"])
    assert create["tags"] == ["a", claims.UNFINISHED] and not create["no_install"]
    assert finished == {"OP_ID": "OP_TAGS_DEL", "kind": "instance", "name": NAME, "tags": [claims.UNFINISHED]}
    assert [op["OP_ID"] for op in ops(None, os="noop", install=False, disks=[{"size": 1}])] == ["OP_INSTANCE_CREATE"]
    assert ops(None, os="noop", disks=[{"size": 1}], nics=[])[0]["nics"] == []
    assert ops(None, os="noop", disk_template="diskless")[0]["disks"] == []


def test_what_is_missing_to_make_it_is_said_at_once() -> None:
    said = problems(None, beparams={"vcpu": 2}, disks=[{"name": "root"}], tags=["x y", f"ganeti-move:{ID}:ready"])
    for words in ("no os to make it with", "beparams has vcpu", "disk root is not there, and has no size", "tags has 'x y'", "moves and zeroings alone"):
        assert words in said
    assert "has no disks" in problems(None, os="noop")
    assert "no default one: name either" in str(pytest.raises(
        PreflightFailed, plan, NAME, params(os="noop", disks=[{"size": 1}]), facts(None, info={"enabled_disk_templates": ["file"]})
    ).value)  # fmt: skip
    assert "the disk template is diskless" in problems(None, os="noop", disk_template="diskless", disks=[{"size": 1}])


def test_removal() -> None:
    assert ops(None, state="absent") == [] and not planned(None, state="absent").difference.changed
    assert ops(running(), state="absent", shutdown_timeout=5) == [
        {"OP_ID": "OP_INSTANCE_REMOVE", "instance_name": NAME, "instance_uuid": "u", "shutdown_timeout": 5, "ignore_failures": False}
    ]
    assert kinds(instance(tags=[f"ganeti-move:{ID}:moved-to:u2"], admin_state="offline"), state="absent") == ["REMOVE"]


# --- Bad days ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [state for state in STATES if state != "present"])
def test_where_it_is_not_known_whether_it_runs_nothing_is_started_stopped_or_removed(state: str) -> None:
    for admin_state in ("up", "down", "offline"):
        assert "does not tell whether it runs" in problems(instance(oper_state=None, admin_state=admin_state), state=state)


@pytest.mark.parametrize("tags", [MOVING, [f"ganeti-zeroing:{ID}:ready"]])
def test_one_that_is_moved_or_zeroed_is_left_alone(tags: list[str]) -> None:
    changes = ({"state": "absent"}, {"state": "stopped"}, {"state": "restarted"}, {"tags": ["x"]}, {"disks": [{"name": "d0", "size": 512}]})
    for given in (*changes, {"exact_tags": True, "tags": ["x"]}):
        with pytest.raises(GanetiError, match=f"{NAME} (takes part in move|is being zeroed).*{ID}.*nothing was changed"):
            planned(running(tags=tags), **given)
    assert ops(running(tags=tags), state="started", beparams={}) == [], "nothing would be done"
    assert ops(running(tags=tags), tags=[], exact_tags=True) == []


def test_one_that_was_moved_away_or_is_offline_is_not_started() -> None:
    for state in ("started", "restarted"):
        assert f"was moved away (move {ID})" in problems(instance(admin_state="offline", tags=[f"ganeti-move:{ID}:moved-to:u2"]), state=state)
        assert "is offline, so that nobody starts it" in problems(instance(admin_state="offline"), state=state)


# --- States -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("there", "state", "wanted"),
    [
        (running(), "present", []),
        (running(), "started", []),
        (running(), "stopped", ["SHUTDOWN"]),
        (running(), "restarted", ["REBOOT"]),
        (instance(), "present", []),
        (instance(), "started", ["STARTUP"]),
        (instance(), "stopped", []),
        (instance(), "restarted", ["STARTUP"]),
        (instance(admin_state="up"), "stopped", ["SHUTDOWN"]),
        (instance(admin_state="up"), "started", ["STARTUP"]),
        (running(admin_state="down"), "started", ["STARTUP"]),
    ],
)
def test_states(there: t.Any, state: str, wanted: list[str]) -> None:
    made = planned(there, state=state)
    assert [op["OP_ID"].replace("OP_INSTANCE_", "") for op in made.opcodes] == wanted and made.difference.changed == bool(wanted)


def test_a_restart_is_one_that_applies_parameters() -> None:
    (op,) = ops(running(), state="restarted")
    assert op["reboot_type"] == "full"


# --- Changing ---------------------------------------------------------------------------------------------------------


def test_what_is_as_it_should_be_takes_no_job() -> None:
    there = instance(beparams={"own": {"vcpus": 2}, "effective": {"vcpus": 2}}, tags=["a", "b"], osparams={"own": {"x": "true"}, "effective": {"x": "true"}})
    given: dict[str, t.Any] = dict(
        os="noop", hypervisor="fake", disk_template="file", primary_node="n1", beparams={"vcpus": "2"}, osparams={"x": True, "y": None}, tags=["b"],
        disks=[{"size": "256M", "mode": "rw"}, {"name": "d1", "size": 255}], nics=[{"mac": "AA:00:00:00:00:01", "ip": "none", "mode": "bridged"}],
    )  # fmt: skip
    assert ops(there, **given) == [] and not planned(there, **given).difference.changed
    assert planned(there, osparams_private={"key": "hush"}, private={"key": "hush"}).opcodes == []


def test_parameters_are_merged_and_default_resets_one() -> None:
    there = instance(beparams={"own": {"vcpus": 2}, "effective": {"vcpus": 2, "minmem": 128, "maxmem": 128}})
    (op,) = ops(there, beparams={"vcpus": "default", "maxmem": "256"}, hvparams={"acpi": "no", "cpu_type": "default"}, osparams_private={"key": "hush"})
    assert (op["beparams"], op["hvparams"], op["osparams_private"]) == ({"vcpus": "default", "maxmem": 256}, {"acpi": False}, {"key": "hush"})
    assert "osparams" not in op and op["wait_for_sync"] is True
    assert planned(there, beparams={"vcpus": "default"}).difference.diff() == {"before": {"beparams.vcpus": 2}, "after": {"beparams.vcpus": None}}
    (same,) = ops(there, beparams={"minmem": 128})
    assert same["beparams"] == {"minmem": 128}, "it is the instance's own now, whatever the cluster's default becomes"


def test_what_cannot_be_changed_is_refused_with_who_does() -> None:
    said = problems(instance(), os="debian", hypervisor="kvm", primary_node="n2", secondary_node="n3", beparams={"vcpus": "many"})
    for words in ("os of", "make it anew", "instance_move brings it to another node", "gnt-instance migrate", "replace-disks", "beparams has 'many' for vcpus"):
        assert words in said


def test_nodes_that_have_changed_places_are_where_they_should_be() -> None:
    mirrored = instance(disk_template="drbd", primary_node="n2.example.com", secondary_nodes=["n1.example.com"])
    assert ops(mirrored, primary_node="n1", secondary_node="n2.example.com") == [] == ops(mirrored, primary_node="n1.example.com")
    assert "primary_node of" in problems(mirrored, primary_node="n3", secondary_node="n2") and "secondary_node of" in problems(mirrored, secondary_node="n3")


def test_what_says_two_things_at_once_is_refused() -> None:
    assert "beparams has memory beside maxmem or minmem" in problems(instance(), beparams={"memory": "1G", "maxmem": "2G"})
    assert "ip_check needs name_check" in problems(None, os="noop", disks=[{"size": 1}], ip_check=True)


def test_tags_are_merged_or_exact_and_those_of_moves_stay() -> None:
    finished = f"ganeti-move:{ID}:moved-to:u2"
    there = instance(tags=["a", finished])
    assert ops(there, tags=["b"]) == [{"OP_ID": "OP_TAGS_SET", "kind": "instance", "name": NAME, "tags": ["b"]}]
    assert [(op["OP_ID"], op["tags"]) for op in ops(there, tags=["b"], exact_tags=True)] == [("OP_TAGS_SET", ["b"]), ("OP_TAGS_DEL", ["a"])]
    assert ops(there, exact_tags=True) == []


def test_everything_is_changed_before_it_is_started_and_disks_grow_by_the_indexes_they_have_then() -> None:
    made = ops(instance(), state="started", disks=[{"name": "d0", "state": "absent"}, {"name": "d1", "size": "1G"}, {"size": 64, "name": "new"}], tags=["x"])
    assert [op["OP_ID"] for op in made] == ["OP_INSTANCE_SET_PARAMS", "OP_INSTANCE_GROW_DISK", "OP_TAGS_SET", "OP_INSTANCE_STARTUP"]
    assert made[0]["disks"] == [["remove", "u0", {}], ["add", "-1", {"size": 64, "name": "new"}]] and made[0]["hotplug"] is False
    assert (made[1]["disk"], made[1]["amount"], made[1]["absolute"]) == (0, 1024, True)


def test_a_volume_is_adopted_with_the_size_that_it_has() -> None:
    (op,) = ops(instance(), disks=[{"index": 2, "adopt": "lv", "vg": "xenvg"}])
    assert op["disks"] == [["add", -1, {"size": 0, "vg": "xenvg", "adopt": "lv"}]]
    odd = instance(disks=[{**instance()["disks"][0], "size": 1001}])
    assert ops(odd, disks=[{"size": 1001}]) == [] and ops(odd, disks=[{"size": 1005}])[0]["amount"] == 1008


# --- Pending ----------------------------------------------------------------------------------------------------------


def test_what_a_running_instance_does_not_have_yet() -> None:
    given: dict[str, t.Any] = dict(
        beparams={"vcpus": 2, "auto_balance": False, "maxmem": 128}, hvparams={"acpi": False, "vnc_port": 0}, nics=[{"link": "br1"}, {}],
        disks=[{"index": 0, "name": "renamed"}, {"index": 1, "size": 512}, {"size": 64}],
    )  # fmt: skip
    assert planned(running(), **given).pending == ["beparams.vcpus", "disks.1.size", "disks.2", "hvparams.acpi", "nics.0.link", "nics.1"]
    assert planned(running(), **given, hotplug=True).pending == ["beparams.vcpus", "disks.1.size", "hvparams.acpi"]
    assert planned(running(), **given, hotplug=True).plugged == ("disks.2", "nics.0", "nics.1") and planned(running(), **given).plugged == ()
    assert planned(instance(), **given).pending == []
    assert planned(instance(oper_state=None), **given).pending, "it may run"


def test_nothing_is_plugged_into_an_instance_that_does_not_run() -> None:
    given: dict[str, t.Any] = dict(disks=[{"name": "d0", "state": "absent"}], hotplug=True)
    assert ops(running(), **given)[0]["hotplug"] is True
    for there, state in ((instance(), "present"), (instance(), "started"), (running(), "stopped")):
        (op,) = [op for op in ops(there, state=state, **given) if op["OP_ID"] == "OP_INSTANCE_SET_PARAMS"]
        assert op["hotplug"] is False and planned(there, state=state, **given).plugged == ()


def test_what_an_earlier_change_has_left_pending() -> None:
    there = running(memory=512, vcpus=4)
    assert planned(there).pending == ["beparams.maxmem", "beparams.vcpus"] and planned(there).opcodes == []
    assert planned(running(memory=64)).pending == ["beparams.minmem"]
    assert planned(running(memory=512, vcpus=4, hypervisor="lxc")).pending == [], "which does not tell"


def test_a_restart_on_request() -> None:
    for state in ("present", "started"):
        made = planned(running(), state=state, beparams={"vcpus": 2}, restart_if_pending=True)
        assert [op["OP_ID"] for op in made.opcodes] == ["OP_INSTANCE_SET_PARAMS", "OP_INSTANCE_REBOOT"] and made.pending == []
    assert kinds(running(), restart_if_pending=True) == []
    assert kinds(instance(), beparams={"vcpus": 2}, restart_if_pending=True) == ["SET_PARAMS"]
    assert kinds(instance(oper_state=None), beparams={"vcpus": 2}, restart_if_pending=True) == ["SET_PARAMS"], "it is not known whether it runs"
    assert kinds(running(), state="stopped", beparams={"vcpus": 2}, restart_if_pending=True) == ["SHUTDOWN", "SET_PARAMS"]


# --- Disks and interfaces ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("disks", "words"),
    [
        ([{"size": 128}], "disk 0 has 256 MiB and is to have 128: a disk is never made smaller"),
        ([{"size": "much"}], "disk 0 has 'much' for size"),
        ([{"name": "new"}], "disk new is not there, and has no size"),
        ([{"index": 7, "size": 1}], "disk 7 has index 7, and there are 2: the next one has index 2"),
        ([{"name": "d0"}, {"index": 0}], "disk 0 is given twice"),
        ([{"index": 0}, {"index": 0}], "disk 0 is given twice"),
        ([{"name": "x", "size": 1}, {"name": "x", "size": 1}], "disk x is given twice"),
        ([{"state": "absent"}], "disk 0 is meant by its place, and another one has that when one is removed"),
        ([{"index": 1, "state": "absent"}], "disk 1 is meant by its place"),
        ([{"index": 1, "name": "d1", "state": "absent"}], "disk d1 is meant by its place"),
        ([{"name": "d0", "state": "absent"}, {"size": 512}], "disk 1 is meant by its place"),
        ([{"name": "d0", "state": "absent"}, {"index": 1, "size": 512}], "disk 1 is meant by its place"),
        ([{"name": "12", "size": 1}], "disk '12' has no name that Ganeti takes"),
        ([{"name": "n", "size": 1, "params": {"pool": "x"}}], "only disks of template ext have, not file"),
        ([{"index": 0, "spindles": 2}], "disk 0 has spindles 1 and is to have 2"),
        ([{"index": 2, "adopt": "lv", "size": "1G"}], "disk 2 is adopted, which says its size: leave size out"),
    ],
)
def test_disks_that_are_refused(disks: t.Any, words: str) -> None:
    there = instance()
    there["disks"][0]["spindles"] = 1
    assert words in problems(there, disks=disks)


def test_disks_are_removed_from_behind_and_only_if_asked_for() -> None:
    gone = [{"name": name, "state": "absent"} for name in ("d0", "d1", "never")]
    (op,) = ops(instance(), disks=gone)
    assert op["disks"] == [["remove", "u0", {}], ["remove", "u1", {}]]
    assert ops(instance(), disks=[]) == [] and ops(instance(), disks=[{"name": "d1"}]) == []
    assert "only with hotplug: stop it first" in problems(running(), disks=gone)
    assert "only with hotplug" in problems(instance(oper_state=None), disks=gone)
    assert kinds(running(), disks=gone, hotplug=True) == ["SET_PARAMS"]
    assert kinds(running(), disks=gone, state="stopped") == ["SHUTDOWN", "SET_PARAMS"] and "cannot be stopped" in problems(
        instance(oper_state=None), disks=gone, hotplug=True, state="stopped"
    )


def carried_out(there: list[str], modifications: t.Any) -> list[str]:
    """The UUIDs of the disks that are left: Ganeti takes an identifier for an index if it is a number, and refuses one that nothing has."""
    left = list(there)
    for how, which, _params in modifications:
        assert how == "remove"
        left.remove(left[which] if isinstance(which, int) else which)
    return left


def test_a_second_run_from_the_same_look_removes_nothing_else() -> None:
    """Of two controllers, or of one whose first answer was lost: the disk behind the removed one has its index by then."""
    there = instance(disks=[disk(0), disk(1), disk(2)])
    first, second = ([op["disks"] for op in ops(there, disks=[{"name": "d1", "state": "absent"}])][0] for _each in range(2))
    left = carried_out(["u0", "u1", "u2"], first)
    assert left == ["u0", "u2"]
    with pytest.raises(ValueError, match="not in list"):
        carried_out(left, second)


@pytest.mark.parametrize(
    ("nics", "words"),
    [
        ([{"mac": "aa:00"}], "nic 0 has the hardware address 'aa:00'"),
        ([{"ip": "10.0.0.999"}], "nic 0 has the address '10.0.0.999'"),
        ([{"ip": "pool"}], "no network that it could come from"),
        ([{}, {"name": "new", "ip": "pool"}], "no network that it could come from"),
        ([{"name": "new"}], "nic new is not there, and nic 0 has no name: give it this one (index 0 beside the name), or add another (index 1"),
        ([{"network": "lan", "link": "br0"}], "nic 0 has a network, which says its mode and link"),
    ],
)
def test_interfaces_that_are_refused(nics: t.Any, words: str) -> None:
    assert words in problems(instance(), nics=nics)


def test_a_disk_is_changed_in_what_differs() -> None:
    (op,) = ops(instance(), disks=[{"name": "d0", "mode": "ro"}, {"index": 1, "name": "data"}])
    assert op["disks"] == [["modify", "u0", {"mode": "ro"}], ["modify", "u1", {"name": "data"}]]
    assert planned(instance(), disks=[{"name": "d0", "mode": "ro"}]).difference.diff() == {"before": {"disks.d0.mode": "rw"}, "after": {"disks.d0.mode": "ro"}}


def test_interfaces() -> None:
    def changed(found: t.Any, **given: t.Any) -> t.Any:
        made = ops(instance(nics=[nic(0, **found)]), nics=[{"index": 0, **given}])
        return made[0]["nics"][0][2] if made else None

    assert changed({}, ip="10.0.0.1", mac="generate") == {"ip": "10.0.0.1"}
    assert changed({"ip": "10.0.0.1", "network": "lan"}, ip="pool", network="lan") is None, "it has one"
    assert changed({"ip": "10.0.0.1", "network": "lan"}, ip="pool", network="wan") == {"ip": "pool", "network": "wan"}
    assert changed({"ip": "2001:db8::1"}, ip="2001:DB8:0::1") is None
    assert changed({"ip": "10.0.0.1"}, ip="none") == {"ip": "none"}
    assert changed({"vlan": ".5", "mode": "openvswitch"}, vlan="5") is None and changed({"own": {"vlan": ".6"}}, vlan="5") == {"vlan": ".5"}
    assert changed({"network": "lan"}, network="none", link="br1") == {"network": "none", "link": "br1"}
    assert "is in the network lan" in problems(instance(nics=[nic(0, network="lan")]), nics=[{"link": "br1"}])
    (op,) = ops(None, os="noop", install=False, disks=[{"size": 1}], nics=[{"ip": "none", "network": "none", "vlan": "7", "name": "eth0"}])
    assert op["nics"] == [{"name": "eth0", "vlan": ".7"}]
