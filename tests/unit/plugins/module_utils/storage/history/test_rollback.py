# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What brings an object back: only what describes it, by Ganeti's operations, and never where real things are."""

from __future__ import annotations

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import InvalidInput, PreflightFailed
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.history import direct_changes, object_history, rollback
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.history.rollback import OPERATIONS, plan

THEN = {"name": "inst1", "beparams": {"vcpus": 1}, "osparams": {"flavour": "vanilla"}, "tags": ["a", "b"], "serial_no": 1, "mtime": 1.0, "primary_node": "n1"}


def now(**changes):
    """The object as it is."""
    return {**THEN, "serial_no": 9, "mtime": 2.0, **changes}


def test_nothing_to_do():
    found = plan("instance", now(), THEN, None)
    assert (found.opcodes, found.change.changed, found.left) == ([], False, [])


def test_parameters_are_set_and_taken_away():
    found = plan("instance", now(beparams={"vcpus": 2, "maxmem": 96}, osparams={}), THEN, None)
    assert found.opcodes == [
        {"OP_ID": "OP_INSTANCE_SET_PARAMS", "instance_name": "inst1", "beparams": {"vcpus": 1, "maxmem": "default"}},
        {"OP_ID": "OP_INSTANCE_SET_PARAMS", "instance_name": "inst1", "osparams": {"flavour": "vanilla"}},
    ]
    assert found.change.diff()["after"] == {"beparams": {"vcpus": 1}, "osparams": {"flavour": "vanilla"}}


def test_tags_are_set_and_taken_away():
    found = plan("network", now(tags=["b", "c"]), THEN, None)
    assert found.opcodes == [
        {"OP_ID": "OP_TAGS_SET", "kind": "network", "name": "inst1", "tags": ["a"]},
        {"OP_ID": "OP_TAGS_DEL", "kind": "network", "name": "inst1", "tags": ["c"]},
    ]


def test_where_real_things_are_is_refused():
    with pytest.raises(PreflightFailed, match="primary_node differs too"):
        plan("instance", now(primary_node="n2", tags=[]), THEN, None)
    found = plan("instance", now(primary_node="n2", tags=[], beparams={}), THEN, ["tags"])
    assert [each["OP_ID"] for each in found.opcodes] == ["OP_TAGS_SET"] and found.left == ["beparams", "primary_node"]
    with pytest.raises(InvalidInput, match="disks of instances cannot be brought back: name some of beparams"):
        plan("instance", now(), THEN, ["disks", "tags"])


def test_every_kind_with_operations_has_a_history():
    assert set(OPERATIONS) < set(object_history.KINDS) and set(OPERATIONS) == set(direct_changes.DIRECT)


def test_a_cluster_is_brought_back_by_operations_where_they_can_say_it():
    then = {
        "beparams": {"default": {"vcpus": 1, "maxmem": 128}}, "hvparams": {"kvm": {"acpi": True}}, "ndparams": {"ovs": False},
        "osparams": {"noop": {"a": "1"}}, "mac_prefix": "aa:00:00", "tags": ["x"], "zeroing_image": "", "maintain_node_health": False,
    }  # fmt: skip
    now = {
        "beparams": {"default": {"vcpus": 2, "maxmem": 128}}, "hvparams": {"kvm": {"acpi": False}}, "ndparams": {"ovs": True},
        "osparams": {"noop": {"a": "1", "b": "2"}, "other": {"c": "3"}}, "mac_prefix": "aa:00:01", "tags": [], "zeroing_image": "http://x", "uuid": "u",
        "maintain_node_health": True,
    }  # fmt: skip
    then["uuid"] = "u"
    with pytest.raises(PreflightFailed, match="zeroing_image differs, and no operation of Ganeti's sets it to what it was: with direct: true"):
        plan("cluster", now, then, None)
    found = plan("cluster", now, then, None, directly=True)
    assert found.direct == ["zeroing_image"] and found.left == []
    assert [{key: value for key, value in each.items() if key != "OP_ID"} for each in found.opcodes] == [
        {"beparams": {"vcpus": 1}},
        {"hvparams": {"kvm": {"acpi": True}}},
        {"mac_prefix": "aa:00:00"},
        {"maintain_node_health": False},
        {"ndparams": {"ovs": False}},
        {"osparams": {"noop": {"b": "default"}, "other": {"c": "default"}}},
        {"kind": "cluster", "name": "", "tags": ["x"]},
    ]
    fewer = plan("cluster", {"ndparams": {"ovs": True, "new": 1}, "hvparams": {"kvm": {"new": 1}}}, {"ndparams": {}, "hvparams": {"kvm": {}}}, None, True)
    assert (fewer.opcodes, fewer.direct) == ([], ["hvparams", "ndparams"])


def test_a_network_loses_what_it_had_not():
    found = plan("network", {"name": "lan", "mac_prefix": "aa:00:01"}, {"name": "lan", "network6": "fe80::/64"}, None)
    assert found.opcodes == [
        {"OP_ID": "OP_NETWORK_SET_PARAMS", "network_name": "lan", "mac_prefix": "none"},
        {"OP_ID": "OP_NETWORK_SET_PARAMS", "network_name": "lan", "network6": "fe80::/64"},
    ]


@pytest.mark.parametrize("kind", sorted(OPERATIONS))
@pytest.mark.parametrize(
    "part",
    ["uuid", "primary_node", "disks", "logical_id", "nics", "highest_used_port", "tcpudp_port_pool", "candidate_certs", "master_node", "group", "secret",
             "osparams_private", "osparams_private_cluster", "primary_ip", "network", "ext_reservations", "members", "admin_state", "rsahostkeypub"],
)  # fmt: skip
def test_what_is_never_written(kind, part):
    """Not even with direct: real things, secrets, and what Ganeti counts."""
    assert part not in direct_changes.DIRECT[kind] and part not in OPERATIONS[kind]
    with pytest.raises(PreflightFailed, match=f"{part} differs too, and says where real things are"):
        plan(kind, {"name": "x", part: 1}, {"name": "x", part: 2}, None, directly=True)
    with pytest.raises(InvalidInput, match=f"{part} of {kind}s cannot be brought back"):
        plan(kind, {"name": "x", part: 1}, {"name": "x", part: 2}, [part], directly=True)


def test_removed_things_come_back_only_where_they_are_configuration_alone():
    options = {"kind": "network", "name": "n", "direct": True, "parts": None}
    rollback._check_restorable(options)
    for changes, words in (
        ({"kind": "instance"}, "and its disks or its machine with it"),
        ({"direct": False}, "direct: true writes it"),
        ({"parts": ["tags"]}, "as a whole, without parts"),
    ):
        with pytest.raises(InvalidInput, match=words):
            rollback._check_restorable({**options, **changes})
