# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Measuring tools and the network by endpoints as they run on nodes, and what a sample is made of."""

from __future__ import annotations

import os
import socket

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils.stream import frames, tool_speed
from ansible_collections.ganeti.cluster.plugins.module_utils.stream.errors import EndpointError
from ansible_collections.ganeti.cluster.plugins.module_utils.stream.sample import MIB, read_sample

from .endpoints import MOVE

pytestmark = pytest.mark.functional

RATE = {"move_id": MOVE, "address": "127.0.0.1", "lanes": 2, "seconds": 0.1}


def test_a_sample_is_data_and_no_zeros(tmp_path):
    disk = tmp_path / "disk"
    with open(disk, "wb") as stream:
        stream.truncate(64 * MIB)
        for place in (3, 40):
            stream.seek(place * MIB)
            stream.write(os.urandom(MIB))
    assert len(read_sample(str(disk), 8)) == 2 * MIB
    assert len(read_sample(str(disk), 1)) == MIB
    assert len(read_sample("/usr/lib", 3)) == 3 * MIB
    disk.write_bytes(bytes(MIB))
    assert read_sample(str(disk), 8) == b""
    with pytest.raises(EndpointError, match="Cannot read the sample .*absent: No such file"):
        read_sample(str(tmp_path / "absent"), 8)


def test_data_between_wide_holes_is_found(tmp_path):
    disk = tmp_path / "disk"
    with open(disk, "wb") as stream:
        stream.truncate(900 * MIB)
        stream.seek(77 * MIB)
        stream.write(b"x" * MIB)
        stream.write(bytes(30 * MIB))
        stream.write(b"y" * MIB)
    assert set(read_sample(str(disk), 2)) == {ord("x"), ord("y")}


def test_the_end_of_a_short_disk_belongs_to_the_sample(tmp_path):
    (tmp_path / "disk").write_bytes(bytes(MIB) + b"x" * 512)
    assert read_sample(str(tmp_path / "disk"), 8) == b"x" * 512


def test_the_figures_are_of_all_that_run_together():
    figures = tool_speed.measure_tool("gzip", b"compressible " * 100000, count=2)
    assert figures.ratio > 50 and figures.compress > 0 and figures.decompress > 0


@pytest.mark.parametrize(
    ("compress", "decompress", "words"),
    [
        (["false"], ["cat"], "x failed with status 1: it said nothing"),
        (["sh", "-c", "echo no room >&2; exit 3"], ["cat"], "x failed with status 3: no room"),
        (["gzip", "-c"], ["cat"], "x does not give back the sample as it was"),
    ],
)
def test_a_tool_that_fails_has_no_figures(compress, decompress, words):
    with pytest.raises(EndpointError, match=words):
        tool_speed.measure_commands("x", compress, decompress, b"sample")


def test_a_tool_that_hangs_is_ended(monkeypatch):
    monkeypatch.setattr(tool_speed, "_SECONDS", 0.2)
    with pytest.raises(EndpointError, match="x took more than 0 seconds for a sample"):
        tool_speed.measure_commands("x", ["sleep", "60"], ["cat"], b"sample")


def test_the_endpoint_measures_tools(endpoints, tmp_path):
    (tmp_path / "disk").write_bytes(b"compressible " * 100000)
    request = {"command": "measure_tools", "sample": str(tmp_path / "disk"), "sample_mib": 1, "tools": ["gzip", "gzip-fast"], "count": 1, "turns": 1}
    answer = endpoints(request).last()
    assert answer["event"] == "finished" and answer["sample"] == MIB
    assert set(answer["tools"]) == {"gzip", "gzip-fast"} and all(figures[0] > 50 and len(figures) == 3 for figures in answer["tools"].values())
    (tmp_path / "disk").write_bytes(bytes(MIB))
    answer = endpoints(request).last()
    assert (answer["sample"], answer["tools"]) == (0, {})


@pytest.mark.parametrize("encrypted", [False, True])
def test_the_network_carries_what_is_sent(endpoints, keys, encrypted):
    ends = [key._asdict() if encrypted else {} for key in keys]
    sink = endpoints({**RATE, **ends[1], "command": "sink", "port": 0})
    flood = endpoints({**RATE, **ends[0], "command": "flood", "port": sink.until("listening")["port"]})
    sent, received = flood.last(), sink.last()
    assert (sent["event"], received["event"]) == ("finished", "finished"), (sent, received)
    assert sent["rate"] > 0 and received["bytes"] >= 2 * MIB and received["bytes"] % MIB == 0


def test_a_stranger_on_the_bare_connection_is_turned_away(endpoints):
    sink = endpoints({**RATE, "lanes": 1, "command": "sink", "port": 0})
    port = sink.until("listening")["port"]
    with socket.create_connection(("127.0.0.1", port), timeout=10) as stranger:
        stranger.sendall(frames.pack_hello("fedcba9876543210", 0, 1))
        assert stranger.recv(1) == b""
    assert endpoints({**RATE, "lanes": 1, "command": "flood", "port": port}).last()["event"] == "finished"
    assert sink.last()["bytes"] >= MIB
