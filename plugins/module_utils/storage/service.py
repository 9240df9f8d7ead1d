# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The service on the master: follows Ganeti's files, keeps the replications going, and tells how it is.

``service.py --config FILE`` runs until it is told to end. ``service.py --config FILE --check`` looks at all from outside, prints a line, and
ends with 0, 1 or 2, as monitoring systems want it: all is well, a standby lags, or something does not work.
``service.py --config FILE --snapshot DIRECTORY --keep N`` writes a dated archive of what is in the database, and removes the oldest.
``service.py --config FILE --restore ARCHIVE`` makes the database hold what an archive does; not while the service runs, as it would undo that.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
import typing as t

from .._errors import GanetiError, InvalidInput
from . import replication, snapshot
from .client import Client, Server
from .couchdb import CouchStorage
from .disk import DIRECTORY, DiskStorage
from .documents import Json
from .follow import Follower, Status

_STEP = 5.0
"""Seconds between two looks at the replications."""
_LATE = 60.0
"""Seconds without a sign of life after which the service is taken for dead."""
_OK, _WARNING, _CRITICAL = 0, 1, 2


class Settings(t.NamedTuple):
    """What the service has to know; its file is for root only, as it holds passwords."""

    name: str
    server: Server
    standbys: t.Mapping[str, Server]
    directory: str
    status: str
    prefix: str
    lag: int
    """How many serial numbers a standby may be behind before the check warns."""


def settings(file: str) -> Settings:
    """Read the settings; raise InvalidInput where they are not safe or not complete."""
    try:
        with open(file, encoding="utf-8") as stream:
            state = os.fstat(stream.fileno())
            given = json.load(stream)
        if state.st_mode & 0o077 or state.st_uid != os.geteuid():
            raise InvalidInput(f"{file} holds passwords and can be read by others: give it to root alone, with mode 0600.")
        servers = {name: Server(**values) for name, values in given["servers"].items()}
        standbys = {name: servers[name] for name in given["standbys"]}
        options = {"directory": DIRECTORY, "status": "/run/ganeti-couchdb/status.json", "prefix": "", "lag": 10}
        return Settings(given["name"], servers[given["name"]], standbys, **{key: given.get(key, value) for key, value in options.items()})
    except FileNotFoundError:
        raise InvalidInput(f"{file} is not there: switch CouchDB on with ganeti.cluster.backend_storage first, or run this on the master.") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"{file} is no configuration of this service: {error}.") from error


def tell(path: str, status: Status) -> None:
    """Write the status where --check and monitoring find it."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=os.path.dirname(path))
    with open(descriptor, "w", encoding="utf-8") as stream:
        json.dump({**status._asdict(), "alive": time.time()}, stream)
    os.chmod(temporary, 0o644)
    os.rename(temporary, path)


def run(chosen: Settings) -> None:
    """Follow until SIGTERM or SIGINT."""
    ended: t.List[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: ended.append(received))
    client = Client(chosen.server)
    follower: t.Optional[Follower] = None
    looked = 0.0
    try:
        while not ended:
            master = _master(chosen.directory)
            if master != chosen.name:
                if follower is not None:
                    follower.close()
                    follower = None
                _rest(client, chosen, master)
                time.sleep(1.0)
                continue
            if follower is None:
                follower = Follower(chosen.directory, CouchStorage(client, chosen.prefix), lambda status: tell(chosen.status, status))
            follower.step(1.0)
            if time.monotonic() - looked >= _STEP:
                looked = time.monotonic()
                tend(client, chosen, follower.status)
    finally:
        if follower is not None:
            follower.close()


def _master(directory: str) -> t.Optional[str]:
    """The master as this node knows it; None where it knows none."""
    try:
        with open(os.path.join(directory, "ssconf_master_node"), encoding="utf-8") as stream:
            return stream.read().strip()
    except FileNotFoundError:
        return None


def _rest(client: Client, chosen: Settings, master: t.Optional[str]) -> None:
    """Another node is the master now, whose files are the truth: write nothing, and take our replications away, as they would fight with its own."""
    known = f"this node is not the master, {master} is: set up the service there"
    problem = known if master else "this node knows of no master: see what became of Ganeti here"
    try:
        replication.arrange(client, {})
    except GanetiError as error:
        problem += f"; its replications could not be removed ({error.message})"
    tell(chosen.status, Status("resting", problem=problem))


def tend(client: Client, chosen: Settings, status: Status) -> None:
    """Have the replications as they should be, try again those that wait after an outage, and tell how all is."""
    problem = None
    if status.state == "following":
        try:
            replication.arrange(client, replication.wanted((chosen.name, chosen.server), chosen.standbys, chosen.prefix))
            replication.kick(client, [each.name for each in replication.states(client) if each.state in ("crashing", "failed")])
        except GanetiError as error:
            problem = error.message
    tell(chosen.status, status._replace(problem=status.problem or problem))


def check(chosen: Settings) -> t.Tuple[int, str]:
    """The exit status for monitoring, and a line that says why."""
    problems = [*_of_service(chosen), *_of_replications(chosen)]
    here = DiskStorage(chosen.directory).configuration()["serial_no"]
    standing = {name: _serial(server, chosen.prefix) for name, server in {chosen.name: chosen.server, **chosen.standbys}.items()}
    problems += [(_CRITICAL, f"{name}: {found}") for name, found in standing.items() if isinstance(found, str)]
    behind = {name: here - found for name, found in standing.items() if isinstance(found, int)}
    problems += [(_WARNING, f"{name} is {count} serial numbers behind") for name, count in behind.items() if count > chosen.lag]
    status = max((each[0] for each in problems), default=_OK)
    word = ("OK", "WARNING", "CRITICAL")[status]
    told = "; ".join(text for _status, text in problems) or ", ".join(f"{name} has {found}" for name, found in standing.items())
    return status, f"{word}: serial number {here}; {told}"


def _of_service(chosen: Settings) -> t.Iterator[t.Tuple[int, str]]:
    said = _said(chosen)
    if said is None:
        yield _CRITICAL, "the service gives no sign of life: see whether it runs"
    elif said["state"] != "following" or said["problem"]:
        yield _CRITICAL, f"the service is {said['state']}: {said['problem']}"


def _said(chosen: Settings) -> t.Optional[Json]:
    """What the service has told of itself not long ago."""
    try:
        with open(chosen.status, encoding="utf-8") as stream:
            said: Json = json.load(stream)
    except (OSError, ValueError):
        return None
    return said if time.time() - said["alive"] <= _LATE else None


def _of_replications(chosen: Settings) -> t.Iterator[t.Tuple[int, str]]:
    try:
        with Client(chosen.server) as client:
            running = {each.name: each for each in replication.states(client)}
    except GanetiError as error:
        yield _CRITICAL, error.message
        return
    for name in replication.wanted((chosen.name, chosen.server), chosen.standbys, chosen.prefix):
        found = running.get(name)
        if found is None or found.state not in ("running", "initializing", "pending"):
            yield _CRITICAL, f"{name} is {found.state if found else 'missing'}: {found.reason if found else 'nobody arranged it'}"


def _serial(server: Server, prefix: str) -> t.Union[int, str]:
    """The serial number on a server, or what is wrong with it."""
    try:
        with Client(server) as client:
            found = replication.serial(client, prefix)
    except GanetiError as error:
        return error.message
    return "has no configuration yet" if found is None else found


def main() -> int:
    """Run, or check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", required=True, help="the file with the settings")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--check", action="store_true", help="look at all, print a line and end")
    instead.add_argument("--snapshot", metavar="DIRECTORY", help="write a snapshot of the database into a directory")
    instead.add_argument("--restore", metavar="ARCHIVE", help="make the database hold what a snapshot does")
    parser.add_argument("--keep", type=int, default=30, help="how many snapshots to keep, 30 if it is not given")
    asked = parser.parse_args()
    try:
        chosen = settings(asked.config)
        if not (asked.check or asked.snapshot or asked.restore):
            run(chosen)
            return 0
        status, line = check(chosen) if asked.check else (_OK, copy(chosen, asked))
    except GanetiError as error:
        status, line = _CRITICAL, f"CRITICAL: {error.message}"
    sys.stdout.write(line + "\n")
    return status


def copy(chosen: Settings, asked: argparse.Namespace) -> str:
    """Take a snapshot, or restore one; a line about it."""
    with Client(chosen.server) as client:
        storage = CouchStorage(client, chosen.prefix)
        if asked.snapshot:
            return snapshot.take(storage, asked.snapshot, asked.keep, time.time())
        if _said(chosen) is not None:
            raise InvalidInput("The service runs and would undo a restore at once: stop it first.")
        copied = snapshot.restore(asked.restore, storage)
        return f"The database holds serial number {copied.serial}; {copied.jobs} jobs were written or removed"


if __name__ == "__main__":
    raise SystemExit(main())
