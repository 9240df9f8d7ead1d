# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What this node's own files allow, whatever a caller asks for."""

from __future__ import annotations

import json
import os
import stat
import typing as t

from .errors import EndpointError

PARAMETERS = "/etc/ganeti/extended-parameters.json"
"""The cluster parameters that stock Ganeti has no field for; written by the module ``cluster``, on every node, root-only."""

ADDRESSES = ("/var/lib/ganeti/ssconf_node_primary_ips", "/var/lib/ganeti/ssconf_node_secondary_ips")
"""Where Ganeti keeps, on every node, the addresses of all nodes of its cluster: lines of name and address."""


def allows_cipher_bypassing(path: str = PARAMETERS) -> bool:
    """Whether this node's cluster lets moves choose ciphers; raise EndpointError for a file that others could have written."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise EndpointError(f"Cannot read {path}: {error.strerror}.") from error
    with open(descriptor, "rb") as stream:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode) or state.st_uid != os.geteuid() or state.st_mode & 0o077:
            raise EndpointError(f"{path} is not a file that only root can read and write: look at who changed it, and set the parameter again.")
        text = stream.read(65536)
    try:
        parameters = json.loads(text)
    except ValueError as error:
        raise EndpointError(f"{path} does not hold JSON: set the cluster's parameters again.") from error
    return isinstance(parameters, dict) and parameters.get("allow_cipher_bypassing") is True


def addresses(paths: t.Sequence[str] = ADDRESSES) -> t.Set[str]:
    """The addresses of all nodes of this node's cluster."""
    found: t.Set[str] = set()
    for path in paths:
        try:
            with open(path, encoding="utf-8") as stream:
                found.update(fields[1] for fields in map(str.split, stream) if len(fields) == 2)
        except FileNotFoundError:
            continue
    return found


def check_ciphers(ciphers: t.Sequence[str]) -> None:
    """Raise EndpointError where ciphers are named and this node does not allow it."""
    if ciphers and not allows_cipher_bypassing():
        raise EndpointError("This node does not allow moves to choose ciphers: allow_cipher_bypassing is not true in its cluster's parameters.")


def check_peer(ciphers: t.Sequence[str], address: str) -> None:
    """Raise EndpointError where ciphers are named and the other end is not a node of this cluster."""
    if ciphers and address not in addresses():
        raise EndpointError(f"Ciphers can be chosen within a cluster only, and {address} is not the address of a node of this one.")
