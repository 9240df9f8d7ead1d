# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The secrets in Ganeti's configuration, and objects without them, to be shown. Nothing of a configuration is shown in any other way."""

from __future__ import annotations

import typing as t

from ...api.opcodes import SECRET_FIELDS

HIDDEN = "not shown"
"""What is shown instead."""
_KEYS = SECRET_FIELDS | {"secret"}
"""Parts of objects that are secret as a whole: private OS parameters, wherever they are."""
_LAST_OF = {"logical_id": 6, "physical_id": 6}
"""Lists of which the last of so many elements is secret: what DRBD's two ends know each other by (Ganeti 3.0: Objects/Disk.hs, LIDDrbd8: two nodes,
port, two minors, secret; 2.x kept the other too). No other kind of disk has so many."""


def masked(value: t.Any) -> t.Any:
    """A value of the configuration, or a part of one that holds whole objects, without its secrets, however deep in it they are."""
    if isinstance(value, dict):
        return {key: _masked_part(key, part) for key, part in value.items()}
    return [masked(each) for each in value] if isinstance(value, (list, tuple)) else value


def _masked_part(key: str, part: t.Any) -> t.Any:
    if key in _KEYS:
        return HIDDEN if part else part
    if isinstance(part, (list, tuple)) and len(part) == _LAST_OF.get(key) and part[-1]:
        return [*part[:-1], HIDDEN]
    return masked(part)
