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
from . import facts, plan, tags, within
from .journal import Journal
from .nodes import lanes
from .options import Options
from .progress import Progress
from .retry import opportunistically
from .session import Session, Side
from .survey import Survey, check_nodes
from .transfer import Copy, Transfer

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
        self._names = within.names(options, session.within, move_id)
        self._verified = False
        self._transfer: t.Optional[Transfer] = None
        self._lanes = 0
        self.stopped_at: t.Optional[float] = None
        self.result: t.Dict[str, t.Any] = {}

    def create(self, found: Survey) -> facts.Instance:
        """Make the destination, fenced, so that never both copies can run."""
        self._say("create the destination")
        side, name = self._session.destination, self._names.made
        creation = plan.creation(found.source, side.info, self._options, self._id, self._session.within)
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
        hosts: t.List[SshHost] = [self._session.host(side, node) for side, node in zip(sides, nodes)]
        self._lanes = lanes(self._options.lanes, hosts)
        copy = Copy(
            move_id=self._id,
            address=self._session.data_address(nodes[1]),
            port=self._options.data_port,
            lanes=self._lanes,
            tool=self._options.compress,
            ciphers=self._options.ciphers,
            checksum=self._options.checksum,
            readback=self._options.verify == "readback",
            sizes=[disk.bytes for disk in found.source.disks],
            targets=self._activate(sides[1], made.name),
        )
        self._transfer = Transfer(self._progress, self._options.stall_timeout)
        self._transfer.prepare(hosts[1], hosts[0], copy)

    def close(self) -> None:
        """End what still runs on the nodes."""
        if self._transfer is not None:
            self._transfer.close()

    def stop(self, source: facts.Instance) -> None:
        """Shut the source down and fence it, after its state was noted on it."""
        if self._transfer is not None:
            self._transfer.check()
        side, name = self._session.source, source.name
        self._say("stop and fence the source")
        noted = [tags.source(self._id, source.admin_state)]
        if self._session.within:
            noted += [tags.address(self._id, index, nic.mac, nic.ip) for index, nic in enumerate(source.nics)]
        self._tag(side, name, noted)
        self.stopped_at = time.monotonic()
        shutdown = opcode("OP_INSTANCE_SHUTDOWN", instance_name=name, timeout=self._options.shutdown_timeout)
        steps = [shutdown, _offline(name)] if source.admin_state == "up" else [_offline(name)]
        self._session.job(side, steps, f"stop and fence {name}")

    def copy(self, found: Survey, made: facts.Instance) -> None:
        """Copy the disks; raise StreamFailed unless both ends agree on every digest."""
        if self._transfer is None:
            self._verified = True
            return
        self._say("copy the disks")
        begun = time.monotonic()
        sizes = [disk.bytes for disk in found.source.disks]
        with self._transfer:
            sent, received = self._transfer.run(self._activate(self._session.source, found.source.instance.name))
        _compare(sent["digests"], received["digests"], len(sizes))
        self._journal.add("verified", digests=received["digests"])
        self._verified = True
        self.result.update(
            disks=[{"size": size, "digest": digest} for size, digest in zip(sizes, received["digests"])],
            lanes=self._lanes,
            payload=sent["payload"],
            wire=sent["wire"],
            tls=[dict(zip(("version", "cipher", "bits"), agreed)) for agreed in sent["tls"]],
            copy_seconds=round(time.monotonic() - begun, 3),
        )

    def release(self, start: bool) -> None:
        """Note that the destination is complete, give it its name, take its fence off, and start it if it is to run."""
        side, made, name = self._session.destination, self._destination(), self._names.final
        if made is None:
            raise GanetiError(f"{name} has vanished from {side.name} while it was moved: somebody removed it.")
        self._say("start the destination" if start else "release the destination")
        steps = [opcode("OP_TAGS_SET", kind="instance", name=made.name, tags=[tags.verified(self._id)])]
        source = self._source() if self._session.within else None
        if source is not None:
            steps += within.exchange(source, made, self._names, self._options)
        steps.append(_online(name))
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
            self._untag(here, source.name, {"source", "nic"})
            self.result["source_name"] = source.name

    def destination_runs(self) -> bool:
        """Whether the verified destination was started, be it that the message about it was lost."""
        if not self._verified:
            return False
        self._settle(self._session.destination)
        found = self._destination()
        return found is not None and found.running

    def remove_destination(self) -> None:
        """Remove what this move has made at the destination, if there is anything; never anything else."""
        side = self._session.destination
        self._settle(side)
        found = self._destination()
        if found is None:
            return
        self._say("undo: remove the destination")
        self._session.job(side, opcode("OP_INSTANCE_REMOVE", instance_name=found.name, shutdown_timeout=0), f"remove {found.name}", _UNDO_LOCKS)

    def restore_source(self) -> None:
        """Bring the source back to the state that is noted on it, if any is."""
        side, name = self._session.source, self._names.source
        self._settle(side)
        found = self._source()
        if found is None:
            return
        mark = tags.marks(found.tags)["source"]
        self._say("undo: restore the source")
        steps = within.give_back(found, self._names)
        if steps:
            self._session.job(side, steps, f"give {name} its name and addresses back", _UNDO_LOCKS)
        if found.admin_state == "offline":
            self._session.job(side, _online(name), f"take the fence off {name}", _UNDO_LOCKS)
        if mark.value == "up" and not found.running:
            self._session.job(side, opcode("OP_INSTANCE_STARTUP", instance_name=name), f"start {name} again", _UNDO_LOCKS)
        self._untag(side, name, {"source", "nic"})

    def _settle(self, side: Side) -> None:
        """Wait for jobs about our instances that an interruption has left running: only then is their state known."""
        deadline = time.monotonic() + _UNDO_LOCKS
        while facts.unfinished_jobs(side.cluster, self._names) and time.monotonic() < deadline:
            time.sleep(1)

    def _source(self) -> t.Optional[facts.Instance]:
        """The source as it is now, if it takes part in this move."""
        return self._marked(self._session.source, (self._names.source, self._names.retired), "source")

    def _destination(self) -> t.Optional[facts.Instance]:
        """The destination as it is now, if this move has made it."""
        return self._marked(self._session.destination, (self._names.made, self._names.final), "destination")

    def _marked(self, side: Side, names: t.Iterable[str], kind: str) -> t.Optional[facts.Instance]:
        for name in dict.fromkeys(names):
            found = facts.instance(side.cluster, name)
            mark = tags.marks(found.tags).get(kind) if found else None
            if mark is not None and mark.move_id == self._id:
                return found
        return None

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
