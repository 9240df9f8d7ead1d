# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ganeti's files: read as they are, written whole, and converted without loss."""

from __future__ import annotations

import json
import os

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import InvalidInput, StorageFailed, StorageIncomplete
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers import disk
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.conversion import convert
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.disk import DiskStorage
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.factory import open_storage

from ..samples import CONFIGURATION, configuration, job


def test_files_are_read_as_they_are(master):
    assert master.configuration() == CONFIGURATION
    assert master.queue() == (frozenset({7, 20005}), frozenset({3, 20001}), 20005)
    assert dict(master.jobs([7, 8])) == {7: job(7)} and dict(master.jobs([3, 20001], archived=True)) == {3: job(3), 20001: job(20001)}
    assert master.ssconf() == {"node_list": "a1.lab.example\n", "master_node": "a1\n", "cluster_tags": ""}


def test_a_conversion_loses_nothing(master, empty, tmp_path):
    assert convert(master, empty) == (20, 4)
    assert convert(master, empty) == (20, 0), "what is there is not written again"
    assert (empty.configuration(), empty.queue(), empty.ssconf()) == (master.configuration(), master.queue(), master.ssconf())
    assert dict(empty.jobs([3, 20001], archived=True)) == dict(master.jobs([3, 20001], archived=True))
    assert not [name for _folder, _folders, names in os.walk(tmp_path) for name in names if name.startswith(".")]


def test_a_conversion_removes_only_what_it_is_asked_to(master, empty):
    """Jobs that the source lacks may be those that were not written yet; a job id is never given out again."""
    empty.write_jobs({9: job(9)})
    empty.write_jobs({4: job(4)}, archived=True)
    empty.write_ssconf({"old": "1"})
    empty.write_serial(30000)
    assert convert(master, empty) == (20, 4)
    assert empty.queue() == ({7, 9, 20005}, {3, 4, 20001}, 30000) and "old" not in empty.ssconf()
    assert convert(master, empty, exact=True) == (20, 2)
    assert empty.queue() == master.queue()


def test_what_a_node_has_set_aside_itself_stays_as_it_was(tmp_path):
    (tmp_path / "queue").mkdir()
    disk = DiskStorage(str(tmp_path))
    disk.write_jobs({7: job(7)})
    disk.set_aside([7], "aside")
    disk.put_aside({7: job(7, "running"), 8: job(8, "running")}, "aside")
    found = {path.name: json.loads(path.read_text()) for path in (tmp_path / "queue/aside").iterdir()}
    assert found == {"job-7": job(7), "job-8": job(8, "running")}


def test_a_job_that_moves_is_never_in_neither_place(master, files, monkeypatch):
    """Ganeti archives while the directories are listed."""
    listed, listing = [], os.listdir

    def slow(path):
        found = listing(path)
        listed.append(path)
        if len(listed) == 1:
            files.archive(7)
        return found

    monkeypatch.setattr(os, "listdir", slow)
    found = master.queue()
    assert 7 in found.jobs | found.archived and 20005 in found.jobs


def test_new_files_can_be_their_directorys_owners(master, tmp_path, monkeypatch):
    """As root writes them where Ganeti's daemons run as users of their own."""
    given = []
    owner = (os.getuid(), os.getgid())
    monkeypatch.setattr(os, "fchown", lambda _descriptor, *ids: given.append(ids))
    monkeypatch.setattr(os, "chown", lambda _path, *ids: given.append(ids))
    master.write_jobs({4: job(4)}, archived=True)
    assert given == []
    DiskStorage(str(tmp_path / "master"), inherit=True).write_jobs({50001: job(50001)}, archived=True)
    assert given == [owner, owner], "the directory's and the file's"


def test_a_file_that_is_replaced_keeps_its_owner(master, tmp_path, monkeypatch):
    """The configuration's group is another one than its directory's: who only got that could not read it any more (Ganeti: tools/ensure_dirs.py)."""
    given = []
    monkeypatch.setattr(disk, "_owner", lambda path: (os.path.basename(path), "group"))
    monkeypatch.setattr(os, "fchown", lambda _descriptor, *ids: given.append(ids))
    DiskStorage(str(tmp_path / "master"), inherit=True).write_configuration(configuration(21))
    assert given == [("config.data", "group")] and master.configuration()["serial_no"] == 21


def test_files_have_ganetis_modes(empty, tmp_path):
    empty.write_configuration(configuration(21))
    empty.write_jobs({5: job(5)})
    empty.write_serial(5)
    empty.write_ssconf({"master_node": "a1\n"})
    modes = {name: oct(os.stat(tmp_path / "standby" / name).st_mode & 0o777) for name in ("config.data", "queue/job-5", "queue/serial", "ssconf_master_node")}
    assert modes == {"config.data": "0o640", "queue/job-5": "0o640", "queue/serial": "0o640", "ssconf_master_node": "0o444"}
    assert (tmp_path / "standby/queue/serial").read_text() == "5\n"


@pytest.mark.parametrize(
    ("file", "text", "error", "words"),
    [
        ("config.data", '{"cluster": {', StorageIncomplete, "does not hold complete JSON"),
        ("config.data", b"\xff", StorageFailed, "Cannot read"),
        ("config.data", None, StorageFailed, "neither the master nor a master candidate"),
        ("queue/serial", "seven", StorageFailed, "holds no job id"),
    ],
)
def test_what_is_damaged_is_named(master, tmp_path, file, text, error, words):
    path = tmp_path / "master" / file
    path.unlink()
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(error, match=words):
        master.configuration()
        master.queue()


def test_a_damaged_job_does_not_hold_up_the_others(master, empty, tmp_path):
    (tmp_path / "master/queue/job-7").write_text('{"id": 7, "ops"')
    assert dict(master.jobs([7, 20005])) == {20005: job(20005)}
    (problem,) = master.bad_files.words()
    assert "job-7 does not hold complete JSON" in problem and master.holds(7)
    assert convert(master, empty) == (20, 3)
    (tmp_path / "master/queue/job-7").write_text(json.dumps(job(7)))
    assert dict(master.jobs([7])) == {7: job(7)} and master.bad_files.words() == []


def test_a_write_that_fails_leaves_the_old_file(master, tmp_path, monkeypatch):
    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageFailed, match="Cannot write .*config.data: No space left"):
        master.write_configuration(configuration(21))
    assert master.configuration() == CONFIGURATION
    assert sorted(os.listdir(tmp_path / "master")) == ["config.data", "queue", "ssconf_cluster_tags", "ssconf_master_node", "ssconf_node_list"]


def test_the_factory_knows_both(tmp_path):
    assert open_storage("disk", directory=str(tmp_path)).name == "disk"
    with pytest.raises(InvalidInput, match="use one of couchdb, disk"):
        open_storage("tape")
