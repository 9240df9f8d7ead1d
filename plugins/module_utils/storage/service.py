# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The service on the master: follows Ganeti's files, keeps the replications going, and tells how it is.

``service.py --config FILE`` runs until it is told to end. ``service.py --config FILE --check`` looks at all from outside, prints a line, and
ends with 0, 1 or 2, as monitoring systems want it: all is well, a standby lags, or something does not work.
``service.py --config FILE --snapshot DIRECTORY --keep N`` writes a dated archive of what is in the database, and removes the oldest.
``service.py --config FILE --restore ARCHIVE`` makes the database hold what an archive does; not while the service runs, as it would undo that.
``--survey``, ``--promote`` and ``--archive`` are steps of a failover (ganeti.cluster.master_failover), which speaks JSON with them.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import sys
import threading
import time
import typing as t

from .._errors import GanetiError, InvalidInput
from . import claims, promote, replication, snapshot
from .client import Client, Server, brief
from .couchdb import CouchStorage
from .disk import DIRECTORY, DiskStorage
from .documents import Json
from .files import replace
from .follow import Follower, Status
from .standbys import Standbys
from .survey import survey

STATUS = "/run/ganeti-couchdb/status.json"
_STEP = 5.0
"""Seconds between two looks at the replications."""
_LATE = 60.0
"""Seconds without a sign of life after which the service is taken for dead."""
_OK, _WARNING, _CRITICAL = 0, 1, 2


class Settings(t.NamedTuple):
    """What the service has to know. The file is the same on every node that has a server; it is for root only, as it holds passwords."""

    name: str
    """Of the node that this is, as Ganeti has it."""
    server: Server
    """The node's own."""
    standbys: t.Mapping[str, Server]
    """The servers of all other nodes; standbys they are where this node is the master."""
    directory: str
    status: str
    prefix: str
    lag: int
    """How many serial numbers a standby may be behind before the check warns."""
    mode: str = "mirror"
    """"mirror", or "primary" where Ganeti itself keeps no other copies."""
    pool_size: t.Optional[int] = None
    """How many master candidates Ganeti wants when it is "mirror" again."""


def settings(file: str) -> Settings:
    """Read the settings; raise InvalidInput where they are not safe or not complete."""
    try:
        with open(file, encoding="utf-8") as stream:
            state = os.fstat(stream.fileno())
            given = json.load(stream)
        if state.st_mode & 0o077 or state.st_uid != os.geteuid():
            raise InvalidInput(f"{file} holds passwords and can be read by others: give it to root alone, with mode 0600.")
        servers = {name: Server(**values) for name, values in given["servers"].items()}
        name = given.get("name") or _own_name(servers, file)
        options = {"directory": DIRECTORY, "status": STATUS, "prefix": "", "lag": 10, "mode": "mirror", "pool_size": None}
        return Settings(name, servers.pop(name), servers, **{key: given.get(key, value) for key, value in options.items()})
    except FileNotFoundError:
        raise InvalidInput(f"{file} is not there: switch CouchDB on with ganeti.cluster.backend_storage first, or run this on the master.") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"{file} is no configuration of this service: {error}.") from error


def _own_name(servers: t.Mapping[str, t.Any], file: str) -> str:
    """The name of this node: its host name, which Ganeti takes for it too (netutils.Hostname.GetSysName)."""
    names = {socket.gethostname(), socket.getfqdn()}
    found = sorted(names & servers.keys())
    if len(found) != 1:
        raise InvalidInput(f"{file} names no server of this node, which calls itself {' or '.join(sorted(names))}: it names {', '.join(sorted(servers))}.")
    return found[0]


def tell(path: str, status: Status) -> None:
    """Write the status where --check and monitoring find it."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    replace(path, json.dumps({**status._asdict(), "alive": time.time()}).encode(), 0o644, durable=False)


def run(chosen: Settings) -> None:
    """Follow where this node is the master, and rest where it is not, until SIGTERM or SIGINT."""
    ended: t.List[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: ended.append(received))
    with Client(chosen.server) as client:
        while not ended:
            status = idle(chosen, None)
            if status is None:
                _follow(client, chosen, ended)
            else:
                _rest(client, chosen, status, ended)


def idle(chosen: Settings, serial: t.Optional[int]) -> t.Optional[Status]:
    """How a service is that is not to write; None where this node is the master. *serial* is what it has written last."""
    master = _master(chosen.directory)
    if master is None:
        return Status("resting", problem="this node knows of no master: see what became of Ganeti here")
    if master != chosen.name:
        return Status("resting")
    problem = _usurped(chosen, serial)
    return Status("replaced", problem=problem) if problem else None


def _usurped(chosen: Settings, serial: t.Optional[int]) -> t.Optional[str]:
    found = claims.claims([chosen.server, *chosen.standbys.values()], chosen.prefix)
    if serial is not None and all(claim.serial <= serial for claim in found):
        return None
    try:
        return claims.usurped(DiskStorage(chosen.directory).configuration(), found)
    except GanetiError:  # whoever follows tells of it, and waits
        return None


def _master(directory: str) -> t.Optional[str]:
    """The master as this node knows it; None where it knows none."""
    try:
        with open(os.path.join(directory, "ssconf_master_node"), encoding="utf-8") as stream:
            return stream.read().strip()
    except FileNotFoundError:
        return None


class _Tender(threading.Thread):
    """Looks after the standbys, and whether this is the master still; a thread, as a server that is away must not hold up the follower."""

    def __init__(self, chosen: Settings, follower: Follower) -> None:
        super().__init__(daemon=True)
        self._chosen = chosen
        self._follower = follower
        self._end = threading.Event()
        self.problem: t.Optional[str] = None
        self.replaced = False

    def run(self) -> None:
        with Client(self._chosen.server) as client:
            standbys = Standbys(self._chosen.name, client, self._chosen.standbys, self._chosen.prefix)
            pause = 0.1
            while not self._end.wait(pause):
                status = self._follower.status
                if status.state == "following":
                    self.replaced = idle(self._chosen, status.serial) is not None
                    self.problem = None if self.replaced else standbys.tend()
                    pause = _STEP

    def end(self) -> None:
        """End soon; what it does is let be finished."""
        self._end.set()
        self.join(_STEP)


def _follow(client: Client, chosen: Settings, ended: t.Sequence[int]) -> None:
    """Follow until this node is the master no more, or until the end."""

    def say(status: Status) -> None:
        tell(chosen.status, status._replace(problem=status.problem or tender.problem))

    follower = Follower(chosen.directory, CouchStorage(client, chosen.prefix), say)
    tender = _Tender(chosen, follower)
    tender.start()
    try:
        while not ended and tender.is_alive() and not tender.replaced and _master(chosen.directory) == chosen.name:
            follower.step(1.0)
            say(follower.status)
    finally:
        tender.end()
        follower.close()


def _rest(client: Client, chosen: Settings, status: Status, ended: t.Sequence[int]) -> None:
    """Write nothing, as another node's files are the truth, and take our replications away, which would fight with its own."""
    try:
        replication.arrange(client, {})
    except GanetiError as error:
        status = status._replace(problem="; ".join([*filter(None, [status.problem]), f"replications from here could not be removed: {error.message}"]))
    tell(chosen.status, status)
    master, until = _master(chosen.directory), time.monotonic() + _STEP
    while not ended and time.monotonic() < until and _master(chosen.directory) == master:
        time.sleep(0.5)


def check(chosen: Settings) -> t.Tuple[int, str]:
    """The exit status for monitoring, and a line that says why. On a standby it tells of its own service and server alone."""
    master = _master(chosen.directory)
    if master != chosen.name:
        return _check_standby(chosen, master)
    if (_said(chosen) or {}).get("state") == "replaced":
        return _verdict(list(_of_service(chosen)), "", "")
    problems = [*_of_service(chosen), *_of_replications(chosen)]
    here = DiskStorage(chosen.directory).configuration()["serial_no"]
    standing = {name: _serial(server, chosen.prefix) for name, server in {chosen.name: chosen.server, **chosen.standbys}.items()}
    problems += [(_CRITICAL, f"{name}: {found}") for name, found in standing.items() if isinstance(found, str)]
    behind = {name: here - found for name, found in standing.items() if isinstance(found, int)}
    problems += [(_WARNING, f"{name} is {count} serial numbers behind") for name, count in behind.items() if count > chosen.lag]
    told = ", ".join(f"{name} has {found}" for name, found in standing.items())
    return _verdict(problems, f"serial number {here}; ", told)


def _check_standby(chosen: Settings, master: t.Optional[str]) -> t.Tuple[int, str]:
    found = _serial(chosen.server, chosen.prefix)
    problems = [*_of_service(chosen, "resting"), *([(_CRITICAL, found)] if isinstance(found, str) else [])]
    return _verdict(problems, f"{master} is the master; ", f"{chosen.name} has {found}")


def _verdict(problems: t.Sequence[t.Tuple[int, str]], head: str, otherwise: str) -> t.Tuple[int, str]:
    status = max((each[0] for each in problems), default=_OK)
    word = ("OK", "WARNING", "CRITICAL")[status]
    return status, f"{word}: {head}{'; '.join(text for _status, text in problems) or otherwise}"


def _of_service(chosen: Settings, state: str = "following") -> t.Iterator[t.Tuple[int, str]]:
    said = _said(chosen)
    if said is None:
        yield _CRITICAL, "the service gives no sign of life: see whether it runs"
    elif said["state"] != state or said["problem"]:
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
    """A word for each standby, as what is wrong is so with all of its databases as a rule."""
    try:
        with Client(chosen.server) as client:
            running = {each.name: each for each in replication.states(client)}
    except GanetiError as error:
        yield _CRITICAL, error.message
        return
    for standby, server in chosen.standbys.items():
        names = replication.wanted((chosen.name, chosen.server), {standby: server}, chosen.prefix)
        bad = [name for name in names if name not in running or running[name].state not in replication.WORKING]
        if bad:
            found = running.get(bad[0])
            why = f"{found.state} ({found.reason})" if found else "missing: nobody arranged it"
            yield _CRITICAL, f"{len(bad)} of {len(names)} replications to {standby} do not run, {bad[0]} is {why}"


def _serial(server: Server, prefix: str) -> t.Union[int, str]:
    """The serial number on a server, or what is wrong with it."""
    try:
        with brief(server) as client:
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
    for name, words in _FAILOVER.items():
        instead.add_argument(f"--{name}", action="store_true", help=words)
    asked = parser.parse_args()
    try:
        chosen = settings(asked.config)
        step = next((name for name in _FAILOVER if getattr(asked, name)), None)
        if not (asked.check or asked.snapshot or asked.restore or step):
            run(chosen)
            return 0
        status, line = check(chosen) if asked.check else (_OK, fail_over(chosen, step) if step else copy(chosen, asked))
    except GanetiError as error:
        status, line = _CRITICAL, f"CRITICAL: {error.message}"
    sys.stdout.write(line + "\n")
    return status


_FAILOVER = {
    "survey": "tell what is here, for a failover",
    "promote": "make the files of a master out of the database, as the request on standard input says",
    "archive": "make the files of archived jobs too",
}


def fail_over(chosen: Settings, step: str) -> str:
    """A step of a failover; what came of it, as JSON."""
    if step == "survey":
        return json.dumps(survey(chosen.name, chosen.server, chosen.standbys, chosen.prefix, chosen.directory))
    with Client(chosen.server) as client:
        storage = CouchStorage(client, chosen.prefix)
        if step == "archive":
            return json.dumps({"jobs": promote.archive(storage, chosen.directory)})
        return json.dumps(promote.promote(storage, chosen.directory, promote.Request(**json.load(sys.stdin))))


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
