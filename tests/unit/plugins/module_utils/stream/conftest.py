# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fixtures of endpoints."""

from __future__ import annotations

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils.move.certificates import identities

from .endpoints import MOVE, Endpoint


@pytest.fixture
def endpoints():
    """Makes endpoints, and ends those that are left."""
    made = []

    def make(request, **options):
        made.append(Endpoint(request, **options))
        return made[-1]

    yield make
    for endpoint in made:
        endpoint.end()


@pytest.fixture(scope="module")
def keys():
    """The identities of a move."""
    return identities(MOVE)
