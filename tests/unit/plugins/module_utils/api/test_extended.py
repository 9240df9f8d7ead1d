# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import GanetiError
from ansible_collections.ganeti.cluster.plugins.module_utils.api import extended_hook
from ansible_collections.ganeti.cluster.plugins.module_utils.api.extended import DEFAULTS, FILE, STORAGES, answers, decode, encode, judge

ALLOWED = {"allow_cipher_bypassing": True, "backend_storage": "disk"}
HOOK = extended_hook.fingerprint(FILE)
DIGEST = hashlib.sha256(encode(ALLOWED)).hexdigest() + "  -"


def test_no_file_means_the_defaults() -> None:
    assert decode("") == decode("{}") == DEFAULTS == {"allow_cipher_bypassing": False, "backend_storage": "disk"}


@given(st.booleans(), st.sampled_from(STORAGES))
def test_what_is_written_is_read(allowed: bool, storage: str) -> None:
    values = {"allow_cipher_bypassing": allowed, "backend_storage": storage}
    assert decode(encode(values).decode()) == values


@pytest.mark.parametrize(
    "text",
    ["{", "[]", "3", "null", '{"colour": 1}', '{"allow_cipher_bypassing": "yes"}', '{"allow_cipher_bypassing": 1}', '{"backend_storage": "tape"}', "[[1]]"],
)
def test_a_damaged_file_is_never_taken_for_the_defaults(text: str) -> None:
    with pytest.raises(GanetiError, match="repair it, or remove it"):
        decode(text)


@given(st.text())
def test_any_text_is_read_or_refused_in_words(text: str) -> None:
    try:
        assert set(decode(text)) == set(DEFAULTS)
    except GanetiError as error:
        assert "repair it" in error.message


def test_the_nodes_answers_are_told_apart() -> None:
    output = f"----\na2.example: 600:0:0\na2.example: {DIGEST}\nreturn code = 0\n----\na1.example: missing\nreturn code = 0\nb9.example: missing\n"
    assert answers(output, ["a1.example", "a2.example", "a3.example"]) == {
        "a1.example": ["missing"],
        "a2.example": ["600:0:0", DIGEST],
        "a3.example": [],
    }


@pytest.mark.parametrize(
    ("lines", "values", "current", "state"),
    [
        (["600:0:0", DIGEST, HOOK], ALLOWED, True, "has the file"),
        (["600:0:0", DIGEST], ALLOWED, False, f"has the file, but not {extended_hook.HOOK} for nodes that join later"),
        (["600:0:0", DIGEST], dict(DEFAULTS), False, "has other values"),
        (["644:0:0", DIGEST], ALLOWED, False, "has the file with mode and owner 644:0:0"),
        (["600:1000:0", DIGEST], ALLOWED, False, "has the file with mode and owner 600:1000:0"),
        (["missing"], ALLOWED, False, "has no file"),
        (["missing"], dict(DEFAULTS), True, "has no file"),
        ([], ALLOWED, False, "did not answer"),
        ([], dict(DEFAULTS), False, "did not answer"),
        (["ssh: connect to host a1 port 22: No route to host"], ALLOWED, False, "did not answer"),
    ],
)
def test_a_nodes_copy(lines: list[str], values: dict[str, t.Any], current: bool, state: str) -> None:
    assert judge("a1.example", lines, values) == ("a1.example", current, state)
