# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Switching a cluster's backend storage, on its master: the service's files, its unit, the databases, the cluster's parameter.

Ganeti's own files stay what they are and stay the truth, so switching takes nothing away and stops no instance.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
import typing as t

from .._difference import Difference
from .._errors import GanetiError, InvalidInput, StorageFailed
from ..api import Cluster, connect, extended
from ..api.master import LocalRunner, Runner, succeed
from . import replication, service
from .client import Client, Server
from .couchdb import CouchStorage
from .program import program

UNIT = "ganeti-couchdb.service"
PROGRAM = "/usr/local/lib/ganeti-couchdb/service.pyz"
SETTINGS = "/etc/ganeti/couchdb.json"
STATUS = "/run/ganeti-couchdb/status.json"
_UNIT_FILE = f"/etc/systemd/system/{UNIT}"
_UNIT_TEXT = f"""\
# Written by ganeti.cluster.backend_storage, which overwrites changes.
[Unit]
Description=Ganeti's configuration and jobs, followed into CouchDB
After=network-online.target
Wants=network-online.target

[Service]
ExecStart=/usr/bin/python3 -I {PROGRAM} --config {SETTINGS}
Restart=always
RestartSec=2
RuntimeDirectory=ganeti-couchdb
NoNewPrivileges=yes
UMask=0077

[Install]
WantedBy=multi-user.target
"""

Result = t.Dict[str, t.Any]


class File(t.NamedTuple):
    """A file of the service: where, what, with which mode, and whether its content may be shown."""

    path: str
    content: bytes
    mode: int
    shown: bool


def switch(params: t.Mapping[str, t.Any], check_mode: bool) -> Result:
    """Do what the module's parameters say; the module's result. Raises GanetiError."""
    runner = LocalRunner()
    with connect({}) as cluster:
        master = str(cluster.info()["master"])
        servers = _servers(params, master) if params["storage"] == "couchdb" else {}
        for server in servers.values():
            _check_server(server)
        change = Difference()
        _parameter(cluster, runner, params["storage"], change, True)
        couchdb = params["storage"] == "couchdb"
        result = _to_couchdb(params, master, servers, runner, change, check_mode) if couchdb else _to_disk(runner, change, check_mode)
        if not check_mode:
            _parameter(cluster, runner, params["storage"], Difference(), False)
    return {"changed": change.changed, "diff": change.diff(), "storage": params["storage"], **result}


def _servers(params: t.Mapping[str, t.Any], master: str) -> t.Dict[str, Server]:
    """The servers by the names of their nodes, the master's among them."""
    servers = {each["node"]: Server(each["url"], each["username"], each["password"], each["ca_path"]) for each in params["servers"]}
    if len(servers) != len(params["servers"]):
        raise InvalidInput("servers names the same node twice.")
    if master not in servers:
        raise InvalidInput(f"servers does not name the one of the master, {master}: the service on the master writes to it.")
    return servers


def _check_server(server: Server) -> None:
    with Client(server) as client:
        about = client.get("/")
        if not isinstance(about, dict) or about.get("couchdb") != "Welcome":
            raise StorageFailed(f"{server.url} does not answer as CouchDB does: see what runs there.")
        client.get("/_all_dbs")


def _parameter(cluster: Cluster, runner: Runner, storage: str, change: Difference, only_look: bool) -> None:
    """The cluster's parameter, on all nodes that are online."""
    before = extended.read(runner)
    wanted = {**before, "backend_storage": storage}
    names = extended.online(cluster)
    change.add("backend_storage", before["backend_storage"], storage)
    stale = [node.name for node in extended.nodes(runner, names, wanted) if not node.current]
    change.add("nodes with the parameter", f"not {', '.join(stale)}" if stale else None, "all that are online" if stale else None)
    if stale and not only_look:
        extended.spread(runner, names, wanted)


def _to_couchdb(
    params: t.Mapping[str, t.Any], master: str, servers: t.Mapping[str, Server], runner: Runner, change: Difference, check_mode: bool
) -> Result:
    files = _files(params, master, servers)
    stale = [file for file in files if _note(file, change)]
    standbys = {name: server for name, server in servers.items() if name != master}
    for name, server in standbys.items():
        change.add(f"replications from {name}, which is not the master", _replications(server, check_mode), [])
    runs = runner.run(["systemctl", "is-active", "--quiet", UNIT])[0] == 0
    change.add("service", "running" if runs else "not running", "running")
    if not check_mode:
        for server in servers.values():
            with Client(server) as client:
                CouchStorage(client).prepare()
        for file in stale:
            _write(file)
        if stale:
            succeed(runner, ["systemctl", "daemon-reload"], f"Making {UNIT} known")
        if stale or not runs:
            succeed(runner, ["systemctl", "enable", UNIT], f"Enabling {UNIT}")
            succeed(runner, ["systemctl", "restart", UNIT], f"Starting {UNIT}")
        return {"check": _wait(params["timeout"])}
    return {}


def _replications(server: Server, check_mode: bool) -> t.List[str]:
    """The replications that a server has, as the one of an earlier master; they are removed."""
    with Client(server) as client:
        return replication.arrange(client, {}, change=not check_mode).removed


def _to_disk(runner: Runner, change: Difference, check_mode: bool) -> Result:
    present = [path for path in (_UNIT_FILE, PROGRAM, SETTINGS) if os.path.exists(path)]
    for path in present:
        change.add(path, "present", None)
    if present and not check_mode:
        if _UNIT_FILE in present:
            succeed(runner, ["systemctl", "disable", "--now", UNIT], f"Stopping {UNIT}")
        warnings = _stop_replications() if SETTINGS in present else []
        for path in present:
            os.unlink(path)
        succeed(runner, ["systemctl", "daemon-reload"], f"Forgetting {UNIT}")
        return {"warnings": warnings}
    return {}


def _stop_replications() -> t.List[str]:
    """Remove the replications. A server that is away must not keep anybody from switching back; what to do then is returned."""
    try:
        _replications(service.settings(SETTINGS).server, check_mode=False)
    except GanetiError as error:
        return [f"The replications could not be removed, and go on when the server is back: {error.message}"]
    return []


def _files(params: t.Mapping[str, t.Any], master: str, servers: t.Mapping[str, Server]) -> t.List[File]:
    described = {each["node"]: {key: each[key] for key in ("url", "username", "password", "ca_path")} for each in params["servers"]}
    standbys = sorted(name for name in servers if name != master)
    settings = {"name": master, "servers": described, "standbys": standbys, "status": STATUS, "lag": params["lag"]}
    text = json.dumps(settings, indent=2, sort_keys=True) + "\n"
    return [File(PROGRAM, program(), 0o644, False), File(SETTINGS, text.encode(), 0o600, False), File(_UNIT_FILE, _UNIT_TEXT.encode(), 0o644, True)]


def _note(file: File, change: Difference) -> bool:
    """Whether a file is not as it should be; secrets show only that they differ."""
    found = _read(file.path)
    mode = None if found is None else os.stat(file.path).st_mode & 0o7777
    if file.shown:
        change.add(file.path, None if found is None else found.decode("utf-8", "replace"), file.content.decode())
    elif found != file.content:
        change.add(file.path, None if found is None else f"SHA-256 {_digest(found)}", "other content" if found else "present")
    change.add(f"mode of {file.path}", None if mode is None else f"{mode:04o}", f"{file.mode:04o}")
    return found != file.content or mode != file.mode


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _read(path: str) -> t.Optional[bytes]:
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except FileNotFoundError:
        return None


def _write(file: File) -> None:
    os.makedirs(os.path.dirname(file.path), exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=os.path.dirname(file.path))
    with open(descriptor, "wb") as stream:
        stream.write(file.content)
        os.fchmod(descriptor, file.mode)
    os.rename(temporary, file.path)


def _wait(seconds: int) -> str:
    """Wait until the service has written everything and every standby has it; what the check says then."""
    chosen = service.settings(SETTINGS)
    deadline = time.monotonic() + seconds
    while True:
        status, line = service.check(chosen)
        if status == 0:
            return line
        if time.monotonic() > deadline:
            raise GanetiError(f"The service has not caught up within {seconds} s: {line}. Repair that; {UNIT} goes on trying.", check=line)
        time.sleep(0.5)
