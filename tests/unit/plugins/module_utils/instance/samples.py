# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Instances and parameters that tests change a little."""

from __future__ import annotations

import typing as t

from ansible_collections.ganeti.cluster.plugins.module_utils.instance.plan import Facts
from ansible_collections.ganeti.cluster.plugins.module_utils.instance.table import DISK, NIC, TABLE

NAME = "web1.example.com"
BE = {"vcpus": 1, "minmem": 128, "maxmem": 128, "auto_balance": True}
HV = {"acpi": True, "cpu_type": "", "vnc_port": 0}
INFO: dict[str, t.Any] = {
    "name": "alpha", "enabled_hypervisors": ["fake"], "enabled_disk_templates": ["file", "plain"], "default_iallocator": "hail",
    "beparams": {"default": BE}, "hvparams": {"fake": HV},
}  # fmt: skip


def device(options: t.Mapping[str, t.Any], **given: t.Any) -> dict[str, t.Any]:
    """A disk or interface as Ansible hands it to a module."""
    assert set(given) <= set(options)
    return {**{name: option.get("default") for name, option in options.items()}, **given}


def params(**given: t.Any) -> dict[str, t.Any]:
    """The module's parameters; disks and interfaces may be given as they are written in a task."""
    found: dict[str, t.Any] = {row.name: row.argument.get("default") for row in TABLE}
    found.update(state="present", exact_tags=False, restart_if_pending=False, shutdown_timeout=120)
    for kind, options in (("disks", DISK), ("nics", NIC)):
        if given.get(kind) is not None:
            given[kind] = [device(options, **item) for item in given[kind]]
    assert set(given) <= set(found)
    return {**found, **given}


def disk(index: int = 0, **changes: t.Any) -> dict[str, t.Any]:
    """A disk that is there."""
    return {"index": index, "name": f"d{index}", "uuid": f"u{index}", "size": 256, "spindles": None, "mode": "rw", "access": None, **changes}


def nic(index: int = 0, **changes: t.Any) -> dict[str, t.Any]:
    """An interface that is there."""
    found = {"index": index, "name": None, "uuid": f"n{index}", "mac": "aa:00:00:00:00:01", "ip": None, "mode": "bridged", "link": "br0", "vlan": None}
    return {**found, "network": None, "own": {}, **changes}


def instance(**changes: t.Any) -> dict[str, t.Any]:
    """An instance that is there, and does not run."""
    found: dict[str, t.Any] = {
        "name": NAME, "uuid": "u", "primary_node": "n1.example.com", "secondary_nodes": [], "admin_state": "down", "oper_state": False,
        "status": "ADMIN_down", "os": "noop", "hypervisor": "fake", "disk_template": "file", "tags": [], "memory": None, "vcpus": None,
        "beparams": {"own": {}, "effective": dict(BE)}, "hvparams": {"own": {}, "effective": dict(HV)}, "osparams": {"own": {}, "effective": {}},
        "disks": [disk(0), disk(1)], "nics": [nic(0)],
    }  # fmt: skip
    return {**found, **changes}


def running(**changes: t.Any) -> dict[str, t.Any]:
    """The same, running with what its parameters say."""
    return instance(**{"admin_state": "up", "oper_state": True, "status": "running", "memory": 128, "vcpus": 1, **changes})


def facts(there: t.Optional[dict[str, t.Any]], **changes: t.Any) -> Facts:
    """What is known."""
    return Facts(there, INFO)._replace(**changes)
