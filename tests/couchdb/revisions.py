# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The revisions of one document: a tree of which each leaf is a current version and one leaf wins."""

from __future__ import annotations

import functools
import hashlib
import re
import typing as t

from .errors import BadRequest
from .json_text import dumps

HASH = re.compile("[0-9a-fA-F]{32}")


class Revision(t.NamedTuple):
    """The position in the history and a hash, written as ``3-917fa2381192822767f010b95b45325b``."""

    position: int
    hash: str

    def __str__(self) -> str:
        return f"{self.position}-{self.hash}"

    def rank(self) -> tuple[int, bytes]:
        """CouchDB compares hashes as the bytes that they stand for."""
        return self.position, bytes.fromhex(self.hash) if HASH.fullmatch(self.hash) else self.hash.encode()


def parse(text: t.Any) -> Revision:
    """The revision that a client wrote."""
    if not isinstance(text, str):
        raise BadRequest("Invalid rev format")
    return _parse(text)


@functools.lru_cache(maxsize=10_000)  # the same few are read again and again
def _parse(text: str) -> Revision:
    position, dash, digest = text.partition("-")
    if not dash or not re.fullmatch("[0-9]+", position):
        raise BadRequest("Invalid rev format")
    return Revision(int(position), digest.lower() if HASH.fullmatch(digest) else digest)


def following(parent: t.Optional[Revision], deleted: bool, body: dict[str, t.Any]) -> Revision:
    """The revision that an edit of *parent* gets: the same edit gets the same revision on every server."""
    text = dumps([deleted, str(parent) if parent else None, body])
    return Revision(parent.position + 1 if parent else 1, hashlib.md5(text.encode()).hexdigest())


class Node:
    """One revision in the tree. Without a body if only its name is known, or if compaction dropped it."""

    def __init__(self, parent: t.Optional[Revision], deleted: bool = False, body: t.Optional[dict[str, t.Any]] = None) -> None:
        self.parent = parent
        self.deleted = deleted
        self.body = body


class Tree:
    """All known revisions of a document."""

    def __init__(self) -> None:
        self.nodes: dict[Revision, Node] = {}
        self._leaves: set[Revision] = set()

    def leaves(self) -> list[Revision]:
        """The current versions, the winner first: what is not deleted wins, then the longest history, then the highest hash."""
        return sorted(self._leaves, key=lambda revision: (not self.nodes[revision].deleted, revision.rank()), reverse=True)

    def winner(self) -> Revision:
        """The version that a reader gets who asks for none."""
        return self.leaves()[0]

    def is_leaf(self, revision: Revision) -> bool:
        """Whether the revision is a current version."""
        return revision in self._leaves

    def deleted(self) -> bool:
        """Whether no current version is left."""
        return self.nodes[self.winner()].deleted

    def history(self, revision: Revision) -> list[Revision]:
        """The revision and all its known ancestors, newest first."""
        path = []
        step: t.Optional[Revision] = revision
        while step is not None and step in self.nodes:
            path.append(step)
            step = self.nodes[step].parent
        return path

    def latest(self, revision: Revision) -> list[Revision]:
        """The current versions that come from a revision, itself if it is one."""
        return [leaf for leaf in self.leaves() if revision in self.history(leaf)]

    def add(self, path: list[Revision], deleted: bool, body: dict[str, t.Any]) -> None:
        """Add a revision with its ancestors, newest first. What is known already stays as it is."""
        known = path[0] in self.nodes
        for child, parent in zip(path, [*path[1:], None]):
            node = self.nodes.get(child)
            if node is None:
                self.nodes[child] = Node(parent)
            elif node.parent is None:
                node.parent = parent
            if parent is not None:
                self._leaves.discard(parent)
        if not known:
            self.nodes[path[0]] = Node(self.nodes[path[0]].parent, deleted, body)
            self._leaves.add(path[0])

    def stem(self, limit: int) -> None:
        """Forget what lies further back than *limit* revisions on every branch."""
        if len(self.nodes) <= limit:
            return
        kept: set[Revision] = set()
        for leaf in self._leaves:
            kept.update(self.history(leaf)[:limit])
        self.nodes = {revision: node for revision, node in self.nodes.items() if revision in kept}
        for node in self.nodes.values():
            if node.parent not in kept:
                node.parent = None

    def compact(self) -> None:
        """Drop the bodies of what is not current."""
        for revision, node in self.nodes.items():
            if revision not in self._leaves:
                node.body = None

    def dump(self) -> list[list[t.Any]]:
        """All of it as JSON values."""
        return [[str(revision), str(node.parent) if node.parent else None, node.deleted, node.body] for revision, node in self.nodes.items()]

    @classmethod
    def load(cls, rows: list[list[t.Any]]) -> Tree:
        """A tree from what :meth:`dump` made."""
        tree = cls()
        for revision, parent, deleted, body in rows:
            tree.nodes[parse(revision)] = Node(parse(parent) if parent else None, deleted, body)
        tree._leaves = set(tree.nodes) - {node.parent for node in tree.nodes.values() if node.parent is not None}
        return tree
