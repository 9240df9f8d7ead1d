# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Instances as modules tell of them: one form for what Ganeti's query language says and what only the master's configuration file does.

What is not known is None: whether an instance runs whose node does not answer, or a disk's mode where no command can be run on the master.
"""

from __future__ import annotations

import json
import typing as t

from .._errors import GanetiError
from . import claims, naming
from .cluster import Cluster
from .master import Runner, succeed

Instance = t.Dict[str, t.Any]

_PLAIN: t.Mapping[str, str] = {
    "name": "name",
    "uuid": "uuid",
    "primary_node": "pnode",
    "secondary_nodes": "snodes",
    "group": "pnode.group",
    "admin_state": "admin_state",
    "oper_state": "oper_state",
    "status": "status",
    "os": "os",
    "hypervisor": "hypervisor",
    "disk_template": "disk_template",
    "tags": "tags",
    "memory": "oper_ram",
    "vcpus": "oper_vcpus",
    "console": "console",
    "network_port": "network_port",
    "created": "ctime",
    "modified": "mtime",
    "serial_no": "serial_no",
}
"""What is told as Ganeti does: its name here, and the field."""

_NESTED = ("beparams", "hvparams", "osparams")
"""Parameters with defaults: Ganeti's field has those in effect, the one with custom_ in front those of the instance's own."""

_DISK: t.Mapping[str, str] = {"name": "disk.names", "uuid": "disk.uuids", "size": "disk.sizes", "spindles": "disk.spindles"}
_NIC: t.Mapping[str, str] = {
    "name": "nic.names",
    "uuid": "nic.uuids",
    "mac": "nic.macs",
    "ip": "nic.ips",
    "mode": "nic.modes",
    "link": "nic.links",
    "vlan": "nic.vlans",
    "network": "nic.networks.names",
    "own": "custom_nicparams",
}
"""The fields that are lists, with an element for each disk or interface."""

FIELDS = (*_PLAIN.values(), *_NESTED, *(f"custom_{name}" for name in _NESTED), *_DISK.values(), *_NIC.values())

HIDDEN = ("mode", "access")
"""What of a disk only the configuration file tells."""

_READER = """
import json, sys
asked = json.load(sys.stdin)
with open("/var/lib/ganeti/config.data") as file:
    config = json.load(file)
found = {}
for uuid in asked["uuids"]:
    instance = config["instances"].get(uuid)
    if instance is None:
        continue
    disks = {each: config["disks"][each] for each in instance.get("disks") or []}
    found[uuid] = {
        "disks": {each: {"mode": disk.get("mode"), "access": (disk.get("params") or {}).get("access")} for each, disk in disks.items()},
        "private": (instance.get("osparams_private") or {}) if asked["private"] else None,
    }
json.dump(found, sys.stdout)
"""
"""Prints what queries lack. What is asked for comes as JSON on its input; private OS parameters are printed only if they are."""


class Hidden(t.NamedTuple):
    """What the configuration file tells of an instance: mode and access of its disks by UUID, and its own private OS parameters, None if not asked for."""

    disks: t.Mapping[str, t.Mapping[str, t.Any]]
    private: t.Optional[t.Mapping[str, t.Any]]


def query(
    cluster: Cluster, names: t.Optional[t.Sequence[str]] = None, qfilter: t.Any = None, more: t.Sequence[str] = ()
) -> t.List[t.Dict[str, t.Any]]:
    """The rows of instances, all or those with these *names* that *qfilter* lets through, with *more* fields of Ganeti's."""
    # A name alone that is not there, Ganeti answers with an error; a condition of the kind "all of" gives those that are.
    conditions = [["|", *(["=", "name", name] for name in names)]] if names is not None else []
    conditions += [qfilter] if qfilter else []
    return cluster.query("instance", list(dict.fromkeys([*FIELDS, *more])), ["&", *conditions] if conditions else None)


def find(cluster: Cluster, name: str) -> t.Optional[t.Dict[str, t.Any]]:
    """The row of the instance that *name* means, or None.

    Raises InvalidInput where it could mean several, and GanetiError where a move within the cluster has the name in its hands just now.
    """
    rows = {row["name"]: row for row in query(cluster, [name])}
    found = meant(name, rows)
    if found is not None:
        return rows[found]
    for each, row in sorted(rows.items()):
        other = claims.under_way(row["tags"] or ())
        if other:  # between two of its renamings nobody has the name, and an instance that is made now would take it from both
            raise GanetiError(f"{each} {other}; nothing was changed.")
    return None


def meant(name: str, names: t.Iterable[str]) -> t.Optional[str]:
    """Which of *names* is meant by *name*: one that a move within the cluster has renamed is another than that which has the name, or had it."""
    return naming.expand(name, [each for each in names if not naming.RELATED.search(each)])


def hidden(master: Runner, uuids: t.Sequence[str], private: bool = False) -> t.Dict[str, Hidden]:
    """What the configuration file on the *master* tells of instances, by UUID."""
    if not uuids:
        return {}
    asked = json.dumps({"uuids": list(uuids), "private": private}).encode("utf-8")
    output = succeed(master, ["/usr/bin/python3", "-c", _READER], "Reading Ganeti's configuration", asked)
    try:
        return {uuid: Hidden(each["disks"], each["private"]) for uuid, each in json.loads(output).items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise GanetiError("The master did not answer with its configuration: does a login script of its user print something?") from None


def describe(row: t.Mapping[str, t.Any], seen: t.Optional[Hidden] = None) -> Instance:
    """An instance out of its *row*, and what the configuration file says of it, if that could be read."""
    found: Instance = {name: row[field] for name, field in _PLAIN.items()}
    found["tags"] = sorted(row["tags"] or ())
    found["secondary_nodes"] = list(row["snodes"] or ())
    for name in _NESTED:
        found[name] = {"own": dict(row[f"custom_{name}"] or {}), "effective": dict(row[name] or {})}
    found["disks"] = _items(row, _DISK)
    for disk in found["disks"]:
        told = seen.disks.get(disk["uuid"], {}) if seen else {}
        disk.update({name: told.get(name) for name in HIDDEN})
    found["nics"] = _items(row, _NIC)
    return found


def _items(row: t.Mapping[str, t.Any], fields: t.Mapping[str, str]) -> t.List[t.Dict[str, t.Any]]:
    count = max(len(row[field] or ()) for field in fields.values())
    columns = [row[field] or [None] * count for field in fields.values()]
    return [{"index": index, **dict(zip(fields, values))} for index, values in enumerate(zip(*columns))]


def vlan(value: t.Optional[str]) -> str:
    """A VLAN as Ganeti stores it: a plain number is one that is untagged, and has a dot in front."""
    text = str(value or "")
    return f".{text}" if text.isdigit() else text
