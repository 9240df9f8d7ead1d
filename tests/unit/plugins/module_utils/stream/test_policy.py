# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A node's own file decides whether ciphers can be chosen."""

from __future__ import annotations

import json

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils.stream import policy
from ansible_collections.ganeti.cluster.plugins.module_utils.stream.errors import EndpointError


@pytest.fixture
def written(tmp_path):
    """Writes the file with extended parameters."""

    def write(text, mode=0o600):
        path = tmp_path / "extended-parameters.json"
        path.write_text(text)
        path.chmod(mode)
        return str(path)

    return write


@pytest.mark.parametrize(
    ("parameters", "allowed"),
    [
        ({"allow_cipher_bypassing": True}, True),
        ({"allow_cipher_bypassing": False}, False),
        ({"allow_cipher_bypassing": "true"}, False),
        ({"allow_cipher_bypassing": 1}, False),
        ({}, False),
        ([], False),
        (["allow_cipher_bypassing"], False),
    ],
)
def test_only_true_is_true(written, parameters, allowed):
    assert policy.allows_cipher_bypassing(written(json.dumps(parameters))) is allowed


def test_no_file_allows_nothing(tmp_path):
    assert policy.allows_cipher_bypassing(str(tmp_path / "absent")) is False


@pytest.mark.parametrize("mode", [0o644, 0o620, 0o602, 0o640])
def test_a_file_that_others_can_reach_is_refused(written, mode):
    with pytest.raises(EndpointError, match="only root can read"):
        policy.allows_cipher_bypassing(written('{"allow_cipher_bypassing": true}', mode))


def test_a_link_is_refused(written, tmp_path):
    (tmp_path / "link").symlink_to(written('{"allow_cipher_bypassing": true}'))
    with pytest.raises(EndpointError, match="Cannot read"):
        policy.allows_cipher_bypassing(str(tmp_path / "link"))


def test_a_broken_file_is_refused(written):
    with pytest.raises(EndpointError, match="does not hold JSON"):
        policy.allows_cipher_bypassing(written('{"allow_cipher'))


def test_addresses_are_those_of_the_clusters_nodes(tmp_path):
    primary, secondary = tmp_path / "primary", tmp_path / "secondary"
    primary.write_text("a1.example.com 192.0.2.1\na2.example.com 192.0.2.2\n")
    secondary.write_text("a1.example.com 2001:db8::1\n\nstrange line here\n")
    assert policy.addresses([str(primary), str(secondary), str(tmp_path / "absent")]) == {"192.0.2.1", "192.0.2.2", "2001:db8::1"}


def test_without_ciphers_there_is_nothing_to_check():
    policy.check_ciphers([])
    policy.check_peer([], "192.0.2.9")


def test_with_ciphers_a_stranger_is_refused():
    with pytest.raises(EndpointError, match="not the address of a node of this one"):
        policy.check_peer(["ECDHE-ECDSA-AES128-SHA"], "192.0.2.9")
