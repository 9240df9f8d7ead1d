# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the user sees while a move runs."""

from __future__ import annotations

from ansible_collections.ganeti.cluster.plugins.module_utils.move.progress import Meter, Progress, line

MIB = 1024 * 1024


def test_the_meter_tells_percent_rates_and_the_time_left():
    now = [100.0]
    meter = Meter(lambda: now[0])
    now[0] += 2
    assert meter.update(100 * MIB, 25 * MIB, 400 * MIB) == {"percent": 25, "logical_rate": 50.0, "wire_rate": 12.5, "eta": 6}


def test_rates_are_those_of_the_last_seconds():
    now = [0.0]
    meter = Meter(lambda: now[0])
    done = 0
    for second in range(40):
        now[0] += 1
        done += (100 if second < 20 else 10) * MIB
        figures = meter.update(done, done, 10**12)
    assert figures["logical_rate"] == 10.0


def test_an_empty_disk_is_done_at_once():
    assert Meter(lambda: 0.0).update(0, 0, 0) == {"percent": 100, "logical_rate": 0.0, "wire_rate": 0.0, "eta": None}


def test_lines():
    assert line("web", {"event": "phase", "phase": "preflight"}) == "web: preflight"
    figures = {"event": "progress", "phase": "copy", "percent": 25, "logical_rate": 50.0, "wire_rate": 12.5, "eta": 3725}
    assert line("web", figures) == "web: copy 25 %, 50.0 MiB/s of disk, 12.5 MiB/s on the wire, ETA 1 h 02 min"
    assert line("web", {"event": "something else"}) is None


def test_without_a_socket_nobody_listens():
    progress = Progress(None)
    progress.phase("preflight")
    progress.close()
