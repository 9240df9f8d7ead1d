# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Disks at the destination: size, mode and name come along, and what their disk template has beside that."""

from __future__ import annotations

import os
import typing as t

from .facts import InstanceDisk

Parameters = t.Dict[str, t.Any]

EXT = "ext"
DRBD = "drbd"
_IN_FILES = {"file": "file_storage_dir", "sharedfile": "shared_file_storage_dir"}
"""Templates whose disks are files of ours to place, and the cluster's parameter that says where (Ganeti: DTS_INSTANCE_DEPENDENT_PATH)."""

_IN_PLACE = frozenset(("diskless", *_IN_FILES))
"""Templates whose disks are read where they lie: Ganeti activates them by making a link to the file, which costs a job's opcode before and after."""

_WITH_ACCESS = frozenset((EXT, "gluster", "rbd"))
"""Ganeti: DTS_HAVE_ACCESS."""

NOT_EXT = frozenset(("access", "adopt", "dev_type", "metavg", "mode", "name", "size", "spindles", "vg"))
"""Keys of a disk that cannot be a provider's own parameters (Ganeti: IDISK_PARAMS, without the provider)."""


def stated(disk: InstanceDisk, template: str, own: t.Mapping[str, t.Any], ext: t.Mapping[str, str], info: t.Mapping[str, t.Any]) -> Parameters:
    """One disk of the destination as OP_INSTANCE_CREATE takes it.

    *own* are the parameters that the disk has at the source, *ext* those that the user wants for ``ext``, *info* describes the destination.
    """
    result: Parameters = {"size": disk.size, "mode": disk.mode}
    if disk.name:
        result["name"] = disk.name
    if disk.spindles is not None and info.get("ndparams", {}).get("exclusive_storage"):
        result["spindles"] = disk.spindles
    if template in _WITH_ACCESS and disk.template in _WITH_ACCESS and own.get("access"):
        result["access"] = own["access"]
    if template == EXT:
        result.update(providers_parameters(disk, own, ext))
    return result


def providers_parameters(disk: InstanceDisk, own: t.Mapping[str, t.Any], ext: t.Mapping[str, str]) -> Parameters:
    """The provider of a disk with the template ``ext`` and its own parameters; without a provider where nobody names one.

    Another provider has other parameters: then none of the source's come along.
    """
    result: Parameters = {}
    if disk.template == EXT and ext.get("provider") in (None, disk.logical_id[0] if disk.logical_id else None):
        result = {name: value for name, value in own.items() if name not in NOT_EXT}
        if disk.logical_id:
            result["provider"] = disk.logical_id[0]
    result.update(ext)
    return result


def of_files(disks: t.Sequence[InstanceDisk], template: str, here: t.Mapping[str, t.Any]) -> Parameters:
    """The driver and the folder of disks in files, where they are not what Ganeti takes anyway; *here* describes the source's cluster."""
    first = next((disk for disk in disks if disk.template in _IN_FILES and len(disk.logical_id) == 2), None)
    if first is None or template not in _IN_FILES:
        return {}
    result: Parameters = {}
    driver, path = first.logical_id
    if driver != "loop":
        result["file_driver"] = driver
    top = here.get(_IN_FILES[first.template])
    folder = os.path.relpath(os.path.dirname(os.path.dirname(path)), top) if top else "."
    if folder != "." and not folder.startswith(".."):
        result["file_storage_dir"] = folder
    return result


def must_be_activated(template: str) -> bool:
    """Whether the disks of an instance with this *template* ("mixed" where they are of several) have devices only while they are activated."""
    return template not in _IN_PLACE


def directory(info: t.Mapping[str, t.Any], template: str) -> t.Optional[str]:
    """The directory whose file system must have room, for templates that keep disks in files."""
    found = info.get(_IN_FILES[template]) if template in _IN_FILES else None
    return os.path.normpath(found) if found else None


def shown(template: str, made: t.Mapping[str, t.Any]) -> Parameters:
    """A disk for a diff: MiB, mode, name, template, and the provider's parameters."""
    return {"template": template, **{name: value for name, value in made.items() if value is not None}}


def shown_source(disk: InstanceDisk, own: t.Mapping[str, t.Any]) -> Parameters:
    """A disk of the source for a diff."""
    made = {"size": disk.size, "mode": disk.mode, "name": disk.name, **(providers_parameters(disk, own, {}) if disk.template == EXT else {})}
    return shown(disk.template, made)
