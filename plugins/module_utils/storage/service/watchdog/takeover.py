# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""A takeover: this node becomes the master by itself, in steps of which each may say no. What makes it safe stands in decision.py.

=========  ======================================================  ==========================================================================================
step       what it does                                            what is left where it is the last one
=========  ======================================================  ==========================================================================================
ask        a majority answers that the master is gone              nothing
judge      whether what is stored here may be promoted             nothing: who will not act later shall not have the master switched off either
prove      the user's command proves it off                        whatever the command did; it is asked again later
ask again  the same question once more, after the proof            the same
once more  whether what is stored here may be promoted, then       the same
disarm     this node is armed for nobody any more                  nobody acts here until it is armed again
elect      the storage names this node for the next epoch          no other node is elected for that epoch; a failover by hand begins one above it
write      the files of a master, out of the storage               the mark of an unfinished promotion; the old master, should it be back, is refused by
                                                                   the servers that this node has claimed (--reclaim there ends that)
admit      a majority takes this node for a master candidate       the same
ask last   the same question a last time                           the same
hand over  Ganeti's own failover                                   the master is whom Ganeti's files name; the same failover by hand goes on
finish     archived jobs, and the old master is marked offline     a master that works; its service writes the archived jobs
=========  ======================================================  ==========================================================================================

Here is the order alone; what a step does on a node is in deeds.py.
"""

from __future__ import annotations

import typing as t

from ...._errors import GanetiError

OUTCOME = "watchdog-takeover"
"""The file, in Ganeti's directory, that says what became of the last takeover of this node."""


class Deeds(t.Protocol):
    """What the steps do; each returns why it is not done, in words, or None."""

    def ask(self) -> t.Optional[str]: ...

    def prove(self) -> t.Optional[str]: ...

    def judge(self) -> t.Optional[str]: ...

    def disarm(self) -> t.Optional[str]: ...

    def elect(self) -> t.Optional[str]: ...

    def write(self) -> t.Optional[str]: ...

    def admit(self) -> t.Optional[str]: ...

    def hand_over(self) -> t.Optional[str]: ...

    def finish(self) -> t.Optional[str]: ...


class Step(t.NamedTuple):
    """A step, and what has to be done by hand where it is the last one."""

    name: str
    do: t.Callable[[Deeds], t.Optional[str]]
    todo: str = ""


_LATER = "it is tried again while the master is gone"
_AGAIN = "no node does it by itself any more for this epoch: make one the master with ganeti.cluster.master_failover and fenced, then arm the nodes (--arm)"
_BACK = f"should the old master be back and go on, run --reclaim there; otherwise {_AGAIN}"

STEPS: t.Tuple[Step, ...] = (
    Step("ask", lambda deeds: deeds.ask(), _LATER),
    Step("judge", lambda deeds: deeds.judge(), _LATER),
    Step("prove", lambda deeds: deeds.prove(), _LATER),
    Step("ask again", lambda deeds: deeds.ask(), _LATER),
    Step("once more", lambda deeds: deeds.judge(), _LATER),
    Step("disarm", lambda deeds: deeds.disarm(), _LATER),
    Step("elect", lambda deeds: deeds.elect(), _AGAIN),
    Step("write", lambda deeds: deeds.write(), _BACK),
    Step("admit", lambda deeds: deeds.admit(), _BACK),
    Step("ask last", lambda deeds: deeds.ask(), _BACK),
    Step("hand over", lambda deeds: deeds.hand_over(), _AGAIN),
    Step("finish", lambda deeds: deeds.finish(), "the node is the master; see its service's check"),
)


class Done(t.NamedTuple):
    """A step that was done, or why it was not."""

    step: Step
    why: t.Optional[str]

    @property
    def words(self) -> str:
        """For people."""
        return f"{self.step.name}: {'done' if self.why is None else f'no, {self.why}; {self.step.todo}'}"


def steps(deeds: Deeds) -> t.Iterator[Done]:
    """Do one after the other, up to the first that is not done."""
    for step in STEPS:
        try:
            why = step.do(deeds)
        except (GanetiError, OSError) as error:
            why = str(error).rstrip(".") or type(error).__name__
        yield Done(step, why)
        if why is not None:
            return
