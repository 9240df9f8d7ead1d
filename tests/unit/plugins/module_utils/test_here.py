# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Modules that work where they run refuse another cluster than the one that is meant."""

from __future__ import annotations

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import InvalidInput
from ansible_collections.ganeti.cluster.plugins.module_utils._here import check_cluster


def test_only_a_node_of_the_cluster_that_is_meant_will_do(tmp_path):
    file = tmp_path / "ssconf_cluster_name"
    check_cluster(None, str(file))
    with pytest.raises(InvalidInput, match=r"^This host is no node of alpha: .* is not there\."):
        check_cluster("alpha", str(file))
    file.write_text("alpha\n")
    check_cluster("alpha", str(file))
    with pytest.raises(InvalidInput, match="^Wrong cluster: this host is a node of alpha, not of beta"):
        check_cluster("beta", str(file))
    file.unlink()
    file.mkdir()
    with pytest.raises(InvalidInput, match="^Which cluster this host belongs to cannot be read: .*Is a directory"):
        check_cluster("alpha", str(file))
