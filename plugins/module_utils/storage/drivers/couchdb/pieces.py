# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""How much is written in a request. Nothing here talks to anybody.

CouchDB takes 24,000 documents in one request in 25 seconds, and in pieces in six. A request that is lost is sent again alone, and one that takes long on a
slow server still ends before its time is over.
"""

from __future__ import annotations

import json
import typing as t

from ..documents import Json

DOCUMENTS = 500
BYTES = 4_000_000
"""A document may be larger, and is a piece of its own then."""


def of(batch: t.Sequence[Json]) -> t.Iterator[t.List[Json]]:
    """The documents in pieces, in their order."""
    piece: t.List[Json] = []
    size = 0
    for document in batch:
        length = _length(document) if len(batch) > 1 else 0
        if piece and (len(piece) == DOCUMENTS or size + length > BYTES):
            yield piece
            piece, size = [], 0
        piece.append(document)
        size += length
    if piece:
        yield piece


def _length(document: Json) -> int:
    """How long it is as JSON; 0 where it cannot be that, which whoever sends it finds as well."""
    try:
        return len(json.dumps(document))
    except (ValueError, RecursionError):
        return 0
