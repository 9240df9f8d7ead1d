# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Snapshots: taken out of a database, kept, and restored into another."""

from __future__ import annotations

import os
import tarfile

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import InvalidInput, StorageFailed
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.conversion import convert
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.disk import DiskStorage
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service import snapshot
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.snapshot import Owner, strange

from ..conftest import everything
from ..samples import configuration, job

NOW = 1795250042.7


def test_what_is_taken_can_be_restored(master, couch, empty, tmp_path):
    convert(master, couch)
    path = snapshot.take(couch, str(tmp_path / "backups"), 3, NOW)
    assert os.path.basename(path) == "ganeti-20261121T083402Z-000001.tar.gz"
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
    assert snapshot.snapshots(str(tmp_path / "b")) == ["ganeti-20261121T083411Z-000006.tar.gz", "ganeti-20261121T083406Z-000005.tar.gz"]
    assert (tmp_path / "b/notes.txt").exists()
    with pytest.raises(InvalidInput, match="keep one snapshot at least"):
        snapshot.take(master, str(tmp_path / "b"), 0, NOW)


def test_the_one_just_taken_is_kept_whatever_the_clock_was(master, tmp_path):
    """Snapshots of a year ahead, and of earlier versions, which have no number."""
    place = tmp_path / "b"
    for year in range(2):
        snapshot.take(master, str(place), 3, NOW + (1 + year) * 365 * 86400)
    (place / "ganeti-20301121T083402Z.tar.gz").write_bytes(b"")
    taken = [os.path.basename(snapshot.take(master, str(place), 2, NOW + day * 86400)) for day in range(3)]
    assert snapshot.snapshots(str(place)) == [taken[2], taken[1]] == sorted(os.listdir(place), reverse=True)
    assert snapshot.snapshots(str(place))[0].endswith("-000005.tar.gz")
    at_once = [snapshot.take(master, str(place), 5, NOW) for _each in range(2)]
    assert len(set(at_once)) == 2 and all(os.path.exists(each) for each in at_once), "two in a second are two"


def test_another_cluster_is_not_restored_unasked(master, couch, empty, tmp_path):
    convert(master, couch)
    path = snapshot.take(couch, str(tmp_path / "b"), 3, NOW)
    other = configuration(5, cluster={**configuration()["cluster"], "cluster_name": "beta.lab.example"})
    couch.write_configuration(other)
    before = everything(couch)
    with pytest.raises(InvalidInput, match=r"is of alpha.lab.example \(without UUID\), and what is there now is of beta.lab.example .*--another-cluster"):
        snapshot.restore(path, couch)
    assert everything(couch) == before
    empty.write_configuration(other)
    with pytest.raises(InvalidInput, match="is of beta.lab.example"):
        snapshot.restore(path, DiskStorage(str(tmp_path / "nothing")), files=empty)
    assert snapshot.restore(path, couch, another=True).serial == 20
    assert everything(couch) == everything(master)


ALPHA, RENAMED, BETA, OLD = Owner("u1", "alpha"), Owner("u1", "gamma"), Owner("u2", "alpha"), Owner(None, "alpha")


@pytest.mark.parametrize(
    ("its", "mine", "empty", "refused"),
    [
        (ALPHA, ALPHA, False, False),
        (ALPHA, RENAMED, False, False),
        (ALPHA, BETA, False, True),
        (ALPHA, OLD, False, False),
        (RENAMED, OLD, False, True),
        (ALPHA, None, True, False),
        (ALPHA, None, False, True),
        (None, ALPHA, True, True),
    ],
)
def test_whose_a_snapshot_is(its, mine, empty, refused):
    """A cluster that was renamed is the same; what is not known is not the same, but where there is nothing to lose."""
    assert bool(strange(its, mine, empty)) == refused


def test_whose_a_torn_configuration_was(couch):
    assert snapshot.owner(couch) is None
    couch.write_ssconf({"cluster_name": "alpha.lab.example\n"})
    assert snapshot.owner(couch) == Owner(None, "alpha.lab.example")
    couch.write_configuration(configuration(20, cluster={"cluster_name": "alpha", "uuid": "u1", "master_node": "x"}))
    assert snapshot.owner(couch) == ALPHA


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
