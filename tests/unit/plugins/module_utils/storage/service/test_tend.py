# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the service does beside following."""

from __future__ import annotations

import time
import types

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.epochs import EPOCH, Claim
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service import tend
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.follow import Status
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.settings import Settings

from ..servers import options

OLD, NEW = Claim(20, "u1"), Claim(EPOCH, "u2")


@pytest.mark.parametrize("state", ["following", "waiting", "catching up"])
def test_who_is_replaced_learns_it_whatever_the_follower_does(state, tmp_path, servers, prefix, couch, monkeypatch):
    """One that was refused by a database waits for minutes."""
    monkeypatch.setattr(tend, "STEP", 0.1)
    (tmp_path / "ssconf_master_node").write_text("a1\n")
    chosen = Settings("a1", options(prefix, a1=servers[0]), str(tmp_path), str(tmp_path / "status.json"), 3)
    tender = tend.Tender(chosen, types.SimpleNamespace(status=Status(state)), OLD)
    assert couch.claim(OLD) == OLD
    tender.start()
    assert not tender.replaced
    with chosen.open() as other:
        other.claim(NEW)
    deadline = time.monotonic() + 60
    while not tender.replaced:
        tender.join(0.1)
        assert tender.is_alive() and time.monotonic() < deadline
    tender.end()
    assert tender.problem is None
