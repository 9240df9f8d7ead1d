# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""After Ganeti's own failover two masters share an epoch: that is noticed, outlasts restarts, is told, and ends when an epoch begins."""

from __future__ import annotations

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import StorageFailed
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.disk import DiskStorage
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.epochs import EPOCH, Claim, shared
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service import mastership, settings, shared_epoch

from ..samples import cluster


def of_a2(serial):
    """The configuration of a2 as the master."""
    found = cluster(serial)
    found["cluster"]["master_node"] = "u2"
    return found


@pytest.mark.parametrize(
    ("serial", "found", "other"),
    [
        (20, [], None),
        (20, [Claim(12, "u2")], None),
        (20, [Claim(12, "u1"), Claim(15, "u3")], "u3"),
        (20, [Claim(99, "u1")], "u1"),
        (EPOCH, [Claim(99, "u1")], None),
        (EPOCH + 4, [Claim(EPOCH, "u1")], "u1"),
        (20, [Claim(EPOCH, "u1")], None),
    ],
)
def test_who_shares_an_epoch(serial, found, other):
    assert getattr(shared(Claim(serial, "u2"), found), "master", None) == other


def test_it_is_noted_until_an_epoch_begins(tmp_path):
    directory = str(tmp_path)
    shared_epoch.look(directory, of_a2(20), [])
    assert shared_epoch.warning(directory, 20) is None
    shared_epoch.look(directory, of_a2(20), [Claim(12, "u1")])
    assert shared_epoch.standing(directory, 21) == "a1"
    shared_epoch.look(directory, of_a2(30), [Claim(25, "u2")])
    assert "run ganeti.cluster.backend_storage here" in shared_epoch.warning(directory, 30), "its own claim is all that is to be seen by now"
    assert shared_epoch.warning(directory, EPOCH) is None
    shared_epoch.look(directory, of_a2(EPOCH), [])
    assert not list(tmp_path.iterdir())


def test_a_damaged_note_is_named(tmp_path):
    (tmp_path / "epoch-shared").write_text("{")
    with pytest.raises(StorageFailed, match="epoch-shared is damaged .*: remove it"):
        shared_epoch.standing(str(tmp_path), 20)


class Claimed:
    """A storage of which claims are known."""

    def __init__(self, *found):
        self.found = list(found)

    def refuse_other_cluster(self, uuid):
        """It holds no configuration."""

    def claims(self):
        """Those that are known."""
        return self.found

    def claim(self, wanted, anew=False):
        """A newer one takes the place of all."""
        self.found = [wanted]
        return wanted


def test_the_service_looks_before_its_own_claim_covers_the_trace(tmp_path):
    files = DiskStorage(str(tmp_path))
    files.write_configuration(of_a2(20))
    files.write_ssconf({"master_node": "a2\n"})
    chosen = settings.Settings("a2", {}, str(tmp_path), str(tmp_path / "status.json"), 10)
    storage = Claimed(Claim(12, "u1"))
    assert mastership.begin(chosen, storage) == Claim(20, "u2"), "it writes meanwhile"
    assert mastership.begin(chosen, storage) == Claim(20, "u2") and shared_epoch.standing(str(tmp_path), 20) == "a1"
