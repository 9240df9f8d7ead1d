# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names of keys and what is in them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import InvalidInput, StorageRefused
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.etcd import layout


@given(st.integers(1, 2**63), st.booleans())
def test_a_job_is_known_by_its_key(number, archived):
    assert layout.job_id(layout.job(number, archived), archived) == number
    assert layout.job_id(layout.job(number, archived), not archived) is None


def test_archived_jobs_are_in_ganetis_directories():
    assert layout.job(9999, True) == "archive/0/9999" and layout.job(10000, True) == "archive/1/10000"


@pytest.mark.parametrize("key", ["queue/", "queue/0", "queue/05", "queue/x", "queue/1/2", "archive/5/7", "archive/0/x", "queue/\u0663"])
def test_other_keys_are_no_jobs(key):
    assert layout.job_id(key, False) is None and layout.job_id(key, True) is None


@pytest.mark.parametrize("value", [b"", b"\xff", b"[]", b"{}", b'{"info": 5}', b'{"info": {"id": 8}}', b'{"info": {}}', b"[" * 100000])
def test_other_values_are_no_jobs(value):
    assert layout.read_job(value, 7) is None


def test_a_job_comes_back_with_its_keys_in_their_order():
    job = {"id": 7, "z": 1152921504606846976, "a": ["\u00e4", 0.1, None]}
    for archived in (False, True):
        found = layout.read_job(layout.job_value(7, job, archived), 7)
        assert found == job and list(found) == ["id", "z", "a"]


@pytest.mark.parametrize("value", [float("inf"), float("nan"), "\ud800", {"x": "\udfff"}])
def test_what_is_no_json_in_utf_8_is_refused(value):
    with pytest.raises(StorageRefused, match="cannot be written as JSON in UTF-8"):
        layout.job_value(7, {"id": 7, "value": value}, False)


@pytest.mark.parametrize("key", ["nodes/u1", "disks/x"])
def test_objects_are_known_by_their_keys(key):
    assert layout.place(key) == tuple(key.split("/"))


@pytest.mark.parametrize("key", ["head", "nodes", "nodes/", "nodes/a/b", "config_data/x", "strange/u1", ""])
def test_other_keys_are_no_objects(key):
    assert layout.place(key) is None


def test_all_keys_of_a_cluster_are_below_its_uuid():
    assert layout.root("ganeti/", "b6a1-22") == "ganeti/b6a1-22/"
    assert layout.root("a/b.c/", "b6a1") == "a/b.c/b6a1/"


@pytest.mark.parametrize(
    ("prefix", "cluster"),
    [("", "u"), ("ganeti", "u"), ("/", "u"), ("a//", "u"), ("a b/", "u"), ("g/", ""), ("g/", "a/b"), ("g/", "-u"), ("g/", "u\n"), ("g/\n", "u")],
)
def test_clusters_are_kept_apart(prefix, cluster):
    with pytest.raises(InvalidInput, match="prefix|cluster"):
        layout.root(prefix, cluster)
