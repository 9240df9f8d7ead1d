# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The table of an instance's options: which field makes it so, which field changes it later, and why none does.

A test compares the fields with those of the Ganeti that is installed, so that each is either here or left out for a reason.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

CREATE, MODIFY = "OP_INSTANCE_CREATE", "OP_INSTANCE_SET_PARAMS"
RENAME, REINSTALL = "OP_INSTANCE_RENAME", "OP_INSTANCE_REINSTALL"

Argument = t.Mapping[str, t.Any]


def _text(**more: t.Any) -> t.Dict[str, t.Any]:
    return dict(type="str", **more)


def _flag(default: bool) -> t.Dict[str, t.Any]:
    return dict(type="bool", default=default)


_DEVICE: t.Mapping[str, Argument] = {
    "state": _text(choices=["present", "absent"], default="present"),
    "index": dict(type="int"),
    "name": _text(),
}
DISK: t.Mapping[str, Argument] = {
    **_DEVICE,
    "size": _text(),
    "mode": _text(choices=["rw", "ro"]),
    "access": _text(choices=["kernelspace", "userspace"]),
    "spindles": dict(type="int"),
    "vg": _text(),
    "metavg": _text(),
    "provider": _text(),
    "adopt": _text(),
    "params": dict(type="dict", default={}),
}
NIC: t.Mapping[str, Argument] = {
    **_DEVICE,
    "mac": _text(),
    "ip": _text(),
    "network": _text(),
    "mode": _text(choices=["bridged", "routed", "openvswitch"]),
    "link": _text(),
    "vlan": _text(),
}


@dataclass(frozen=True)
class Row:
    """One option."""

    name: str
    create: str = ""
    """The field of OP_INSTANCE_CREATE."""
    modify: str = ""
    """The field of OP_INSTANCE_SET_PARAMS; none where it is only for making an instance."""
    rename: str = ""
    """The field of OP_INSTANCE_RENAME."""
    reinstall: str = ""
    """The field of OP_INSTANCE_REINSTALL."""
    observed: str = ""
    """Where an instance that is there has it, if it is no parameter of the instance's."""
    refusal: str = ""
    """Who changes it, if not this module."""
    templates: t.FrozenSet[str] = frozenset()
    """The disk templates to which disks are converted with it; none where it is no matter of a conversion."""
    argument: Argument = field(default_factory=_text)


MIRRORED, EXTERNAL, IN_FILES = frozenset(("drbd",)), frozenset(("ext",)), frozenset(("file", "gluster", "sharedfile"))

TABLE: t.Sequence[Row] = (
    Row("new_name", rename="new_name"),
    Row("os", "os_type", reinstall="os_type", observed="os", refusal="state reinstalled installs it, and what is on the disks is lost then"),
    Row("hypervisor", "hypervisor", observed="hypervisor", refusal="Ganeti cannot change it: remove the instance and make it anew"),
    Row("disk_template", "disk_template", "disk_template", observed="disk_template"),
    Row("primary_node", "pnode", observed="primary_node", refusal="instance_move brings it to another node, gnt-instance migrate to its secondary one"),
    Row(
        "secondary_node", "snode", "remote_node", observed="secondary_nodes", templates=MIRRORED,
        refusal="gnt-instance replace-disks --new-secondary brings its mirror to another node",
    ),
    Row("iallocator", "iallocator", "iallocator", templates=MIRRORED),
    Row("group", "group_name"),
    Row("ext_params", "", "ext_params", templates=EXTERNAL, argument=dict(type="dict")),
    Row("file_driver", "file_driver", "file_driver", templates=IN_FILES, argument=_text(choices=["loop", "blktap", "blktap2"])),
    Row("file_storage_dir", "file_storage_dir", "file_storage_dir", templates=IN_FILES),
    Row("install", "no_install", argument=_flag(True)),
    Row("force_variant", "force_variant", reinstall="force_variant", argument=_flag(False)),
    Row("name_check", "name_check", rename="name_check", argument=_flag(False)),
    Row("ip_check", "ip_check", rename="ip_check", argument=_flag(False)),
    Row("opportunistic_locking", "opportunistic_locking", argument=_flag(False)),
    Row("conflicts_check", "conflicts_check", "conflicts_check", argument=_flag(True)),
    Row("ignore_ipolicy", "ignore_ipolicy", "ignore_ipolicy", argument=_flag(False)),
    Row("wait_for_sync", "wait_for_sync", "wait_for_sync", argument=_flag(True)),
    Row("hotplug", "", "hotplug", argument=_flag(False)),
    Row("beparams", "beparams", "beparams", argument=dict(type="dict")),
    Row("hvparams", "hvparams", "hvparams", argument=dict(type="dict")),
    Row("osparams", "osparams", "osparams", reinstall="osparams", argument=dict(type="dict")),
    Row("osparams_private", "osparams_private", "osparams_private", reinstall="osparams_private", argument=dict(type="dict", no_log=True)),
    Row("disks", "disks", "disks", argument=dict(type="list", elements="dict", options=dict(DISK))),
    Row("nics", "nics", "nics", argument=dict(type="list", elements="dict", options=dict(NIC))),
    Row("tags", "tags", argument=dict(type="list", elements="str")),
)
"""The options by which an instance is described. Tags of one that is there have opcodes of their own."""

BY_NAME: t.Mapping[str, Row] = {row.name: row for row in TABLE}
FIXED = tuple(row for row in TABLE if row.refusal)
OBSERVED = tuple(row for row in TABLE if row.observed)
CONVERSION = tuple(row for row in TABLE if row.templates)
HOW = tuple(row for row in TABLE if row.create and row.create == row.modify and row.argument["type"] == "bool")
"""What is no property of the instance, but says how Ganeti makes or changes it."""

_BY_NAME_INSTEAD = "nodes and instances are given by name"
_OF_IMPORTS = "an import is no matter of this module"
_STORED_NOWHERE = "Ganeti stores them nowhere, so nobody could tell whether they are as they should be"
_HELPER = "of the helper in which Ganeti runs unsafe OS scripts: its defaults stand"
_COMMUNICATION = "the interface to the node belongs to the cluster's parameter instance_communication_network"

LEFT_OUT_OF_CREATE: t.Mapping[str, str] = {
    "instance_name": "is the option name",
    "mode": "always create",
    "start": "an instance is started by a job of its own, so that one that does not start is known to have been made",
    "pnode_uuid": _BY_NAME_INSTEAD,
    "snode_uuid": _BY_NAME_INSTEAD,
    "identify_defaults": "what is given stays the instance's own, also where it is the default now",
    "osparams_secret": _STORED_NOWHERE,
    "source_handshake": _OF_IMPORTS,
    "source_instance_name": _OF_IMPORTS,
    "source_shutdown_timeout": _OF_IMPORTS,
    "source_x509_ca": _OF_IMPORTS,
    "src_node": _OF_IMPORTS,
    "src_node_uuid": _OF_IMPORTS,
    "src_path": _OF_IMPORTS,
    "compress": _OF_IMPORTS,
    "forthcoming": "an instance that only holds its place is neither present nor absent",
    "commit": "an instance that only holds its place is neither present nor absent",
    "instance_communication": _COMMUNICATION,
    "helper_startup_timeout": _HELPER,
    "helper_shutdown_timeout": _HELPER,
}
LEFT_OUT_OF_MODIFY: t.Mapping[str, str] = {
    "instance_name": "is the option name",
    "instance_uuid": _BY_NAME_INSTEAD,
    "force": "would pass over Ganeti's own checks",
    "force_variant": "is about another operating system",
    "os_name": "writes down another operating system than is installed",
    "runtime_mem": "is no parameter of an instance, but what a running one has just now",
    "remote_node_uuid": _BY_NAME_INSTEAD,
    "pnode": "only tells Ganeti of a move that somebody else has made",
    "pnode_uuid": "only tells Ganeti of a move that somebody else has made",
    "offline": "is how moves fence an instance",
    "hotplug_if_possible": "is gone in Ganeti 3.1, and leaves unknown what was done",
    "instance_communication": _COMMUNICATION,
}
LEFT_OUT_OF_RENAME: t.Mapping[str, str] = {
    "instance_name": "is the option name",
    "instance_uuid": _BY_NAME_INSTEAD,
}
LEFT_OUT_OF_REINSTALL: t.Mapping[str, str] = {
    "instance_name": "is the option name",
    "instance_uuid": _BY_NAME_INSTEAD,
    "osparams_secret": _STORED_NOWHERE,
}
"""Fields that no option sets, and why."""

FIELDS: t.Mapping[str, t.Tuple[str, t.Mapping[str, str]]] = {
    "create": (CREATE, LEFT_OUT_OF_CREATE),
    "modify": (MODIFY, LEFT_OUT_OF_MODIFY),
    "rename": (RENAME, LEFT_OUT_OF_RENAME),
    "reinstall": (REINSTALL, LEFT_OUT_OF_REINSTALL),
}
"""The opcodes whose fields rows name in the attribute of this name, each with those that it leaves out."""


def argument_spec() -> t.Dict[str, t.Any]:
    """The options of the table."""
    return {row.name: dict(row.argument) for row in TABLE}
