# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What no interface of Ganeti tells about an instance, or only by a job, out of the master's configuration file."""

from __future__ import annotations

import typing as t

from .._errors import GanetiError
from .facts import InstanceDisk, described_disks

PATH = "/var/lib/ganeti/config.data"

Values = t.Mapping[str, t.Any]


class Hidden(t.NamedTuple):
    """Private OS parameters in effect, inherited ones too, each disk's own parameters by the disk's UUID, and the disks."""

    private: t.Dict[str, str]
    disk_params: t.Dict[str, t.Dict[str, t.Any]]
    disks: t.Tuple[InstanceDisk, ...] = ()


def hidden(config: t.Any, uuid: str) -> Hidden:
    """What the configuration *config* tells about the instance *uuid*. Raises GanetiError where it is none, or does not have the instance."""
    instances, disks, cluster = (_mapping(config, field) for field in ("instances", "disks", "cluster"))
    instance = _mapping(instances, uuid)
    if not instance:
        raise GanetiError(f"{PATH} on the master does not hold the instance {uuid}: is it of a release that this collection does not know?")
    os_name = str(instance.get("os") or "")
    inherited = _mapping(cluster, "osparams_private_cluster")
    private = {**_mapping(inherited, os_name.partition("+")[0]), **_mapping(inherited, os_name), **_mapping(instance, "osparams_private")}
    rows = {str(disk): _mapping(disks, str(disk)) for disk in instance.get("disks") or ()}
    own = {disk: dict(_mapping(row, "params")) for disk, row in rows.items()}
    try:
        described = described_disks({"disks": list(rows.values())})
    except (KeyError, IndexError, TypeError) as error:
        raise GanetiError(f"{PATH} on the master does not describe the disks of {instance.get('name')} as this collection knows it ({error!r}).") from error
    return Hidden({name: str(value) for name, value in private.items()}, own, described)


def _mapping(values: t.Any, field: str) -> Values:
    """The mapping at *field*; an empty one where there is none."""
    found = values.get(field) if isinstance(values, dict) else None
    return found if isinstance(found, dict) else {}
