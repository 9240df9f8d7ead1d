# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options that are yes, no or something else: YAML makes booleans of yes and no, which Ansible gives back as the choice that can be meant."""

from __future__ import annotations

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.parsing.dataloader import DataLoader

from ansible_collections.ganeti.cluster.plugins.modules import instance_move

TASK = "{name: web, source: {address: a1}, zero_free_space: %s}"


def validated(written):
    """What the module is told where a playbook has this."""
    spec = instance_move.argument_spec()
    found = ArgumentSpecValidator(spec.options, spec.mutually_exclusive, required_if=spec.required_if).validate(DataLoader().load(TASK % written))
    return found.validated_parameters["zero_free_space"], found.error_messages


@pytest.mark.parametrize(
    ("written", "taken"),
    [
        ("yes", "yes"), ("true", "yes"), ("True", "yes"), ("on", "yes"), ("'yes'", "yes"), ("'True'", "yes"),
        ("no", "no"), ("false", "no"), ("False", "no"), ("off", "no"), ("'no'", "no"), ("'False'", "no"),
        ("auto", "auto"), ("'auto'", "auto"),
    ],
)  # fmt: skip
def test_it_is_taken_as_users_write_it(written, taken):
    assert validated(written) == (taken, [])


@pytest.mark.parametrize("written", ["maybe", "''", "2"])
def test_anything_else_is_refused(written):
    assert "auto, no, yes" in validated(written)[1][0]


def test_it_is_no_if_nothing_is_said():
    spec = instance_move.argument_spec()
    found = ArgumentSpecValidator(spec.options).validate({"name": "web", "source": {"address": "a1"}})
    assert found.validated_parameters["zero_free_space"] == "no"
