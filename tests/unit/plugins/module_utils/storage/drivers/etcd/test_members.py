# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is told of members, and how states of objects are numbered: decisions alone."""

from __future__ import annotations

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.etcd import members, revisions
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.etcd.revisions import Known
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.history.object_history import missing

GOOD = {"header": {"member_id": "7"}, "leader": "7", "version": "3.4.23", "dbSize": "4096"}


@pytest.mark.parametrize(
    ("away", "of", "critical"),
    [(0, 3, None), (1, 3, False), (2, 3, True), (3, 3, True), (0, 1, None), (1, 1, True), (1, 2, True), (2, 5, False), (3, 5, True), (2, 4, True)],
)
def test_members_that_are_away_are_critical_without_a_majority(away, of, critical):
    found = {f"https://e{number}:2379": "no answer" if number < away else GOOD for number in range(of)}
    told = members.problems(found)
    assert [each.critical for each in told] == ([] if critical is None else [critical])
    assert all(f"https://e{number}:2379" in told[0].words for number in range(away))


def test_what_a_member_complains_of_is_critical():
    (told,) = members.problems({"https://e1:2379": {**GOOD, "errors": ["memberID:7 alarm:NOSPACE "]}})
    assert told.critical and "NOSPACE" in told.words and "https://e1:2379" in told.words


def test_each_member_is_described_as_servers_are():
    told = members.describe({"one": GOOD, "other": "no answer"}, 23, 20, None)
    assert told["one"] == {
        "url": "one", "serial": 20, "whole": 20, "lag": 3, "databases": {"etcd": {"bytes": 4096}}, "conflicts": {}, "problem": None, "version": "3.4.23",
        "leads": True,
    }  # fmt: skip
    assert told["other"]["problem"] == "no answer" and told["other"]["lag"] is None
    assert members.describe({"one": GOOD}, 23, None, "not whole")["one"]["problem"] == "not whole"


def test_numbers_leave_out_what_is_missing():
    found = [Known("d", 24, {}), Known("c", 22, None, 1), Known("b", 21, {}), Known("a", 20, {}, 3)]
    numbered = revisions.numbered(found)
    assert [each.number for each in numbered] == [8, 7, 5, 4]
    assert [missing(each, older) for each, older in zip(numbered, [*numbered[1:], None])] == [0, 1, 0, 3]
    assert revisions.numbered([]) == []
