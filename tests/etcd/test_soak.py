# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A handful of the soak's rounds, with three members of an etcd. `make soak-storage` draws more, for longer."""

from __future__ import annotations

import pytest
from soak.rounds import Chosen, play

ROUNDS = {
    "two are promoted at once": Chosen("the server stopped", "on two standbys at once", "stopped"),
    "the promotion is killed, and the old master is dead": Chosen("answers of others held", "killed, and again", "dead"),
}


@pytest.mark.parametrize("chosen", ROUNDS.values(), ids=ROUNDS.keys())
def test_nothing_is_lost_whatever_goes_wrong(tmp_path, chosen):
    counts = play(tmp_path, "etcd", chosen)
    assert counts["faults"] == {chosen.fault: 1} and counts["jobs"]["seen before a promotion"] > 0
