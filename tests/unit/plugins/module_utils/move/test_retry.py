# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Opportunistic tries."""

from __future__ import annotations

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import JobFailed
from ansible_collections.ganeti.cluster.plugins.module_utils.move import retry


@pytest.fixture
def slept(monkeypatch):
    """The seconds that would have been slept."""
    seconds = []
    monkeypatch.setattr(retry.time, "sleep", seconds.append)
    return seconds


def attempts(*outcomes):
    """An attempt with these outcomes, and the list of what it was called with."""
    calls = []

    def attempt(extra):
        calls.append(extra)
        outcome = outcomes[len(calls) - 1]
        if outcome is not None:
            raise JobFailed("no room", ecode=outcome)
        return "made"

    return attempt, calls


def test_the_last_try_waits_for_the_locks(slept):
    attempt, calls = attempts("temp_insufficient_resources", "temp_insufficient_resources", None)
    assert retry.opportunistically(attempt, 2, 30) == "made"
    assert calls == [{"opportunistic_locking": True}, {"opportunistic_locking": True}, {}]
    assert len(slept) == 2 and all(25.5 <= seconds <= 34.5 for seconds in slept)


def test_success_ends_it(slept):
    attempt, calls = attempts(None)
    assert retry.opportunistically(attempt, 5, 30) == "made"
    assert len(calls) == 1 and not slept


def test_another_failure_is_final(slept):
    attempt, calls = attempts("already_exists", None)
    with pytest.raises(JobFailed):
        retry.opportunistically(attempt, 5, 30)
    assert len(calls) == 1 and not slept


def test_without_tries_there_is_one_normal_attempt(slept):
    attempt, calls = attempts(None)
    retry.opportunistically(attempt, 0, 30)
    assert calls == [{}]
