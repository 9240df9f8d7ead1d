# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The service on a cluster's nodes: its program, its settings and its unit, the same on each, put there by the master with Ganeti's own tools."""

from __future__ import annotations

import hashlib
import os
import typing as t

from ..._errors import GanetiError
from ..._files import replace
from ...api import acknowledge, extended
from ...api.master import Runner, succeed
from ..drivers.disk import DIRECTORY

UNIT = "ganeti-couchdb.service"
PROGRAM, SETTINGS = acknowledge.PROGRAM, acknowledge.SETTINGS
UNIT_FILE = f"/etc/systemd/system/{UNIT}"
# Root, as Ganeti gives its queue and configuration to users of their own, and a new master's archived jobs have to be given to those; so it has of root's
# rights what files need, and of the system Ganeti's directory alone to write to. AF_NETLINK is how glibc looks which addresses there are. The watchdog's
# time is longer than a silent server can hold up a request with its repetitions (client.py), which is a reason to wait and none to start anew.
UNIT_TEXT = f"""\
# Written by ganeti.cluster.backend_storage, which overwrites changes.
[Unit]
Description=Ganeti's configuration and jobs, followed into a database
After=network-online.target
Wants=network-online.target

[Service]
Type=notify
ExecStart=/usr/bin/python3 -I {PROGRAM} --config {SETTINGS}
Restart=always
RestartSec=2
WatchdogSec=5min
TimeoutStopSec=15
RuntimeDirectory=ganeti-couchdb
UMask=0077
CapabilityBoundingSet=CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_CHOWN CAP_FOWNER
NoNewPrivileges=yes
ProtectSystem=strict
ReadWritePaths=-{DIRECTORY}
ProtectHome=yes
PrivateTmp=yes
DevicePolicy=closed
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"""
FILES = {PROGRAM: 0o644, SETTINGS: 0o600, UNIT_FILE: 0o644}
"""The files and their modes."""

# Constants for every node's shell. No value of a user's is in them.
_NAMES = " ".join(FILES)
_LOOK = (
    f'for file in {_NAMES}; do if [ -e "$file" ]; then echo "file $file $(stat -c %a:%u:%g "$file") $(sha256sum <"$file" | cut -c1-64)"; fi; done; '
    f"echo unit $(systemctl is-active {UNIT}) $(systemctl is-enabled {UNIT} 2>/dev/null)"
)
_PREPARE = " && ".join(f"mkdir -p {os.path.dirname(name)}" for name in FILES)
_START = f"systemctl daemon-reload && systemctl enable --quiet {UNIT} && systemctl restart {UNIT}"
_REMOVE = f"systemctl disable --quiet --now {UNIT}; rm -f {_NAMES}; systemctl daemon-reload"

_RIGHT = "in place and running"
_NOTHING = "nothing"


def files(settings: bytes, program: bytes) -> t.Dict[str, bytes]:
    """The files by their names."""
    return {PROGRAM: program, SETTINGS: settings, UNIT_FILE: UNIT_TEXT.encode()}


def states(master: Runner, names: t.Sequence[str], wanted: t.Mapping[str, bytes]) -> t.Dict[str, str]:
    """How the service is on each of these nodes, in words."""
    output = succeed(master, ["gnt-cluster", "command", "-M", *_nodes(names), _LOOK], "Asking the nodes for the service")
    return {name: judge(lines, wanted) for name, lines in extended.answers(output.decode("utf-8", "replace"), names).items()}


def judge(lines: t.Sequence[str], wanted: t.Mapping[str, bytes]) -> str:
    """What a node's answer means."""
    unit = next((line.split()[1:] for line in lines if line.startswith("unit ")), None)
    if unit is None:
        return "did not answer"
    found = {fields[1]: fields[2:] for fields in map(str.split, lines) if fields[:1] == ["file"]}
    if not found:
        return _NOTHING
    wrong = [f"{name} {problem}" for name, content in wanted.items() for problem in [_problem(name, content, found.get(name))] if problem]
    if unit[:1] != ["active"]:
        wrong.append("not running")
    if unit[1:] != ["enabled"]:
        wrong.append("not enabled")
    return ", ".join(wrong) or _RIGHT


def _problem(name: str, content: bytes, found: t.Optional[t.Sequence[str]]) -> t.Optional[str]:
    if found is None:
        return "is missing"
    if found[1:] != [hashlib.sha256(content).hexdigest()]:
        return "has another content"
    mode = f"{FILES[name]:o}:0:0"
    return None if found[0] == mode else f"has mode and owner {found[0]}, not {mode}"


class Placement(t.NamedTuple):
    """What is to be done: how it is on the nodes that need a change, and what they shall have."""

    found: t.Mapping[str, str]
    place: t.List[str]
    remove: t.List[str]


def plan(found: t.Mapping[str, str], wanted: t.Collection[str]) -> Placement:
    """On which nodes to place the service and from which to remove it, by how it is there. Nodes that do not answer are left."""
    place = sorted(name for name, state in found.items() if name in wanted and state != _RIGHT)
    remove = sorted(name for name, state in found.items() if name not in wanted and state != _NOTHING)
    return Placement(found, place, remove)


def carry_out(master: Runner, todo: Placement, wanted: t.Mapping[str, bytes]) -> None:
    """Place and remove; raise GanetiError that names the nodes where that did not succeed. Runs on the master."""
    if todo.place:
        for name, content in wanted.items():
            os.makedirs(os.path.dirname(name), exist_ok=True)
            replace(name, content, FILES[name])
        succeed(master, ["gnt-cluster", "command", *_nodes(todo.place), _PREPARE], "Placing the service")
        for name in wanted:
            succeed(master, ["gnt-cluster", "copyfile", *_nodes(todo.place), name], f"Distributing {name}")
        succeed(master, ["gnt-cluster", "command", *_nodes(todo.place), _START], f"Starting {UNIT}")
    if todo.remove:
        succeed(master, ["gnt-cluster", "command", *_nodes(todo.remove), _REMOVE], f"Removing {UNIT}")
    touched = [*todo.place, *todo.remove]
    after = plan(states(master, touched, wanted), todo.place) if touched else Placement({}, [], [])
    wrong = [f"{name}: {after.found[name]}" for name in [*after.place, *after.remove]]
    if wrong:
        words = "; ".join(wrong)
        raise GanetiError(f"The service is not as it should be on every node ({words}): repair these nodes or mark them offline, then run this again.")


def _nodes(names: t.Sequence[str]) -> t.List[str]:
    return [f"--node={name}" for name in names]
