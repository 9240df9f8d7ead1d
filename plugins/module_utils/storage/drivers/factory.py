# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Each driver by its name: what a storage is made of."""

from __future__ import annotations

import typing as t

from ..._errors import InvalidInput
from .couchdb.storage import CouchStorage, open_couchdb
from .disk import DiskStorage
from .etcd.storage import EtcdStorage, open_etcd
from .interface import Storage

DRIVERS: t.Mapping[str, t.Callable[..., Storage]] = {DiskStorage.name: DiskStorage, CouchStorage.name: open_couchdb, EtcdStorage.name: open_etcd}
"""What makes a storage, by the name that the parameter backend_storage has for it. A further one is one file, or package, and one line."""


def open_storage(kind: str, **options: t.Any) -> Storage:
    """The storage of this kind; nothing is asked of a server yet. Raises InvalidInput.

    Its options are those of its driver: what the settings of the service have for it (settings.py), and for a database ``name``, the node that this is,
    and ``patience``, in how many seconds an answer has to be there, which is asked for once then.
    """
    if kind not in DRIVERS:
        raise InvalidInput(f"There is no storage {kind!r}: use one of {', '.join(sorted(DRIVERS))}.")
    try:
        return DRIVERS[kind](**options)
    except (KeyError, TypeError) as error:
        raise InvalidInput(f"These are no options of the storage {kind}: {error}.") from error


def open_server(described: t.Mapping[str, t.Any], patience: float) -> Storage:
    """What is stored on a server of CouchDB's, to be read from wherever it can be reached."""
    return open_couchdb("it", {"it": described}, patience=patience)


def open_members(described: t.Mapping[str, t.Any], patience: float) -> Storage:
    """The same of what is stored in an etcd."""
    return open_storage(EtcdStorage.name, patience=patience, **described)
