# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""No secret of a configuration is ever shown, wherever in it it is."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ganeti.cluster.plugins.module_utils.storage.history import rollback
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.history.secrets import masked

SECRET = "5ec2e7c0ffee"
PLAIN = {"dev_type": "plain", "logical_id": ["xenvg", "9f4c.disk0_data"], "size": 1024, "params": {}}
DRBD = {
    "dev_type": "drbd",
    "logical_id": ["u1", "u2", 11000, 0, 1, SECRET],
    "size": 1024,
    "children": [PLAIN, {**PLAIN, "logical_id": ["xenvg", "9f4c.disk0_meta"]}],
}


def test_of_a_drbd_disk_all_is_shown_but_its_secret():
    assert masked(DRBD) == {**DRBD, "logical_id": ["u1", "u2", 11000, 0, 1, "not shown"]}
    assert DRBD["logical_id"][5] == SECRET, "what was given is left alone"


@pytest.mark.parametrize("other", [PLAIN, {"logical_id": ["loop", "/srv/ganeti/file"]}, {"logical_id": ["manual", "/dev/x"]}, {"logical_id": None}, {}])
def test_other_disks_are_shown_as_they_are(other):
    assert masked(other) == other


@pytest.mark.parametrize(
    "secret",
    [
        {"logical_id": ["u1", "u2", 11000, 0, 1, SECRET]},
        {"physical_id": ["10.0.0.1", 11000, "10.0.0.2", 11000, 0, SECRET]},
        {"secret": SECRET},
        {"osparams_private": {"key": SECRET}},
        {"osparams_secret": {"key": SECRET}},
        {"osparams_private_cluster": {"noop": {"key": SECRET}}},
    ],
)
@given(st.lists(st.sampled_from(["children", "disks", None]), max_size=5))
def test_however_deep_it_is(secret, way):
    value = secret
    for step in way:
        value = [value] if step is None else {step: value, "name": "inst1"}
    assert SECRET in json.dumps(value) and SECRET not in json.dumps(masked(value))


@pytest.mark.parametrize("empty", [{"secret": None}, {"osparams_private": {}}, {"logical_id": ["u1", "u2", 11000, 0, 1, ""]}])
def test_where_there_is_no_secret_that_is_seen(empty):
    assert masked(empty) == empty


def test_a_rollback_shows_no_secret_in_its_difference():
    now, then = ({"name": "inst1", "tags": [tag], "disks": [DRBD], "osparams_private": {"key": SECRET}} for tag in "ab")
    assert SECRET not in json.dumps(rollback.plan("instance", now, then, None).change.diff())
