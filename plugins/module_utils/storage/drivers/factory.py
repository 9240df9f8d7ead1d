# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Each driver by its name: what a storage is made of."""

from __future__ import annotations

import typing as t

from ..._errors import InvalidInput
from .couchdb.storage import CouchStorage, open_server
from .disk import DiskStorage
from .interface import Storage

DRIVERS: t.Mapping[str, t.Callable[..., Storage]] = {DiskStorage.name: DiskStorage, CouchStorage.name: open_server}
"""What makes a storage, by the name that the parameter backend_storage has for it. A third one is one file and one line."""


def open_storage(name: str, **options: t.Any) -> Storage:
    """The storage of this name; its options are those of its driver."""
    if name not in DRIVERS:
        raise InvalidInput(f"There is no storage {name!r}: use one of {', '.join(sorted(DRIVERS))}.")
    return DRIVERS[name](**options)
