# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who decides by which clock: the wall clock is for people, as anybody may set it at any moment, and it differs from node to node."""

from __future__ import annotations

import ast
import json

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service import health, signs_of_life
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.follow import Status
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.settings import Settings

from .....source_tree import ROOT

STORAGE = ROOT / "plugins/module_utils/storage"
FOR_PEOPLE = {
    "cluster/begin_epoch.py": "the time of the last change in Ganeti's configuration",
    "history/rollback.py": "the same",
    "service/candidate_files.py": "the same",
    "service/promote.py": "the same",
    "service/commands.py": "a snapshot's name, whose order is that of the numbers in the names",
    "service/follow.py": "when something was written last, in the status",
    "service/signs_of_life.py": "the time of the status",
}
"""Where the wall clock is read, and what for. Nothing is compared with any of them."""
WALL = {"time", "time_ns", "localtime", "ctime", "now", "utcnow", "today", "getmtime", "getctime", "st_mtime", "st_ctime", "st_mtime_ns", "CLOCK_REALTIME"}
STAMPS = {"drivers/bad_job_files.py", "drivers/disk.py", "service/watchdog/watcher.py"}
"""A file's times are compared there for being the same, never for being newer."""


def reads_wall_clock(tree):
    """Whether a module reads it: a function or an attribute of such a name, of a module or an object."""
    return any(isinstance(node, ast.Attribute) and node.attr in WALL for node in ast.walk(tree))


def test_the_wall_clock_is_read_for_people_alone():
    found = {str(path.relative_to(STORAGE)) for path in STORAGE.rglob("*.py") if reads_wall_clock(ast.parse(path.read_text()))}
    assert found - STAMPS == FOR_PEOPLE.keys()


@pytest.mark.parametrize("ahead", [-86400.0, 0.0, 86400.0])
def test_how_old_a_sign_of_life_is_nobody_can_set(tmp_path, monkeypatch, ahead):
    """A service that died before the clock was put back would live for a day, and one that works be dead after it was put forward."""
    chosen = Settings("a1", {}, str(tmp_path), str(tmp_path / "status.json"), 3)
    signs_of_life.tell(chosen.status, Status("following", 20))
    now, since = health.time.time(), health.time.monotonic()
    monkeypatch.setattr(health.time, "time", lambda: now + ahead)
    found = health.said(chosen)
    assert found is not None and found["state"] == "following"
    monkeypatch.setattr(health.time, "monotonic", lambda: since + 61)
    assert health.said(chosen) is None
    monkeypatch.setattr(health.time, "monotonic", lambda: since - 61)
    assert health.said(chosen) is None, "it is of the machine's last life"


def test_a_status_of_an_earlier_release_is_no_sign_of_life(tmp_path):
    (tmp_path / "status.json").write_text(json.dumps({"state": "following", "alive": 0}))
    assert health.said(Settings("a1", {}, str(tmp_path), str(tmp_path / "status.json"), 3)) is None
