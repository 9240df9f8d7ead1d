# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The file with the status, and what systemd is told."""

from __future__ import annotations

import json
import socket

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service import signs_of_life
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.follow import Status
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.signs_of_life import Signs


@pytest.fixture
def systemd(tmp_path, monkeypatch):
    """Where systemd listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield listening


def words(listening):
    """What was said since."""
    found = []
    while True:
        try:
            found.append(listening.recv(100).decode())
        except BlockingIOError:
            return found


def test_systemd_is_told_whenever_the_file_is(tmp_path, systemd, monkeypatch):
    path = tmp_path / "run/status.json"
    signs = Signs(str(path))
    signs.ready()
    assert words(systemd) == ["READY=1"]
    signs.give(Status("following", 20))
    signs.give(Status("following", 20))
    assert words(systemd) == ["WATCHDOG=1"], "not again and again"
    signs.give(Status("following", 21))
    assert words(systemd) == ["WATCHDOG=1"] and json.loads(path.read_text())["serial"] == 21
    monkeypatch.setattr(signs_of_life, "_OFTEN", 0.0)
    signs.give(Status("following", 21))
    assert words(systemd) == ["WATCHDOG=1"]


def test_an_abstract_address_is_understood(monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0ganeti-couchdb-test")
        monkeypatch.setenv("NOTIFY_SOCKET", "@ganeti-couchdb-test")
        signs_of_life.notify("READY=1")
        assert listening.recv(100) == b"READY=1"


def test_without_systemd_nobody_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    Signs(str(tmp_path / "status.json")).ready()
    assert capsys.readouterr().err == ""


def test_what_cannot_be_told_is_said_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    (tmp_path / "run").write_text("")
    path = tmp_path / "run/status.json"
    signs = Signs(str(path))
    for serial in (20, 21, 22):
        signs.give(Status("following", serial))
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2 and said[0].startswith(f"{path} cannot be told") and said[1].startswith("systemd cannot be told")
    (tmp_path / "run").unlink()
    signs.give(Status("following", 23))
    assert capsys.readouterr().err == f"{path} is told again how the service is.\n" and json.loads(path.read_text())["serial"] == 23
