# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cluster with one instance that follows Ganeti's rules as far as a zeroing meets them, and nodes whose programs answer at once."""

from __future__ import annotations

import io
import json
import threading

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import ConnectionFailed, JobFailed, LeaseLost, LeaseTaken, PreflightFailed
from ansible_collections.ganeti.cluster.plugins.module_utils.zeroing import session
from ansible_collections.ganeti.cluster.plugins.module_utils.zeroing.session import Instance
from ansible_collections.ganeti.cluster.plugins.module_utils.zeroing.stage import Target

NAME, UUID, MIB = "web.example.com", "5f1c", 1024 * 1024


class Death(BaseException):
    """The controller dies."""


class World:
    """The instance, its node, and what happens to them."""

    def __init__(self, admin="down", runs="", punches=True, size=1024):
        self.admin = admin
        self.runs = runs
        """What runs: nothing, "own", or the helper's kernel arguments."""
        self.tags = {"theirs"}
        self.size = size
        self.allocated, self.data, self.free = 900 * MIB, 900 * MIB, 600 * MIB
        self.known = True
        """Whether the node can tell the blocks."""
        self.punches = punches
        self.behaviour = "finished"
        """How a helper ends: finished, interrupted, hangs, panics, silent."""
        self.jobs = []
        self.events = 0
        self.at, self.then = None, None
        """Before which event what happens."""
        self.fails = {}
        """Opcodes that fail, and how often."""
        self.answers = True
        """Whether the node tells what runs."""
        self.lease = ""
        self.hypervisor, self.disk_template = "kvm", "file"

    # -- What happens --

    def event(self):
        """Something is about to be done; now is the time for the fault."""
        self.events += 1
        if self.events == self.at:
            self.then()

    def job(self, opcodes, label):
        """A job, one opcode after the other; the first that fails ends it."""
        self.event()
        self.jobs.append([op["OP_ID"] for op in opcodes])
        results = [self.opcode(op) for op in opcodes]
        self.event()
        return results

    def opcode(self, op):
        """One opcode; it fails where it is to, as often as it is to."""
        name = op["OP_ID"]
        if name == "OP_INSTANCE_SHUTDOWN" and self.fails.get(name):
            self.admin = "down"  # which Ganeti notes before it tries
        if self.fails.get(name) and not op.get("no_remember"):
            self.fails[name] -= 1
            raise JobFailed(f"{name} failed.")
        return getattr(self, name.lower())(op)

    def op_tags_set(self, op):
        self.tags |= set(op["tags"])

    def op_tags_del(self, op):
        if not set(op["tags"]) <= self.tags:
            raise JobFailed("Tag(s) not found")
        self.tags -= set(op["tags"])

    def op_instance_shutdown(self, op):
        self.admin, self.runs = "down", ""

    def op_instance_startup(self, op):
        if not op.get("no_remember"):
            self.admin = "up"
        if not self.runs:
            arguments = op.get("hvparams", {}).get("kernel_args")
            assert not arguments or op["no_remember"]
            self.discards = op.get("hvparams", {}).get("disk_discard") == "unmap"
            self.runs = arguments or "own"

    def op_instance_activate_disks(self, op):
        assert not self.runs
        return [["a1", "disk/0", "/srv/disk"]]

    def op_instance_deactivate_disks(self, op):
        if self.runs:
            raise JobFailed("Instance is running, can't shutdown block devices")

    # -- The helper --

    def zero(self):
        """What the running helper does; its lines."""
        words = dict(word.split("=") for word in self.runs.split() if "=" in word)
        identifier, place = words["zeroing.id"], {"disk": 0, "device": "vda1", "fs": "ext4"}
        if self.behaviour == "hangs":
            return None
        self.runs = ""
        if self.behaviour in ("panics", "silent"):
            return ["Kernel panic"] if self.behaviour == "panics" else []
        if words["zeroing.mode"] == "discard" and self.behaviour == "refuses":
            said = [{"event": "left", **place, "why": "does not take discards"}, {"event": "finished", "bytes": 0}]
            return [json.dumps({"zeroing": identifier, **each}) for each in said]
        if words["zeroing.mode"] == "write":
            self.data -= self.free
            self.free, self.allocated = 0, self.size * MIB
        elif self.discards and self.punches:
            self.data, self.allocated, self.free = self.data - self.free, self.allocated - self.free, 0
        said = [{"event": "progress", **place, "percent": 50, "bytes": 1}, {"event": "zeroed", **place, "bytes": 600 * MIB}]
        said.append({"event": self.behaviour if self.behaviour != "refuses" else "finished", "bytes": 1})
        return [json.dumps({"zeroing": identifier, **each}) for each in said]

    def as_it_was(self, admin, runs):
        """Assert that nothing of a zeroing is left."""
        assert (self.admin, self.runs, self.tags) == (admin, runs, {"theirs"}), (self.admin, self.runs, self.tags)


class Program:
    """A program on the node."""

    def __init__(self, world):
        self.world, self.stderr, self.lines, self.killed = world, b"", [], threading.Event()
        self.stdin = self

    def write(self, data):
        text, _zero, request = data.partition(b"\0")
        request = json.loads(request)
        said = self.attend(request) if "mark" in request else self.count(request)
        self.lines = io.BytesIO(b"".join(json.dumps(each).encode() + b"\n" for each in said))
        self.hanging = said[-1]["event"] == "attending"

    def attend(self, request):
        if not self.world.runs:
            return [{"event": "absent"}]
        if request["mark"] not in self.world.runs.split():
            return [{"event": "another"}]
        lines = self.world.zero()
        if lines is None:
            return [{"event": "attending"}]
        heard = [{"event": "silent", "why": "refused"}] if self.world.behaviour == "silent" else [{"event": "line", "line": line} for line in lines]
        return [{"event": "attending"}, *heard, {"event": "ended"}]

    def count(self, request):
        assert not self.world.runs
        return [{"event": "counted", "disks": [{
            "size": self.world.size * MIB,
            "allocated": self.world.allocated if self.world.known else None,
            "data": self.world.data if request["read"] else None,
        }]}]  # fmt: skip

    def __iter__(self):
        yield from (line.rstrip(b"\n") for line in self.lines)
        if self.hanging:
            self.killed.wait(60)

    def kill(self):
        self.killed.set()


class Lease:
    """A lease that is held until somebody takes it away."""

    def __init__(self, world):
        self.world = world

    def acquire(self):
        if self.world.lease:
            raise LeaseTaken("Another has it.")
        self.world.lease = "held"

    def check(self):
        if self.world.lease != "held":
            raise LeaseLost("The lease was lost.")

    def release(self):
        self.world.lease = ""


class Session:
    """The connections, to a world."""

    def __init__(self, world):
        self.world = world
        self.master_name = "a1"

    def master(self):
        return self

    popen = None

    def close(self):
        pass

    def job(self, opcodes, label):
        return self.world.job(opcodes, label)

    def start(self, node):
        def start(argv):
            self.world.event()
            return Program(self.world)

        return start

    def instance(self, name, uuid=None):
        self.world.event()
        target = Target(NAME, UUID, "a1", () if self.world.disk_template == "diskless" else (self.world.size,), {"minmem": 64, "maxmem": 64})
        running = bool(self.world.runs) if self.world.answers else None
        return Instance(target, (), self.world.hypervisor, self.world.disk_template, self.world.admin, running, tuple(self.world.tags))

    def examine(self, instance, options):
        problems = list(session.problems_of(instance, options.shutdown))
        if problems:
            raise PreflightFailed(problems)


def lost():
    """An answer, or a connection, is lost."""
    raise ConnectionFailed("The connection was lost.")
