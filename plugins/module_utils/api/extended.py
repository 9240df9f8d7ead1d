# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Extended parameters: those of the design documents for which stock Ganeti has no field.

They lie in one file on every node, for root only. It is written on the master and copied to the others with Ganeti's own
tools, over its own SSH. A node without the file has the defaults. Nothing of this is to be had over RAPI.
"""

from __future__ import annotations

import hashlib
import json
import re
import typing as t

from .._errors import GanetiError
from . import extended_hook
from .cluster import Cluster
from .master import Runner, succeed

FILE = "/etc/ganeti/extended-parameters.json"
STORAGES = ("disk", "couchdb", "etcd")
SILENT = "did not answer"
"""The state of a node of which nothing is known."""
DEFAULTS: t.Mapping[str, t.Any] = {"allow_cipher_bypassing": False, "backend_storage": "disk"}

# All commands are constants: no value of a user's reaches a shell. The file appears whole, with its mode, or not at all.
_WRITE = (
    f"umask 077 && cat >{FILE}.new && chown 0:0 {FILE}.new && chmod 0600 {FILE}.new && sync {FILE}.new && mv -f {FILE}.new {FILE} && sync /etc/ganeti"
)
_READ = f"if [ -e {FILE} ]; then cat {FILE}; fi"
_FINGERPRINT = f"if [ -e {FILE} ]; then stat -c %a:%u:%g {FILE}; sha256sum <{FILE}; else echo missing; fi; {extended_hook.QUESTION}"


class NodeCopy(t.NamedTuple):
    """A node's copy: whether it is there as it should be, and in words what it is otherwise."""

    name: str
    current: bool
    state: str


def decode(text: str) -> t.Dict[str, t.Any]:
    """The parameters of a file; the defaults for what it does not say. Raises GanetiError for a file that is not one."""
    try:
        found = json.loads(text) if text.strip() else {}
        unknown = sorted(set(found) - set(DEFAULTS))
        if unknown or not isinstance(found, dict):
            raise ValueError
    except (ValueError, TypeError):
        raise _damaged() from None
    result = {**DEFAULTS, **found}
    if not isinstance(result["allow_cipher_bypassing"], bool) or result["backend_storage"] not in STORAGES:
        raise _damaged()
    return result


def _damaged() -> GanetiError:
    return GanetiError(f"{FILE} on the master does not hold this collection's extended parameters: repair it, or remove it for the defaults.")


def encode(values: t.Mapping[str, t.Any]) -> bytes:
    """The file, the same for the same parameters."""
    return (json.dumps({**DEFAULTS, **values}, indent=2, sort_keys=True) + "\n").encode()


def read(master: Runner) -> t.Dict[str, t.Any]:
    """The parameters as they are on the master."""
    text = succeed(master, ["sh", "-c", _READ], f"Reading {FILE}")
    return decode(text.decode("utf-8", "replace"))


def write(master: Runner, values: t.Mapping[str, t.Any]) -> None:
    """Write the file on the master."""
    succeed(master, ["sh", "-c", _WRITE], f"Writing {FILE}", encode(values))


def distribute(master: Runner) -> None:
    """Copy the file from the master to all nodes that are online, with the hook that gives it to those that join later.

    Ganeti's copy says nothing of failures: look afterwards.
    """
    succeed(master, ["gnt-cluster", "copyfile", FILE], f"Distributing {FILE}")
    extended_hook.distribute(master, FILE)


def spread(master: Runner, names: t.Sequence[str], values: t.Mapping[str, t.Any]) -> None:
    """Write the file and have it on these nodes. Raises GanetiError that names those which it did not reach."""
    write(master, values)
    distribute(master)
    missing = [f"{node.name} {node.state}" for node in nodes(master, names, values) if not node.current]
    if missing:
        raise GanetiError(
            f"The extended parameters did not reach every node that is online: {', '.join(missing)}. "
            "Repair these nodes or mark them offline, then run this again."
        )


def online(cluster: Cluster) -> t.List[str]:
    """The nodes that are to have the file."""
    return [row["name"] for row in cluster.query("node", ["name", "offline"]) if not row["offline"]]


def nodes(master: Runner, online: t.Sequence[str], values: t.Mapping[str, t.Any]) -> t.List[NodeCopy]:
    """Every online node's copy, compared with what it should be. Where all are defaults, no file is as good."""
    output = succeed(master, ["gnt-cluster", "command", "-M", _FINGERPRINT], "Asking the nodes for their extended parameters")
    return [judge(name, lines, values) for name, lines in answers(output.decode("utf-8", "replace"), online).items()]


def answers(output: str, names: t.Sequence[str]) -> t.Dict[str, t.List[str]]:
    """What each node said, out of what gnt-cluster command prints with the node's name before every line."""
    said: t.Dict[str, t.List[str]] = {name: [] for name in names}
    for line in output.splitlines():
        name, separator, rest = line.partition(": ")
        if separator and name in said:
            said[name].append(rest.strip())
    return said


def judge(name: str, lines: t.Sequence[str], values: t.Mapping[str, t.Any]) -> NodeCopy:
    """What a node's answer means."""
    mode, digest = _shape(lines)
    if digest is None and "missing" not in lines:
        return NodeCopy(name, False, SILENT)
    if digest is None:
        return NodeCopy(name, {**DEFAULTS, **values} == DEFAULTS, "has no file")
    if mode != "600:0:0":
        return NodeCopy(name, False, f"has the file with mode and owner {mode}")
    if digest != hashlib.sha256(encode(values)).hexdigest():
        return NodeCopy(name, False, "has other values")
    if extended_hook.fingerprint(FILE) not in lines:
        return NodeCopy(name, False, f"has the file, but not {extended_hook.HOOK} for nodes that join later")
    return NodeCopy(name, True, "has the file")


def _shape(lines: t.Sequence[str]) -> t.Sequence[t.Optional[str]]:
    mode = next((line for line in lines if re.fullmatch(r"[0-7]{3,4}:\d+:\d+", line)), None)
    digest = next((line.split()[0] for line in lines if re.fullmatch(r"[0-9a-f]{64}\s+-", line)), None)
    return mode, digest
