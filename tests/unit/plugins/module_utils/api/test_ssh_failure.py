# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What OpenSSH writes, and what becomes of it. What a server on loopback can be made to cause is in test_ssh_openssh."""

from __future__ import annotations

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import (
    AuthenticationFailed,
    ConnectionFailed,
    HostKeyUnknown,
    InvalidInput,
)
from ansible_collections.ganeti.cluster.plugins.module_utils.api.ssh_failure import NameUnresolved, explain, last_words, scan
from ansible_collections.ganeti.cluster.plugins.module_utils.api.ssh_settings import HostSettings

A1 = HostSettings("a1", "a1.example.net", 22, "root", None, ("/home/joe/.ssh/known_hosts",), (), None, None)
BEHIND = "kex_exchange_identification: Connection closed by remote host\r\nConnection closed by UNKNOWN port 65535\r\n"
SHOWN = "debug1: Server host key: ssh-ed25519 SHA256:abc\r\n"


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        (
            "ssh: connect to host a1.example.net port 22: No route to host\r\n",
            ConnectionFailed,
            "a1 cannot be reached by SSH on a1.example.net port 22: No route to host.",
        ),
        (
            f"ssh: connect to host gate port 2022: Connection timed out\r\n{BEHIND}",
            ConnectionFailed,
            "gate (on the way to a1) cannot be reached by SSH on gate port 2022: Connection timed out.",
        ),
        ("ssh: Could not resolve hostname a1.example.net: Name or service not known\r\n", NameUnresolved, "The name a1.example.net does not resolve: "),
        (
            f"channel 0: open failed: connect failed: Name or service not known\r\nstdio forwarding failed\r\n{BEHIND}",
            NameUnresolved,
            "The host in between does not reach a1 (a1.example.net) port 22: Name or service not known.",
        ),
        (
            f"channel 0: open failed: administratively prohibited: open failed\r\nstdio forwarding failed\r\n{BEHIND}",
            ConnectionFailed,
            "The host in between does not reach a1 (a1.example.net) port 22: administratively prohibited: open failed.",
        ),
        (
            f"{SHOWN}No ED25519 host key is known for gate and you have requested strict checking.\r\nHost key verification failed.\r\n{BEHIND}",
            HostKeyUnknown,
            "The host key of gate (on the way to a1) (ssh-ed25519 SHA256:abc) is not in /home/joe/.ssh/known_hosts: verify it and add it.",
        ),
        (
            f"{SHOWN}No ED25519 host key is known for a1.example.net and you have requested strict checking.\r\nHost key verification failed.\r\n",
            HostKeyUnknown,
            "add it with: ssh-keyscan a1.example.net >> /home/joe/.ssh/known_hosts",
        ),
        (f"{SHOWN}Host key verification failed.\r\n", HostKeyUnknown, "(ssh-ed25519 SHA256:abc) was not accepted: Host key verification failed."),
        (
            (
                "debug1: Offering public key: /k/1 ED25519 SHA256:1 agent\r\ndebug1: Offering public key: my key RSA SHA256:2\r\n"
                "Received disconnect from 192.0.2.1 port 22:2: Too many authentication failures\r\nDisconnected from 192.0.2.1 port 22\r\n"
            ),
            AuthenticationFailed,
            "a1 does not let root in with the keys /k/1, my key: add a public key",
        ),
        ("joe@gate: Permission denied (publickey,password).\r\n", AuthenticationFailed, "gate (on the way to a1) does not let joe in with no key at all"),
        (
            (
                'debug1: Server accepts key: /k/jump ED25519 SHA256:1\r\nAuthenticated to gate ([192.0.2.9]:22) using "publickey".\r\n'
                "root@a1.example.net: Permission denied (publickey).\r\n"
            ),
            AuthenticationFailed,
            "a1 does not let root in with no key at all",
        ),
        (
            "Bad owner or permissions on /home/joe/.ssh/config\r\n",
            InvalidInput,
            "OpenSSH does not take its configuration for a1: Bad owner or permissions on /home/joe/.ssh/config.",
        ),
        (
            "Unable to negotiate with 192.0.2.1 port 22: no matching host key type found. Their offer: ssh-rsa,ssh-dss\r\n",
            ConnectionFailed,
            "OpenSSH and a1 have no host key type in common; the host offers ssh-rsa,ssh-dss: allow",
        ),
        (f"debug1: x\r\n{BEHIND}", ConnectionFailed, "a1 (a1.example.net) cannot be reached by SSH: Connection closed by UNKNOWN port 65535."),
        ("debug1: x\r\n", ConnectionFailed, "cannot be reached by SSH: OpenSSH does not say why."),
        ("", ConnectionFailed, "cannot be reached by SSH: OpenSSH does not say why."),
    ],
)
def test_every_failure_says_what_where_and_what_to_do(text: str, kind: type[Exception], message: str) -> None:
    error = explain(A1, text)
    assert error.__class__ is kind
    assert message in error.message


def test_the_cause_is_the_jump_host_s_and_not_the_silence_behind_it() -> None:
    error = explain(A1, f"ssh: Could not resolve hostname gate: Name or service not known\r\n{BEHIND}")
    assert "The name gate does not resolve" in error.message


def test_keys_are_scanned_for_from_where_they_are_seen() -> None:
    assert scan(A1) == "ssh-keyscan a1.example.net"
    assert scan(A1._replace(port=2222, proxy_jump="j1,joe@j2")) == "ssh joe@j2 ssh-keyscan -p 2222 a1.example.net"


def test_who_ended_a_connection_has_the_word() -> None:
    assert last_words(f"the tunnel is down.\r\n{BEHIND}") == "the tunnel is down"
    assert last_words("banner exchange: Connection to UNKNOWN port 65535: Broken pipe\r\n") == "banner exchange: Connection to UNKNOWN port 65535: Broken pipe"


def test_last_words_are_bounded() -> None:
    assert last_words("one\r\ndebug1: two\r\nTransferred: sent 1, received 2 bytes\r\nBytes per second: sent 1, received 2\r\n\r\n") == "one"
    assert len(last_words("x" * 100_000)) == 300
