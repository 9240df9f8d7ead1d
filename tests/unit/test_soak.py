# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A handful of the soak's rounds, with the stand-in for CouchDB. `make soak-storage` draws more, for longer."""

from __future__ import annotations

import pytest
from soak import report
from soak.rounds import Chosen, play

pytestmark = pytest.mark.functional

ROUNDS = {
    "two are promoted at once": Chosen("the service killed", "on two standbys at once", "alive", "all jump by hours, to and fro"),
    "the promotion is killed, and a standby away": Chosen("the server away until there is another master", "killed, and again", "dead"),
}


@pytest.mark.parametrize("chosen", ROUNDS.values(), ids=ROUNDS.keys())
def test_nothing_is_lost_whatever_goes_wrong(tmp_path, chosen):
    counts = play(tmp_path, "couchdb", chosen)
    assert counts["faults"] == {chosen.fault: 1} and counts["jobs"]["seen before a promotion"] > 0
    assert chosen.clocks in (None, *counts["clocks"])


def test_a_report_grows_and_tells_what_became_of_a_seed_that_failed(tmp_path):
    run = {"seed": 7, "database": "etcd", "begun": "2026-11-28 00:48", "rounds": 1, "seconds": [8.0], "counts": {"faults": {"the service killed": 2}},
           "skipped": {"a full disk": "there is none"}, "failure": "a | b", "command": "make soak-storage", "source": "aaa"}  # fmt: skip
    report.add(tmp_path, run)
    report.add(tmp_path, {**run, "rounds": 2, "seconds": [8.0, 10.0], "failure": None, "source": "bbb"})
    page = (tmp_path / "soak-storage.md").read_text()
    assert "2 runs with 3 rounds that held, 8 seconds each in the median, 10 at most; 1 runs failed." in page
    assert "| 7 | 2 | `aaa` | a \\| b | held with `bbb` |" in page
    assert "| the service killed | 4 |" in page and "* Never done: a full disk, as there is none." in page
