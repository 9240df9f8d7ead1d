# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The steps of a move, each of which knows how to be undone."""

from __future__ import annotations

import time
import typing as t

from .._errors import GanetiError, StreamFailed
from ..api.opcodes import opcode
from ..api.ssh import SshHost
from . import facts, plan, tags
from .certificates import identities
from .journal import Journal
from .nodes import Transfer
from .options import Options
from .progress import Progress
from .retry import opportunistically
from .session import Session, Side
from .survey import Survey, check_nodes, lanes

_UNDO_LOCKS = 600.0
"""Seconds that an undo waits for locks: longer than a step, as giving up would leave wreckage."""


class Steps:
    """One move under way. Every step is written to the journal before it is done."""

    def __init__(self, session: Session, options: Options, journal: Journal, progress: Progress, move_id: str) -> None:
        self._session = session
        self._options = options
        self._journal = journal
        self._progress = progress
        self._id = move_id
        self._verified = False
        self._request: t.Dict[str, t.Any] = {}
        self._hosts: t.List[SshHost] = []
        self._paths: t.List[str] = []
        self.stopped_at: t.Optional[float] = None
        self.result: t.Dict[str, t.Any] = {}

    def create(self, found: Survey) -> facts.Instance:
        """Make the destination, fenced, so that never both copies can run."""
        self._say("create the destination")
        side, name = self._session.destination, self._options.destination_name
        creation = plan.creation(found.source, side.info, self._options, self._id)
        opportunistically(
            lambda extra: self._session.job(side, {**creation, **extra}, f"create {name}"),
            self._options.opportunistic_tries,
            self._options.opportunistic_delay,
        )
        self._session.job(side, _offline(name), f"fence {name}")
        made = self._instance(side, name)
        if made.node != found.node:
            problems = check_nodes(self._session, self._options, found.source, found.source_node, found.destination_nodes[made.node])
            if problems:
                raise GanetiError(" ".join(problems))
        return made

    def prepare(self, found: Survey, made: facts.Instance) -> None:
        """Do all that can be done for the copy while the source still runs."""
        if not found.source.disks:
            return
        sides = self._session.source, self._session.destination
        nodes = found.source_node, found.destination_nodes[made.node]
        count = lanes(self._options, self._session, zip(sides, nodes))
        self._hosts = [self._session.host(side, node) for side, node in zip(sides, nodes)]
        self._request = {
            "move_id": self._id,
            "lanes": count,
            "tool": self._options.compress,
            "checksum": self._options.checksum,
            "address": self._session.data_address(nodes[1]),
        }
        self._paths = self._activate(sides[1], made.name)

    def stop(self, source: facts.Instance) -> None:
        """Shut the source down and fence it, after its state was noted on it."""
        side, name = self._session.source, source.name
        self._say("stop and fence the source")
        self._tag(side, name, [tags.source(self._id, source.admin_state)])
        self.stopped_at = time.monotonic()
        shutdown = opcode("OP_INSTANCE_SHUTDOWN", instance_name=name, timeout=self._options.shutdown_timeout)
        steps = [shutdown, _offline(name)] if source.admin_state == "up" else [_offline(name)]
        self._session.job(side, steps, f"stop and fence {name}")

    def copy(self, found: Survey, made: facts.Instance) -> None:
        """Copy the disks; raise StreamFailed unless both ends agree on every digest."""
        if not found.source.disks:
            self._verified = True
            return
        self._say("copy the disks")
        begun = time.monotonic()
        sizes = [disk.bytes for disk in found.source.disks]
        source, destination = identities(self._id)
        paths = self._activate(self._session.source, found.source.instance.name)
        send = {**self._request, **source._asdict(), "command": "send", "disks": list(zip(paths, sizes))}
        receive = {**self._request, **destination._asdict(), "command": "receive", "disks": list(zip(self._paths, sizes))}
        receive.update(port=self._options.data_port, readback=self._options.verify == "readback")
        transfer = Transfer(self._progress, self._options.stall_timeout)
        sent, received = transfer.run(self._hosts[1], receive, self._hosts[0], send)
        _compare(sent["digests"], received["digests"], len(sizes))
        self._journal.add("verified", digests=received["digests"])
        self._verified = True
        self.result.update(
            disks=[{"size": size, "digest": digest} for size, digest in zip(sizes, received["digests"])],
            lanes=self._request["lanes"],
            payload=sent["payload"],
            wire=sent["wire"],
            copy_seconds=round(time.monotonic() - begun, 3),
        )

    def release(self, name: str, start: bool) -> None:
        """Note that the destination is complete, take its fence off, and start it if it is to run."""
        side = self._session.destination
        self._say("start the destination" if start else "release the destination")
        steps = [opcode("OP_TAGS_SET", kind="instance", name=name, tags=[tags.verified(self._id)]), _online(name)]
        if start:
            steps.append(opcode("OP_INSTANCE_STARTUP", instance_name=name))
        self._session.job(side, steps, f"release {name}")
        if start and self.stopped_at is not None:
            self.result["downtime_seconds"] = round(time.monotonic() - self.stopped_at, 3)

    def commit(self, source: t.Optional[facts.Instance], made: facts.Instance) -> None:
        """Make the move final: from the first tag on, a run only ever goes forward."""
        self._say("commit")
        here, there = self._session.source, self._session.destination
        if source is not None and "moved-to" not in tags.marks(source.tags):
            self._tag(here, source.name, [tags.moved_to(self._id, made.uuid)])
        self._untag(there, made.name, {"destination", "verified"})
        if source is None:
            return
        if self._options.source_after == "removed":
            self._session.job(here, opcode("OP_INSTANCE_REMOVE", instance_name=source.name), f"remove {source.name}", _UNDO_LOCKS)
        else:
            self._untag(here, source.name, {"source"})

    def destination_runs(self) -> bool:
        """Whether the verified destination was started, be it that the message about it was lost."""
        if not self._verified:
            return False
        side, name = self._session.destination, self._options.destination_name
        self._settle(side, name)
        found = facts.instance(side.cluster, name)
        return found is not None and self._is_ours(found) and found.running

    def remove_destination(self) -> None:
        """Remove what this move has made at the destination, if there is anything; never anything else."""
        side, name = self._session.destination, self._options.destination_name
        self._settle(side, name)
        found = facts.instance(side.cluster, name)
        if found is None or not self._is_ours(found):
            return
        self._say("undo: remove the destination")
        self._session.job(side, opcode("OP_INSTANCE_REMOVE", instance_name=name, shutdown_timeout=0), f"remove {name}", _UNDO_LOCKS)

    def restore_source(self) -> None:
        """Bring the source back to the state that is noted on it, if any is."""
        side, name = self._session.source, self._options.name
        self._settle(side, name)
        found = facts.instance(side.cluster, name)
        mark = tags.marks(found.tags).get("source") if found else None
        if found is None or mark is None or mark.move_id != self._id:
            return
        self._say("undo: restore the source")
        if found.admin_state == "offline":
            self._session.job(side, _online(name), f"take the fence off {name}", _UNDO_LOCKS)
        if mark.value == "up" and not found.running:
            self._session.job(side, opcode("OP_INSTANCE_STARTUP", instance_name=name), f"start {name} again", _UNDO_LOCKS)
        self._untag(side, name, {"source"})

    def _settle(self, side: Side, name: str) -> None:
        """Wait for jobs about the instance that an interruption has left running: only then is its state known."""
        deadline = time.monotonic() + _UNDO_LOCKS
        while facts.unfinished_jobs(side.cluster, name) and time.monotonic() < deadline:
            time.sleep(1)

    def _is_ours(self, found: facts.Instance) -> bool:
        mark = tags.marks(found.tags).get("destination")
        return mark is not None and mark.move_id == self._id

    def _say(self, step: str) -> None:
        self._journal.add(step)
        self._progress.phase(step)

    def _instance(self, side: Side, name: str) -> facts.Instance:
        found = facts.instance(side.cluster, name)
        if found is None:
            raise GanetiError(f"{name} has vanished from {side.name} while it was moved: somebody removed it.")
        return found

    def _activate(self, side: Side, name: str) -> t.List[str]:
        """Make the disks of a stopped instance accessible on its primary node; their paths there, in order."""
        answer = self._session.job(side, opcode("OP_INSTANCE_ACTIVATE_DISKS", instance_name=name), f"activate the disks of {name}")
        return [path for _node, _name, path in answer]

    def _tag(self, side: Side, name: str, names: t.List[str]) -> None:
        self._session.job(side, opcode("OP_TAGS_SET", kind="instance", name=name, tags=names), f"tag {name}")

    def _untag(self, side: Side, name: str, kinds: t.Set[str]) -> None:
        present = self._instance(side, name).tags
        names = [tag for tag in tags.own(present) if tags.marks([tag]).keys() & kinds]
        if names:
            self._session.job(side, opcode("OP_TAGS_DEL", kind="instance", name=name, tags=names), f"remove tags from {name}", _UNDO_LOCKS)


def _offline(name: str) -> t.Dict[str, t.Any]:
    """The opcode that fences an instance: Ganeti refuses to start it then."""
    return opcode("OP_INSTANCE_SET_PARAMS", instance_name=name, offline=True)


def _online(name: str) -> t.Dict[str, t.Any]:
    """The opcode that takes the fence off."""
    return opcode("OP_INSTANCE_SET_PARAMS", instance_name=name, offline=False)


def _compare(sent: t.Sequence[str], received: t.Sequence[str], count: int) -> None:
    """Raise StreamFailed unless both ends report *count* digests, and the same ones."""
    if not len(sent) == len(received) == count:
        raise StreamFailed("The two ends do not agree on the number of disks.")
    for index, (theirs, ours) in enumerate(zip(sent, received)):
        if theirs != ours:
            raise StreamFailed(
                f"Disk {index} differs at the destination: its digest is {ours}, the source's is {theirs}. "
                "The copy is thrown away; look at the storage of the destination node."
            )
