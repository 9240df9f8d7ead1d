# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clusters that follow Ganeti's rules for the opcodes of a move, as values: each opcode makes a new world of an old one.

The rules are those of Ganeti 3.0.2 (cmdlib/tags.py, instance_operation.py, instance_set_params.py, instance.py, common.py):
a tag that is not there cannot be removed; what is offline is neither started nor shut down; ``offline`` wants one that is down and
that its node says does not run; a removal stops what runs; a name is there once in a cluster; a UUID that does not fit is refused; what
asks a silent node fails.
"""

from __future__ import annotations

import functools
import typing as t

from ansible_collections.ganeti.cluster.plugins.module_utils.move import facts


class Refused(Exception):
    """Ganeti's no to an opcode, or its failure."""


class Broken(AssertionError):
    """What must never happen has happened."""


class Machine(t.NamedTuple):
    """An instance in the fake world. ``version`` counts what its disks hold: each start may write something new."""

    name: str
    uuid: str
    cluster: str
    node: str
    admin: str
    runs: bool
    tags: frozenset
    nics: t.Tuple[t.Tuple[str, t.Optional[str]], ...]
    version: int
    complete: bool
    disks: int = 1


class World(t.NamedTuple):
    """Everything outside of the runs. ``holder`` is the run that has the lease."""

    machines: t.Tuple[Machine, ...]
    silent: frozenset = frozenset()
    holder: t.Optional[int] = None
    made: int = 0
    starts_fail: bool = False
    tampered: bool = False
    """Whether an administrator, who may do anything, has taken a hand."""
    template: str = "plain"
    """The disk template of all instances; one that takes more opcodes than files do."""

    def find(self, cluster, name):
        """The machine of that name, or None."""
        return next((each for each in self.machines if each.cluster == cluster and each.name == name), None)

    def by_uuid(self, uuid):
        """The machine with that UUID, or None."""
        return next((each for each in self.machines if each.uuid == uuid), None)

    def replace(self, machine, **changes):
        """The world with one machine changed, or, with None, without it."""
        others = tuple(each for each in self.machines if each.uuid != machine.uuid)
        kept = (machine._replace(**changes),) if changes else ()
        return self._replace(machines=tuple(sorted(others + kept)))


def source(up=True, **changes):
    """The instance that is moved, as it is before."""
    made = Machine("web", "u-web", "alpha", "a2", "up" if up else "down", up, frozenset(("prod",)), (("aa:01", "10.1"),), 1, True)
    return made._replace(**changes)


def world(up=True, *others):
    """The world before a move."""
    return World(tuple(sorted((source(up), *others))))


def run_opcode(seen, cluster, op):
    """The world after an opcode, and its result. Raises Refused, or Broken where both copies run or the better one is lost."""
    return _RULES[op["OP_ID"]](seen, cluster, op)


def _machine(seen, cluster, op):
    name = op.get("instance_name") or op["name"]
    found = seen.find(cluster, name)
    if found is None:
        raise Refused(f"Instance {name} not known")
    if op.get("instance_uuid") not in (None, found.uuid):
        raise Refused("The instances UUID does not match the expected UUID")
    return found


def _answers(seen, machine):
    if machine.node in seen.silent:
        raise Refused(f"Error checking node {machine.node}")


def _create(seen, cluster, op):
    if seen.find(cluster, op["instance_name"]):
        raise Refused(f"Instance '{op['instance_name']}' is already in the cluster")
    node = op["pnode"]
    if node in seen.silent:
        raise Refused(f"Error checking node {node}")
    nics = tuple((f"aa:{seen.made + 16:02x}" if nic["mac"] == "generate" else nic["mac"], nic.get("ip")) for nic in op["nics"])
    made = Machine(
        op["instance_name"], f"u-{cluster}-{seen.made}", cluster, node, "down", False, frozenset(op["tags"]), nics, 0, False, len(op["disks"])
    )
    return seen._replace(machines=tuple(sorted((*seen.machines, made))), made=seen.made + 1), [node]


def _set_params(seen, cluster, op):
    machine = _machine(seen, cluster, op)
    if "offline" in op:
        if machine.admin == "up":
            raise Refused("can't change to offline without being down first")
        _answers(seen, machine)
        if machine.runs:
            raise Refused(f"Instance {machine.name} is running")
        return seen.replace(machine, admin="offline" if op["offline"] else "down"), []
    nics = list(machine.nics)
    for verb, number, changes in op["nics"]:
        assert verb == "modify"
        mac, ip = nics[number]
        if changes.get("mac") == "generate":
            mac = f"aa:{seen.made + 16:02x}"
            seen = seen._replace(made=seen.made + 1)
        elif "mac" in changes:
            mac = changes["mac"]
            if mac in [other for each in seen.machines if each.cluster == cluster and each.uuid != machine.uuid for other, _ip in each.nics]:
                raise Refused(f"MAC address {mac} already in use in cluster")
        ip = changes.get("ip", ip)
        nics[number] = (mac, None if ip == "none" else ip)
    return seen.replace(machine, nics=tuple(nics)), []


def _startup(seen, cluster, op):
    machine = _machine(seen, cluster, op)
    if machine.admin == "offline":
        raise Refused(f"Instance '{machine.name}' is marked to be offline, can't use instance from outside down, up states")
    _answers(seen, machine)
    admin = machine.admin if op.get("no_remember") else "up"
    if seen.starts_fail and not machine.runs and machine.uuid != "u-web":
        raise _Halfway(seen.replace(machine, admin=admin), f"Could not start instance '{machine.name}'")
    return start(seen, machine, admin), None


def start(seen, machine, admin="up"):
    """The world after a start: never beside another that runs, never of disks that another has overtaken."""
    if machine.runs:
        return seen.replace(machine, admin=admin)
    others = [each for each in seen.machines if each.uuid != machine.uuid]
    if not seen.tampered:
        if any(each.runs for each in others):
            raise Broken(f"both copies run: {machine.name} on {machine.cluster} is started beside another")
        if not machine.complete:
            raise Broken(f"{machine.name} on {machine.cluster} is started, but its disks are not complete")
        if any(each.version > machine.version for each in others if each.complete):
            raise Broken(f"{machine.name} on {machine.cluster} is started with older disks than another has")
    return seen.replace(machine, admin=admin, runs=True, version=machine.version + 1)


def _shutdown(seen, cluster, op):
    machine = _machine(seen, cluster, op)
    if machine.admin == "offline":
        raise Refused(f"Instance '{machine.name}' is marked to be offline")
    if machine.node in seen.silent:
        raise _Halfway(seen.replace(machine, admin="down"), f"Could not shutdown instance '{machine.name}'")
    return seen.replace(machine, admin="down", runs=False), None


def _remove(seen, cluster, op):
    machine = _machine(seen, cluster, op)
    _answers(seen, machine)
    if machine.runs and not seen.tampered:
        raise Broken(f"{machine.name} on {machine.cluster} is removed while it runs")
    left = [each for each in seen.machines if each.uuid != machine.uuid and each.complete]
    if machine.complete and not any(each.version >= machine.version for each in left):
        raise Broken(f"{machine.name} on {machine.cluster} is removed, but nothing else has what is on its disks")
    return seen.replace(machine), None


def _rename(seen, cluster, op):
    machine = _machine(seen, cluster, op)
    if machine.admin == "up" or machine.runs:
        raise Refused(f"Instance {machine.name} is running, cannot rename")
    _answers(seen, machine)
    if seen.find(cluster, op["new_name"]):
        raise Refused(f"Instance '{op['new_name']}' is already in the cluster")
    return seen.replace(machine, name=op["new_name"]), op["new_name"]


def _tags_set(seen, cluster, op):
    machine = _machine(seen, cluster, op)
    return seen.replace(machine, tags=machine.tags | set(op["tags"])), None


def _tags_del(seen, cluster, op):
    machine = _machine(seen, cluster, op)
    if not set(op["tags"]) <= machine.tags:
        raise Refused(f"Tag(s) {sorted(set(op['tags']) - machine.tags)} not found")
    if any(not tag.startswith("ganeti-move:") for tag in op["tags"]):
        raise Broken(f"a tag of the user is removed from {machine.name}")
    return seen.replace(machine, tags=machine.tags - set(op["tags"])), None


def _query_data(seen, cluster, op):
    (name,) = op["instances"]
    machine = seen.find(cluster, name)
    if machine is None:
        raise Refused(f"Instance {name} not known")
    disk = {"size": 1024, "mode": "rw", "name": None, "dev_type": seen.template, "uuid": "disk"}
    places = [["loop" if seen.template == "file" else "xenvg", f"/dev/{machine.uuid}/{index}"] for index in range(machine.disks)]
    return seen, {name: {"disks": [{**disk, "logical_id": place} for place in places]}}


def _activate(seen, cluster, op):
    machine = _machine(seen, cluster, op)
    _answers(seen, machine)
    return seen, [[machine.node, f"disk/{index}", f"/dev/{machine.uuid}/{index}"] for index in range(machine.disks)]


def _deactivate(seen, cluster, op):
    machine = _machine(seen, cluster, op)
    _answers(seen, machine)
    if machine.runs:
        raise Refused(f"{machine.name} is running, its disks cannot be shut down")
    if machine.admin == "offline" and not op.get("force"):
        raise Refused(f"Instance '{machine.name}' is marked to be offline")
    return seen, None


class _Halfway(Refused):
    """A failure that has changed something."""

    def __init__(self, seen, message):
        super().__init__(message)
        self.world = seen


_RULES = {
    "OP_INSTANCE_CREATE": _create,
    "OP_INSTANCE_SET_PARAMS": _set_params,
    "OP_INSTANCE_STARTUP": _startup,
    "OP_INSTANCE_SHUTDOWN": _shutdown,
    "OP_INSTANCE_REMOVE": _remove,
    "OP_INSTANCE_RENAME": _rename,
    "OP_TAGS_SET": _tags_set,
    "OP_TAGS_DEL": _tags_del,
    "OP_INSTANCE_QUERY_DATA": _query_data,
    "OP_INSTANCE_ACTIVATE_DISKS": _activate,
    "OP_INSTANCE_DEACTIVATE_DISKS": _deactivate,
}


def check(seen):
    """Raise Broken where both copies run, or nothing complete is left, or the user's tag is gone."""
    if seen.tampered:
        return
    if sum(each.runs for each in seen.machines) > 1:
        raise Broken("both copies run")
    if not any(each.complete for each in seen.machines):
        raise Broken("nothing complete is left")
    if any("prod" not in each.tags for each in seen.machines):
        raise Broken("the user's tag is gone")


def described(seen, machine):
    """A machine as `facts.instance` describes it; hashable throughout."""
    return _described(machine, machine.node in seen.silent)


@functools.cache  # the same few are asked for ten thousand times
def _described(machine, silent):
    if silent:
        running, status = facts.Running.UNKNOWN, "ERROR_nodedown"
    else:
        running, status = (facts.Running.YES, "running") if machine.runs else (facts.Running.NO, f"ADMIN_{machine.admin}")
    nics = tuple(facts.Nic(mac, ip, None, "bridged", "br0", "", "lan", ()) for mac, ip in machine.nics)
    return facts.Instance(
        machine.name, machine.uuid, machine.node, "noop", "fake", "file", machine.admin, running, status, tuple(sorted(machine.tags)), (), (), (), (), (), nics,
        disks=("disk:1024",) * machine.disks,
    )  # fmt: skip
