# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When somebody is told of a job, by what servers answer; and what is asked on the master for it."""

from __future__ import annotations

import json

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils import api
from ansible_collections.ganeti.cluster.plugins.module_utils._errors import ConnectionFailed, GanetiError, NotAcknowledged
from ansible_collections.ganeti.cluster.plugins.module_utils.api import acknowledge
from ansible_collections.ganeti.cluster.plugins.module_utils.api.acknowledge import Acknowledgement, Seen


@pytest.fixture
def warned(monkeypatch):
    """What users were warned of."""
    said = []
    monkeypatch.setattr(acknowledge, "warn", said.append)
    return said


def seen(*has, degrade="after", after=0.0):
    """What servers answer, of which two are wanted."""
    return Seen(2, degrade, after, list(has), {"a3": "has it as running.", "a4": "away"})


def play(*answers):
    """Asks that get these answers."""
    left = list(answers)
    return lambda: left.pop(0)


def test_enough_is_enough(warned):
    assert acknowledge.wait(play(seen(after=60), seen("a1", after=60), seen("a1", "a2", after=60)), "Job 5 (success)")
    assert not acknowledge.wait(play(None), "Job 5 (success)") and warned == []


def test_what_is_done_where_it_takes_long(warned):
    words = "Job 5 (success) is not on 2 servers within 0 s: a1 has it; a3: has it as running; a4: away"
    assert acknowledge.wait(play(seen("a1")), "Job 5 (success)")
    assert warned.pop() == f"{words}. It was not waited for any longer."
    assert acknowledge.wait(play(*[seen("a1", degrade="wait")] * 9, seen("a1", "a2", degrade="wait")), "Job 5 (success)")
    assert warned == [f"{words}. It is waited for."], "once"
    with pytest.raises(NotAcknowledged, match="nobody has it; .*The job itself is not undone"):
        acknowledge.wait(play(seen(degrade="refuse")), "Job 5 (success)")


class Master:
    """Answers as the master does."""

    def __init__(self, status=0, output=b"", said=b""):
        self.answer = status, output, said
        self.asked = []

    def run(self, argv, input=None, timeout=1):
        self.asked.append((argv, json.loads(input)))
        return self.answer

    def close(self):
        """Nothing is held open."""


def test_the_master_is_asked_for_the_job():
    terms = {"wanted": 1, "degrade": "refuse", "after": 0, "has": ["a1"], "others": {}}
    master = Master(output=json.dumps(terms).encode())
    Acknowledgement(master)(5, "success")
    (argv, request) = master.asked[0]
    assert request == {"job": 5, "status": "success"} and "--acknowledged" in argv[-1] and argv[:2] == ["sh", "-c"]
    with pytest.raises(NotAcknowledged):
        Acknowledgement(Master(output=json.dumps({**terms, "has": []}).encode()))(5, "success")


@pytest.mark.parametrize(
    "master",
    [
        Master(),
        Master(2, b"", b"usage: service\nservice: error: unrecognized arguments: --acknowledged\n"),
        Master(output=b'{"wanted": 0, "degrade": "after", "after": 30, "has": [], "others": {}}'),
    ],
)
def test_where_nobody_is_waited_for_it_is_asked_once(master):
    asks = Acknowledgement(master)
    asks(5, "success")
    asks(6, "success")
    assert len(master.asked) == 1


def test_no_answer_is_none():
    for master, why in ((Master(2, b"CRITICAL: couchdb.json is damaged.\n"), "couchdb.json is damaged"), (Master(1, b"", b"x\nKilled\n"), "Killed")):
        with pytest.raises(GanetiError, match=f"Job 5 is success, but whether enough servers have it nobody can tell: {why}"):
            Acknowledgement(master)(5, "success")


def test_a_connection_that_is_lost_says_nothing_of_servers():
    class Gone(Master):
        def run(self, argv, input=None, timeout=1):
            raise ConnectionFailed("a1 does not answer.")

    with pytest.raises(GanetiError, match="Job 5 is success, but whether enough servers have it nobody can tell: a1 does not answer"):
        Acknowledgement(Gone())(5, "success")


def test_who_connects_waits_but_for_repairs():
    assert api.connect({}).acknowledge is not None and api.connect({}, acknowledged=False).acknowledge is None
