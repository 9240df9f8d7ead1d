# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compression tools: names, presence, and what a failing one leads to."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.ganeti.cluster.plugins.module_utils.stream import tools
from ansible_collections.ganeti.cluster.plugins.module_utils.stream.errors import EndpointError


@given(st.text(max_size=20))
def test_only_the_safe_alphabet_is_a_name(name):
    safe = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
    assert tools.is_valid_name(name) == (bool(name) and set(name) <= safe and not name.startswith("-"))


@pytest.mark.parametrize("name", ["-d", "gzip;id", "../gzip", "gzip -9", "gzip\n", ""])
def test_a_bad_name_never_becomes_a_command(name):
    with pytest.raises(EndpointError, match="is not a name"):
        tools.command(name, decompress=False)


def test_known_tools_run_as_ganeti_runs_them():
    assert tools.command("gzip", False)[1:] == ["-1", "-c"]
    assert tools.command("gzip-slow", False)[1:] == ["-c"]
    assert tools.command("gzip-fast", True)[1:] == ["-d", "-c"]


def script(directory, name, text):
    path = directory / name
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return path


def test_a_custom_tool_gets_no_argument_but_d(tmp_path, monkeypatch):
    monkeypatch.setattr(tools, "SEARCH_PATH", str(tmp_path))
    path = str(script(tmp_path, "my-tool", "exit 0\n"))
    assert tools.command("my-tool", False) == [path]
    assert tools.command("my-tool", True) == [path, "-d"]


@pytest.mark.parametrize(("text", "seconds", "present"), [("exit 0\n", 60, True), ("exit 3\n", 60, False), ("exec /bin/sleep 60\n", 0.1, False)])
def test_presence_is_the_answer_to_h(tmp_path, monkeypatch, text, seconds, present):
    monkeypatch.setattr(tools, "SEARCH_PATH", str(tmp_path))
    script(tmp_path, "my-tool", text)
    assert tools.is_present("my-tool", seconds) is present


def test_a_tool_that_is_not_there_does_not_answer(tmp_path, monkeypatch):
    monkeypatch.setattr(tools, "SEARCH_PATH", str(tmp_path))
    assert tools.is_present("my-tool") is False
    with pytest.raises(EndpointError, match="is not on this node: install my-tool"):
        tools.command("my-tool", False)


def test_gzip_there_and_back():
    data = os.urandom(300000) + bytes(300000)
    packed = through("gzip", False, data)
    assert len(packed) < len(data)
    assert through("gzip", True, packed) == data


def test_a_truncated_stream_is_the_tool_s_failure():
    packed = through("gzip", False, os.urandom(100000))
    with pytest.raises(EndpointError, match="gzip failed with status 1.*unexpected end"):
        through("gzip", True, packed[:-100])


def through(name, decompress, data):
    """What the tool makes of *data*."""
    tool = tools.RunningTool(name, decompress)
    pieces = [data]
    pump = tools.Pump(lambda _most: pieces.pop() if pieces else b"", lambda piece: tools.write_all(tool.stdin, piece), lambda _good: tool.close_stdin())
    pump.start()
    result = b""
    while True:
        piece = os.read(tool.stdout, 65536)
        if not piece:
            break
        result += piece
    pump.result()
    tool.finish()
    return result
