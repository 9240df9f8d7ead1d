# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Snapshots: taken out of a database, kept, and restored into another."""

from __future__ import annotations

import os
import tarfile

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import InvalidInput, StorageFailed
from ansible_collections.ganeti.cluster.plugins.module_utils.storage import snapshot
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.base import convert

from .conftest import everything
from .samples import configuration, job

NOW = 1795250042.7


def test_what_is_taken_can_be_restored(master, couch, empty, tmp_path):
    convert(master, couch)
    path = snapshot.take(couch, str(tmp_path / "backups"), 3, NOW)
    assert os.path.basename(path) == "ganeti-20261121T083402Z.tar.gz"
    assert oct(os.stat(path).st_mode & 0o777) == "0o600" and os.listdir(tmp_path / "backups") == [os.path.basename(path)]
    couch.write_configuration(configuration(33, instances={}))
    couch.write_jobs({9: job(9)})
    assert snapshot.restore(path, couch) == (20, 1)
    assert everything(couch) == everything(master)
    snapshot.restore(path, empty)
    assert everything(empty) == everything(master), "into Ganeti's own files as well"


def test_the_newest_are_kept(master, tmp_path):
    for number in range(5):
        snapshot.take(master, str(tmp_path / "b"), 2, NOW + number)
    (tmp_path / "b/notes.txt").write_text("not ours")
    snapshot.take(master, str(tmp_path / "b"), 2, NOW + 9)
    assert snapshot.snapshots(str(tmp_path / "b")) == ["ganeti-20261121T083411Z.tar.gz", "ganeti-20261121T083406Z.tar.gz"]
    assert (tmp_path / "b/notes.txt").exists()
    with pytest.raises(InvalidInput, match="keep one snapshot at least"):
        snapshot.take(master, str(tmp_path / "b"), 0, NOW)


def test_an_archive_that_was_cut_off_changes_nothing(master, empty, tmp_path):
    path = snapshot.take(master, str(tmp_path / "b"), 1, NOW)
    with open(path, "r+b") as stream:
        stream.truncate(os.path.getsize(path) // 2)
    with pytest.raises(StorageFailed, match="is no snapshot, or was cut off"):
        snapshot.restore(path, empty)
    assert empty.queue().jobs == frozenset()


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "ganeti/../../evil", "other/config.data"])
def test_an_archive_with_other_things_is_left_alone(tmp_path, empty, name):
    archive = tmp_path / "x.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.addfile(tarfile.TarInfo(name))
    with pytest.raises(StorageFailed, match="which is in no snapshot"):
        snapshot.restore(str(archive), empty)


def test_a_link_in_an_archive_is_left_alone(tmp_path, empty):
    archive = tmp_path / "x.tar.gz"
    member = tarfile.TarInfo("ganeti/config.data")
    member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with tarfile.open(archive, "w:gz") as tar:
        tar.addfile(member)
    with pytest.raises(StorageFailed, match="which is in no snapshot"):
        snapshot.restore(str(archive), empty)
