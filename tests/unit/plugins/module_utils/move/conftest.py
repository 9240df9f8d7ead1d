# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What makes the enumerations of moves cheap; it changes no answer."""

from __future__ import annotations

import functools

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils.move import tags


@pytest.fixture(autouse=True, scope="session")
def cheap():
    """The same tags are read a million times."""
    with pytest.MonkeyPatch.context() as patch:
        real = tags.marks
        remembered = functools.lru_cache(maxsize=None)(real)
        patch.setattr(tags, "marks", lambda names: remembered(frozenset(names)))
        yield
