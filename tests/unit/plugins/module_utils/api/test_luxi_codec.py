# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import ConnectionFailed, RequestRefused
from ansible_collections.ganeti.cluster.plugins.module_utils.api.luxi import END, MessageBuffer, decode_answer, encode_request, not_master

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10
)


@given(method=st.text(), args=st.lists(_JSON))
def test_a_request_has_one_end_and_reads_back(method: str, args: list[object]) -> None:
    message = encode_request(method, args)
    assert message.count(END) == 1 and message.endswith(END)
    assert json.loads(message[:-1]) == {"method": method, "args": args}


@given(result=_JSON)
def test_a_success_gives_its_result(result: object) -> None:
    assert decode_answer("Query", json.dumps({"success": True, "result": result}).encode()) == result


@given(garbage=st.binary())
def test_garbage_is_a_failed_connection_or_a_refusal_never_anything_else(garbage: bytes) -> None:
    with pytest.raises((ConnectionFailed, RequestRefused)):
        decode_answer("Query", garbage)


@pytest.mark.parametrize(
    ("result", "message", "ecode"),
    [
        (["OpPrereqError", ["Instance not known", "unknown_entity"]], "Ganeti refused Query: Instance not known.", "unknown_entity"),
        (["GenericError", ["Queue drained"]], "Ganeti refused Query: Queue drained.", None),
        (["JobQueueFull", []], "Ganeti refused Query: JobQueueFull.", None),
        ("just text", "Ganeti refused Query: just text.", None),
        (None, "Ganeti refused Query: no reason was given.", None),
    ],
)
def test_an_error_is_a_refusal_in_ganetis_words(result: object, message: str, ecode: str | None) -> None:
    with pytest.raises(RequestRefused) as refused:
        decode_answer("Query", json.dumps({"success": False, "result": result}).encode())
    assert refused.value.message == message
    assert refused.value.ecode == ecode


def test_a_luxid_without_configuration_is_a_failed_connection() -> None:
    with pytest.raises(ConnectionFailed, match="no configuration"):
        decode_answer("Query", b'{"success": false, "result": ["ConfigurationError", ["I do not have access"]]}')


def test_what_a_login_script_prints_before_an_answer_is_shown_and_named_as_the_cause() -> None:
    with pytest.raises(ConnectionFailed, match=r"begins with 'Welcome to  a1, all is logged\.': does a login script of the SSH user on the master print"):
        decode_answer("Query", b'Welcome to\x1b a1, all is logged.\n{"success": true, "result": "secret"}')


@given(messages=st.lists(st.binary().map(lambda raw: raw.replace(END, b"")), max_size=5), data=st.data())
def test_messages_come_out_however_they_were_split(messages: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(message + END for message in messages)
    buffer = MessageBuffer()
    received = []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        received += buffer.feed(stream[:size])
        stream = stream[size:]
    assert received == messages


def test_a_message_beyond_the_limit_is_refused() -> None:
    buffer = MessageBuffer(limit=10)
    assert buffer.feed(b"0123456789" + END + b"01234") == [b"0123456789"]
    with pytest.raises(ConnectionFailed, match="longer than 10 bytes"):
        buffer.feed(b"567890")


@pytest.mark.parametrize(
    ("master", "expected"),
    [
        (None, "b1 is no node of a Ganeti cluster"),
        ("b1.example", "luxid does not answer on the master b1"),
        ("b2.example", "b1 is not the master of its cluster, b2.example is"),
    ],
)
def test_why_luxid_is_not_there(master: str | None, expected: str) -> None:
    assert expected in not_master("b1", master, ("b1", "b1.example")).message
