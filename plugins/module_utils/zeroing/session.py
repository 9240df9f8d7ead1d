# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The connections of one zeroing: the cluster, its master and the instance's primary node."""

from __future__ import annotations

import typing as t

from .._errors import GanetiError, PreflightFailed
from .._node_program import Start
from ..api import connect, jobs
from ..api.node_hosts import node_host
from ..api.ssh import SshHost
from . import tags
from .options import Options
from .stage import Target

_FIELDS = ("name", "uuid", "pnode", "snodes", "hypervisor", "disk_template", "admin_state", "oper_state", "tags", "beparams", "disk.sizes")


class Instance(t.NamedTuple):
    """The instance as its cluster describes it; ``running`` is None where its node does not tell."""

    target: Target
    secondaries: t.Tuple[str, ...]
    hypervisor: str
    disk_template: str
    admin_state: str
    running: t.Optional[bool]
    tags: t.Tuple[str, ...]


class Session:
    """Holds connections and runs jobs with the user's time limits; close it at the end."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._hosts: t.Dict[str, SshHost] = {}
        self.cluster = connect(options.connection)
        try:
            self.info = self.cluster.info()
        except BaseException:
            self.cluster.close()
            raise

    def close(self) -> None:
        """Close all connections."""
        for host in self._hosts.values():
            host.close()
        self.cluster.close()

    @property
    def master_name(self) -> str:
        """The node that is the cluster's master."""
        return str(self.info["master"])

    def master(self) -> SshHost:
        """The master, by the address that the user gave, where that is how it is reached; its name need not resolve then."""
        if self.cluster.transport == "ssh":
            return self._hosts.setdefault("", SshHost(self.cluster.address, self._options.connection.get("ssh") or {}))
        return self.host(self.master_name)

    def host(self, node: str) -> SshHost:
        """A node, by its name; by its address where the name does not resolve."""
        if node not in self._hosts:
            self._hosts[node] = node_host(self.cluster, node, self._options.connection.get("ssh"))
        return self._hosts[node]

    def start(self, node: str) -> Start:
        """What starts programs on a node."""
        return self.host(node).popen

    def job(self, opcodes: t.Sequence[t.Mapping[str, t.Any]], label: str) -> t.List[t.Any]:
        """Run a job to its end; its opcodes' results."""
        return jobs.run(self.cluster, opcodes, timeout=self._options.job_timeout, lock_timeout=self._options.lock_timeout, label=label)

    def instance(self, name: str, uuid: t.Optional[str] = None) -> Instance:
        """The instance of that name, be it short, or of that *uuid*. Raises GanetiError where there is none."""
        rows = self.cluster.query("instance", _FIELDS, ["&", ["=", "uuid", uuid] if uuid else ["=", "name", name]])
        exact = [row for row in rows if (row["uuid"] == uuid if uuid else row["name"] == name)] or rows
        if len(exact) != 1:
            raise GanetiError(f"There is no instance {name} on {self.info['name']}." if not exact else f"{name} may be one of several: give its name in full.")
        row = exact[0]
        target = Target(row["name"], row["uuid"], row["pnode"], tuple(row["disk.sizes"] or ()), row["beparams"] or {})
        running = row["oper_state"] if isinstance(row["oper_state"], bool) else None
        return Instance(
            target, tuple(row["snodes"] or ()), row["hypervisor"], row["disk_template"], row["admin_state"], running, tuple(row["tags"] or ())
        )  # fmt: skip

    def examine(self, instance: Instance, options: Options) -> None:
        """Look for all that would make a zeroing fail. Raises PreflightFailed with all that was found."""
        problems = list(problems_of(instance, options.shutdown))
        if not problems:
            for node in (instance.target.node, *instance.secondaries):
                problems += self._lacks(node, options)
        if problems:
            raise PreflightFailed(problems)

    def _lacks(self, node: str, options: Options) -> t.Iterator[str]:
        for path in (options.settings.kernel, options.settings.initrd):
            status, _output, _said = self.host(node).run(["test", "-f", path])
            if status:
                yield f"{node} has no {path}: put the zeroing helper on all nodes with the role zeroing_image, or say where it is"


def problems_of(instance: Instance, shutdown: bool) -> t.Iterator[str]:
    """What stands against zeroing an instance that no zeroing has begun with."""
    name = instance.target.name
    if instance.hypervisor != "kvm":
        yield f"{name} runs with the hypervisor {instance.hypervisor}: the helper is started with kvm alone"
    if instance.admin_state == "offline":
        yield f"{name} is marked offline: take the mark away first, with gnt-instance modify --online"
    if any(tag.startswith(tags.MOVES) for tag in instance.tags):
        yield f"{name} takes part in a move: finish or undo it first, by running its task again"
    if (instance.running or instance.admin_state == "up") and not shutdown:
        yield f"{name} runs, or is to run: stop it first, or set shutdown, which stops it and starts it again afterwards"
