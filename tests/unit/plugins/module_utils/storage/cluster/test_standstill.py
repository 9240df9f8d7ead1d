# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A write while Ganeti stands still: whatever goes wrong, Ganeti runs afterwards with a whole configuration, takes jobs, and its watcher watches."""

from __future__ import annotations

import json
import os
import signal

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import (
    ConnectionFailed,
    GanetiError,
    PreflightFailed,
    RequestRefused,
    StorageFailed,
    StorageIncomplete,
)
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.cluster import standstill

from ..samples import configuration

AFTER = configuration(21)


class Ganeti:
    """A master: daemons, a queue, a watcher, its configuration's file; and a connection to itself."""

    def __init__(self, directory):
        self.directory = directory
        self.file = directory / "config.data"
        self.file.write_text(json.dumps(configuration(20), indent=1))
        self.file.chmod(0o640)
        self.old = self.file.read_bytes()
        self.daemons = {"ganeti-wconfd", "ganeti-luxid"}
        self.drained = self.paused = False
        self.open_jobs = []
        self.jobs = []
        self.refuses = lambda text: False
        """Whether wconfd ends itself with this file."""
        self.fails = lambda argv: False
        """Whether a command fails."""
        self.at_stop = lambda: None

    def run(self, argv, input=None, timeout=1):
        if self.fails(argv):
            return 1, b"", b"it broke"
        return self.do(list(argv))

    def do(self, argv):
        text = b""
        if argv[0] == "gnt-cluster":
            needs_luxid = {"ganeti-luxid"} <= self.daemons
            assert needs_luxid, "luxid answers these"
            text = self.cluster_command(*argv[1:3])
        elif argv[0] == "gnt-debug":
            return (0 if "ganeti-wconfd" in self.daemons else 1), b"", b"no wconfd"
        elif argv[1] == "stop":
            self.daemons.discard(argv[2])
            if argv[2] == "ganeti-wconfd":
                self.at_stop()
        elif argv[1] == "start":
            if argv[2] == "ganeti-wconfd" and self.refuses(self.file.read_text()):
                return 1, b"", b"Could not load the configuration"
            self.daemons.add(argv[2])
        else:
            assert argv[1] == "check"
            return (0 if argv[2] in self.daemons else 1), b"", b""
        return 0, text, b""

    def cluster_command(self, what, action):
        if what == "queue":
            self.drained = {"drain": True, "undrain": False}.get(action, self.drained)
            return b"The drain flag is set" if self.drained else b"The drain flag is unset"
        self.paused = {"pause": True, "continue": False}.get(action, self.paused)
        return b"The watcher is paused until" if self.paused else b"The watcher is not paused."

    # As a connection.
    def __call__(self):
        if "ganeti-luxid" not in self.daemons:
            raise ConnectionFailed("luxid is away")
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        pass

    def query(self, what, fields, qfilter=None):
        return self.open_jobs if what == "job" else []


@pytest.fixture
def ganeti(tmp_path, monkeypatch):
    """A master where nothing takes time."""
    made = Ganeti(tmp_path)
    monkeypatch.setattr(standstill, "_PATIENCE", 0.0)
    monkeypatch.setattr(standstill, "_STARTING", 0.0)
    monkeypatch.setattr(standstill.jobs, "run", lambda cluster, opcodes, **_options: cluster.jobs.extend(each["OP_ID"] for each in opcodes))
    return made


def write(ganeti):
    """Write the new configuration in the place of the one that is there."""
    standstill.Standstill(ganeti, str(ganeti.directory), ganeti).write(configuration(20), AFTER, 60, 60)


def all_runs(ganeti):
    """Whether Ganeti is as it was before, but for its configuration."""
    return ganeti.daemons == {"ganeti-wconfd", "ganeti-luxid"} and not ganeti.drained and not ganeti.paused


def test_the_file_is_replaced_while_nobody_uses_it(ganeti):
    seen = []
    ganeti.at_stop = lambda: seen.append((set(ganeti.daemons), ganeti.drained, ganeti.paused, ganeti.file.read_bytes() == ganeti.old))
    write(ganeti)
    assert seen == [(set(), True, True, True)] and all_runs(ganeti)
    assert json.loads(ganeti.file.read_text()) == AFTER and ganeti.jobs == ["OP_CLUSTER_REDIST_CONF"]
    assert ganeti.file.stat().st_mode & 0o7777 == 0o640 and os.listdir(ganeti.directory) == ["config.data"]


def test_what_was_drained_or_paused_stays_so(ganeti):
    ganeti.drained = ganeti.paused = True
    write(ganeti)
    assert ganeti.drained and ganeti.paused


def test_a_run_that_died_left_the_queue_drained(ganeti):
    ganeti.drained = True
    (ganeti.directory / "config.data.before-rollback").write_bytes(b"older")
    write(ganeti)
    assert all_runs(ganeti) and os.listdir(ganeti.directory) == ["config.data"]


def test_a_damaged_file_is_not_replaced(ganeti):
    ganeti.at_stop = lambda: ganeti.file.write_text("{")
    with pytest.raises(StorageIncomplete, match="does not hold complete JSON"):
        write(ganeti)
    assert all_runs(ganeti) and ganeti.file.read_text() == "{"
    ganeti.file.unlink()
    with pytest.raises(StorageFailed, match="Cannot read .*config.data: No such file"):
        write(ganeti)
    assert all_runs(ganeti) and os.listdir(ganeti.directory) == []


def test_a_full_disk_changes_nothing(ganeti, monkeypatch):
    def full(descriptor):
        if os.fstat(descriptor).st_size == len(json.dumps(AFTER, separators=(",", ":"))):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(standstill.os, "fsync", full)
    with pytest.raises(GanetiError, match=r"The old one was put back, .*Cannot write .*config.data: No space left on device."):
        write(ganeti)
    assert all_runs(ganeti) and ganeti.file.read_bytes() == ganeti.old and os.listdir(ganeti.directory) == ["config.data"]


def test_open_jobs_are_not_disturbed(ganeti):
    ganeti.open_jobs = [{"id": 7, "summary": ["INSTANCE_CREATE(web1)"]}]
    stops = []
    ganeti.at_stop = lambda: stops.append(1)
    with pytest.raises(RequestRefused, match=r"Jobs are running or queued, .*: 7 \(INSTANCE_CREATE\(web1\)\)\. Run this again"):
        write(ganeti)
    assert all_runs(ganeti) and ganeti.file.read_bytes() == ganeti.old and stops == [] and os.listdir(ganeti.directory) == ["config.data"]


def test_a_change_in_the_last_moment_is_not_lost(ganeti):
    theirs = json.dumps(configuration(23))
    ganeti.at_stop = lambda: ganeti.file.write_text(theirs)
    with pytest.raises(RequestRefused, match="changed by somebody else meanwhile: nothing was written"):
        write(ganeti)
    assert all_runs(ganeti) and ganeti.file.read_text() == theirs and ganeti.jobs == []


def test_what_ganeti_does_not_start_with_is_taken_back(ganeti):
    ganeti.refuses = lambda text: json.loads(text)["serial_no"] == 21
    with pytest.raises(GanetiError, match=r"did not start with the new configuration\. The old one was put back, .*Starting .* Could not load"):
        write(ganeti)
    assert all_runs(ganeti) and ganeti.file.read_bytes() == ganeti.old and os.listdir(ganeti.directory) == ["config.data"]
    assert ganeti.file.stat().st_mode & 0o7777 == 0o640 and ganeti.jobs == []


@pytest.mark.parametrize("broken", ["ganeti-luxid", "ganeti-wconfd"])
def test_where_nothing_starts_any_more_the_old_file_is_there(ganeti, broken):
    ganeti.fails = lambda argv: list(argv[1:]) == ["start", broken] or argv[0] == "gnt-cluster" and "ganeti-luxid" not in ganeti.daemons
    with pytest.raises(GanetiError, match=r"and not with the old one either\..* in .*config.data.before-rollback") as caught:
        write(ganeti)
    assert all(each in caught.value.message for each in ("gnt-cluster watcher continue failed", "gnt-cluster queue undrain failed"))
    kept = ganeti.directory / "config.data.before-rollback"
    assert kept.read_bytes() == ganeti.old == ganeti.file.read_bytes() and kept.stat().st_mode & 0o7777 == 0o600


def test_a_daemon_that_does_not_stop_is_left_running(ganeti):
    ganeti.fails = lambda argv: list(argv[1:]) == ["stop", "ganeti-wconfd"]
    with pytest.raises(GanetiError, match="Stopping ganeti-wconfd failed"):
        write(ganeti)
    assert all_runs(ganeti) and ganeti.file.read_bytes() == ganeti.old


def test_ctrl_c_counts_when_all_runs_again(ganeti):
    ganeti.at_stop = lambda: os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        write(ganeti)
    assert all_runs(ganeti) and json.loads(ganeti.file.read_text()) == AFTER
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize(("answers", "refused"), [("yyy", False), ("yyn", False), ("ynn", True), ("yn", True), ("y", False), ("n", True)])
def test_daemons_are_not_stopped_where_they_could_not_start(answers, refused):
    class Cluster:
        def query(self, what, fields):
            return [{"name": f"n{number}", "bootid": "x" if each == "y" else None} for number, each in enumerate(answers)]

    if refused:
        with pytest.raises(PreflightFailed, match="Ganeti's daemons start only where most nodes do"):
            standstill.check_votes(Cluster())
    else:
        standstill.check_votes(Cluster())
        assert 2 * answers.count("y") > len(answers)
