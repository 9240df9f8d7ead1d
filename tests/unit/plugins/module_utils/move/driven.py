# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whole runs of the real module code, against fake clusters, a fake lease and a fake transfer, with something happening at any call.

Each call to a cluster, to the lease or to the transfer is an event. A test lets something happen at the nth: the run is killed, an answer
is lost, another run comes in between, a node falls silent.
"""

from __future__ import annotations

import functools
import itertools
import os
import types
import typing as t

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import ConnectionFailed, PreflightFailed, RequestRefused, StreamFailed
from ansible_collections.ganeti.cluster.plugins.module_utils._progress import Progress
from ansible_collections.ganeti.cluster.plugins.module_utils.api.cluster import Cluster, JobChange
from ansible_collections.ganeti.cluster.plugins.module_utils.move import facts, run, session, speed, steps
from ansible_collections.ganeti.cluster.plugins.module_utils.move.plan import Source
from ansible_collections.ganeti.cluster.plugins.module_utils.move.survey import Survey
from ansible_collections.ganeti.cluster.plugins.module_utils.zeroing import tags as zeroing

from . import fakes
from .samples import info, options

NODES = {"alpha": "a3", "beta": "b1", "gamma": "c1"}


class Killed(BaseException):
    """The controller is gone, without a word."""


class Event(t.NamedTuple):
    """What a run is doing: the kind of call, the cluster, the opcodes of a submission."""

    kind: str
    where: str = ""
    opcodes: tuple = ()


class Stage:
    """The fake world, who holds the lease, and what is to happen at which event."""

    def __init__(self, world):
        self.world = world
        self.holder = None
        self.seen = []
        self.at = None
        self.happens = None
        self.hidden = None
        """What the configuration alone tells of the source."""

    def event(self, kind, where="", opcodes=(), does=lambda: None):
        """Something a run does: what is to happen at it, happens instead, or before it."""
        self.seen.append(Event(kind, where, tuple(op["OP_ID"] for op in opcodes) if opcodes else ()))
        if len(self.seen) - 1 == self.at:
            self.at = None
            return self.happens(does)
        return does()


class FakeCluster(Cluster):
    """A cluster over the fake world; jobs are done when they are submitted."""

    def __init__(self, stage, name, transport):
        self.stage = stage
        self.name = name
        self.address = f"{name}-master"
        self.transport = transport
        self._jobs = {}
        self._numbers = itertools.count(1)

    def info(self):
        return self.stage.event("info", self.name, does=lambda: info(self.name, uuid=f"uuid-{self.name}", master=f"{self.name}-master"))

    def query(self, what, fields, qfilter=None):
        return self.stage.event("query", self.name, does=lambda: self._query(what, fields, qfilter))

    def _query(self, what, fields, qfilter):
        if what != "instance":
            return []
        wanted = [each for each in self.stage.world.machines if each.cluster == self.name]
        if qfilter is not None:
            qfilter = qfilter[1] if qfilter[0] == "&" else qfilter
            _is, field, value = qfilter
            fits = (lambda each: each.uuid == value) if field == "uuid" else (lambda each: each.name == value or each.name.startswith(value + "."))
            wanted = [each for each in wanted if fits(each)]
        return [dict(_row(each, each.node in self.stage.world.silent, self.stage.world.template, tuple(fields))) for each in wanted]

    def submit(self, opcodes):
        if self.transport == "rapi" and len(opcodes) != 1:
            raise RequestRefused("RAPI takes one opcode a job")
        return self.stage.event("submit", self.name, opcodes, lambda: self._submit(opcodes))

    def _submit(self, opcodes):
        number, results, status = next(self._numbers), [], "success"
        for op in opcodes:
            try:
                self.stage.world, result = fakes.run_opcode(self.stage.world, self.name, op)
                results.append(result)
            except fakes.Refused as refusal:
                self.stage.world = getattr(refusal, "world", self.stage.world)
                results.append(getattr(refusal, "answer", ["OpPrereqError", [str(refusal), "wrong_state"]]))
                status = "error"
            fakes.check(self.stage.world)
            if status == "error":
                break
        opstatus = ["success"] * (len(results) - 1) + [status] + ["error"] * (len(opcodes) - len(results))
        self._jobs[number] = {
            "id": number, "status": status, "summary": [op["OP_ID"][3:] for op in opcodes], "opstatus": opstatus, "opresult": results, "oplog": [],
            "received": None, "start": None, "end": None,
        }  # fmt: skip
        return number

    def job(self, job_id):
        return self.stage.event("answer", self.name, does=lambda: self._jobs[job_id])

    def wait_for_job_change(self, job_id, last_status, last_log_serial, timeout):
        return JobChange(self._jobs[job_id]["status"], [])

    def cancel(self, job_id):
        return False, "it has ended"

    def close(self):
        pass


@functools.cache  # the same few are asked for ten thousand times
def _row(machine, silent, template, fields):
    count = len(machine.nics)
    row = {
        "name": machine.name, "uuid": machine.uuid, "pnode": machine.node, "snodes": [], "os": "noop", "hypervisor": "kvm", "disk_template": template,
        "admin_state": machine.admin, "oper_state": None if silent else machine.runs,
        "status": "ERROR_nodedown" if silent else "running" if machine.runs else f"ADMIN_{machine.admin}", "tags": sorted(machine.tags),
        "beparams": {}, "custom_beparams": {}, "hvparams": {}, "custom_hvparams": {}, "custom_osparams": {},
        "nic.macs": [mac for mac, _ip in machine.nics], "nic.ips": [ip for _mac, ip in machine.nics], "nic.names": [None] * count,
        "nic.modes": ["bridged"] * count, "nic.links": ["br0"] * count, "nic.vlans": [""] * count, "nic.networks.names": [None] * count,
        "custom_nicparams": [{"link": "br0"}] * count,
        "disk.uuids": ["disk"] * machine.disks, "disk.sizes": [1024] * machine.disks,
    }  # fmt: skip
    return {field: row[field] for field in fields}


class FakeLease:
    """A lease by the rules of the real one: one holds it, it ends with its controller, and it can be lost."""

    def __init__(self, stage, node, words):
        self.node = node
        self._stage = stage
        self._introduction = words

    @property
    def fresh(self):
        return self._stage.holder is self

    def acquire(self):
        try:
            self._stage.event("lease", does=self._acquire)
        except ConnectionFailed:
            self.release()  # as the real one does where it has no answer
            raise

    def _acquire(self):
        if self._stage.holder not in (None, self):
            raise run.LeaseTaken(f"{self._introduction['name']} is being moved by process 1 on c1: wait for its end.")
        self._stage.holder = self

    def check(self):
        self._stage.event("lease", does=self._check)

    def _check(self):
        if self._stage.holder is not self:
            raise run.LeaseLost("The lease on alpha-master was lost: its process ended.")

    def release(self):
        if self._stage.holder is self:
            self._stage.holder = None


FREE = {"partition": "1", "file_system": "ext4", "size": 9, "skipped": 5, "reason": None}
"""What is told of free space."""


class FakeTransfer:
    """Copies the disks, as far as the world knows of them."""

    def __init__(self, stage):
        self._stage = stage
        self._targets = []
        self._told = []

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self.close()

    def prepare(self, _destination, _source, copy):
        self._targets = list(copy.targets)
        self._told = [[FREE]] if copy.skip_free else []
        self._stage.event("prepare", does=self._empty)

    def _empty(self):
        copy = self._stage.world.by_uuid(self._targets[0].split("/")[2])
        if copy is not None:
            self._stage.world = self._stage.world.replace(copy, version=0, complete=False)
            fakes.check(self._stage.world)

    def check(self):
        self._stage.event("check")

    def run(self, paths):
        return self._stage.event("copy", does=lambda: self._copy(paths))

    def close(self):
        """Nothing runs."""

    def _copy(self, paths):
        source, copy = (self._stage.world.by_uuid(side[0].split("/")[2]) for side in (paths, self._targets))
        if source is None or copy is None:
            raise StreamFailed("The copy failed: a disk is gone.")
        self._stage.world = self._stage.world.replace(copy, version=source.version, complete=True)
        return {"digests": ["d"], "payload": 1, "wire": 1, "tls": [], "free_space": self._told}, {"digests": ["d"]}


@functools.cache
def drawn(number):
    """What the nth run on a stage draws for its move's id: at random, and the same on each stage, so that worlds that are the same can be seen to be."""
    return os.urandom(8)


def play(stage, monkeypatch):
    """Put the fakes where the run finds them; what it returns runs the module's code with a task."""
    numbers = itertools.count()
    monkeypatch.setattr(run, "os", types.SimpleNamespace(**{**vars(os), "urandom": lambda _size: drawn(next(numbers))}))
    monkeypatch.setattr(session, "connect", lambda asked: FakeCluster(stage, asked["address"], asked.get("transport", "ssh")))
    monkeypatch.setattr(session.Session, "master", lambda self: type("Host", (), {"popen": None}))
    monkeypatch.setattr(run, "Lease", lambda _start, node, _instance, words: FakeLease(stage, node, words))
    monkeypatch.setattr(session.Session, "hidden", lambda self, instance: stage.hidden)
    monkeypatch.setattr(steps, "survey", survey)
    monkeypatch.setattr(steps, "lane_count", lambda wanted, hosts, known: 1)
    monkeypatch.setattr(session, "abreast", lambda first, second: (first(), second()))  # so that calls have one order
    monkeypatch.setattr(steps, "Transfer", lambda progress, seconds: FakeTransfer(stage))
    monkeypatch.setattr(run.Journal, "__init__", lambda self, *where: self.__dict__.update(_entries=[], problem=None))
    monkeypatch.setattr(run.Journal, "add", lambda self, step, **fields: self._entries.append({"step": step, **fields}))
    monkeypatch.setattr(run.Journal, "close", lambda self: None)
    monkeypatch.setattr("time.sleep", lambda seconds: None)

    def act(to="beta", transport="ssh", check_mode=False, **changes):
        inside = to == "alpha"
        destination = None if inside else {"address": to, "transport": transport}
        source = {"address": "alpha", "transport": transport}
        asked = options(**{"name": "web", "primary_node": NODES[to], "source": source, "destination": destination, **changes})
        return run.run(asked, check_mode, Progress())

    return act


def survey(asked, chosen, source, taken, move_id, estimate=False):
    """The preflight, as far as it matters to the clusters."""
    steady = source.running is (facts.Running.YES if source.admin_state == "up" else facts.Running.NO)
    odd, zeroed = not steady or source.admin_state == "offline", bool(zeroing.own(source.tags))
    problems = [name for name, found in (("the name is taken", taken), ("it is in an odd state", odd), ("it is being zeroed", zeroed)) if found]
    if problems:
        raise PreflightFailed(problems)
    disks = facts.disks(asked.source.cluster, source.name)
    node = chosen.primary_node
    nodes = {node: facts.Node(node, "u", "192.0.2.2", "192.0.2.2", True, None, None)}
    here = facts.Node(source.node, "u", "192.0.2.1", "192.0.2.1", True, None, None)
    hidden = asked.hidden(source)
    known = Source(source, disks, dict(hidden.private) if hidden else {}, {}, hidden.disk_params if hidden else None)
    return Survey(known, node, speed.Choice("none", None, 100.0 if estimate else None), here, nodes)


def killed(_does):
    """The controller dies before the call."""
    raise Killed


def killed_after(does):
    """The controller dies after the call."""
    does()
    raise Killed


def lost(_does):
    """The connection breaks before the call arrives."""
    raise ConnectionFailed("The connection was lost.")


def lost_after(does):
    """The connection breaks after the call has arrived: only the answer is lost."""
    does()
    raise ConnectionFailed("The connection was lost.")
