# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How members are named, and the files for TLS: what is wrong is said by its option, and never with the password."""

from __future__ import annotations

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import InvalidInput
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.etcd.endpoints import Access, Endpoint, endpoint


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://etcd1.example.com", Endpoint("https", "etcd1.example.com", 2379)),
        ("https://etcd1.example.com:2479/", Endpoint("https", "etcd1.example.com", 2479)),
        ("https://[2001:db8::1]:2379", Endpoint("https", "2001:db8::1", 2379)),
        ("http://127.0.0.1:2379", Endpoint("http", "127.0.0.1", 2379)),
        ("http://localhost", Endpoint("http", "localhost", 2379)),
    ],
)
def test_addresses_are_read(url, found):
    assert endpoint(url) == found
    assert endpoint(found.url) == found


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://etcd1.example.com:2379", "without encryption"),
        ("etcd1.example.com:2379", "no address of an etcd member"),
        ("ftp://etcd1.example.com", "no address"),
        ("https://", "no address"),
        ("https://root:hunter2@etcd1.example.com", "without user and path"),
        ("https://etcd1.example.com/v3", "without user and path"),
        ("https://etcd1.example.com?hunter2", "no address"),
        ("https://etcd1.example.com:hunter2", "its port is no number"),
        ("https://etcd1.example.com:99999", "its port is no number"),
        ("https://[hunter2", "it is no URL"),
    ],
)
def test_other_addresses_are_refused_without_showing_what_may_be_a_password(url, said):
    with pytest.raises(InvalidInput, match=said) as caught:
        endpoint(url)
    assert "endpoints" in caught.value.message and "hunter2" not in caught.value.message


def test_what_belongs_together_is_asked_for_together(tmp_path):
    url = "https://etcd1.example.com"
    for given, said in (
        (dict(urls=[]), "names no member"),
        (dict(urls=[url], username="ganeti"), "username and password go together"),
        (dict(urls=[url], password="hunter2"), "username and password go together"),
        (dict(urls=[url], key_path="/k"), "name the certificate in cert_path"),
        (dict(urls=[url], ca_path="/no/such"), "ca_path: /no/such cannot be read as certificates .No such file"),
        (dict(urls=[url], cert_path="/no/such"), "cert_path and key_path: /no/such and /no/such .* belong together"),
    ):
        with pytest.raises(InvalidInput, match=said) as caught:
            Access(**given)
        assert "hunter2" not in caught.value.message


def test_a_file_that_holds_no_certificate_is_named(tmp_path):
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(InvalidInput, match="ca_path: .*ca.pem"):
        Access(["https://etcd1.example.com"], ca_path=str(tmp_path / "ca.pem"))


def test_each_member_is_asked_once_and_the_password_is_not_shown():
    access = Access(["http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:1"], "ganeti", "hunter2")
    assert access.words() == "http://127.0.0.1:1, http://127.0.0.1:2"
    assert "hunter2" not in repr(access)
