# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who is let in: certificates that are verified at both ends, users and passwords; and an etcd that lets anybody in is refused."""

from __future__ import annotations

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import AuthenticationFailed, ConnectionFailed
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.etcd.client import Client
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.etcd.endpoints import Access
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.etcd.storage import EtcdStorage, open_etcd

from .authority import Authority
from .launch import Etcd
from .samples import PASSWORD, configuration, job, mine


@pytest.fixture(scope="module")
def certified(authority, tmp_path_factory):
    """An etcd that asks clients for certificates."""
    certificate, key = authority.signed("server")
    tls = [f"--cert-file={certificate}", f"--key-file={key}", f"--trusted-ca-file={authority.path}", "--client-cert-auth"]
    started = Etcd(tmp_path_factory.mktemp("certified"), 1, tls)
    yield started
    started.stop()


def test_a_storage_behind_client_certificates(certified, authority, cluster):
    certificate, key = authority.signed("a1")
    storage = open_etcd(certified.urls, cluster, ca_path=authority.path, cert_path=certificate, key_path=key)
    storage.prepare()
    storage.claim(mine(1, "a1"))
    storage.write_configuration(configuration())
    assert storage.configuration() == configuration()
    storage.close()


def test_nobody_without_a_certificate_is_let_in(certified, authority, tmp_path):
    strange, key = Authority(tmp_path, "stranger").signed("a1")
    for access in (
        Access(certified.urls, ca_path=authority.path),
        Access(certified.urls, ca_path=authority.path, cert_path=strange, key_path=key),
    ):
        with Client(access, seconds=5) as client, pytest.raises(ConnectionFailed):
            client.get("ganeti/x")


def test_a_server_with_a_certificate_of_somebody_else_is_sent_nothing(closed, tmp_path):
    other = Authority(tmp_path, "stranger")
    said = "certificate that cannot be trusted.*ca_path.*nothing was sent"
    with Client(Access(closed.urls, "ganeti", PASSWORD, ca_path=other.path), seconds=5) as client, pytest.raises(ConnectionFailed, match=said) as caught:
        client.get("ganeti/x")
    assert PASSWORD not in caught.value.message and PASSWORD not in repr(client.access)


def test_a_user_reads_and_writes_below_the_prefix_and_nowhere_else(closed, authority, cluster):
    storage = open_etcd(closed.urls, cluster, username="ganeti", password=PASSWORD, ca_path=authority.path)
    storage.prepare()
    storage.claim(mine(1, "a1"))
    storage.write_configuration(configuration())
    storage.write_queue({1: job(1)}, 1)
    assert storage.configuration() == configuration() and storage.queue().jobs == {1}
    with pytest.raises(AuthenticationFailed, match="does not let ganeti do this .*give it a role for the prefix"):
        storage._client.get("elsewhere")
    storage.close()


@pytest.mark.parametrize(
    ("username", "password", "said"),
    [
        ("ganeti", "wrong+password", "does not let ganeti in .*check username and password"),
        ("nobody", PASSWORD, "does not let nobody in"),
        ("guest", PASSWORD, "does not let guest do this"),
        (None, None, "lets nobody in without a user.*give username and password"),
    ],
)
def test_others_are_told_what_to_check(closed, authority, username, password, said):
    with Client(Access(closed.urls, username, password, authority.path)) as client, pytest.raises(AuthenticationFailed, match=said) as caught:
        client.get("ganeti/x")
    assert "wrong+password" not in caught.value.message


def test_a_token_that_has_ended_is_replaced(closed, authority, cluster):
    with Client(Access(closed.urls, "ganeti", PASSWORD, authority.path)) as client:
        storage = EtcdStorage(client, cluster)
        storage.claim(mine(1, "a1"))
        for ended in ("no.such.1", client._token[:-1] + "x", "nonsense"):
            client._token = ended
            storage.write_jobs({1: job(1)})
            assert client._token != ended


def test_a_user_where_there_is_no_authentication_is_told_so(etcd):
    with Client(Access(etcd.urls, "ganeti", PASSWORD)) as client, pytest.raises(AuthenticationFailed, match="has no authentication.*auth enable"):
        client.get("ganeti/x")


def test_an_etcd_that_lets_anybody_in_is_refused(etcd, cluster):
    with Client(Access(etcd.urls)) as client, pytest.raises(AuthenticationFailed, match="lets anybody read.*client-cert-auth"):
        EtcdStorage(client, cluster).prepare()
