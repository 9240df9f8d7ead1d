# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import hashlib
import hmac
from pathlib import Path

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import InvalidInput
from ansible_collections.ganeti.cluster.plugins.module_utils.api.ssh_known_hosts import known_keys

_KEY = base64.b64encode(b"the key").decode()


def _hashed(name: str) -> str:
    salt = b"0123456789abcdefghij"
    digest = hmac.new(salt, name.encode(), hashlib.sha1).digest()
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (f"a1 ssh-ed25519 {_KEY} comment", True),
        (f"A1,192.0.2.1 ssh-ed25519 {_KEY}", True),
        (f"*.example,a? ssh-ed25519 {_KEY}", True),
        (f"a*,!a1 ssh-ed25519 {_KEY}", False),
        (f"[a1]:2222 ssh-ed25519 {_KEY}", False),
        (f"{_hashed('a1')} ssh-ed25519 {_KEY}", True),
        (f"{_hashed('a2')} ssh-ed25519 {_KEY}", False),
        (f"|1|x|y ssh-ed25519 {_KEY}", False),
        (f"@cert-authority a1 ssh-ed25519 {_KEY}", False),
        (f"# a1 ssh-ed25519 {_KEY}", False),
        ("a1 ssh-ed25519 not-base64!", False),
        ("a1", False),
        ("", False),
    ],
)
def test_known_hosts(tmp_path: Path, line: str, found: bool) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(line + "\n")
    keys = known_keys([str(tmp_path / "missing"), str(file)], "a1")
    assert [key.blob for key in keys] == ([b"the key"] if found else [])


def test_known_hosts_with_a_port_and_revoked(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(f"@revoked * ssh-ed25519 {_KEY}\n[a1]:2222 ssh-rsa {_KEY}\n")
    keys = known_keys([str(file)], "[a1]:2222")
    assert [(key.key_type, key.revoked) for key in keys] == [("ssh-ed25519", True), ("ssh-rsa", False)]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=f"{tmp_path} cannot be read: Is a directory"):
        known_keys([str(tmp_path)], "a1")
