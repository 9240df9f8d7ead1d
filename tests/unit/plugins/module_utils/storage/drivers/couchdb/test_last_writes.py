# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What config_data tells of the last writes: what they left, and no more than it may hold."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb import last_writes
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.documents import canonical

OBJECTS = st.dictionaries(
    st.sampled_from(["nodes", "disks"]), st.dictionaries(st.sampled_from("abc"), st.none() | st.fixed_dictionaries({"n": st.integers(0, 9)}), min_size=1)
)


def head(writes):
    """The document that tells of writes."""
    found = []
    for serial, objects in enumerate(writes):
        found = last_writes.added(found, serial, objects)
    return {"recent": last_writes.telling(found)}


@given(st.lists(OBJECTS, max_size=8))
def test_it_tells_what_the_last_writes_left(writes):
    expected = {}
    for write in writes:
        for container, objects in write.items():
            expected.setdefault(container, {}).update(objects)
    assert last_writes.objects(head(writes)) == expected


@given(st.lists(OBJECTS, max_size=8))
def test_each_object_is_told_of_once(writes):
    told = [(container, name) for each in last_writes.told(head(writes)) for container, found in each.objects.items() for name in found]
    assert len(told) == len(set(told))


def test_the_oldest_go_where_there_are_too_many():
    found = last_writes.objects(head([{"nodes": {str(number): {"n": number}}} for number in range(last_writes.WRITES + 5)]))
    assert sorted(map(int, found["nodes"])) == list(range(5, last_writes.WRITES + 5))


def test_the_oldest_go_where_they_are_too_large():
    large = {"text": "x" * (last_writes.BYTES // 3)}
    told = head([{"nodes": {str(number): large}} for number in range(5)])
    assert sorted(last_writes.objects(told)["nodes"]) == ["3", "4"]
    assert sum(len(canonical(each["objects"])) for each in told["recent"]) <= last_writes.BYTES


def test_nothing_older_is_told_than_what_is_too_large_itself():
    """It would be told as what is newest, and that it is not."""
    whole = {"instances": {"all": {"text": "x" * last_writes.BYTES}}}
    assert last_writes.objects(head([{"nodes": {"a": {"n": 1}}}, whole])) == {}
    assert last_writes.objects(head([whole, {"nodes": {"a": {"n": 1}}}])) == {"nodes": {"a": {"n": 1}}}


def test_what_an_earlier_release_wrote_tells_of_nothing():
    assert last_writes.told({"serial": 20, "info": {}}) == [] and last_writes.objects({"serial": 20, "info": {}}) == {}
