# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What brings an object back: only what describes it, by Ganeti's operations, and never where real things are."""

from __future__ import annotations

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import InvalidInput, PreflightFailed
from ansible_collections.ganeti.cluster.plugins.module_utils.storage import past
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.rollback import OPERATIONS, plan

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
    assert set(OPERATIONS) < set(past.KINDS)
