# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What all nodes and servers have of a cluster's configuration, made the same as on the master.

The successor of LUClusterRedistConf as the thesis extends it (chapter 4.5.2): replications that an old master left would carry changes both ways.
Ganeti 3.0.2 has no operation that repairs a node's simple configuration: its own redistribution copies the configuration to candidates and
keys to all nodes, but pushes ``ssconf_*`` only where their content changes (tried). So what is left of these after Ganeti's job is copied.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import time
import typing as t

from ..._difference import Difference
from ..._errors import ConnectionFailed, GanetiError, InvalidInput
from ..._files import replace
from ...api import Cluster, connect, extended, jobs
from ...api.master import LocalRunner, Runner, succeed
from ...api.opcodes import opcode
from ..drivers.disk import DIRECTORY, DiskStorage
from ..drivers.documents import Json
from ..service import settings
from ..service.program import script
from . import unpack_ssconf
from .unpack_ssconf import PARCEL

_CONFIGURATION = "config.data"
"""Of the master and its candidates alone."""
_KEYS = ("known_hosts", "hmac.key", "cluster-domain-secret", "rapi.pem", "spice.pem", "spice-ca.pem", "rapi/users")
"""What Ganeti's job copies to all nodes (Ganeti 3.0: cmdlib/common.py, ComputeAncillaryFiles), where the master has it."""
_ASKED = "was asked"
# All commands are constants: no value of a user's or of a node's reaches a shell.
_FINGERPRINT = f"cd {DIRECTORY} && sha256sum ssconf_* {' '.join((_CONFIGURATION, *_KEYS))} 2>/dev/null; echo {_ASKED}"
_DIGEST = re.compile(r"([0-9a-f]{64})  (\S+)\Z")
_SETTLING = 5.0
"""Seconds that Ganeti may take to push what it has changed."""


class Copies(t.NamedTuple):
    """The files of each node that differ from the master's or are missing, where there are any; and the nodes that did not answer."""

    stale: t.Dict[str, t.List[str]]
    silent: t.List[str]


def compare(said: t.Mapping[str, t.Sequence[str]], master: str, candidates: t.Collection[str]) -> Copies:
    """What the nodes' answers to `_FINGERPRINT` mean. Raises GanetiError where the master's own is none: nothing can be said then."""
    found = {node: _digests(lines) for node, lines in said.items() if _ASKED in lines}
    wanted = found.get(master)
    if not wanted or _CONFIGURATION not in wanted:
        raise GanetiError(f"The master {master} did not tell of its own files in {DIRECTORY}: see whether it reaches itself with gnt-cluster command.")
    stale = {}
    for node, present in found.items():
        needed = [name for name in wanted if name != _CONFIGURATION or node in candidates]
        different = sorted(name for name in needed if present.get(name) != wanted[name])
        if different:
            stale[node] = different
    return Copies(stale, sorted(said.keys() - found.keys()))


def _digests(lines: t.Sequence[str]) -> t.Dict[str, str]:
    found = [match for match in map(_DIGEST.match, lines) if match]
    return {match[2]: match[1] for match in found}


def redistribute(params: t.Mapping[str, t.Any], check_mode: bool) -> Json:
    """Do what the parameters of the module redistribute_config say; its result. Raises GanetiError."""
    runner = LocalRunner()
    with connect({"cluster_name": params["cluster_name"]}) as cluster:
        return Redistribution(cluster, runner, params, check_mode).run()


class Redistribution:
    """One run: looks at all, repairs what differs unless it only checks, and looks again."""

    def __init__(self, cluster: Cluster, runner: Runner, params: t.Mapping[str, t.Any], check_mode: bool) -> None:
        self._cluster = cluster
        self._runner = runner
        self._params = params
        self._check_mode = check_mode
        self._change = Difference()
        self._warnings: t.List[str] = []
        self._away: t.Dict[str, str] = {}
        self._master = str(cluster.info()["master"])
        self._nodes = {str(row["name"]): bool(row["master_candidate"]) for row in _online(cluster)}

    def run(self) -> Json:
        """The module's result."""
        values = extended.read(self._runner)
        self._replications(values["backend_storage"])
        self._parameters(values)
        self._files()
        result: Json = {"changed": self._change.changed, "diff": self._change.diff(), "away": self._away, "warnings": self._warnings}
        if self._away:
            words = "; ".join(f"{name}: {why.rstrip('.')}" for name, why in sorted(self._away.items()))
            message = f"Not all could be made the same, as some could not be reached ({words}): run this again when they are back."
            if self._params["unreachable"] == "fail":
                raise ConnectionFailed(message, **result)
            self._warnings.append(message)
        return result

    def _replications(self, storage: str) -> None:
        file = self._params["settings_file"]
        if storage == DiskStorage.name and not os.path.exists(file):
            return
        chosen = settings.read(file)
        if chosen.name != self._master:
            raise InvalidInput(f"{file} is of the master {chosen.name}, and {self._master} is the master now: run backend_storage here first.")
        with chosen.open() as opened:
            if opened.copies is None:
                return
            found = opened.copies.strays(remove=not self._check_mode)
        for node, names in found.stray.items():
            self._change.add(f"replications from {node}, which is not the master", names, [])
        if found.wrong:
            self._warnings.append(f"Replications on the master's server are missing or wrong, which the service repairs if it runs: {', '.join(found.wrong)}.")
        self._away.update({f"the server of {node}": why for node, why in found.away.items()})

    def _parameters(self, values: t.Mapping[str, t.Any]) -> None:
        states = extended.nodes(self._runner, list(self._nodes), values)
        stale = {node.name: node.state for node in states if not node.current and node.state != extended.SILENT}
        for name, state in stale.items():
            self._change.add(f"extended parameters of {name}", state, "has the file")
        if stale and not self._check_mode:
            extended.spread(self._runner, [node.name for node in states if node.state != extended.SILENT], values)

    def _files(self) -> None:
        before = self._settled(self._look())
        for node, names in before.stale.items():
            self._change.add(f"files of {node}", {name: "differs from the master's" for name in names}, {name: "as the master's" for name in names})
        self._away.update({node: "did not answer over Ganeti's SSH" for node in before.silent})
        if self._params["force"]:
            self._change.add("Ganeti's own redistribution", None, "done, as force is set")
        if self._check_mode or not (before.stale or self._params["force"]):
            return
        self._job()
        left = self._settled(self._look())
        if left.stale:
            self._copy(left)
            left = self._settled(self._look())
        if left.stale:
            words = "; ".join(f"{', '.join(names)} on {node}" for node, names in left.stale.items())
            raise GanetiError(f"Ganeti redistributed its configuration, but files still differ from the master's: {words}. Look for errors on these nodes.")

    def _job(self) -> None:
        timeouts = {name: self._params[name] for name in ("lock_timeout", "job_timeout")}
        label = "redistribute the configuration"
        jobs.run(self._cluster, [opcode("OP_CLUSTER_REDIST_CONF")], timeout=timeouts["job_timeout"], lock_timeout=timeouts["lock_timeout"], label=label)

    def _look(self) -> Copies:
        output = succeed(self._runner, ["gnt-cluster", "command", "-M", _FINGERPRINT], "Asking the nodes for their files")
        said = extended.answers(output.decode("utf-8", "replace"), list(self._nodes))
        return compare(said, self._master, [name for name, candidate in self._nodes.items() if candidate])

    def _settled(self, copies: Copies) -> Copies:
        """What differs still when Ganeti has had time to push what it changes by itself."""
        deadline = time.monotonic() + _SETTLING
        while copies.stale and time.monotonic() < deadline:
            time.sleep(1.0)
            copies = self._look()
        return copies

    def _copy(self, copies: Copies) -> None:
        """Copy the simple configuration to nodes, with Ganeti's own copying of files; each file appears whole."""
        nodes = [node for node, names in copies.stale.items() if any(name.startswith("ssconf_") for name in names)]
        options = [word for node in nodes for word in ("-n", node)]
        if not nodes:
            return
        replace(PARCEL, json.dumps(DiskStorage(DIRECTORY).ssconf()).encode(), 0o600)
        try:
            succeed(self._runner, ["gnt-cluster", "copyfile", *options, PARCEL], "Copying the simple configuration")
        finally:
            os.unlink(PARCEL)
        command = f"/usr/bin/python3 -c {shlex.quote(script(unpack_ssconf))}"
        succeed(self._runner, ["gnt-cluster", "command", *options, command], "Writing the simple configuration")


def _online(cluster: Cluster) -> t.List[t.Dict[str, t.Any]]:
    return [row for row in cluster.query("node", ["name", "offline", "master_candidate"]) if not row["offline"]]
