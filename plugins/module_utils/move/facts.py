# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What has to be known of clusters, nodes and instances, read through their interface."""

from __future__ import annotations

import enum
import typing as t

from ..api import Cluster, jobs
from ..api.opcodes import opcode

_INSTANCE_FIELDS = (
    "name", "uuid", "pnode", "snodes", "os", "hypervisor", "disk_template", "admin_state", "oper_state", "status", "tags",
    "beparams", "custom_beparams", "hvparams", "custom_hvparams", "custom_osparams",
    "nic.macs", "nic.ips", "nic.names", "nic.modes", "nic.links", "nic.vlans", "nic.networks.names", "custom_nicparams",
    "disk.uuids", "disk.sizes",
)  # fmt: skip
_NODE_FIELDS = ("name", "uuid", "pip", "sip", "offline", "drained", "vm_capable", "mfree", "dfree")

_OS_FIELDS = ("name", "variants", "valid")

_LOCK_TIMEOUT = 60.0


class Running(enum.Enum):
    """Whether an instance runs. Unknown is a value of its own: it counts neither as running nor as stopped."""

    YES = "runs"
    NO = "does not run"
    UNKNOWN = "may run"

    def __bool__(self) -> bool:
        raise TypeError("whether an instance runs has three answers: compare with one of them")


_RUNNING = {True: Running.YES, False: Running.NO}


class InstanceDisk(t.NamedTuple):
    """A disk as Ganeti knows it; the size is in MiB, the file None where it is not kept in one.

    ``logical_id`` are the first parts of what Ganeti finds it by: a file's driver and path, an ``ext`` disk's provider and volume, a volume group
    and volume. ``spindles`` is None where they do not count.
    """

    size: int
    mode: str
    name: t.Optional[str]
    file: t.Optional[str]
    uuid: str = ""
    template: str = "file"
    logical_id: t.Tuple[str, ...] = ()
    spindles: t.Optional[int] = None

    @property
    def bytes(self) -> int:
        """The size in bytes."""
        return self.size * 1024 * 1024


class Nic(t.NamedTuple):
    """A network interface; ``custom`` holds the parameters that are not inherited."""

    mac: str
    ip: t.Optional[str]
    name: t.Optional[str]
    mode: str
    link: str
    vlan: t.Optional[str]
    network: t.Optional[str]
    custom: t.Mapping[str, t.Any]


class Instance(t.NamedTuple):
    """An instance as its cluster describes it."""

    name: str
    uuid: str
    node: str
    os: str
    hypervisor: str
    disk_template: str
    admin_state: str
    running: Running
    status: str
    tags: t.Tuple[str, ...]
    be: t.Mapping[str, t.Any]
    custom_be: t.Mapping[str, t.Any]
    hv: t.Mapping[str, t.Any]
    custom_hv: t.Mapping[str, t.Any]
    custom_os: t.Mapping[str, t.Any]
    nics: t.Tuple[Nic, ...]
    secondaries: t.Tuple[str, ...] = ()
    disks: t.Tuple[str, ...] = ()
    """The disks as one look tells them apart: UUID and size in MiB of each, in order."""

    @property
    def node_given_up(self) -> bool:
        """Whether the cluster's administrator has marked the primary node offline, which says that nothing runs there."""
        return self.status == "ERROR_nodeoffline"


class Node(t.NamedTuple):
    """A node; free memory and disk are in MiB, None where the node does not tell."""

    name: str
    uuid: str
    primary_ip: str
    secondary_ip: str
    usable: bool
    free_memory: t.Optional[int]
    free_disk: t.Optional[int]

    def address(self, network: str) -> str:
        """The node's address in its primary or secondary network."""
        return self.secondary_ip if network == "secondary" else self.primary_ip


def instance(cluster: Cluster, name: str) -> t.Optional[Instance]:
    """The instance that has exactly this *name*, or None where there is none."""
    # Ganeti takes a name for the first labels of longer ones, too. Asked for that name alone it would answer with an error where it fits
    # several, as the two that a move within a cluster has renamed; a condition of the kind "all of" just gives all that fit.
    return next((_instance(row) for row in cluster.query("instance", _INSTANCE_FIELDS, ["&", ["=", "name", name]]) if row["name"] == name), None)


def instance_of(cluster: Cluster, uuid: str) -> t.Optional[Instance]:
    """The instance that has this *uuid*, whatever its name is now, or None where there is none."""
    return next((_instance(row) for row in cluster.query("instance", _INSTANCE_FIELDS, ["&", ["=", "uuid", uuid]]) if row["uuid"] == uuid), None)


def _instance(row: t.Mapping[str, t.Any]) -> Instance:
    return Instance(
        name=row["name"],
        uuid=row["uuid"],
        node=row["pnode"],
        os=row["os"] or "",
        hypervisor=row["hypervisor"],
        disk_template=row["disk_template"],
        admin_state=row["admin_state"],
        # None where the node does not answer (Ganeti: a cell without data), which is not the same as false.
        running=_RUNNING.get(row["oper_state"], Running.UNKNOWN),
        status=row["status"],
        tags=tuple(row["tags"] or ()),
        be=row["beparams"] or {},
        custom_be=row["custom_beparams"] or {},
        hv=row["hvparams"] or {},
        custom_hv=row["custom_hvparams"] or {},
        custom_os=row["custom_osparams"] or {},
        nics=_nics(row),
        secondaries=tuple(row["snodes"] or ()),
        disks=tuple(f"{uuid}:{size}" for uuid, size in zip(row["disk.uuids"] or (), row["disk.sizes"] or ())),
    )


def _nics(row: t.Mapping[str, t.Any]) -> t.Tuple[Nic, ...]:
    columns = ("nic.macs", "nic.ips", "nic.names", "nic.modes", "nic.links", "nic.vlans", "nic.networks.names", "custom_nicparams")
    count = len(row["nic.macs"] or ())
    lists = [row[column] or [None] * count for column in columns]
    return tuple(Nic(*values)._replace(custom=values[-1] or {}) for values in zip(*lists))


def disks(cluster: Cluster, name: str) -> t.Tuple[InstanceDisk, ...]:
    """The disks of instance *name*. The query language has no field for a disk's mode, so this takes a job without locks."""
    query = opcode("OP_INSTANCE_QUERY_DATA", instances=[name], static=True, use_locking=False)
    (answer,) = jobs.run(cluster, [query], timeout=_LOCK_TIMEOUT, lock_timeout=_LOCK_TIMEOUT, label=f"read the disks of {name}")
    return described_disks(answer[name])


def described_disks(described: t.Mapping[str, t.Any]) -> t.Tuple[InstanceDisk, ...]:
    """The disks of an instance, out of what OP_INSTANCE_QUERY_DATA says of it, or the configuration."""
    return tuple(map(_disk, described["disks"]))


def _disk(row: t.Mapping[str, t.Any]) -> InstanceDisk:
    logical_id = tuple(str(part) for part in (row["logical_id"] or ())[:2])
    template = row["dev_type"]
    # DRBD's own id holds nodes and ports; the volumes are its children's.
    if template == "drbd":
        logical_id = tuple(str(part) for part in row["children"][0]["logical_id"][:2]) if row.get("children") else ()
    file = logical_id[1] if template in ("file", "sharedfile") else None
    return InstanceDisk(row["size"], row["mode"], row.get("name"), file, row["uuid"] or "", template, logical_id, row.get("spindles"))


def names(cluster: Cluster, what: str) -> t.List[str]:
    """The names of all items of a kind, as "instance" or "node"."""
    return [str(row["name"]) for row in cluster.query(what, ["name"])]


def nodes(cluster: Cluster) -> t.Dict[str, Node]:
    """All nodes of a cluster, by name."""
    result = {}
    for row in cluster.query("node", _NODE_FIELDS):
        usable = not row["offline"] and not row["drained"] and bool(row["vm_capable"])
        result[row["name"]] = Node(row["name"], row["uuid"], row["pip"], row["sip"], usable, row["mfree"], row["dfree"])
    return result


def ask_for_oses(cluster: Cluster) -> t.Callable[[], t.Set[str]]:
    """Ask for the operating systems that are valid on all nodes, with their variants; what is returned waits for the answer.

    Ganeti looks at all nodes for it, in a job. RAPI does not tell those that are hidden or blacklisted, and is asked when the answer is wanted.
    """
    if cluster.transport == "rapi":
        return lambda: _valid_oses(cluster.query("os", ["name", "variants"]))
    diagnose = opcode("OP_OS_DIAGNOSE", output_fields=list(_OS_FIELDS), names=[])
    job_id = cluster.submit([diagnose])

    def answer() -> t.Set[str]:
        (rows,) = jobs.results(cluster, job_id, timeout=_LOCK_TIMEOUT, lock_timeout=_LOCK_TIMEOUT, label="ask for operating systems")
        return _valid_oses([dict(zip(_OS_FIELDS, row)) for row in rows])

    return answer


def _valid_oses(rows: t.Iterable[t.Mapping[str, t.Any]]) -> t.Set[str]:
    names_: t.Set[str] = set()
    for row in rows:
        if row.get("valid", True):
            names_.add(row["name"])
            names_.update(f"{row['name']}+{variant}" for variant in row["variants"] or ())
    return names_


def providers(cluster: Cluster) -> t.Optional[t.Dict[str, t.Set[str]]]:
    """The providers of ``ext`` disks and the names of their parameters; None where the cluster is reached by RAPI, which does not tell."""
    if cluster.transport == "rapi":
        return None
    diagnose = opcode("OP_EXT_STORAGE_DIAGNOSE", output_fields=["name", "parameters"], names=[])  # luxid refuses a query
    (rows,) = jobs.run(cluster, [diagnose], timeout=_LOCK_TIMEOUT, lock_timeout=_LOCK_TIMEOUT, label="ask for providers of ext disks")
    return {str(name): {str(parameter[0]) for parameter in parameters or ()} for name, parameters in rows}


def networks(cluster: Cluster) -> t.Set[str]:
    """The names of a cluster's networks."""
    return {row["name"] for row in cluster.query("network", ["name"])}


def lock_holder(cluster: Cluster, name: str) -> t.Optional[str]:
    """Who holds the lock of instance *name*, in words, or None where it is free."""
    for row in cluster.query("lock", ["name", "owner"], ["=", "name", f"instance/{name}"]):
        if row["owner"]:
            return ", ".join(f"job {owner}" for owner in row["owner"])
    return None


def tagged(cluster: Cluster) -> t.Tuple[t.Dict[str, t.Sequence[str]], t.Dict[str, str]]:
    """The tags of all instances by name, and their UUIDs by name."""
    rows = cluster.query("instance", ["name", "uuid", "tags"])
    return {row["name"]: row["tags"] or () for row in rows}, {row["name"]: row["uuid"] for row in rows}
