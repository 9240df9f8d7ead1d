# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Looking from outside whether all is well: at the service by what it tells, at the replications, at every server. For monitoring systems."""

from __future__ import annotations

import json
import os
import time
import typing as t

from ..._errors import GanetiError, InvalidInput
from ..drivers.disk import DiskStorage
from ..drivers.documents import Json
from . import shared_epoch
from .settings import Settings
from .watchdog import arming, fence_command, options

WATCHDOG = "/etc/ganeti/couchdb-watchdog.json"
"""The watchdog's options, on a node that has one."""
_LATE = 60.0
"""Seconds without a sign of life after which the service is taken for dead."""
_BRIEF = 5.0
"""Seconds that a standby's own server may take."""
Problem = t.Tuple[int, str]
OK, WARNING, CRITICAL = 0, 1, 2
"""Exit statuses, as monitoring systems have them."""


def check_all(chosen: Settings, watchdog: str = WATCHDOG) -> t.Tuple[int, str]:
    """The same, and whether this node's watchdog could act. Apart from it, as nobody who waits for the service waits for somebody to arm nodes."""
    status, line = check(chosen)
    wrong = list(_of_watchdog(chosen, watchdog))
    if not wrong:
        return status, line
    said_before = [] if status == OK else [(status, line.partition(": ")[2])]
    return _verdict([*said_before, *((WARNING, each) for each in wrong)], "", "")


def _of_watchdog(chosen: Settings, file: str) -> t.Iterator[str]:
    """Why the watchdog of this node, where it has one, would not act should the master be gone."""
    if not os.path.exists(file):
        return
    master = DiskStorage(chosen.directory).master()
    if master is not None and arming.armed_for(chosen.directory) != master:
        yield f"the watchdog: this node is not armed for {master} as the master: see that all is well, then arm all nodes (--arm)"
    elif master == chosen.name:  # all servers are asked, so not on each node
        yield from _of_takeovers(chosen)
    try:
        problem = fence_command.problem(options.read(file).fence_command)
    except InvalidInput as error:
        problem = error.message.rstrip(".")
    if problem:
        yield f"the watchdog: {problem}"


def _of_takeovers(chosen: Settings) -> t.Iterator[str]:
    """Why no takeover would begin on any node."""
    try:
        with chosen.open(_BRIEF) as storage:
            problem = arming.problem(DiskStorage(chosen.directory).configuration()["serial_no"], storage.begun())
    except GanetiError as error:
        problem = error.message.rstrip(".")
    if problem:
        yield f"the watchdog: {problem}"


def check(chosen: Settings) -> t.Tuple[int, str]:
    """The exit status for monitoring, and a line that says why. On a standby it tells of its own service alone, and what its storage has as a whole."""
    files = DiskStorage(chosen.directory)
    master = files.master()
    if master != chosen.name:
        return _check_standby(chosen, master)
    if (said(chosen) or {}).get("state") == "replaced":
        return _verdict(list(_of_service(chosen)), "", "")
    here = files.configuration()["serial_no"]
    with chosen.open() as storage:
        found = storage.check(files, chosen.lag)
    problems = [*_of_service(chosen), *((CRITICAL if each.critical else WARNING, each.words) for each in found.problems)]
    shared = shared_epoch.warning(chosen.directory, here)
    problems += [(WARNING, shared)] if shared else []
    return _verdict(problems, f"serial number {here}; ", found.told)


def _check_standby(chosen: Settings, master: t.Optional[str]) -> t.Tuple[int, str]:
    problems = [*_of_service(chosen, "resting")]
    told = ""
    try:
        with chosen.open(_BRIEF) as storage:
            told = f"{chosen.name} has {storage.newest().serial}"
    except GanetiError as error:
        problems.append((CRITICAL, error.message))
    return _verdict(problems, f"{master} is the master; ", told)


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
    elif found.get("left"):
        yield WARNING, found["left"]


def said(chosen: Settings) -> t.Optional[Json]:
    """What the service has told of itself not long ago."""
    try:
        with open(chosen.status, encoding="utf-8") as stream:
            found: Json = json.load(stream)
    except (OSError, ValueError):
        return None
    return found if 0 <= time.monotonic() - found.get("beat", -_LATE) <= _LATE else None  # one of the machine's last life may be ahead
