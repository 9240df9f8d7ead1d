# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Counting, by the program as nodes run it."""

from __future__ import annotations

import ast
import os
import sys
from pathlib import Path

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import ConnectionFailed
from ansible_collections.ganeti.cluster.plugins.module_utils.guest.on_node import Conversation
from ansible_collections.ganeti.cluster.plugins.module_utils.zeroing import count

from .local import Local

MIB = 1024 * 1024


def counted(*paths, read=True):
    conversation = Conversation(Local, count, {"paths": [str(path) for path in paths], "read": read})
    try:
        return conversation.next(60)
    finally:
        conversation.close()


@pytest.fixture
def disk(tmp_path):
    """8 MiB: a MiB of data, one of zeros that are written, one block with a single byte, and holes."""
    path = tmp_path / "disk"
    with open(path, "wb") as stream:
        stream.truncate(8 * MIB)
        stream.write(os.urandom(MIB) + bytes(MIB))
        stream.seek(5 * MIB + 70000)
        stream.write(b"x")
    return path


def test_zeros_count_as_blocks_and_not_as_data(disk):
    said = counted(disk)
    assert said["event"] == "counted"
    (found,) = said["disks"]
    assert (found["size"], found["data"]) == (8 * MIB, MIB + count.BLOCK)
    assert 2 * MIB < found["allocated"] <= 3 * MIB
    assert counted(disk, disk, read=False)["disks"] == [{**found, "data": None}] * 2


def test_what_was_punched_is_counted_no_more(disk):
    before = counted(disk, read=False)["disks"][0]["allocated"]
    os.truncate(disk, 0)
    os.truncate(disk, 8 * MIB)
    after = counted(disk)["disks"][0]
    assert after == {"size": 8 * MIB, "allocated": 0, "data": 0} and before > 0


def test_an_end_within_a_block_and_no_bytes_at_all(tmp_path):
    (tmp_path / "odd").write_bytes(bytes(count.BLOCK) + b"x" * 100)
    (tmp_path / "none").write_bytes(b"")
    odd, none = counted(tmp_path / "odd", tmp_path / "none")["disks"]
    assert (odd["size"], odd["data"]) == (count.BLOCK + 100, 100) and (none["size"], none["data"]) == (0, 0)


def test_what_cannot_be_read_is_named(tmp_path):
    assert counted(tmp_path / "no") == {"event": "failed", "path": str(tmp_path / "no"), "why": "No such file or directory"}


def test_an_end_without_a_word_is_told():
    class Silent(Local):
        def __init__(self, _argv):
            super().__init__(["python3", "-c", "import sys; sys.stdin.buffer.read(1); print('no JSON')"])

    conversation = Conversation(Silent, count, {"paths": [], "read": False})
    with pytest.raises(ConnectionFailed, match="something else than JSON"):
        conversation.next(60)
    conversation.close()


@pytest.mark.parametrize("name", ["zeroing/count.py", "guest/attend.py"])
def test_it_runs_on_a_bare_node(name):
    tree = ast.parse((Path(count.__file__).parents[1] / name).read_text(), feature_version=(3, 9))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert names <= sys.stdlib_module_names and not any(isinstance(node, ast.ImportFrom) and node.level for node in ast.walk(tree))
