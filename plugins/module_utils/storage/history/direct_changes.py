# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What of a configuration may be written without an operation of Ganeti's, and the configuration that this makes. Nothing here talks to anybody.

Only parts that are configuration and nothing else: no names and UUIDs, no nodes, disks, ports, minors, states and addresses, which say where real
things are; no secrets and their digests; nothing that Ganeti counts. A part that is not in the table is never written.
"""

from __future__ import annotations

import copy
import typing as t

from ..drivers.documents import CONTAINERS, Json

_STATES = frozenset(("hv_state_static", "disk_state_static"))
DIRECT: t.Mapping[str, t.FrozenSet[str]] = {
    "cluster": _STATES | {
        "beparams", "blacklisted_os", "compression_tools", "data_collectors", "default_iallocator", "default_iallocator_params", "diskparams",
        "hidden_os", "hvparams", "install_image", "ipolicy", "maintain_node_health", "max_running_jobs", "max_tracked_jobs", "modify_etc_hosts",
        "ndparams", "nicparams", "os_hvp", "osparams", "prealloc_wipe_disks", "reserved_lvs", "uid_pool", "zeroing_image",
    },
    "node": _STATES,
    "nodegroup": _STATES | {"alloc_policy", "diskparams", "ipolicy", "ndparams"},
    "instance": frozenset(),  # all of an instance that is configuration alone has an operation
    "network": frozenset(("gateway6", "mac_prefix", "network6")),
    "filter": frozenset(("action", "predicates", "priority", "reason_trail", "watermark")),
}  # fmt: skip
"""The parts that may be written directly, by kind of object."""

RESTORABLE = ("filter", "network", "nodegroup")
"""The kinds of which an object that was removed can be brought back: nothing but configuration went with it."""

_CONTAINER = {"node": "nodes", "nodegroup": "nodegroups", "instance": "instances", "network": "networks", "filter": "filters"}
_NAMED = ("nodes", "nodegroups", "instances", "networks")


def find(configuration: Json, kind: str, identity: str) -> t.Optional[Json]:
    """An object of a configuration by its kind and UUID, None where it is not there. The cluster is found whatever its id."""
    found = configuration["cluster"] if kind == "cluster" else configuration.get(_CONTAINER[kind], {}).get(identity)
    return t.cast("t.Optional[Json]", found)


def amend(configuration: Json, kind: str, identity: str, then: Json, parts: t.Collection[str], now: float) -> Json:
    """The configuration with *parts* of an object as they were *then*; a part that was not there then is taken away. *now* is in seconds.

    Raises ValueError for a part that may not be written, whoever asks for it, and for an object that is not there.
    """
    forbidden = sorted(set(parts) - DIRECT[kind])
    if forbidden:
        raise ValueError(f"{', '.join(forbidden)} of a {kind} is never written directly")
    result = copy.deepcopy(configuration)
    target = find(result, kind, identity)
    if target is None:
        raise ValueError(f"there is no {kind} {identity}")
    for part in parts:
        if part in then:
            target[part] = copy.deepcopy(then[part])
        else:
            target.pop(part, None)
    return _counted(result, target, now)


def restore(configuration: Json, kind: str, identity: str, then: Json, now: float) -> Json:
    """The configuration with an object that was removed, as it was *then*. No address of a network is taken by anybody. Raises ValueError likewise."""
    if kind not in RESTORABLE:
        raise ValueError(f"no {kind} is ever brought back")
    result = copy.deepcopy(configuration)
    target = copy.deepcopy(then)
    if "reservations" in target:  # of instances' interfaces, and none of those can be in a network that is not there
        target["reservations"] = "0" * len(target["reservations"])
    result.setdefault(_CONTAINER[kind], {})[identity] = target
    return _counted(result, target, now)


def _counted(configuration: Json, target: Json, now: float) -> Json:
    """What Ganeti counts with each change: whoever reads takes it for a new one."""
    for each in (configuration, target):
        if "serial_no" in each:
            each["serial_no"] += 1
        if "mtime" in each:
            each["mtime"] = now
    return configuration


def problems(configuration: Json) -> t.List[str]:
    """References of a configuration that lead nowhere, ids and names that are not what they should be; in addition to what Ganeti itself checks."""
    found = list(_identities(configuration))
    nodes, groups, networks, disks = (configuration.get(name, {}) for name in ("nodes", "nodegroups", "networks", "disks"))
    references = [("the cluster's master", configuration["cluster"].get("master_node"), nodes)]
    references += [(f"the group of node {each.get('name')}", each.get("group"), groups) for each in nodes.values()]
    references += [(f"a network of node group {each.get('name')}", name, networks) for each in groups.values() for name in each.get("networks") or {}]
    for each in configuration.get("instances", {}).values():
        references.append((f"the primary node of instance {each.get('name')}", each.get("primary_node"), nodes))
        references += [(f"a disk of instance {each.get('name')}", disk, disks) for disk in each.get("disks") or ()]
        references += [(f"a network of instance {each.get('name')}", nic["network"], networks) for nic in each.get("nics") or () if nic.get("network")]
    return found + [f"{what} would be {name}, which is not there" for what, name, there in references if name not in there]


def _identities(configuration: Json) -> t.Iterator[str]:
    for container in CONTAINERS:
        for identity, each in configuration.get(container, {}).items():
            if each.get("uuid") != identity:
                yield f"{identity} in {container} would have the UUID {each.get('uuid')}"
    for container in _NAMED:
        names = [each.get("name") for each in configuration.get(container, {}).values()]
        yield from (f"there would be several {container} named {name}" for name in sorted({str(name) for name in names if names.count(name) > 1}))
