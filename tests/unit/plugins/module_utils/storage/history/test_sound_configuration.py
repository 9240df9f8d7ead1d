# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is checked of a configuration before it is written: only new faults count."""

from __future__ import annotations

import json
import os

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import PreflightFailed
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.history import sound_configuration

from ..samples import NODE, configuration


class Checks:
    """Answers Ganeti's own check, by serial number; keeps what it was asked."""

    def __init__(self, **found):
        self.found = found
        self.asked = []

    def run(self, argv, input=None, timeout=1):
        with open(argv[-1], encoding="utf-8") as stream:
            self.asked.append(json.load(stream))
            assert os.stat(os.path.dirname(argv[-1])).st_mode & 0o077 == 0
        return 0, json.dumps(self.found.get(f"s{self.asked[-1]['serial_no']}", [])).encode(), b""


def sound(serial):
    """A configuration whose references lead somewhere."""
    result = configuration(serial)
    result["cluster"]["master_node"] = NODE
    result["nodes"][NODE]["group"] = next(iter(result["nodegroups"]))
    result["instances"] = {}
    return result


def test_only_new_faults_are_refused():
    sound_configuration.verify(Checks(s20=["old fault"], s21=["old fault"]), sound(20), sound(21))
    with pytest.raises(PreflightFailed, match="The configuration would be wrong: new fault"):
        sound_configuration.verify(Checks(s20=["old fault"], s21=["old fault", "new fault"]), sound(20), sound(21))
    broken = sound(21)
    broken["nodegroups"] = {}
    checks = Checks()
    with pytest.raises(PreflightFailed, match="the group of node a1.lab.example would be"):
        sound_configuration.verify(checks, sound(20), broken)
    assert checks.asked == []
