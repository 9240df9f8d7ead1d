# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cluster with one instance that follows Ganeti's rules as far as an export meets them, and faults between what is asked of it."""

from __future__ import annotations

import contextlib
import typing as t

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import ConnectionFailed, JobFailed
from ansible_collections.ganeti.cluster.plugins.module_utils.api.cluster_parameters import Reach
from ansible_collections.ganeti.cluster.plugins.module_utils.exports import ensure

NAME, NODE, OTHER = "web1.example.com", "node3.example.com", "node4.example.com"
INI = "[instance]\ndisk_count = 1\ndisk0_dump = d-1.snap\n"


class Death(BaseException):
    """The controller dies."""


class World:
    """The instance, its export, and what happens to them. Each start writes something new to the disk."""

    transport = "ssh"

    def __init__(self, runs: bool = True) -> None:
        self.there, self.runs, self.admin, self.version = True, runs, "up" if runs else "down", 1
        self.exported: t.Optional[int] = None
        """The version that the export on the target node has."""
        self.fails = False
        """Whether exports fail, as Ganeti's do: with the instance stopped."""
        self.writes = True
        """Whether the export script writes anything."""
        self.events = 0
        self.looks: list[int] = []
        """Which of the events were looks at the instance by its name."""
        self.at: t.Optional[int] = None
        self.then: t.Callable[[], None] = lambda: None
        """Before which event what happens."""

    def event(self) -> None:
        """Something is asked, or was answered; now is the time for the fault."""
        self.events += 1
        if self.events == self.at:
            self.at = None
            self.then()

    # -- What is asked --

    def info(self) -> dict[str, t.Any]:
        return {"name": "alpha.example.com", "software_version": "3.0.2", "compression_tools": ["gzip"]}

    def query(self, what: str, _fields: t.Any, _qfilter: t.Any = None) -> list[dict[str, t.Any]]:
        self.event()
        if what == "node":
            return [{"name": name, "offline": False, "bootid": "b"} for name in (NODE, OTHER)]
        if what == "export":
            return [{"node": NODE, "export": NAME}] if self.exported else [{"node": NODE, "export": None}]
        return [self.row()] if self.there else []

    def row(self) -> dict[str, t.Any]:
        return {
            "name": NAME, "uuid": "u-1", "tags": [], "admin_state": self.admin, "oper_state": self.runs, "disk_template": "file", "hypervisor": "kvm",
            "hvparams": {"effective": {}}, "disks": [{"uuid": "d-1"}],
        }  # fmt: skip

    def find(self, _cluster: t.Any, name: str) -> t.Optional[dict[str, t.Any]]:
        self.event()
        self.looks.append(self.events)
        return self.row() if self.there and name == NAME else None

    def run(self, argv: t.Sequence[str]) -> tuple[int, bytes, bytes]:
        """A command on the target node."""
        self.event()
        return 0, INI.encode() if argv[0] == "/bin/cat" else f"90 config.ini\n{9 if self.writes else 0} d-1.snap\n".encode(), b""

    name = NODE

    def close(self) -> None:
        return

    # -- What is done --

    def job(self, _cluster: t.Any, opcodes: t.Sequence[t.Mapping[str, t.Any]], **_how: t.Any) -> list[t.Any]:
        """A job, as `jobs.run`; the first opcode that fails ends it. Its answer can be lost, when it is done."""
        self.event()
        if not any(op.get("dry_run") for op in opcodes):
            for op in opcodes:
                getattr(self, op["OP_ID"][3:].lower())(op)
        self.event()
        return []

    def refused(self, words: str) -> t.NoReturn:
        raise JobFailed(words, ecode="wrong_state")

    def instance_shutdown(self, _op: t.Any) -> None:
        if not self.there or self.admin == "offline":
            self.refused("Instance is offline, or gone")
        self.runs, self.admin = False, "down"

    def instance_set_params(self, op: t.Mapping[str, t.Any]) -> None:
        if not self.there or (op["offline"] and self.runs) or (not op["offline"] and self.admin != "offline"):
            self.refused("Instance runs, is not offline, or is gone")
        self.admin = "offline" if op["offline"] else "down"

    def instance_startup(self, _op: t.Any) -> None:
        if not self.there or self.admin == "offline":
            self.refused("Instance is offline, or gone")
        self.version += not self.runs
        self.runs, self.admin = True, "up"

    def backup_export(self, op: t.Mapping[str, t.Any]) -> None:
        if not self.there:
            self.refused("Instance is gone")
        if self.runs and not op["shutdown"]:
            self.refused("Not all disks could be snapshotted")
        self.runs = False
        if self.fails:
            raise JobFailed("Export failed")
        self.exported = self.version if self.writes else 0
        if op["shutdown"] and self.admin == "up":
            self.instance_startup(op)

    def instance_remove(self, _op: t.Any) -> None:
        if not self.there:
            self.refused("Instance is gone")
        self.there = False
        self.whole()

    def whole(self) -> None:
        """Assert that nothing is lost: an instance that is gone has an export of all that it has ever written."""
        assert self.there or self.exported == self.version, "it was removed, and had run since its export"


def play(world: World, monkeypatch: t.Any) -> t.Callable[..., dict[str, t.Any]]:
    """Runs the module's work in the world."""

    @contextlib.contextmanager
    def reached(_options: t.Any) -> t.Iterator[Reach]:
        yield Reach(t.cast("t.Any", world), t.cast("t.Any", world))

    monkeypatch.setattr(ensure, "reached", reached)
    monkeypatch.setattr(ensure, "node_host", lambda *_where: world)
    monkeypatch.setattr(ensure, "read_configuration", lambda *_what: ({}, {"EXPORT_DIR": "/exports"}))
    monkeypatch.setattr(ensure.instances, "find", world.find)
    monkeypatch.setattr(ensure.instances, "describe", lambda row: row)
    monkeypatch.setattr(ensure.jobs, "run", world.job)

    def call(**changes: t.Any) -> dict[str, t.Any]:
        params = {
            "name": NAME, "target_node": NODE, "state": "present", "replace": False, "compress": "none", "shutdown": True, "shutdown_timeout": 9,
            "remove_instance": False, "zero_free_space": False, "zeroing_by": "helper", "transport": "ssh", "address": "alpha", "cluster_name": None,
            "ssh": {}, "rapi": {}, "lock_timeout": 1, "job_timeout": 1, **changes,
        }  # fmt: skip
        return ensure.ensure(params, False)

    return call


def lost() -> None:
    """The connection breaks."""
    raise ConnectionFailed("The connection broke.")


def dies() -> None:
    """The controller dies."""
    raise Death
