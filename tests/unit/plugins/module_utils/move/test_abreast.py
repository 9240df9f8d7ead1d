# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two calls at the same time, and what becomes of their errors."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils.move.abreast import abreast


def test_each_needs_the_other_to_run_meanwhile():
    meeting = threading.Barrier(2, timeout=60)
    assert sorted(abreast(meeting.wait, meeting.wait)) == [0, 1]


def test_results_are_in_the_order_of_the_calls():
    second_is_over = threading.Event()
    assert abreast(lambda: second_is_over.wait(60) and "first", lambda: second_is_over.set() or "second") == ("first", "second")


def test_an_error_comes_out_once_both_have_ended():
    ended = threading.Event()
    with pytest.raises(KeyError):
        abreast(lambda: {}["nothing"], ended.set)
    assert ended.is_set()


def test_of_two_errors_the_first_one_is_told():
    later = threading.Event()

    def first():
        later.wait(60)
        raise ValueError("first")

    def second():
        later.set()
        raise ValueError("second")

    with pytest.raises(ValueError, match="first"):
        abreast(first, second)


def test_an_interruption_does_not_wait_for_answers():
    """Ctrl-C comes while neither has answered."""

    class Interrupted(Exception):
        pass

    def interrupt(number, frame):
        raise Interrupted

    before = signal.signal(signal.SIGUSR1, interrupt)
    answer = threading.Event()
    try:
        with pytest.raises(Interrupted):
            abreast(lambda: os.kill(os.getpid(), signal.SIGUSR1), lambda: answer.wait(60))
        assert not answer.is_set()
    finally:
        answer.set()
        signal.signal(signal.SIGUSR1, before)
