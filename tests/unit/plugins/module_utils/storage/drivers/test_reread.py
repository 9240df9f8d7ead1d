# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A configuration that is read by what differs is the one that is read as a whole, whatever the edit; and so are its documents."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import StorageFailed
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers import documents, reread
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.documents import CONTAINERS
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.reread import Reader

NAMES = st.text(st.sampled_from('ab"\\{}:,é😀 '), max_size=3)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-20, 300) | st.sampled_from([1.0, 1e3, -0.0, 2**60, "1e999"]) | NAMES,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2), max_leaves=4,
)  # fmt: skip
OBJECTS = st.dictionaries(st.sampled_from("abcdefgh") | NAMES, st.dictionaries(NAMES, VALUES, max_size=2), max_size=5)
TOP = {"cluster": st.dictionaries(NAMES, VALUES, max_size=2), "serial_no": st.integers(0, 2000), "mtime": st.floats(0, 1e6)}
CONFIGURATIONS = st.fixed_dictionaries(TOP, optional={**dict.fromkeys(CONTAINERS[:3], OBJECTS), "nodes": OBJECTS | VALUES, "tags": VALUES})


@st.composite
def texts(draw):
    """A configuration as text, in one of the ways to write it."""
    configuration = draw(CONFIGURATIONS)
    order = draw(st.permutations(sorted(configuration)))
    separators, ascii_only, indent = draw(st.sampled_from([((",", ":"), True, None), ((", ", ": "), False, None), ((",", ":"), False, 1)]))
    return json.dumps({key: configuration[key] for key in order}, separators=separators, ensure_ascii=ascii_only, indent=indent)


@st.composite
def edits(draw, text):
    """The text as somebody might have changed it: whole objects, or anything anywhere."""
    for _each in range(draw(st.integers(1, 3))):
        if draw(st.booleans()):
            text = draw(_of_objects(text))
        else:
            start = draw(st.integers(0, len(text)))
            end = min(len(text), start + draw(st.integers(0, 6)))
            text = text[:start] + draw(st.text(st.sampled_from('"0123456789{}[]:,abx \\é.eE-'), max_size=4) | st.just(text[start:end] * 2)) + text[end:]
    return text


@st.composite
def _of_objects(draw, text):
    """As Ganeti changes it; as it is where that is no configuration any more."""
    try:
        value = json.loads(text)
        containers = [name for name in CONTAINERS if isinstance(value.get(name), dict)]
    except (ValueError, AttributeError):
        return text
    for container in containers:
        names = list(value[container])
        gone = draw(st.sets(st.sampled_from(names))) if names else set()
        new = draw(OBJECTS)
        kept = {name: new.pop(name, each) for name, each in value[container].items() if name not in gone}
        merged = {**new, **kept} if draw(st.booleans()) else {**kept, **new}
        value[container] = dict(sorted(merged.items())) if draw(st.booleans()) else merged
    value["serial_no"] = draw(st.integers(0, 2000))
    return json.dumps(value, separators=(",", ":"), ensure_ascii=draw(st.booleans()))


def loaded(loads, text):
    """What it makes of a text, written out as it differs in types too; or what it raises."""
    try:
        return json.dumps(loads(text), sort_keys=True)
    except ValueError as error:
        return repr(error)


@settings(max_examples=60)
@given(st.data(), texts())
def test_what_is_read_by_what_differs_is_what_is_read_as_a_whole(data, text):
    reader, last = Reader(), None
    for _each in range(4):
        assert loaded(reader.read, text) == loaded(json.loads, text)
        found = reader._last
        if found is not None:
            where = found.entries
            assert [json.loads(text[value:end]) for value, end in zip(where.values, where.ends)] == [
                (found.value if not container else found.value[container])[name] for container, name in zip(where.where, where.names)
            ], "it knows where everything is"
            assert all(text[brace] == "{" and text[close] == "}" for brace, close in found.bounds.values())
            last = _split(found.value, last)
        text = data.draw(edits(text))


def _split(configuration, last):
    """Documents by what differs, which are those that there are without; the last ones where it is no configuration."""
    try:
        fresh = documents.split(dict(configuration))
    except (StorageFailed, ValueError):  # the latter of a number that is too large
        return last
    found = documents.split(configuration, last)
    assert found.fingerprints == fresh.fingerprints and documents.join(found.documents) == configuration
    assert found.documents["config_data"]["config_data"]["manifest"] == fresh.documents["config_data"]["config_data"]["manifest"]
    return found


def configuration(serial=20, count=200, **instances):
    """A configuration with many instances."""
    many = {f"i{number:04d}": {"name": f"inst{number}", "serial_no": 1} for number in range(count)}
    many.update(instances)
    found = {"cluster": {"x": 1}, "instances": {name: each for name, each in sorted(many.items()) if each is not None}, "nodes": {"n": {}}, "serial_no": serial}
    return json.dumps(found, separators=(",", ":"))


@pytest.mark.parametrize(
    ("change", "touched"),
    [
        ({}, {}),
        ({"i0100": {"name": "other", "serial_no": 2}}, {"i0100"}),
        ({"i0000": {"name": "other"}, "i0199": {"name": "another"}}, {"i0000", "i0199"}),
        ({"i0100a": {"name": "new"}, "i0100b": {"name": "newer"}}, {"i0100a", "i0100b"}),
        ({"a": {"name": "first"}, "z": {"name": "last"}}, {"a", "z"}),
        ({"i0000": None, "i0100": None, "i0101": None, "i0199": None}, {"i0000", "i0100", "i0101", "i0199"}),
        ({"i0100": None, "i0150": {"name": "new"}, "i0120a": {}}, {"i0100", "i0150", "i0120a"}),
    ],
)
def test_only_what_differs_is_read(change, touched, monkeypatch):
    reader = Reader()
    before = reader.read(configuration())
    monkeypatch.setattr(reread, "_whole", lambda _text: pytest.fail("it was read as a whole"))
    text = configuration(21, **change)
    found = reader.read(text)
    assert found == json.loads(text) and found["nodes"] is before["nodes"]
    assert found.since(before) == ({"instances": touched} if touched else {})
    assert found.since(dict(before)) is None and before.since(found) is None


@pytest.mark.parametrize("spoil", [
    lambda text: text[:-1], lambda text: text + "}", lambda text: text + " x", lambda text: text.replace('"i0007":{', '"i0007":{"a"'),
    lambda text: text.replace('"i0007":{"name"', '"i0007":3,"name"'), lambda text: "",
])  # fmt: skip
def test_what_is_no_json_is_refused_and_read_again_when_it_is(spoil):
    reader = Reader()
    reader.read(configuration())
    spoilt = spoil(configuration(21))
    assert loaded(reader.read, spoilt) == loaded(json.loads, spoilt)
    assert reader.read(configuration(22)) == json.loads(configuration(22))


def test_much_that_differs_is_read_as_a_whole(monkeypatch):
    reader, asked, whole = Reader(), [], reread._whole
    reader.read(configuration())
    monkeypatch.setattr(reread, "_whole", lambda text: asked.append(1) or whole(text))
    text = configuration(21).replace("inst", "other")
    assert reader.read(text) == json.loads(text) and asked == [1]
