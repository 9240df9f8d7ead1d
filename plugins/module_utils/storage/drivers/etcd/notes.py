# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What nodes write for each other, in keys below ``notes/``. Each write makes a revision of etcd's, so they are written when they change and no more."""

from __future__ import annotations

import typing as t

from ...._errors import GanetiError
from ..documents import Json, encoded
from ..interface import PARTS, Heard, Notes
from . import layout, wire
from .client import Client


class EtcdNotes(Notes):
    """The notes of the node *own*, and those of others, below *root*."""

    own_servers = False

    def __init__(self, client: Client, root: str, own: str, nodes: t.Collection[str]) -> None:
        self._client = client
        self._root = root + layout.NOTES
        self._own = own
        self._nodes = list(nodes)

    def put(self, part: str, note: Json) -> None:
        self._client.transact([], [wire.Put(self._key(self._own, part), encoded(note))])

    def read(self) -> t.Dict[str, Heard]:
        try:
            kvs, _revision = self._client.scan(self._root)
        except GanetiError as error:
            return {name: Heard({}, error.message, answers=False) for name in self._nodes}
        found = {kv.key: layout.decoded(kv.value) for kv in kvs}
        return {name: Heard({part: found[key] for part, key in self._keys(name) if isinstance(found.get(key), dict)}) for name in self._nodes}

    def _keys(self, name: str) -> t.List[t.Tuple[str, str]]:
        return [(part, self._key(name, part)) for part in PARTS]

    def _key(self, name: str, part: str) -> str:
        return f"{self._root}{name}/{part}"

    def close(self) -> None:
        self._client.close()
