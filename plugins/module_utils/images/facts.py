# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What the headers of an image say."""

from __future__ import annotations

import dataclasses
import typing as t

from .cost import Cost


class Snapshot(t.NamedTuple):
    """A snapshot inside an image."""

    id: str
    name: str
    size: int
    """Bytes of the memory that it holds, 0 for one of the disk alone."""
    taken: int
    """Seconds since the epoch."""


class Part(t.NamedTuple):
    """A file beside an image that holds a piece of its disk."""

    name: str
    kind: str
    """``sparse`` or ``flat``."""
    size: int
    """Bytes of the disk."""
    offset: int
    """Where they begin in a flat file."""


@dataclasses.dataclass
class Facts:
    """What an image is, by its own headers alone; nothing that they name has been opened."""

    format: str
    """As qemu-img calls it."""
    virtual_size: int
    """Bytes of the disk."""
    kind: t.Optional[str] = None
    """What its format calls its kind."""
    parts: t.List[Part] = dataclasses.field(default_factory=list)
    snapshots: t.List[Snapshot] = dataclasses.field(default_factory=list)
    snapshot_count: int = 0
    backing: t.Optional[str] = None
    backing_format: t.Optional[str] = None
    outside: t.List[str] = dataclasses.field(default_factory=list)
    """What it refers to outside of itself and of plain names in its directory: clauses."""
    problems: t.List[str] = dataclasses.field(default_factory=list)
    """What else keeps it from being converted: clauses."""
    cost: t.Optional[Cost] = None
