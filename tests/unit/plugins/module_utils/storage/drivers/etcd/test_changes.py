# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a change is written: at each moment whoever reads has the old configuration or the new one. Against keys in memory, for any two configurations."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import StorageIncomplete
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers import documents
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.etcd import changes, layout
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.etcd.wire import Delete, Kv, Put, end_of

OBJECTS = st.dictionaries(st.sampled_from("abcdef"), st.fixed_dictionaries({"value": st.integers(0, 2)}), max_size=6)
CONFIGURATIONS = st.fixed_dictionaries(
    {"cluster": st.fixed_dictionaries({"mark": st.integers(0, 2)}), "nodes": OBJECTS, "disks": OBJECTS}, optional={"filters": OBJECTS}
)


def numbered(configuration, serial):
    """The configuration with a serial number."""
    return {**configuration, "serial_no": serial}


def apply(keys, operations):
    """Do one transaction."""
    for each in operations:
        if isinstance(each, Put):
            keys[each.key] = each.value
        else:
            for key in [key for key in keys if key == each.key or (each.end is not None and each.key <= key < each.end)]:
                del keys[key]


def look(keys):
    """What whoever reads has."""
    found = [Kv(key, value, 1, 1, 1) for key, value in sorted(keys.items())]
    return changes.stored(*([kv for kv in found if kv.key.startswith(prefix)] for prefix in (layout.CONFIG, layout.STAGED)))


def known(found):
    """The fingerprints of it."""
    numbers = {container: {name: documents.fingerprint(each) for name, each in objects.items()} for container, objects in found.objects.items()}
    return {**numbers, "config_data": {"config_data": documents.fingerprint({"_id": "config_data", **found.head})} if found.head else {}}


def small(keys, configuration):
    """The one transaction of a small change."""
    return changes.between(known(look(keys)), documents.split(configuration), 1).operations()


def staged(keys, configuration, size):
    """The transactions of a large one, of so many operations each."""
    change = changes.between(known(look(keys)), documents.split(configuration), 1)
    yield from documents.batches(change.staging("1.s.1"), size)
    yield [changes.head(change.head, "1.s.1")]
    yield from documents.batches(changes.fold(change.objects, change.serial), size)
    yield [changes.head(change.head), Delete(layout.STAGED, end_of(layout.STAGED))]


def ended(keys):
    """What the next one who writes does first."""
    found = look(keys)
    if found.head is not None and "staged" in found.head:
        yield from documents.batches(changes.fold(found.staged, found.head["serial"]), 1)
        yield [changes.head(found.head), Delete(layout.STAGED, end_of(layout.STAGED))]
    elif found.litter:
        yield [Delete(layout.STAGED, end_of(layout.STAGED))]


@settings(max_examples=40)
@given(CONFIGURATIONS, CONFIGURATIONS)
def test_a_small_change_leads_from_any_configuration_to_any(one, other):
    keys = {}
    for configuration in (numbered(one, 20), numbered(other, 21)):
        apply(keys, small(keys, configuration))
        assert changes.configuration(look(keys)) == configuration
    assert not look(keys).litter and not look(keys).staged


@settings(max_examples=10)
@given(CONFIGURATIONS, CONFIGURATIONS, CONFIGURATIONS, st.integers(1, 5))
def test_a_large_change_is_whole_at_each_moment_and_can_be_ended_from_each(one, other, third, size):
    keys = {}
    old, new, later = numbered(one, 20), numbered(other, 21), numbered(third, 22)
    apply(keys, small(keys, old))
    seen = []
    for transaction in list(staged(keys, new, size)):
        apply(keys, transaction)
        seen.append(changes.configuration(look(keys)))
        again = dict(keys)
        for step in ended(keys):
            apply(again, step)
            assert changes.configuration(look(again)) == seen[-1], "whoever ends it may die as well"
        assert not look(again).litter and not look(again).staged and not any(key.startswith(layout.STAGED) for key in again)
        apply(again, small(again, later))
        assert changes.configuration(look(again)) == later
    assert [each for number, each in enumerate([old, *seen]) if not number or each != [old, *seen][number - 1]] == [old, new]


def test_what_is_staged_by_somebody_who_died_belongs_to_nobody():
    keys = {}
    apply(keys, small(keys, {"cluster": {}, "nodes": {"a": {"value": 1}}, "serial_no": 20}))
    keys[f"{layout.STAGED}0.s.9/nodes/a"] = documents.encoded({"serial": 19, "info": {"value": 9}})
    assert changes.configuration(look(keys))["nodes"] == {"a": {"value": 1}}
    assert look(keys).litter


def test_a_removal_leaves_a_word():
    keys = {}
    apply(keys, small(keys, {"cluster": {}, "nodes": {"a": {"value": 1}}, "serial_no": 20}))
    apply(keys, small(keys, {"cluster": {}, "nodes": {}, "serial_no": 21}))
    assert layout.decoded(keys["removed/nodes/a"]) == {"serial": 21} and "config/nodes/a" not in keys


@pytest.mark.parametrize("value", [b"\xff", b"[]", b"{}", b'{"serial": 20, "info": {}}', b'{"serial": "x", "info": {}, "manifest": {}, "containers": []}'])
def test_a_head_that_cannot_be_read_is_none(value):
    with pytest.raises(StorageIncomplete, match="There is no configuration"):
        changes.configuration(look({layout.HEAD: value}))


@pytest.mark.parametrize("value", [b"\xff", b"[]", b"{}", b'{"serial": 20}', b'{"serial": 20, "info": {"value": 2}}'])
def test_an_object_that_somebody_else_wrote_shows(value):
    keys = {}
    apply(keys, small(keys, {"cluster": {}, "nodes": {"a": {"value": 1}}, "serial_no": 20}))
    keys["config/nodes/a"] = value
    with pytest.raises(StorageIncomplete, match="nodes do not fit"):
        changes.configuration(look(keys))
    apply(keys, small(keys, {"cluster": {}, "nodes": {"a": {"value": 1}}, "serial_no": 20}))
    assert changes.configuration(look(keys))["nodes"] == {"a": {"value": 1}}


@settings(max_examples=40)
@given(st.lists(st.integers(0, 2 * changes.BYTES), max_size=10), st.integers(0, 300))
def test_parts_are_all_in_order_and_fit_but_for_what_is_too_large_by_itself(sizes, count):
    class Sized(Put):
        """A value of a size, without having it."""

        @property
        def size(self):
            return int(self.key)

    operations = [Sized(str(size), b"") for size in [*sizes, *[1] * count]]
    parts = list(changes.batches(operations))
    assert [each for part in parts for each in part] == operations
    assert all(changes.fits(part) or len(part) == 1 for part in parts)
    assert not any(changes.fits([*one, other[0]]) for one, other in zip(parts, parts[1:]))
