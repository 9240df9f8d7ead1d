# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import getpass
import hashlib
import hmac
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import InvalidInput
from ansible_collections.ganeti.cluster.plugins.module_utils.api.ssh_target import Target, known_keys, load_config, resolve


def _resolve(tmp_path: Path, name: str, config: str, **options: Any) -> Target:
    file = tmp_path / "config"
    file.write_text(config)
    return resolve(name, options, load_config(str(file)))


def _way(target: Target | None) -> list[str]:
    """Every host on the way, the first one to connect to first."""
    return [] if target is None else [*_way(target.via), f"{target.user}@{target.hostname}:{target.port}"]


def test_defaults(tmp_path: Path) -> None:
    target = _resolve(tmp_path, "a1", "")
    assert (target.hostname, target.port, target.user, target.via, target.proxy_command) == ("a1", 22, "root", None, None)
    assert target.known_hosts[-1] == "/etc/ssh/ssh_known_hosts"
    assert target.key_names == ("a1",)


_CONFIG = """
Host a1
  HostName 192.0.2.1
  Port 2222
  User admin
  IdentityFile /keys/one
  UserKnownHostsFile /k/1 /k/2
  GlobalKnownHostsFile /dev/null
  IdentitiesOnly yes
"""


def test_the_configuration_is_honoured(tmp_path: Path) -> None:
    target = _resolve(tmp_path, "a1", _CONFIG)
    assert (target.hostname, target.port, target.user) == ("192.0.2.1", 2222, "admin")
    assert target.key_files == ("/keys/one",)
    assert target.known_hosts == ("/k/1", "/k/2", "/dev/null")
    assert target.key_names == ("[192.0.2.1]:2222", "[a1]:2222")
    assert target.identities_only


def test_options_come_before_the_configuration(tmp_path: Path) -> None:
    target = _resolve(tmp_path, "a1", _CONFIG, user="root", port=22, private_key_file="/keys/two", known_hosts_file="/k/3")
    assert (target.port, target.user) == (22, "root")
    assert target.key_files == ("/keys/two", "/keys/one")
    assert target.known_hosts == ("/k/3",)


def test_an_alias_is_the_only_name_of_the_key(tmp_path: Path) -> None:
    assert _resolve(tmp_path, "a1", "Host a1\n HostName 192.0.2.1\n Port 99\n HostKeyAlias Cluster-A\n").key_names == ("cluster-a",)


def test_proxy_command(tmp_path: Path) -> None:
    config = "Host a1\n ProxyCommand nc %h %p\nHost a2\n ProxyCommand none\n"
    assert _resolve(tmp_path, "a1", config).proxy_command == "nc a1 22"
    assert _resolve(tmp_path, "a2", config).proxy_command is None


def test_a_proxy_command_is_told_the_port_and_user_of_the_options(tmp_path: Path) -> None:
    target = _resolve(tmp_path, "a1", "Host a1\n Port 1\n ProxyCommand nc %h %p %r\n", port=99, user="joe")
    assert target.proxy_command == "nc a1 99 joe"


@pytest.mark.parametrize("name", ["a 1", "a1\nProxyCommand x", "*", ""])
def test_a_name_cannot_be_configuration(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match="no name for SSH"):
        _resolve(tmp_path, name, "")


def test_jumps_are_chained_and_only_the_first_has_a_jump_of_its_own(tmp_path: Path) -> None:
    me = getpass.getuser()
    config = """
Host a1
  ProxyJump joe@j1:2022,j2
Host j1
  ProxyJump j0
Host j2
  HostName 192.0.2.2
  ProxyJump never
"""
    assert _way(_resolve(tmp_path, "a1", config)) == [f"{me}@j0:22", "joe@j1:2022", f"{me}@192.0.2.2:22", "root@a1:22"]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("Host a1\n ProxyJump a1\n", "in a circle"),
        ("Host a1\n ProxyJump j@@x\n", "no jump host"),
        ("Include config\n", "includes itself"),
    ],
)
def test_a_configuration_that_makes_no_sense(tmp_path: Path, config: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        _resolve(tmp_path, "a1", config)


def test_include(tmp_path: Path) -> None:
    (tmp_path / "more").write_text("Host a1\n Port 2222\n")
    target = _resolve(tmp_path, "a1", "Include more\nUser joe\nHost a1\n Port 99\n")
    assert (target.port, target.user) == (2222, "joe")


def test_a_file_that_was_named_must_exist() -> None:
    with pytest.raises(InvalidInput, match="/nowhere/config cannot be read"):
        load_config("/nowhere/config")


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
    keys = known_keys([str(tmp_path / "missing"), str(file)], ["a1"])
    assert [key.blob for key in keys] == ([b"the key"] if found else [])


def test_known_hosts_with_a_port_and_revoked(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(f"@revoked * ssh-ed25519 {_KEY}\n[a1]:2222 ssh-rsa {_KEY}\n")
    keys = known_keys([str(file)], ["[a1]:2222"])
    assert [(key.key_type, key.revoked) for key in keys] == [("ssh-ed25519", True), ("ssh-rsa", False)]
