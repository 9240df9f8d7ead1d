# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Configuration and jobs as documents, and back: nothing is lost, and what is not whole is not taken for whole."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import StorageFailed, StorageIncomplete
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers import documents

from ..samples import CONFIGURATION, DISK, INSTANCE, configuration, job

NAMES = st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=8,
)  # fmt: skip
OBJECTS = st.dictionaries(NAMES, st.dictionaries(NAMES, VALUES, max_size=3), max_size=4)
CONFIGURATIONS = st.fixed_dictionaries(
    {"cluster": st.dictionaries(NAMES, VALUES, max_size=3), "serial_no": st.integers(1)}, optional={container: OBJECTS for container in documents.CONTAINERS}
)


@given(CONFIGURATIONS)
def test_what_is_split_is_joined_again(given_configuration):
    parts = documents.split(given_configuration).documents
    through_json = json.loads(documents.canonical(parts))
    assert documents.canonical(documents.join(through_json)) == documents.canonical(given_configuration)


def test_every_container_of_ganeti_has_a_database_of_its_own():
    parts = documents.split(CONFIGURATION).documents
    assert set(parts) == {*documents.CONTAINERS, documents.CONFIG}
    assert parts["disks"][DISK] == {"_id": DISK, "serial": 20, "info": CONFIGURATION["disks"][DISK]}
    assert not set(parts[documents.CONFIG][documents.CONFIG]["info"]) & set(documents.CONTAINERS)


@given(st.randoms())
def test_the_digest_of_a_container_does_not_depend_on_the_order(random):
    objects = [documents.fingerprint({"_id": str(number), "info": {"n": number}}) for number in range(5)]
    shuffled = random.sample(objects, 5)
    assert documents.summary(objects) == documents.summary(shuffled)
    assert documents.summary(objects) != documents.summary(objects[:4])


@pytest.mark.parametrize("spoil", [
    lambda parts: parts["instances"].clear(),
    lambda parts: parts["instances"][INSTANCE]["info"].update(name="other"),
    lambda parts: parts["nodes"].update(extra={"_id": "extra", "serial": 21, "info": {}}),
    lambda parts: parts["disks"].update({"swapped": {**parts["disks"].pop(DISK), "_id": "swapped"}}),
])  # fmt: skip
def test_what_is_not_of_one_state_is_not_joined(spoil):
    parts = copy.deepcopy(documents.split(CONFIGURATION).documents)
    spoil(parts)
    with pytest.raises(StorageIncomplete, match="serial number 20 is not complete"):
        documents.join(parts)


def test_without_the_head_there_is_no_configuration():
    with pytest.raises(StorageIncomplete, match="is not there"):
        documents.join({"nodes": {}})


FIT = {"cluster": {}, "serial_no": 1}
WRONG = [{}, {"serial_no": 1}, {**FIT, "serial_no": "1"}, {**FIT, "nodes": []}, {**FIT, "nodes": {"x": 3}}]


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_no_configuration_is_refused(wrong):
    with pytest.raises(StorageFailed, match="not a configuration of Ganeti"):
        documents.split(wrong)


def test_only_what_changed_is_written():
    before, after = (documents.split(configuration(serial)).fingerprints["instances"] for serial in (20, 21))
    assert documents.changes(before, after) == ([], []), "a new serial number of the whole is no change of an object"
    other = documents.split(configuration(22, instances={"new": {"name": "inst2"}})).fingerprints["instances"]
    assert documents.changes(before, other) == (["new"], [INSTANCE])


@given(CONFIGURATIONS, CONFIGURATIONS)
def test_what_is_taken_from_the_last_one_is_the_same(one, other):
    fresh, reused = documents.split(other), documents.split(other, documents.split(one))
    assert fresh.fingerprints == reused.fingerprints and documents.join(reused.documents) == documents.join(fresh.documents) == other


def test_the_head_is_written_when_only_its_manifest_differs():
    one, other = (documents.split(configuration(20, filters=filters)).fingerprints[documents.CONFIG] for filters in ({}, {"f": {}}))
    assert one != other


@given(st.integers(1, 10**9), st.booleans())
def test_a_job_is_known_by_its_number(number, archived):
    document = json.loads(documents.canonical(documents.of_job(number, job(number), archived)))
    assert documents.job_number(document) == number and document["info"] == job(number)
    assert document.get("archive_index") == (number // 10000 if archived else None)


@pytest.mark.parametrize("wrong", [{"_id": "7", "info": job(8)}, {"_id": "serial", "value": 7}, {"_id": "7"}, {"_id": "²", "info": {"id": "²"}}])
def test_what_is_no_job_is_refused(wrong):
    with pytest.raises(StorageFailed, match="does not hold the job"):
        documents.job_number(wrong)
