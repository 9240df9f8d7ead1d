# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Whether the master is gone, who replaces it, and whether at all: decisions alone, from what each node says that it sees.

Each node that has the service runs a watcher (watcher.py), and whoever decides to act runs a takeover (takeover.py). What keeps the cluster at one master:

1. **Gone is seen, never concluded.** A node sees the master gone where for `silent_for` seconds, without a break, nothing answered at its address and nothing
   of it was heard through the storage (sight.py). What a node cannot tell is unknown, and unknown is no vote.
2. **A vote is an answer.** Whoever acts asks a question that nobody has asked before, and counts only nodes that have looked again after they read it. So
   what a node has written once, and then died, is no vote.
3. **More than half of all nodes with a server have to see it gone**, the master counted among them, and nobody who answers may see it alive or take another
   node for the master. Of two nodes none ever has such a majority.
4. **Who has the newest acts**: the set with the highest serial number, then the last job, then the name. Where a node that answers has something newer and
   cannot become the master, nobody acts. Where jobs are acknowledged by N servers, so many have to answer that one of the N is among them.
5. **The user's command proves the master off** (fence_command.py). Without that there is no step further; any other end than success is a no. It is run only
   where all that can be judged before speaks for the takeover, so that no master is switched off in vain.
6. **All is asked again after the proof**, and once more before the step that cannot be undone. A master that is back, or any other difference, ends it.
7. **The storage elects**, not the node's insight: at most one node is elected for an epoch (drivers/couchdb/ballot.py, drivers/etcd/fence.py). The epoch is
   the one above that of the configuration that is promoted; where anybody has begun a later one, nobody is elected.
8. **Once.** A node acts only where an administrator has armed it for this very master (arming.py), and is disarmed, on stable storage, before it is elected.
   Every other master, however it came to be, disarms all. So it never goes back and forth.
9. **What dies half way is not taken up by itself.** Nobody is armed and the epoch is spent; `master_failover` by hand begins one above it, and so does
   `backend_storage` on a master that is back and goes on. Before that nobody is armed (arming.py: problem).
"""

from __future__ import annotations

import typing as t

MASTER, ALIVE, GONE, UNKNOWN = "master", "alive", "gone", "unknown"
"""What a node sees of the master: that it is itself the master, that the master lives, that it is gone for long enough, or none of that."""
SEEN = (MASTER, ALIVE, GONE, UNKNOWN)


class View(t.NamedTuple):
    """What a node sees, and what it could be the master with: the serial number of its newest whole set, the last job id, or why it cannot be."""

    sees: str
    master: str
    armed: bool = True
    serial: t.Optional[int] = None
    job: t.Optional[int] = None
    problem: t.Optional[str] = None

    @property
    def votes(self) -> bool:
        """Whether this is a vote for another master."""
        return self.sees == GONE and self.armed


class Situation(t.NamedTuple):
    """What the node *me* knows: all nodes with the service, the master until now, and the views of those that have answered; itself among them."""

    me: str
    nodes: t.Tuple[str, ...]
    master: str
    views: t.Mapping[str, View]
    acknowledge: int = 0
    """How many servers have each job of which anybody was told."""

    @property
    def voters(self) -> t.List[str]:
        """Who has voted."""
        return sorted(name for name, view in self.views.items() if view.votes and name in self.nodes and name != self.master)


WATCH, WAIT, NO, ACT = "watch", "wait", "no", "act"
"""What follows: nothing is wrong, another node acts, nobody may, or this node acts."""


class Verdict(t.NamedTuple):
    """What follows, and why, in words."""

    step: str
    why: str


def decide(known: Situation) -> Verdict:
    """The first of the rules that says something."""
    for rule in RULES:
        found = rule(known)
        if found is not None:
            return found
    return Verdict(ACT, f"{', '.join(known.voters)} see {known.master} gone, and {known.me} has the newest")


def _is_master(known: Situation) -> t.Optional[Verdict]:
    return Verdict(WATCH, f"{known.me} is the master") if known.master == known.me else None


def _is_stranger(known: Situation) -> t.Optional[Verdict]:
    missing = sorted({known.me, known.master} - set(known.nodes))
    return Verdict(NO, f"{', '.join(missing)} is none of the nodes with the service: run ganeti.cluster.backend_storage on the master") if missing else None


def _sees_it(known: Situation) -> t.Optional[Verdict]:
    mine = known.views.get(known.me)
    return None if mine is not None and mine.sees == GONE else Verdict(WATCH, f"{known.master} is not seen to be gone from here")


def _unarmed(known: Situation) -> t.Optional[Verdict]:
    if known.views[known.me].armed:
        return None
    return Verdict(NO, f"{known.me} is not armed for {known.master} as the master: see that all is well, then arm all nodes (--arm)")


def _another_master(known: Situation) -> t.Optional[Verdict]:
    others = {name: view.master for name, view in known.views.items() if view.master != known.master}
    words = ", ".join(f"{name} takes {master} for the master" for name, master in sorted(others.items()))
    return Verdict(NO, f"{words}, and {known.me} {known.master}") if others else None


def _alive(known: Situation) -> t.Optional[Verdict]:
    alive = sorted(name for name, view in known.views.items() if view.sees in (ALIVE, MASTER))
    return Verdict(NO, f"{', '.join(alive)} sees {known.master} alive: see what is cut off between the nodes") if alive else None


def _too_few(known: Situation) -> t.Optional[Verdict]:
    count = len(known.nodes)
    if 2 * len(known.voters) > count:
        return None
    return Verdict(NO, f"{len(known.voters)} of {count} nodes see {known.master} gone, and more than half have to ({_of_others(known)})")


def _of_others(known: Situation) -> str:
    """Why those have no vote that have none."""
    others = {name: known.views.get(name) for name in known.nodes if name not in known.voters and name != known.master}
    said = [f"{name} {'does not answer' if view is None else 'is not armed' if not view.armed else 'cannot tell'}" for name, view in sorted(others.items())]
    return "; ".join([*said, f"{known.master} has no vote"])


def _acknowledged(known: Situation) -> t.Optional[Verdict]:
    """Of N servers that have a job the master's may be one, so one of any N - 1 of the others has to be among the voters."""
    needed = len(known.nodes) - known.acknowledge + 1
    if known.acknowledge < 2 or len(known.voters) >= needed:
        return None
    silent = sorted(set(known.nodes) - {known.master, *known.voters})
    return Verdict(NO, f"jobs were acknowledged by {known.acknowledge} servers, which may be those of {known.master} and of {', '.join(silent)} alone")


def _nobody(known: Situation) -> t.Optional[Verdict]:
    if _best(known) is not None:
        return None
    return Verdict(NO, "; ".join(f"{name} cannot be the master ({known.views[name].problem or 'it has no whole set'})" for name in known.voters))


def _best(known: Situation) -> t.Optional[str]:
    able = [name for name in known.voters if known.views[name].problem is None and known.views[name].serial is not None]
    return min(able, key=lambda name: (-(known.views[name].serial or 0), -(known.views[name].job or 0), name), default=None)


def _newer_elsewhere(known: Situation) -> t.Optional[Verdict]:
    best = known.views[t.cast(str, _best(known))]
    for name, view in sorted(known.views.items()):
        if (view.serial or 0) > (best.serial or 0):
            return Verdict(NO, f"{name} has the newest set, {view.serial}, and cannot be the master ({view.problem or 'it has no vote'})")
        if known.acknowledge > 1 and (view.job or 0) > (best.job or 0):
            return Verdict(NO, f"{name} knows of job {view.job}, which was acknowledged perhaps, and of the newest set's jobs {best.job or 0} is the last")
    return None


def _another_acts(known: Situation) -> t.Optional[Verdict]:
    best = t.cast(str, _best(known))
    return None if best == known.me else Verdict(WAIT, f"{best} has the newest and acts")


RULES: t.Tuple[t.Callable[[Situation], t.Optional[Verdict]], ...] = (
    _is_master,
    _is_stranger,
    _sees_it,
    _unarmed,
    _another_master,
    _alive,
    _too_few,
    _acknowledged,
    _nobody,
    _newer_elsewhere,
    _another_acts,
)
"""In this order; a later one may rest on what an earlier one has ruled out."""
