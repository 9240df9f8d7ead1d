# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Talking to a cluster: one vocabulary, Ganeti's opcodes, and three ways to reach the master.

``connect(options)`` gives a `Cluster`. ``options``:

* ``transport``: "luxi" (the default; this host is the master), "ssh" (LUXI through SSH to the master) or "rapi";
* ``address``: name or address of the master; for luxi nothing, or the path of another socket;
* ``cluster_name``: the cluster's name; where given, another cluster is refused;
* ``ssh``: dict, see `ssh.SshOptions`: user, port, private_key_file, known_hosts_file, config_file, agent, password, connect_timeout;
* ``rapi``: dict, see `rapi.RapiOptions`: port, username, password, ca_path, fingerprint, timeout.
"""

from __future__ import annotations

import typing as t

from .._errors import InvalidInput
from .cluster import Cluster, JobChange, JobStatus, LogEntry

__all__ = ("Cluster", "JobChange", "JobStatus", "LogEntry", "connect")


def _connect_luxi(options: t.Mapping[str, t.Any]) -> Cluster:
    from .luxi import LuxiCluster

    return LuxiCluster.local(options.get("address") or None)


def _connect_ssh(options: t.Mapping[str, t.Any]) -> Cluster:
    # Imported here, not above: a module that runs on the master shall not load paramiko.
    from .ssh import SshHost, luxi_over_ssh

    return luxi_over_ssh(SshHost(_address(options), options.get("ssh") or {}))


def _connect_rapi(options: t.Mapping[str, t.Any]) -> Cluster:
    from .rapi import RapiCluster

    return RapiCluster(_address(options), options.get("rapi") or {})


_TRANSPORTS: t.Dict[str, t.Callable[[t.Mapping[str, t.Any]], Cluster]] = {
    "luxi": _connect_luxi,
    "ssh": _connect_ssh,
    "rapi": _connect_rapi,
}


def connect(options: t.Mapping[str, t.Any]) -> Cluster:
    """Connect to a cluster as ``options`` say and make sure that it is the one that is meant.

    Raises InvalidInput for options that make no sense or another cluster's name, else as `Cluster.info` does.
    """
    transport = options.get("transport") or "luxi"
    factory = _TRANSPORTS.get(transport)
    if factory is None:
        raise InvalidInput(f"There is no transport {transport}: use one of {', '.join(_TRANSPORTS)}")
    cluster = factory(options)
    expected = options.get("cluster_name")
    try:
        if expected:
            _check_name(cluster, expected)
    except BaseException:
        cluster.close()
        raise
    return cluster


def _address(options: t.Mapping[str, t.Any]) -> str:
    address = options.get("address")
    if not address:
        raise InvalidInput(f"The transport {options['transport']} needs the address of the cluster's master node")
    return str(address)


def _check_name(cluster: Cluster, expected: str) -> None:
    actual = cluster.info()["name"]
    if actual != expected:
        raise InvalidInput(
            f"Wrong cluster: {cluster.address} is the master of {actual}, not of {expected}; correct the address or the cluster's name"
        )
