# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The open connections of one move: two clusters and their nodes."""

from __future__ import annotations

import json
import typing as t

from .._errors import GanetiError
from ..api import Cluster, connect, jobs
from ..api.opcodes import sayable
from ..api.ssh import SshHost
from . import configuration
from .abreast import abreast
from .facts import Instance, Node, nodes
from .options import Options

Opcode = t.Mapping[str, t.Any]


class Side(t.NamedTuple):
    """One cluster of a move: its connection, what it says of itself, the options to reach its nodes."""

    cluster: Cluster
    info: t.Mapping[str, t.Any]
    options: t.Mapping[str, t.Any]

    @property
    def name(self) -> str:
        """The cluster's name."""
        return str(self.info["name"])


class Session:
    """Holds connections and runs jobs with the user's time limits; close it at the end."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self._hosts: t.Dict[str, SshHost] = {}
        self._sides: t.List[Side] = []
        try:
            self.source, self.destination = abreast(lambda: self._open(options.source), lambda: self._open(options.destination))
        except BaseException:
            self.close()
            raise

    @property
    def sides(self) -> t.Tuple[Side, ...]:
        """The clusters, each once."""
        return (self.source,) if self.within else (self.source, self.destination)

    @property
    def within(self) -> bool:
        """Whether source and destination are the same cluster."""
        return bool(self.source.info["uuid"] == self.destination.info["uuid"])

    def close(self) -> None:
        """Close all connections."""
        for host in self._hosts.values():
            host.close()
        for side in self._sides:
            side.cluster.close()

    def host(self, side: Side, node: Node) -> SshHost:
        """The SSH connection to a node, by its name; by its address where the name does not resolve."""
        key = f"{side.name}/{node.name}"
        if key not in self._hosts:
            self._hosts[key] = SshHost(node.name, side.options.get("ssh") or {}, fallback_address=node.primary_ip)
        return self._hosts[key]

    def master(self) -> SshHost:
        """The SSH connection to the node that the source's cluster names as its master."""
        name, side = str(self.source.info["master"]), self.source
        if side.cluster.transport == "ssh":
            # The address is the master's, as Ganeti answers there; its name need not resolve here.
            key = f"{side.name}/master"
            self._hosts.setdefault(key, SshHost(side.cluster.address, side.options.get("ssh") or {}))
            return self._hosts[key]
        return self.host(side, nodes(side.cluster)[name])

    def submit(self, side: Side, opcodes: t.Sequence[Opcode]) -> int:
        """Submit one job."""
        return side.cluster.submit([sayable(op, side.cluster.transport) for op in opcodes])

    def results(self, side: Side, job_id: int, label: str, lock_timeout: float) -> t.List[t.Any]:
        """Wait for a job that was submitted; return its opcodes' results."""
        return jobs.results(side.cluster, job_id, timeout=self.options.job_timeout, lock_timeout=lock_timeout, label=label)

    def job(self, side: Side, opcodes: t.Union[Opcode, t.Sequence[Opcode]], label: str, lock_timeout: t.Optional[float] = None) -> t.Any:
        """Run opcodes to their end, in one job where the transport can; return the result of the last."""
        limit = self.options.lock_timeout if lock_timeout is None else lock_timeout
        batch = [opcodes] if isinstance(opcodes, t.Mapping) else list(opcodes)
        result = None
        for each in [[opcode] for opcode in batch] if side.cluster.transport == "rapi" else [batch]:
            result = jobs.run(side.cluster, each, timeout=self.options.job_timeout, lock_timeout=limit, label=label)[-1]
        return result

    def data_address(self, node: Node) -> str:
        """The address of *node* in the network that data takes."""
        return node.address(self.options.data_network)

    def hidden(self, instance: Instance) -> t.Optional[configuration.Hidden]:
        """What only the configuration of the source's master tells of *instance*, read over SSH; None where only RAPI is used."""
        if self.source.cluster.transport == "rapi":
            return None
        status, output, error = self.master().run(["cat", configuration.PATH])
        if status:
            raise GanetiError(f"Cannot read {configuration.PATH} on {self.source.cluster.address}: {error.decode('utf-8', 'replace').strip().rstrip('.')}.")
        try:
            return configuration.hidden(json.loads(output), instance.uuid)
        except ValueError as error_:
            raise GanetiError(f"{configuration.PATH} on {self.source.cluster.address} is not JSON: {error_}.") from error_

    def _open(self, options: t.Mapping[str, t.Any]) -> Side:
        cluster = connect(options)
        side = Side(cluster, {}, options)
        self._sides.append(side)
        return side._replace(info=cluster.info())
