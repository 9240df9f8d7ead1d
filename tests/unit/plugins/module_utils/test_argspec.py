# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Secrets are kept out of what a module shows, without masking what has nothing to do with them."""

from __future__ import annotations

import types

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils import _argspec


def module(secrets, **params):
    """A module as Ansible makes it: its parameters, and all values of secret ones."""
    passwords = {params["source"]["ssh"]["password"]} if "source" in params else set()
    return types.SimpleNamespace(params={**params, "osparams_private": secrets}, no_log_values={str(value) for value in (secrets or {}).values()} | passwords)


@pytest.mark.parametrize(
    ("secrets", "masked"),
    [
        ({"a": "1", "b": 2}, set()),
        ({"a": "correct horse"}, {"correct horse"}),
        ({"a": "web1.example.com", "b": "battery staple"}, {"battery staple"}),
        ({}, set()),
        (None, set()),
    ],
)
def test_values_are_given_up_and_masked_only_if_they_are_telling(secrets, masked):
    made = module(secrets, name="web1.example.com")
    params = _argspec.withdraw(made, "osparams_private")
    assert params["osparams_private"] == secrets and made.no_log_values == masked
    assert not {str(value) for value in (secrets or {}).values()} & {str(value) for value in (made.params["osparams_private"] or {}).values()}


def test_other_secrets_stay_masked():
    made = module({"a": "1"}, source={"ssh": {"password": "1"}})
    _argspec.withdraw(made, "osparams_private")
    assert made.no_log_values == {"1"}
