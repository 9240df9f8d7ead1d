# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Looking at replications and at every server: whether all that the master's files hold is on each of them."""

from __future__ import annotations

import time
import typing as t

from ...._errors import GanetiError
from ..documents import CONFIG, CONTAINERS
from ..interface import Checked, Problem, Storage
from . import replication, server_comparison, whole_configuration
from .client import Client, Server, brief
from .server_comparison import Contents, Gap

PATIENCE = 2.0
"""Seconds after which what the master holds has to be on the standbys: ten times what the replicator takes."""
_CONFIGURATION = (*CONTAINERS, CONFIG)


class ServerCheck:
    """A look at the servers of a master, *own*, and its standbys."""

    def __init__(self, own: str, admin: Client, standbys: t.Mapping[str, Server], prefix: str, files: Storage, lag: int) -> None:
        self._name = own
        self._server = admin.server
        self._standbys = standbys
        self._prefix = prefix
        self._files = files
        self._lag = lag

    def run(self) -> Checked:
        """All that is wrong, and what each server has."""
        problems = [*self._of_replications()]
        here = self._files.newest().serial
        standing = {name: self._serial(server) for name, server in {self._name: self._server, **self._standbys}.items()}
        problems += [Problem(True, f"{name}: {found}") for name, found in standing.items() if isinstance(found, str)]
        behind = {name: here - found for name, found in standing.items() if isinstance(found, int)}
        problems += [Problem(False, f"{name} is {count} serial numbers behind") for name, count in behind.items() if count > self._lag]
        if isinstance(standing[self._name], int):
            problems += self._of_contents([name for name in self._standbys if isinstance(standing[name], int)], here)
        return Checked(problems, ", ".join(f"{name} has {found}" for name, found in standing.items()))

    def _of_replications(self) -> t.Iterator[Problem]:
        """A word for each standby, as what is wrong is so with all of its databases as a rule."""
        try:
            with Client(self._server) as client:
                running = {each.name: each for each in replication.states(client)}
        except GanetiError as error:
            yield Problem(True, error.message)
            return
        for standby, names in replication.names(self._name, self._standbys).items():
            bad = [name for name in names if name not in running or running[name].state not in replication.WORKING]
            if bad:
                found = running.get(bad[0])
                why = f"{found.state} ({found.reason})" if found else "missing: nobody arranged it"
                yield Problem(True, f"{len(bad)} of {len(names)} replications to {standby} do not run, {bad[0]} is {why}")

    def _of_contents(self, standbys: t.Sequence[str], here: int) -> t.Iterator[Problem]:
        """What servers lack for longer than a moment: the master's own of the jobs in Ganeti's files, the standbys of what is in the master's own."""
        try:
            with brief(self._server) as client:
                queue, own = self._files.queue(), server_comparison.read(client, self._prefix)
                found = {name: self._content(name) for name in standbys}
                yield from (Problem(True, f"{name}: {each}") for name, each in found.items() if isinstance(each, str))
                held = {name: each for name, each in found.items() if not isinstance(each, str)}
                expected = server_comparison.of_files(queue, own)
                late = [name for name, each in held.items() if server_comparison.gaps(own, own, each)]
                if not late and not server_comparison.gaps(expected, expected, own) and (server_comparison.last_job(client, self._prefix) or 0) == queue.serial:
                    return
                time.sleep(PATIENCE)
                again = {name: self._content(name) for name in late}
                now = server_comparison.read(client, self._prefix)
                yield from self._lacking(self._name, server_comparison.gaps(expected, server_comparison.of_files(self._files.queue(), now), now))
                last, wanted = server_comparison.last_job(client, self._prefix) or 0, self._files.last_job()
                if wanted == queue.serial != last:
                    yield Problem(False, f"{self._name} has {last} for the last job id, which is {wanted}")
        except GanetiError as error:
            yield Problem(True, f"{self._name}: {error.message}")
            return
        for name, each in again.items():
            if isinstance(each, str):
                yield Problem(True, f"{name}: {each}")
            else:
                yield from self._of_standby(name, server_comparison.gaps(own, now, each), here)

    def _content(self, name: str) -> t.Union[Contents, str]:
        """What a standby holds, or why that is not known."""
        try:
            with brief(self._standbys[name]) as client:
                return server_comparison.read(client, self._prefix)
        except GanetiError as error:
            return error.message

    def _of_standby(self, name: str, found: t.Mapping[str, Gap], here: int) -> t.Iterator[Problem]:
        """Of the configuration it counts how far behind a standby is with what it has as a whole, as that is what a failover would take."""
        yield from self._lacking(name, {database: gap for database, gap in found.items() if database not in _CONFIGURATION})
        parts = {database: gap for database, gap in found.items() if database in _CONFIGURATION}
        if parts:
            serial = whole_configuration.glance(self._standbys[name], self._prefix)
            if not isinstance(serial, int):
                yield Problem(True, f"{name} has no whole configuration: {serial}")
            elif here - serial > self._lag:
                yield Problem(False, f"{name} has serial number {serial} as a whole, which is {here - serial} behind")
            if not isinstance(serial, int) or not 0 < here - serial <= self._lag:
                yield from self._lacking(name, parts)

    def _lacking(self, name: str, found: t.Mapping[str, Gap]) -> t.Iterator[Problem]:
        yield from (Problem(False, f"{name} {gap} in {database}") for database, gap in found.items())

    def _serial(self, server: Server) -> t.Union[int, str]:
        """The serial number on a server, or what is wrong with it."""
        found = replication.glance(server, self._prefix)
        return "has no configuration yet" if found is None else found
