# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a node sees of the master, by the numbers of sight.py."""

from __future__ import annotations

import errno
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.watchdog import sight
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.watchdog.sight import ALIVE, SILENT, UNKNOWN, Silence


@pytest.fixture
def listening():
    """Somebody who takes connections, and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def closed():
    """A port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return port


def test_a_machine_that_answers_or_refuses_runs(listening, closed):
    assert sight.look("127.0.0.1", [listening, closed], 20) == ALIVE
    assert sight.look("127.0.0.1", [closed], 20) == ALIVE


@pytest.mark.parametrize(
    ("error", "sign"),
    [
        (socket.timeout("timed out"), SILENT),
        (TimeoutError("timed out"), SILENT),
        (OSError(errno.EHOSTUNREACH, "no route to host"), SILENT),
        (OSError(errno.ENETUNREACH, "network is unreachable"), UNKNOWN),
        (OSError(errno.EINVAL, "blackhole"), UNKNOWN),
        (OSError(errno.EACCES, "prohibited"), UNKNOWN),
        (OSError(errno.EMFILE, "too many open files"), UNKNOWN),
        (socket.gaierror(-2, "name or service not known"), UNKNOWN),
    ],
)
def test_what_went_wrong_here_says_nothing_of_the_master(monkeypatch, error, sign):
    def connect(*_given):
        raise error

    monkeypatch.setattr(socket, "create_connection", connect)
    assert sight.look("192.0.2.1", [1811, 22]) == sign


def test_signs_together():
    assert sight.together([SILENT, SILENT]) == SILENT and sight.together([SILENT, UNKNOWN]) == UNKNOWN
    assert sight.together([UNKNOWN, ALIVE, SILENT]) == ALIVE and sight.together([]) == UNKNOWN


# Quarters of seconds, which add up without a rounding.
@given(st.lists(st.tuples(st.sampled_from([ALIVE, SILENT, UNKNOWN]), st.integers(1, 80).map(lambda quarters: quarters / 4)), max_size=12))
def test_only_an_unbroken_row_counts(looks):
    """3: however long it is since the first one, a sign or a break between them begins anew."""
    row, now, start = Silence(), 0.0, None
    for sign, pause in looks:
        began, now = now + pause, now + pause + 1.0
        if sign != SILENT:
            start = None
        elif start is None or pause > 10:
            start = now
        row = row.after(sign, began, now, gap=10)
        assert row.seconds == (0.0 if start is None else now - start)


def test_the_ports_are_those_of_the_node_daemon_and_of_ssh():
    assert sight.PORTS == (1811, 22)
