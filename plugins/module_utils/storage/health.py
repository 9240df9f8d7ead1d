# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Looking from outside whether all is well: at the service by what it tells, at the replications, at every server. For monitoring systems."""

from __future__ import annotations

import json
import os
import time
import typing as t

from .._errors import GanetiError
from . import replication
from .client import Client, Server
from .disk import DiskStorage
from .documents import Json
from .files import replace
from .follow import Status
from .settings import Settings

_LATE = 60.0
"""Seconds without a sign of life after which the service is taken for dead."""
OK, WARNING, CRITICAL = 0, 1, 2
"""Exit statuses, as monitoring systems have them."""


def tell(path: str, status: Status) -> None:
    """Write the status where --check and monitoring find it."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    replace(path, json.dumps({**status._asdict(), "alive": time.time()}).encode(), 0o644, durable=False)


def check(chosen: Settings) -> t.Tuple[int, str]:
    """The exit status for monitoring, and a line that says why. On a standby it tells of its own service and server alone."""
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
    told = ", ".join(f"{name} has {found}" for name, found in standing.items())
    return _verdict(problems, f"serial number {here}; ", told)


def _check_standby(chosen: Settings, master: t.Optional[str]) -> t.Tuple[int, str]:
    found = _serial(chosen.server, chosen.prefix)
    problems = [*_of_service(chosen, "resting"), *([(CRITICAL, found)] if isinstance(found, str) else [])]
    return _verdict(problems, f"{master} is the master; ", f"{chosen.name} has {found}")


def _verdict(problems: t.Sequence[t.Tuple[int, str]], head: str, otherwise: str) -> t.Tuple[int, str]:
    status = max((each[0] for each in problems), default=OK)
    word = ("OK", "WARNING", "CRITICAL")[status]
    return status, f"{word}: {head}{'; '.join(text for _status, text in problems) or otherwise}"


def _of_service(chosen: Settings, state: str = "following") -> t.Iterator[t.Tuple[int, str]]:
    found = said(chosen)
    if found is None:
        yield CRITICAL, "the service gives no sign of life: see whether it runs"
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


def _of_replications(chosen: Settings) -> t.Iterator[t.Tuple[int, str]]:
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


def _serial(server: Server, prefix: str) -> t.Union[int, str]:
    """The serial number on a server, or what is wrong with it."""
    found = replication.glance(server, prefix)
    return "has no configuration yet" if found is None else found
