# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests and answers of etcd's JSON gateway, as it writes them: what is zero or false is left out, numbers are texts."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import StorageFailed
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.etcd import wire

HEADER = {"header": {"cluster_id": "1", "revision": "7"}}


def b64(text):
    return base64.b64encode(text.encode()).decode()


def test_a_range_is_asked_for_with_what_is_set_alone():
    asked = wire.range_request("a/", wire.end_of("a/"), revision=5, limit=0, keys_only=True, count_only=False)
    assert asked == {"key": b64("a/"), "range_end": b64("a0"), "revision": "5", "keys_only": True}


@given(st.text(max_size=5), st.text(max_size=5))
def test_the_end_of_a_prefix_is_behind_all_that_begin_with_it_and_before_all_others(rest, other):
    def raw(text):
        return text.encode("utf-8", "surrogatepass")

    assert raw("a/b/") <= raw("a/b/" + rest) < raw(wire.end_of("a/b/"))
    assert other.startswith("a/b/") == (raw("a/b/") <= raw(other) < raw(wire.end_of("a/b/")))


def test_an_answer_without_keys_is_an_empty_page():
    assert wire.page(HEADER) == ([], False, 7)


def test_keys_are_read_with_what_etcd_counts():
    kv = {"key": b64("a"), "value": b64("1"), "create_revision": "2", "mod_revision": "3", "version": "4"}
    assert wire.page({**HEADER, "more": True, "kvs": [kv, {"key": b64("b")}]}) == ([wire.Kv("a", b"1", 2, 3, 4), wire.Kv("b", b"", 0, 0, 0)], True, 7)


def test_a_key_of_any_bytes_is_read_and_can_be_asked_for():
    key = base64.b64encode(b"a/\xff").decode()
    (kv,) = wire.page({**HEADER, "kvs": [{"key": key}]}).kvs
    assert wire.range_request(kv.key)["key"] == key


def test_a_transaction_compares_the_revision_of_the_last_write():
    asked = wire.transaction([wire.Compare("f", 0)], [wire.Put("a", b"x"), wire.Delete("b"), wire.Delete("c/", "c0")], [wire.Get("f")])
    assert asked == {
        "compare": [{"key": b64("f"), "target": "MOD", "result": "EQUAL", "mod_revision": "0"}],
        "success": [
            {"request_put": {"key": b64("a"), "value": b64("x")}},
            {"request_delete_range": {"key": b64("b")}},
            {"request_delete_range": {"key": b64("c/"), "range_end": b64("c0")}},
        ],
        "failure": [{"request_range": {"key": b64("f")}}],
    }


def test_what_a_transaction_found_is_told_read_by_read():
    done = {**HEADER, "succeeded": True, "responses": [{"response_put": {}}, {"response_range": {"kvs": [{"key": b64("a")}]}}, {"response_range": {}}]}
    assert wire.outcome(done) == (True, 7, [wire.Kv("a", b"", 0, 0, 0), None])
    assert wire.outcome(HEADER) == (False, 7, [])


@pytest.mark.parametrize("answer", [{}, {"header": None}, {"header": {"revision": "x"}}, {"header": []}])
def test_what_is_no_answer_of_etcd_is_said_to_be_none(answer):
    with pytest.raises(StorageFailed, match="no etcd"):
        wire.page(answer)


@pytest.mark.parametrize("kv", [{}, {"key": 5}, {"key": "!"}, {"key": b64("a"), "version": "x"}, {"key": b64("a"), "mod_revision": []}])
def test_what_is_no_key_of_etcd_is_said_to_be_none(kv):
    with pytest.raises(StorageFailed, match="not etcd's"):
        wire.page({**HEADER, "kvs": [kv]})
