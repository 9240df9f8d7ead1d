# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What has to hold after each fault of the soak, and after each promotion.

1. What was seen on the new master's server before it was promoted is in its files: each job, and each object of the configuration in that state or a newer one.
2. Nothing that an old master, or one that lost, wrote after the promotion is on any server.
3. When all are back, all servers hold the new master's files: configuration, queue, archive.
4. All servers have the same claim, which is the master's, and no epoch ever has two masters.
5. An archived job that all servers had once is there for ever, as it was.
6. No job id is given out twice, but for those that masters gave out after they were replaced.
"""

from __future__ import annotations

import json
import typing as t

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import GanetiError
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.documents import Json
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.epochs import Claim
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.interface import Storage

from .databases import Databases
from .nodes import GHOST, Node


class Seen(t.NamedTuple):
    """What a server held before a promotion: jobs, and the configuration's objects by the serial numbers at which they were written."""

    jobs: t.FrozenSet[int]
    objects: t.Dict[str, int]


class Holding(t.NamedTuple):
    """All that a place holds. A job that is archived counts as that, be it in the queue still."""

    queue: t.Dict[int, Json]
    archive: t.Dict[int, Json]
    configuration: Json


def holding(storage: Storage) -> Holding:
    """What a place holds now."""
    queue = storage.queue()
    waiting, archived = dict(storage.jobs(queue.jobs - queue.archived)), dict(storage.jobs(queue.archived, archived=True))
    return Holding(waiting, archived, storage.configuration())


class Checker:
    """Looks, and remembers what it saw."""

    def __init__(self, nodes: t.Mapping[str, Node], databases: Databases) -> None:
        self._nodes, self._databases = nodes, databases
        self._masters: t.Dict[int, str] = {}
        self._archived: t.Dict[int, Json] = {}
        self._given_out: t.Set[int] = set()

    def given_out(self, numbers: t.Set[int]) -> None:
        """A master has given out these ids (6)."""
        again = sorted(numbers & self._given_out)
        assert not again, f"the ids of jobs {again} were given out twice"
        self._given_out |= numbers

    def seen(self, node: Node) -> Seen:
        """What a node's server holds, before the node is promoted."""
        with self._databases.storage(node.name) as storage:
            queue = storage.queue()
            return Seen(queue.jobs | queue.archived, _objects(storage.configuration()))

    def promoted(self, new: Node, seen: Seen) -> None:
        """Whether all of that is in its files (1)."""
        held = new.files.queue()
        lost = sorted(seen.jobs - held.jobs - held.archived)
        assert not lost, f"{new.name} lacks jobs that its server had: {lost}"
        objects = _objects(new.files.configuration())
        older = sorted(name for name, serial in seen.objects.items() if objects.get(name, -1) < serial)
        assert not older, f"{new.name} has an older state of {older} than its server had"

    def differences(self, master: Node, away: t.Collection[str] = ()) -> t.List[str]:
        """In what servers differ from the master's files, in words (3)."""
        wanted, words = holding(master.files), []
        for name in self._places(away):
            try:
                with self._databases.storage(name) as storage:
                    found = holding(storage)
            except GanetiError as error:
                words.append(f"{name}: {error.message}")
                continue
            words += [f"{name}: {each}" for each in _between(wanted, found)]
            ghosts = [each for each in (wanted, found) if GHOST in json.dumps(each)]
            assert len(ghosts) < 2, f"{name} has what an old master wrote, and the master too"
        return words

    def settled(self, master: Node, away: t.Collection[str] = ()) -> None:
        """What has to hold when nothing differs any more (2, 4, 5)."""
        found = holding(master.files)
        assert GHOST not in json.dumps(found), f"{master.name} has what an old master wrote"
        for name in self._places(away):
            with self._databases.storage(name) as storage:
                self._of_one_master(name, master, storage.claims())
        lost = sorted(number for number, each in self._archived.items() if found.archive.get(number) != each)
        assert not lost, f"archived jobs are gone or are not what they were: {lost}"
        self._archived.update(found.archive)

    def _of_one_master(self, name: str, master: Node, claims: t.Sequence[Claim]) -> None:
        assert claims, f"nobody has claimed {name}'s server"
        for claim in claims:
            assert claim.master == master.uuid, f"{name}'s server is claimed by {claim.master}, and {master.name} is the master"
            before = self._masters.setdefault(claim.epoch, claim.master)
            assert before == claim.master, f"epoch {claim.epoch} had two masters, {before} and {claim.master}"

    def _places(self, away: t.Collection[str]) -> t.List[str]:
        """The nodes whose servers are looked at: one is enough where all is once."""
        names = [name for name in self._nodes if name not in away]
        return names if self._databases.copies else names[:1]


def _objects(configuration: Json) -> t.Dict[str, int]:
    """The networks, whose names end in the serial number at which they were written (nodes.Ganeti)."""
    return {name: int(each["name"].rpartition("-")[2]) for name, each in configuration["networks"].items()}


def _between(wanted: Holding, found: Holding) -> t.Iterator[str]:
    for what, here, there in zip(Holding._fields, wanted, found):
        kinds = {"lacks": here.keys() - there.keys(), "has beside": there.keys() - here.keys()}
        kinds["differs in"] = {name for name in here.keys() & there.keys() if here[name] != there[name]}
        yield from (f"{what} {kind} {sorted(names)[:10]} ({len(names)})" for kind, names in kinds.items() if names)
