# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ciphers are names of single ciphers, never rules, and what two ends agree on is what was named."""

from __future__ import annotations

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ganeti.cluster.plugins.module_utils.move.certificates import identities
from ansible_collections.ganeti.cluster.plugins.module_utils.stream import ciphers, suites, tls
from ansible_collections.ganeti.cluster.plugins.module_utils.stream.errors import EndpointError

MOVE = "0123456789abcdef"
KNOWN = ciphers.known()
RULES = ["ALL", "NULL", "eNULL", "aNULL", "HIGH", "DEFAULT", "COMPLEMENTOFALL", "kRSA", "ECDSA", "AES128", "@SECLEVEL=0", "@STRENGTH", "!AES", "-AES",
         "+AES", "TLSv1.2", "SUITEB128", "ECDHE+AESGCM", ""]  # fmt: skip
SEPARATORS = [":", ",", " ", ";", "+", "\n"]


@pytest.mark.parametrize("rule", RULES)
def test_rules_are_no_ciphers(rule):
    assert ciphers.problems([rule], KNOWN)


@given(st.sampled_from(sorted(KNOWN)), st.sampled_from(SEPARATORS), st.sampled_from(sorted(KNOWN) + RULES), st.booleans())
def test_nothing_is_smuggled_behind_a_name(name, separator, other, before):
    joined = other + separator + name if before else name + separator + other
    assert ciphers.problems([joined], KNOWN)


@given(st.text(max_size=40))
def test_whatever_passes_is_one_cipher_with_authentication(text):
    assert ciphers.problems([text], KNOWN) or KNOWN[text].authentication in ("auth-ecdsa", "auth-any")


@pytest.mark.parametrize("name", [name for name, cipher in KNOWN.items() if cipher.authentication not in ("auth-ecdsa", "auth-any")])
def test_ciphers_that_would_skip_the_certificates_are_refused(name):
    with pytest.raises(EndpointError, match="does not fit the certificates"):
        agreed([name], [name])


def agreed(client_ciphers, server_ciphers):
    """What the two ends of a move agree on, the bytes carried from hand to hand."""
    source, destination = identities(MOVE)
    wires = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = tls.context(source, server=False, wanted=client_ciphers).wrap_bio(wires[0], wires[1], server_hostname=tls.certificate_names(MOVE)[1])
    server = tls.context(destination, server=True, wanted=server_ciphers).wrap_bio(wires[1], wires[0], server_side=True)
    for _turn in range(6):
        for end in (client, server):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                pass
    return tls.negotiated(client, client_ciphers), tls.negotiated(server, server_ciphers)


@pytest.mark.parametrize("name", [name for name, cipher in KNOWN.items() if cipher.authentication == "auth-ecdsa" and cipher.protocol != "TLSv1.3"])
def test_each_cipher_is_what_both_ends_agree_on(name):
    both = agreed([name], [name])
    assert both[0] == both[1] == ["TLSv1.2", name, KNOWN[name].bits]


def test_without_names_it_is_tls_1_3():
    both = agreed([], [])
    assert both[0] == both[1] and both[0][0] == "TLSv1.3" and both[0][2] >= 128


def test_ends_that_were_asked_for_different_things_do_not_agree():
    for theirs, ours in ((["ECDHE-ECDSA-AES128-GCM-SHA256"], ["ECDHE-ECDSA-NULL-SHA"]), ([], ["ECDHE-ECDSA-NULL-SHA"]), (["ECDHE-ECDSA-NULL-SHA"], [])):
        with pytest.raises(ssl.SSLError):
            agreed(theirs, ours)


def test_a_suite_needs_to_be_chosen_before_openssl_is_loaded():
    with pytest.raises(EndpointError, match="OpenSSL on this node offers"):
        agreed(["TLS_AES_128_GCM_SHA256"], ["TLS_AES_128_GCM_SHA256"])


@given(st.text(max_size=30))
def test_suites_have_the_form_of_a_name(text):
    assert not suites.is_suite(text) or set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")


@pytest.mark.parametrize("text", ["TLS_X\n[y]", "TLS_A:TLS_B", "ALL", "TLS_A ", ""])
def test_nothing_else_gets_into_openssls_configuration(text):
    with pytest.raises(SystemExit):
        suites.offer_only([text])
