# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Out of which nodes' files a master is made where there is no database: decisions alone, from what the nodes have told (candidate_files.py).

Ganeti takes whatever the next master has, whatever its serial number is (ganeti issue 1242), though it only logs where a candidate did not get a file.

1. **A stopped master's files are the truth**: the new master gets exactly what they hold.
2. **Without them the newest configuration counts**, by its serial number, the epoch first. Of each job the state counts that has got furthest, wherever among
   that configuration's candidates it is. A job that is archived anywhere has ended, and does not run again.
3. **Unknown is a value**: a candidate that does not answer may have something newer. Without `accept_loss` there is no failover then.
4. **No job runs twice.** One that has not ended, and that the node with the newest configuration has not, though it knows of later ones, may be new there or
   left over from an earlier time elsewhere. It is named, and runs only if somebody puts it back.
"""

from __future__ import annotations

import typing as t

from ..drivers import epochs
from ..drivers.documents import Json
from ..service.storage_comparison import numbers

_NAMED = 5


class Job(t.NamedTuple):
    """A state of a job: what it is, how far it has got, and whether it has ended."""

    digest: str
    progress: t.Tuple[int, ...]
    ended: bool


class Held(t.NamedTuple):
    """What a node's files hold: the serial number of the configuration, and the one that it has by now where an epoch was begun there; jobs."""

    serial: int
    raised: int
    job: int
    queue: t.Mapping[int, Job]
    damaged: t.FrozenSet[int]
    archived: t.FrozenSet[int]
    cluster: Json


def held(told: Json) -> Held:
    """What a node has told of its files."""
    queue = {int(number): Job(each["digest"], tuple(each["progress"]), each["ended"]) for number, each in told["queue"].items()}
    return Held(told["serial"], told["raised"], told["job"], queue, frozenset(told["damaged"]), numbers(told["archived"]), told["cluster"])


class Plan(t.NamedTuple):
    """Whose configuration it is to be; the jobs to be brought, by the node that they come from; the jobs that the new master has in its queue and that are not
    to run; jobs that nobody can judge, by the node that has them; and the highest numbers that anybody knows of."""

    source: str
    queue: t.Mapping[str, t.FrozenSet[int]]
    archived: t.Mapping[str, t.FrozenSet[int]]
    aside: t.FrozenSet[int]
    doubtful: t.Mapping[int, str]
    seen: int
    job: int

    @property
    def nodes(self) -> t.List[str]:
        """The nodes from which something is brought, or the configuration."""
        return sorted({self.source, *self.queue, *self.archived})


def plan(new: str, found: t.Mapping[str, Held], stopped: t.Optional[str] = None) -> Plan:
    """What *new* is made the master with, out of what was *found* on nodes, at least one; *stopped* is the old master where it was, and has told."""
    source = stopped or max(found, key=lambda name: (found[name].serial, name == new, found[name].job, name))
    members = {source: found[source]} if stopped else {name: found[name] for name in found if name == source or _candidate(found[source], name)}
    archived = frozenset().union(*(each.archived for each in members.values()))
    own = found.get(new)
    ended = archived | (own.archived if own else frozenset())
    best = {number: _furthest(number, members, new) for each in members.values() for number in each.queue if number not in ended}
    job = max(each.job for each in found.values())
    doubtful = {number: name for number, name in best.items() if not stopped and _doubtful(number, name, found[source], found[name], job)}
    taken = {number: name for number, name in best.items() if number not in doubtful}
    missing = [number for number, name in taken.items() if own is None or own.queue.get(number) != found[name].queue[number]]
    lacking = archived - (own.archived if own else frozenset())
    return Plan(
        source,
        _by_node({number: taken[number] for number in missing}),
        _by_node({number: min(name for name, each in members.items() if number in each.archived) for number in lacking}),
        frozenset((own.queue.keys() | own.damaged) - taken.keys() - found[source].damaged) if own else frozenset(),
        doubtful,
        max(max(each.serial, each.raised) for each in found.values()),
        job,
    )


def _candidate(newest: Held, name: str) -> bool:
    """Whether Ganeti has kept a node's files, by what is known last; others may have been left over."""
    node = newest.cluster["nodes"].get(name)
    return bool(node and node["master_candidate"])


def _furthest(number: int, members: t.Mapping[str, Held], new: str) -> str:
    """Who has the newest state of a job; of several with the same the new master, so that nothing is brought that is there."""
    return max((name for name, each in members.items() if number in each.queue), key=lambda name: (members[name].queue[number].progress, name == new, name))


def _doubtful(number: int, name: str, newest: Held, other: Held, last: int) -> bool:
    """A job with the last id of all cannot be left over from an earlier time."""
    return number < last and number <= newest.job and number not in newest.queue and not other.queue[number].ended


def _by_node(owners: t.Mapping[int, str]) -> t.Dict[str, t.FrozenSet[int]]:
    return {name: frozenset(number for number, owner in owners.items() if owner == name) for name in sorted(set(owners.values()))}


def problems(made: Plan, found: t.Mapping[str, Held], silent: t.Mapping[str, str], dead: t.Collection[str]) -> t.List[str]:
    """Why the failover is not to be without `accept_loss`, where the old master's files are not known; *silent* are nodes that have not told, and why."""
    newest = found[made.source]
    what = f"the newest configuration that is known has serial number {newest.serial}, of {made.source}"
    words = [
        f"The master candidate {name} does not tell what it has ({why.rstrip('.')}), and it may be newer: {what}. Repair {name}, or set accept_loss"
        for name, why in sorted(silent.items())
        if _candidate(newest, name) and not newest.cluster["nodes"][name]["offline"] and name not in dead
    ]
    if made.doubtful:
        where = "; ".join(f"job {number} on {name}" for number, name in sorted(made.doubtful.items())[:_NAMED])
        words.append(
            f"Jobs that have not ended are not on {made.source}, which knows of later ones, so they may be left over from an earlier time ({where}). See them "
            "there, in /var/lib/ganeti/queue, and remove those that are; or set accept_loss, and none of them runs"
        )
    return words


def newer(made: Plan, found: t.Mapping[str, Held], new: str) -> t.Optional[str]:
    """What the new master's own files lack, in words; None where they lack nothing."""
    own = found.get(new)
    if own is None:
        return f"no files; those of {', '.join(made.nodes)} are brought"
    parts, theirs = [], found[made.source].serial
    if own.serial != theirs:
        lost = f", so {epochs.lost(own.serial, theirs)} are brought" if theirs > own.serial else ""
        parts.append(f"serial number {own.serial}, {made.source} has {theirs}{lost}")
    count = sum(map(len, (*made.queue.values(), *made.archived.values())))
    if count:
        parts.append(f"{count} jobs not or in an older state")
    return ", ".join(parts) or None
