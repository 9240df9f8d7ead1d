# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The fake world of a zeroing, of which the instance is the source in the fake world of a move: what one does, the other sees."""

from __future__ import annotations

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import GanetiError, JobFailed, PreflightFailed
from ansible_collections.ganeti.cluster.plugins.module_utils.move import session, zero_first
from ansible_collections.ganeti.cluster.plugins.module_utils.zeroing import run as zeroings
from ansible_collections.ganeti.cluster.plugins.module_utils.zeroing.session import Instance, problems_of
from ansible_collections.ganeti.cluster.plugins.module_utils.zeroing.stage import Target

from ..zeroing import fakes as zeroing
from . import fakes

MIB = zeroing.MIB


class Linked(zeroing.World):
    """A zeroing's world in that of a move. What is to happen at which event is the move's stage's to say."""

    def __init__(self, stage):
        self.stage = None
        self.where = ""
        super().__init__()
        self.stage = stage
        self.helper = ""
        """The helper's kernel arguments, while it runs."""
        self.started = 0
        """How often it was started."""
        self.missing = []
        """What nodes lack."""

    @property
    def _machine(self):
        return self.stage.world.by_uuid("u-web")

    def _change(self, **changes):
        if self.stage is not None:
            self.stage.world = self.stage.world.replace(self._machine, **changes)
            fakes.check(self.stage.world)

    @property
    def admin(self):
        return self._machine.admin

    @admin.setter
    def admin(self, state):
        self._change(admin=state)

    @property
    def tags(self):
        return set(self._machine.tags)

    @tags.setter
    def tags(self, names):
        self._change(tags=frozenset(names))

    @property
    def runs(self):
        return self.helper or ("own" if self._machine.runs else "")

    @runs.setter
    def runs(self, what):
        if self.stage is None:
            return
        if what == "own":
            self.stage.world = fakes.start(self.stage.world, self._machine, self._machine.admin)
            return
        self.helper = what
        self.started += bool(what)
        self._change(runs=bool(what))

    def event(self):
        self.stage.event("zeroing", self.where)

    def job(self, opcodes, label):
        """A job, which knows what Ganeti refuses for an instance that is fenced."""
        self.where = "job"
        try:
            return super().job(opcodes, label)
        finally:
            self.where = ""

    def opcode(self, op):
        if self._machine.admin == "offline" and op["OP_ID"] in ("OP_INSTANCE_STARTUP", "OP_INSTANCE_SHUTDOWN"):
            raise JobFailed(f"Instance '{self._machine.name}' is marked to be offline")
        return super().opcode(op)


class Session(zeroing.Session):
    """The connections of a zeroing."""

    def instance(self, name, uuid=None):
        self.world.event()
        machine = self.world.stage.world.by_uuid(uuid)
        if machine is None:
            raise GanetiError(f"There is no instance {name} on alpha.")
        target = Target(machine.name, uuid, machine.node, (self.world.size,) * machine.disks, {"minmem": 64, "maxmem": 64})
        return Instance(target, (), self.world.hypervisor, "file", machine.admin, machine.runs, tuple(machine.tags))

    def examine(self, instance, options):
        problems = [*problems_of(instance, options.shutdown), *self.world.missing]
        if problems:
            raise PreflightFailed(problems)


def zeroable(stage, monkeypatch, idle=6000 * MIB, reason=None):
    """Let what is played on a stage zero the source, of which the node counts *idle* bytes that are free."""
    world = Linked(stage)
    monkeypatch.setattr(zeroings, "Session", lambda _options: Session(world))
    monkeypatch.setattr(session.Session, "host", lambda _self, _side, node: node.name)
    monkeypatch.setattr(zero_first, "ask", lambda _host, request, _seconds: {"idle": idle, "free_space": [[{"reason": reason}] for _disk in request["disks"]]})
    return world
