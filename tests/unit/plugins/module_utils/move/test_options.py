# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options: what is refused before anybody is asked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import InvalidInput

from .samples import options, override


def test_the_name_is_kept_unless_another_is_given():
    assert options().destination_name == "web.example.com"
    assert options(destination_name="www").destination_name == "www"


def test_without_a_destination_it_is_the_source_cluster():
    assert options(destination=None).destination == options().source


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "Web;reboot"}, "is not a host name"),
        ({"name": ".web"}, "is not a host name"),
        ({"name": "web..example"}, "is not a host name"),
        ({"name": ""}, "is not a host name"),
        ({"name": "w" * 256}, "is not a host name"),
        ({"destination_name": "a/b"}, "destination_name is 'a/b'"),
        ({"primary_node": "b1 b2"}, "primary_node"),
        ({"compress": "gzip -9"}, "not a name of a compression tool"),
        ({"compress": "-d"}, "not a name of a compression tool"),
        ({"ciphers": ["ALL:NULL"]}, "'ALL:NULL' in ciphers is not a name"),
        ({"ciphers": ["@SECLEVEL=0"]}, "is not a name of a cipher"),
        ({"ciphers": ["!AES"]}, "is not a name of a cipher"),
        ({"ciphers": ["A,B"]}, "is not a name of a cipher"),
        ({"ciphers": ["-help"]}, "is not a name of a cipher"),
        ({"ciphers": ["A", "A"]}, "the same cipher twice"),
        ({"zeroing_kernel_path": "k"}, "zeroing_kernel_path is 'k'"),
        ({"zeroing_timeout_fixed": -1.0}, "zeroing_timeout_fixed is -1.0"),
        ({"zero_free_space": "yes", "source": {"address": "a1", "transport": "rapi"}}, "leave zero_free_space out"),
        ({"lanes": 0}, "lanes is 0"),
        ({"lanes": 99}, "lanes is 99"),
        ({"data_port": 70000}, "data_port is 70000"),
        ({"nics": [override(), override()]}, "same index twice"),
        ({"primary_node": "b1", "opportunistic_tries": 3}, "needs an iallocator"),
    ],
)
def test_refusals(changes, words):
    with pytest.raises(InvalidInput, match=words):
        options(**changes)


def test_all_refusals_come_together():
    with pytest.raises(InvalidInput) as refusal:
        options(name="A", compress="", lanes=0)
    assert refusal.value.message.count(".") >= 3


@given(st.text(max_size=30))
def test_no_name_can_leave_its_place(name):
    """What is accepted as a name has no character that means something to a path or a shell."""
    try:
        accepted = options(name=name).name
    except InvalidInput:
        return
    assert set(accepted) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_.")
    assert not accepted.startswith(".") and ".." not in accepted


@pytest.mark.parametrize(
    ("given_name", "taken"),
    [("web_1.example.com", "web_1.example.com"), ("_web", "_web"), ("WEB.Example.com", "web.example.com"), ("web.example.com.", "web.example.com")],
)
def test_names_are_taken_as_ganeti_takes_them(given_name, taken):
    """Ganeti: netutils.Hostname.GetNormalizedName."""
    parsed = options(name=given_name, primary_node=given_name)
    assert (parsed.name, parsed.destination_name, parsed.primary_node) == (taken, taken, taken)


def test_readback_uses_the_stronger_checksum():
    assert options(verify="stream").checksum == "crc32"
    assert options(verify="readback").checksum == "sha256"
