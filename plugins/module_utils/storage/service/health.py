# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Looking from outside whether all is well: at the service by what it tells, at the replications, at every server. For monitoring systems."""

from __future__ import annotations

import json
import time
import typing as t

from ..._errors import GanetiError
from ..drivers.couchdb import replication, server_comparison, whole_configuration
from ..drivers.couchdb.client import Client, Server, brief
from ..drivers.couchdb.server_comparison import Contents, Gap
from ..drivers.disk import DiskStorage
from ..drivers.documents import CONFIG, CONTAINERS, Json
from .settings import Settings

_LATE = 60.0
"""Seconds without a sign of life after which the service is taken for dead."""
_PATIENCE = 2.0
"""Seconds after which what the master holds has to be on the standbys: ten times what the replicator takes."""
_CONFIGURATION = (*CONTAINERS, CONFIG)
Problem = t.Tuple[int, str]
OK, WARNING, CRITICAL = 0, 1, 2
"""Exit statuses, as monitoring systems have them."""


def check(chosen: Settings) -> t.Tuple[int, str]:
    """The exit status for monitoring, and a line that says why. On a standby it tells of its own service alone, and what its server has as a whole."""
    files = DiskStorage(chosen.directory)
    master = files.master()
    if master != chosen.name:
        return _check_standby(chosen, master)
    if (said(chosen) or {}).get("state") == "replaced":
        return _verdict(list(_of_service(chosen)), "", "")
    problems = [*_of_service(chosen), *_of_replications(chosen)]
    here = files.configuration()["serial_no"]
    standing = {name: _serial(server, chosen.prefix) for name, server in {chosen.name: chosen.server, **chosen.standbys}.items()}
    problems += [(CRITICAL, f"{name}: {found}") for name, found in standing.items() if isinstance(found, str)]
    behind = {name: here - found for name, found in standing.items() if isinstance(found, int)}
    problems += [(WARNING, f"{name} is {count} serial numbers behind") for name, count in behind.items() if count > chosen.lag]
    if isinstance(standing[chosen.name], int):
        problems += _of_contents(chosen, files, [name for name in chosen.standbys if isinstance(standing[name], int)], here)
    told = ", ".join(f"{name} has {found}" for name, found in standing.items())
    return _verdict(problems, f"serial number {here}; ", told)


def _check_standby(chosen: Settings, master: t.Optional[str]) -> t.Tuple[int, str]:
    found = whole_configuration.glance(chosen.server, chosen.prefix)
    found = "has no configuration yet" if found is None else found
    problems = [*_of_service(chosen, "resting"), *([(CRITICAL, found)] if isinstance(found, str) else [])]
    return _verdict(problems, f"{master} is the master; ", f"{chosen.name} has {found}")


def _verdict(problems: t.Sequence[Problem], head: str, otherwise: str) -> t.Tuple[int, str]:
    status = max((each[0] for each in problems), default=OK)
    word = ("OK", "WARNING", "CRITICAL")[status]
    return status, f"{word}: {head}{'; '.join(text for _status, text in problems) or otherwise}"


def _of_service(chosen: Settings, state: str = "following") -> t.Iterator[Problem]:
    found = said(chosen)
    if found is None:
        yield CRITICAL, "the service gives no sign of life: see whether it runs"
    elif found["state"] == "catching up" and not found["problem"]:
        yield WARNING, f"the service is catching up, {found.get('done') or 0} documents so far"
    elif found["state"] != state or found["problem"]:
        yield CRITICAL, f"the service is {found['state']}: {found['problem']}"


def said(chosen: Settings) -> t.Optional[Json]:
    """What the service has told of itself not long ago."""
    try:
        with open(chosen.status, encoding="utf-8") as stream:
            found: Json = json.load(stream)
    except (OSError, ValueError):
        return None
    return found if time.time() - found["alive"] <= _LATE else None


def _of_replications(chosen: Settings) -> t.Iterator[Problem]:
    """A word for each standby, as what is wrong is so with all of its databases as a rule."""
    try:
        with Client(chosen.server) as client:
            running = {each.name: each for each in replication.states(client)}
    except GanetiError as error:
        yield CRITICAL, error.message
        return
    for standby, server in chosen.standbys.items():
        names = replication.wanted((chosen.name, chosen.server), {standby: server}, chosen.prefix)
        bad = [name for name in names if name not in running or running[name].state not in replication.WORKING]
        if bad:
            found = running.get(bad[0])
            why = f"{found.state} ({found.reason})" if found else "missing: nobody arranged it"
            yield CRITICAL, f"{len(bad)} of {len(names)} replications to {standby} do not run, {bad[0]} is {why}"


def _of_contents(chosen: Settings, files: DiskStorage, standbys: t.Sequence[str], here: int) -> t.Iterator[Problem]:
    """What servers lack for longer than a moment: the master's own of the jobs in Ganeti's files, the standbys of what is in the master's own."""
    try:
        with brief(chosen.server) as client:
            queue, own = files.queue(), server_comparison.read(client, chosen.prefix)
            found = {name: _content(chosen, name) for name in standbys}
            yield from ((CRITICAL, f"{name}: {each}") for name, each in found.items() if isinstance(each, str))
            held = {name: each for name, each in found.items() if not isinstance(each, str)}
            expected = server_comparison.of_files(queue, own)
            late = [name for name, each in held.items() if server_comparison.gaps(own, own, each)]
            if not late and not server_comparison.gaps(expected, expected, own) and (server_comparison.last_job(client, chosen.prefix) or 0) == queue.serial:
                return
            time.sleep(_PATIENCE)
            again = {name: _content(chosen, name) for name in late}
            now = server_comparison.read(client, chosen.prefix)
            yield from _lacking(chosen.name, server_comparison.gaps(expected, server_comparison.of_files(files.queue(), now), now))
            last, wanted = server_comparison.last_job(client, chosen.prefix) or 0, files.queue_serial()
            if wanted == queue.serial != last:
                yield WARNING, f"{chosen.name} has {last} for the last job id, which is {wanted}"
    except GanetiError as error:
        yield CRITICAL, f"{chosen.name}: {error.message}"
        return
    for name, each in again.items():
        if isinstance(each, str):
            yield CRITICAL, f"{name}: {each}"
        else:
            yield from _of_standby(chosen, name, server_comparison.gaps(own, now, each), here)


def _content(chosen: Settings, name: str) -> t.Union[Contents, str]:
    """What a standby holds, or why that is not known."""
    try:
        with brief(chosen.standbys[name]) as client:
            return server_comparison.read(client, chosen.prefix)
    except GanetiError as error:
        return error.message


def _of_standby(chosen: Settings, name: str, found: t.Mapping[str, Gap], here: int) -> t.Iterator[Problem]:
    """Of the configuration it counts how far behind a standby is with what it has as a whole, as that is what a failover would take."""
    yield from _lacking(name, {database: gap for database, gap in found.items() if database not in _CONFIGURATION})
    parts = {database: gap for database, gap in found.items() if database in _CONFIGURATION}
    if parts:
        serial = whole_configuration.glance(chosen.standbys[name], chosen.prefix)
        if not isinstance(serial, int):
            yield CRITICAL, f"{name} has no whole configuration: {serial}"
        elif here - serial > chosen.lag:
            yield WARNING, f"{name} has serial number {serial} as a whole, which is {here - serial} behind"
        if not isinstance(serial, int) or not 0 < here - serial <= chosen.lag:
            yield from _lacking(name, parts)


def _lacking(name: str, found: t.Mapping[str, Gap]) -> t.Iterator[Problem]:
    yield from ((WARNING, f"{name} {gap} in {database}") for database, gap in found.items())


def _serial(server: Server, prefix: str) -> t.Union[int, str]:
    """The serial number on a server, or what is wrong with it."""
    found = replication.glance(server, prefix)
    return "has no configuration yet" if found is None else found
