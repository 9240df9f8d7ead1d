# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What nodes answer about the service, what follows from it, and the pool of master candidates."""

from __future__ import annotations

import hashlib

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._difference import Difference
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.cluster import candidate_pool, placement
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb import client
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.disk import DIRECTORY
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service import ending, settings

WANTED = placement.files(b"settings", b"program")


def answer(unit="active enabled", **changes):
    """What a node says where all is well, but for changes: by the content of a file, its mode and digest, or None."""
    lines = []
    for path, content in WANTED.items():
        said = f"{placement.FILES[path]:o}:0:0 {hashlib.sha256(content).hexdigest()}"
        said = changes.get(content.decode(), said)
        lines += [f"file {path} {said}"] if said else []
    return [*lines, f"unit {unit}"]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (answer(), "in place and running"),
        (["unit inactive not-found"], "nothing"),
        (["unit inactive"], "nothing"),
        ([], "did not answer"),
        (["ssh: connect to host a2 port 22: No route to host"], "did not answer"),
        (answer("failed enabled"), "not running"),
        (answer("active disabled"), "not enabled"),
        (answer(settings=None), "/etc/ganeti/couchdb.json is missing"),
        (answer(settings=f"644:0:0 {hashlib.sha256(b'settings').hexdigest()}"), "/etc/ganeti/couchdb.json has mode and owner 644:0:0, not 600:0:0"),
        (answer(settings="600:0:0 other"), "/etc/ganeti/couchdb.json has another content"),
    ],
)
def test_a_nodes_answer_in_words(lines, words):
    assert placement.judge(lines, WANTED) == words


def test_what_is_to_be_done_where():
    found = {"a1": "in place and running", "a2": "not running", "a3": "nothing", "a4": "in place and running", "a5": "nothing", "a6": "did not answer"}
    todo = placement.plan(found, {"a1", "a2", "a3"})
    assert (todo.place, todo.remove) == (["a2", "a3"], ["a4", "a6"])
    assert placement.plan(found, []).place == []


@pytest.mark.parametrize(
    ("before", "primary", "kept", "after"),
    [
        (candidate_pool.Pool(10, ["a2"], []), True, None, {"candidate_pool_size": 1, "master candidates beside the master": []}),
        (candidate_pool.Pool(1, ["a2"], []), True, 10, {"master candidates beside the master": []}),
        (candidate_pool.Pool(1, [], []), True, 10, {}),
        (candidate_pool.Pool(1, [], []), False, 10, {"candidate_pool_size": 10}),
        (candidate_pool.Pool(1, [], []), False, None, {}),  # an administrator's choice
        (candidate_pool.Pool(5, ["a2"], []), False, 10, {}),  # he has changed his mind meanwhile
        (candidate_pool.Pool(5, ["a2"], []), False, None, {}),
    ],
)
def test_the_pool_of_candidates_shrinks_and_grows_again(before, primary, kept, after):
    change = Difference()
    assert candidate_pool.note(before, primary, kept, change) == bool(after)
    assert change.diff()["after"] == after


def test_the_size_to_come_back_to():
    assert candidate_pool.size_to_keep(candidate_pool.Pool(7, [], []), None) == 7
    assert candidate_pool.size_to_keep(candidate_pool.Pool(1, [], []), 7) == 7
    assert candidate_pool.size_to_keep(candidate_pool.Pool(1, [], []), None) == 10


def test_systemd_knows_a_service_that_hangs_from_one_that_waits_for_a_silent_server():
    unit = dict(line.split("=", 1) for line in placement.UNIT_TEXT.splitlines() if "=" in line)
    assert unit["Type"] == "notify" and unit["Restart"] == "always"
    assert 60 * int(unit["WatchdogSec"].removesuffix("min")) >= 1.5 * client._ATTEMPTS * client._SECONDS
    assert int(unit["TimeoutStopSec"]) > ending.GRACE


def test_the_service_may_write_to_nothing_but_ganetis_files_and_its_status():
    unit = dict(line.split("=", 1) for line in placement.UNIT_TEXT.splitlines() if "=" in line)
    assert (unit["ProtectSystem"], unit["ReadWritePaths"], unit["NoNewPrivileges"]) == ("strict", f"-{DIRECTORY}", "yes")
    assert f"/run/{unit['RuntimeDirectory']}/status.json" == settings.STATUS
    assert "CAP_SYS_ADMIN" not in unit["CapabilityBoundingSet"] and unit["MemoryDenyWriteExecute"] == "yes"
