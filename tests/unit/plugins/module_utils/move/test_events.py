# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a node says is used only where it has the shape that endpoints give it; nothing a node does takes the controller down."""

from __future__ import annotations

import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import StreamFailed
from ansible_collections.ganeti.cluster.plugins.module_utils.move import events, nodes
from ansible_collections.ganeti.cluster.plugins.module_utils.stream import probe

from .local import Host

FAILED = {"event": "failed", "message": "No room.", "secondary": False, "clock": None}
PART = {"partition": "1", "file_system": None, "size": 9, "skipped": 0, "reason": "nothing on it is known"}
PROGRESS = {"event": "progress", "phase": "copy", "done": 1, "wire": 2, "work": 0, "total": 3}
GOOD = [
    ("send", PROGRESS),
    ("send", FAILED),
    ("receive", {"event": "listening", "port": 7000}),
    ("send", {"event": "finished", "digests": ["0" * 64], "payload": 5, "wire": 6, "tls": [["TLSv1.3", "X", 256]], "free_space": [[PART]]}),
    ("flood", {"event": "finished", "rate": 1.5}),
    ("count_free", {"event": "finished", "data": 9, "idle": 5, "free_space": [[PART]]}),
    ("measure_tools", {"event": "finished", "sample": 5, "tools": {"gzip": [2.0, 3, 4.5]}}),
]
TAKE = "import sys; stream = sys.stdin.buffer; stream.read(int(stream.readline())); stream.readline()\n"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["event", "phase", "done", "message", "port", "x"]), inner, max_size=5),
    max_leaves=12,
)


def parse(event, command="send"):
    return events.parse(json.dumps(event).encode(), command, "a2")


@pytest.mark.parametrize(("command", "event"), GOOD)
def test_what_endpoints_say_is_taken_as_it_is(command, event):
    assert parse(event, command) == event


def test_the_answer_about_a_node_is_what_the_table_says(tmp_path):
    (tmp_path / "disk").write_bytes(b"x")
    answer = probe.examine({"disks": [(str(tmp_path / "disk"), 1), ("/nowhere", 1)], "directory": "/", "tools": ["gzip"], "ciphers": ["X"]})
    assert parse({"event": "finished", **answer}, "examine")["disks"][0]["size"] == 1
    assert set(events.ANSWERS["examine"]) == set(answer)


@given(st.sampled_from(GOOD), st.data())
def test_a_field_of_another_type_is_refused(good, data):
    command, event = good
    field = data.draw(st.sampled_from(sorted(event)))
    value = data.draw(JSON)
    try:
        taken = parse({**event, field: value}, command)
    except StreamFailed as error:
        assert error.message.startswith("Node a2 answered with")
        return
    check = {**events.EVENTS[taken["event"]], **(events.ANSWERS[command] if taken["event"] == "finished" else {})}
    assert all(check[name](taken[name]) for name in check)


@given(JSON)
def test_any_other_shape_is_refused(value):
    try:
        taken = parse(value)
    except StreamFailed:
        return
    assert taken["event"] in ("started", "ready")  # which have no fields of their own


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(line):
    with pytest.raises(StreamFailed, match="^Node a2 answered with"):
        events.parse(line, "send", "a2")


@pytest.mark.parametrize(
    "wrong",
    [
        {**PROGRESS, "done": -1}, {**PROGRESS, "done": True}, {**PROGRESS, "total": 2**63}, {**PROGRESS, "phase": "x"}, {**PROGRESS, "wire": 1.5},
        {**FAILED, "message": "x" * 70000}, {**FAILED, "secondary": 0}, {"event": "listening", "port": 65536}, {"event": ["failed"]}, {}, [], 7,
    ],
)  # fmt: skip
def test_values_outside_their_bounds_are_refused(wrong):
    with pytest.raises(StreamFailed, match="Node a2 answered with"):
        parse(wrong)


def test_deep_json_is_refused():
    with pytest.raises(StreamFailed, match="something else than JSON"):
        events.parse(b"[" * 500000, "send", "a2")


def test_a_message_does_nothing_to_the_terminal():
    assert parse({**FAILED, "message": "No \x1b]0;room\x07\nhere\u202e"})["message"] == "No ?]0;room?\nhere?"


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("print('[]')", "Node a2 answered with something that no endpoint says: "),
        ("print('nonsense')", r"^Node a2 answered with something else than JSON: nonsense\. Does a login script print that\?$"),
        ("print('Welcome.')", r"^Node a2 answered with something else than JSON: Welcome\. Does"),
        ("print('{\"event\": \"finished\"}')", "Node a2 answered with a wrong python in its event finished"),
        ("while True: print('x' * 100000, end='')", "a line of more than 1048576 bytes"),
        ("while True: print('{\"event\": \"started\"}')", "2001 lines, .* than any endpoint does"),
        ("while True: print('{\"event\": \"started\", \"x\": \"' + 'x' * 900000 + '\"}')", "5 lines, .* than any endpoint does"),
        ("import sys; sys.exit('no \\x1bmemory')", "its endpoint ended early: no \\?memory"),
    ],
)  # fmt: skip
def test_a_node_that_says_something_else_is_named(program, words):
    host = Host("a2", [sys.executable, "-c", TAKE + program])
    try:
        with pytest.raises(StreamFailed, match=words):
            nodes.ask(host, {"command": "examine"}, 30.0)
    finally:
        host.end()
