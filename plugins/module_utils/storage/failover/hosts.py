# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The nodes of a cluster by SSH, from the controller, and this collection's programs on them."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import types
import typing as t

from ..._errors import ConnectionFailed, GanetiError
from ...api.master import succeed
from ...api.ssh import SshHost
from ..cluster import placement
from ..drivers.documents import Json
from ..service.program import program, script

_PYTHON = "/usr/bin/python3"
_COPY = "/run/ganeti-failover.pyz"
_PUT = f"umask 077 && cat >{_COPY}"
"""The program as this collection has it, for the time of a failover; the service's own may be of another version."""
_FILES = "import sys; sys.path.insert(0, sys.argv[1]); from ganeti_couchdb.storage.service import candidate_files as it; raise SystemExit(it.main(sys.argv[2]))"
"""Runs another part of that program than its service."""
_FAILED = {
    "survey": "cannot tell what it has",
    "compare": "cannot tell what it has",
    "files": "cannot tell what its files hold",
    "reserve": "could not be told which job ids were given out",
    "promote": "could not be given the files of a master",
    "archive": "could not be given the archived jobs",
    "tell": "does not tell what its files hold",
    "read": "did not give what its files hold",
    "stage": "could not be given what other nodes have",
    "take": "could not be given the files of a master",
    "finish": "could not be tidied up",
}
"""What to say where a step of the program fails."""
_SECONDS = 300.0
"""How long a step may take."""
_OFF_SECONDS = 5
"""How long to wait for a connection to a node that is said to be off."""


class Hosts:
    """The nodes by SSH, each connected to once."""

    def __init__(self, options: t.Mapping[str, t.Any]) -> None:
        self._options = options
        self._hosts: t.Dict[str, SshHost] = {}
        self._given: t.Set[SshHost] = set()

    def host(self, name: str, address: t.Optional[str] = None, off: bool = False) -> SshHost:
        """A node; it is connected to when it is used. One that is said to be *off* is not waited for as long as others."""
        if name not in self._hosts:
            brief = {"connect_timeout": min(_OFF_SECONDS, self._options.get("connect_timeout") or _OFF_SECONDS)} if off else {}
            self._hosts[name] = SshHost(name, {**self._options, **brief}, address)
        return self._hosts[name]

    def reach(self, nodes: t.Mapping[str, str], off: t.Collection[str] = ()) -> t.Dict[str, str]:
        """Connect to nodes, given with their addresses, all at once; why it failed, by the names of those that cannot be reached."""
        if not nodes:
            return {}
        with concurrent.futures.ThreadPoolExecutor(len(nodes)) as executor:
            answers = executor.map(lambda name: self._try(name, nodes[name], name in off), nodes)
        return {name: why for name, why in zip(nodes, answers) if why}

    def _try(self, name: str, address: str, off: bool) -> t.Optional[str]:
        try:
            self.host(name, address, off).connect()
        except ConnectionFailed as error:
            return error.message
        return None

    def program(self, host: SshHost, step: str, given: t.Optional[Json] = None) -> Json:
        """A step of the service's program on a node; what it answers."""
        return self._ask(host, step, [_COPY, "--config", placement.SETTINGS, f"--{step}"], given)

    def _ask(self, host: SshHost, step: str, arguments: t.Sequence[str], given: t.Optional[Json]) -> Json:
        if host not in self._given:
            succeed(host, ["sh", "-c", _PUT], f"Giving the program of the failover to {host.name}", program())
            self._given.add(host)
        request = None if given is None else json.dumps(given).encode()
        status, output, said = host.run([_PYTHON, "-I", *arguments], request, timeout=_SECONDS)
        text = output.decode("utf-8", "replace").strip()
        if status:
            why = text.partition("CRITICAL: ")[2] or said.decode("utf-8", "replace").strip().rpartition("\n")[2]
            raise GanetiError(f"{host.name} {_FAILED[step]}: {why or f'exit status {status}'}")
        return t.cast(Json, _parsed(host, step, text))

    def files(self, host: SshHost, step: str, given: t.Optional[Json] = None) -> Json:
        """A step with the node's own files (candidate_files.py), which needs neither a database nor settings; what it answers."""
        return self._ask(host, step, ["-c", _FILES, _COPY, step], {} if given is None else given)

    def text(self, host: SshHost, module: types.ModuleType, given: Json, what: str) -> Json:
        """Run a module of this collection as a program on a node; what it answers."""
        status, output, said = host.run([_PYTHON, "-I", "-c", script(module)], json.dumps(given).encode(), timeout=_SECONDS)
        if status:
            why = said.decode("utf-8", "replace").strip().rpartition("\n")[2]
            raise GanetiError(f"{what} failed on {host.name}: {why or f'exit status {status}'}")
        return t.cast(Json, _parsed(host, what, output.decode("utf-8", "replace")))

    def close(self) -> None:
        """Close all connections, and leave nothing behind; what a broken one leaves goes with the node's next start."""
        for host in self._given:
            with contextlib.suppress(ConnectionFailed):
                host.run(["rm", "-f", _COPY])
        for host in self._hosts.values():
            host.close()


def _parsed(host: SshHost, what: str, text: str) -> t.Any:
    try:
        return json.loads(text)
    except ValueError:
        raise GanetiError(f"{host.name} did not answer as expected ({what}): does a login script of its user print something?") from None
