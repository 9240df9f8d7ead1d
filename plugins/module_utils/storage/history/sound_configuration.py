# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Whether a configuration is one that Ganeti can work with, before it is written."""

from __future__ import annotations

import json
import os
import tempfile
import typing as t

from ..._errors import PreflightFailed
from ...api.master import Runner, succeed
from ..drivers.documents import Json
from . import direct_changes

# What Ganeti's own check finds wrong with a file, as `gnt-cluster verify` and `cfgupgrade` do it; it needs no daemon (Ganeti 3.0: config, VerifyConfig).
_VERIFY = """
import json, sys
sys.path[:0] = ["/usr/share/ganeti/default", "/etc/ganeti/share"]
from ganeti import config
writer = config.ConfigWriter(cfg_file=sys.argv[1], accept_foreign=True, offline=True)
json.dump([str(each) for each in writer.VerifyConfig()], sys.stdout)
"""


def verify(runner: Runner, before: Json, after: Json) -> None:
    """Raise PreflightFailed where a configuration has faults that the one before it has not, by our own checks and by Ganeti's."""
    found = sorted(set(direct_changes.problems(after)) - set(direct_changes.problems(before)))
    if not found:  # Ganeti's check stumbles over references that lead nowhere
        found = sorted(set(_verify_with_ganeti(runner, after)) - set(_verify_with_ganeti(runner, before)))
    if found:
        raise PreflightFailed([f"The configuration would be wrong: {each}" for each in found])


def _verify_with_ganeti(runner: Runner, configuration: Json) -> t.List[str]:
    with tempfile.TemporaryDirectory(prefix="ganeti-verify-") as directory:  # for root alone, as the configuration holds secrets
        path = os.path.join(directory, "config.data")
        with open(path, "w", encoding="utf-8") as stream:
            json.dump(configuration, stream)
        output = succeed(runner, ["/usr/bin/python3", "-c", _VERIFY, path], "Ganeti's check of the configuration")
    return t.cast("t.List[str]", json.loads(output))
