# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the user sees while a move runs."""

from __future__ import annotations

import json
import os
import socket
import threading

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._progress import Progress, as_line
from ansible_collections.ganeti.cluster.plugins.module_utils.move.progress import Meter

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
    assert Meter(lambda: 0.0).update(0, 0, 0) == {"percent": 100, "logical_rate": None, "wire_rate": None, "eta": None}


def test_a_moments_work_gives_no_rate():
    now = [0.0]
    meter = Meter(lambda: now[0])
    now[0] = 0.001
    figures = meter.update(64 * MIB, 0, 128 * MIB)
    assert figures == {"percent": 50, "logical_rate": None, "wire_rate": None, "eta": None}
    assert as_line("web", {"event": "progress", "phase": "copy", **figures}) == "web: copy 50 %"


def test_lines():
    assert as_line("web", {"event": "phase", "phase": "preflight"}) == "web: preflight"
    figures = {"event": "progress", "phase": "copy", "percent": 25, "logical_rate": 50.0, "wire_rate": 12.5, "eta": 3725}
    assert as_line("web", figures) == "web: copy 25 %, 50.0 MiB/s of disk, 12.5 MiB/s on the wire, ETA 1 h 02 min"
    assert as_line("web", {**figures, "phase": "make the copy durable", "eta": 9}) == "web: make the copy durable 25 %, 50.0 MiB/s of disk, ETA 9 s"
    assert as_line("web", {"event": "something else"}) is None


def test_without_a_socket_nobody_listens():
    progress = Progress(None)
    progress.phase("preflight")
    progress.close()


@pytest.fixture
def plugin(tmp_path):
    """The listening end of a progress, which reads when it is asked to."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "progress"))
        server.listen(1)
        yield server


def test_who_does_not_read_holds_nothing_up(plugin):
    """Once this waited for a reader, and the endpoints died as nobody told them that their controller lived."""
    progress = Progress(plugin.getsockname())
    reader = plugin.accept()[0]
    many = threading.Thread(target=lambda: [progress.emit("phase", phase=f"{number:0>1000}") for number in range(5000)], daemon=True)
    many.start()
    many.join(timeout=60)
    assert not many.is_alive()
    reader.setblocking(False)
    with reader:
        received = b""
        while True:  # what was kept, and then what comes anew: whole lines
            try:
                received += reader.recv(1 << 20)
            except BlockingIOError:
                progress.phase("last")
                if received.endswith(b'"last"}\n'):
                    break
        phases = [json.loads(text)["phase"] for text in received.splitlines()]
        assert len(phases) < 5000 and phases[0] == "0" * 1000 and phases[-1] == "last"
        progress.close()


def test_the_end_of_the_plugin_ends_the_move(plugin, monkeypatch):
    killed = threading.Event()
    monkeypatch.setattr(os, "kill", lambda _pid, _signal: killed.set())
    progress = Progress(plugin.getsockname())
    plugin.accept()[0].close()
    assert killed.wait(60)
    progress.phase("nobody hears this, and nothing happens")
    progress.close()
