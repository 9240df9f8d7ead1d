# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Answers about a node, given before anything is changed."""

from __future__ import annotations

import os
import socket
import ssl
import sys
import time
import typing as t

from . import ciphers, policy, tls, tools
from .connection import Gate, Rendezvous, dial, receive_exactly
from .control import Controller
from .disks import open_any
from .errors import EndpointError
from .extents import BLOCK, blocks_of, data_extents

_LOAD = 64 * 1024
_CLUSTER = "/var/lib/ganeti/ssconf_cluster_name"


def examine(question: t.Mapping[str, t.Any]) -> t.Dict[str, t.Any]:
    """What this node is and has.

    *question* may hold ``tools`` (names), ``directory`` (whose file system's
    free bytes are wanted), ``disks`` (paths and recorded sizes in bytes, to be
    examined) and ``ciphers`` (names that a move is to use).

    ``clock`` is this node's time in seconds since 1970, ``cluster`` the name of
    the cluster that it belongs to, None where it belongs to none.
    """
    answer: t.Dict[str, t.Any] = {
        "python": list(sys.version_info[:3]),
        "tls13": ssl.HAS_TLSv1_3,
        "openssl": ssl.OPENSSL_VERSION,
        "cpus": len(os.sched_getaffinity(0)),
        "root": os.geteuid() == 0,
        "clock": time.time(),
        "cluster": _cluster(),
        "tools": {name: tools.is_present(name) for name in question.get("tools", ())},
        "cipher_bypassing": None,
        "cipher_problems": [],
        "free": None,
        "disks": None,
    }
    wanted = question.get("ciphers")
    if wanted:
        answer["cipher_bypassing"] = policy.allows_cipher_bypassing()
        answer["cipher_problems"] = ciphers.problems(wanted, ciphers.known())
    directory = question.get("directory")
    if directory:
        answer["free"] = _free(directory)
    if "disks" in question:
        answer["disks"] = [examine_disk(path, recorded) for path, recorded in question["disks"]]
    return answer


def examine_disk(path: str, recorded: int) -> t.Dict[str, t.Any]:
    """What a disk really is, beside the size in bytes that is recorded for it.

    ``size`` is its length in bytes, ``kind`` is ``file`` or ``device``, ``data``
    the bytes in blocks that may hold data up to its end; all None where ``error``
    says why that cannot be told.
    """
    answer: t.Dict[str, t.Any] = {"path": path, "recorded": recorded, "size": None, "kind": None, "data": None, "error": None}
    try:
        descriptor, kind, size = open_any(path, write=False)
    except EndpointError as error:
        return {**answer, "error": str(error)}
    try:
        data = sum(count for _first, count in blocks_of(data_extents(descriptor, size))) * BLOCK
    except OSError as error:
        return {**answer, "error": f"Cannot tell where {path} holds data: {error.strerror}."}
    finally:
        os.close(descriptor)
    return {**answer, "size": size, "kind": kind, "data": min(data, size)}


class ProbePlan(t.NamedTuple):
    """All that one end of a probe of the way between two nodes has to know; *seconds* is how long it may take."""

    move_id: str
    address: str
    port: int
    identity: tls.Identity
    seconds: float
    ciphers: t.Tuple[str, ...] = ()


def echo(plan: ProbePlan, controller: Controller) -> t.Dict[str, t.Any]:
    """Open the port that the move would use, and send back what its source sends."""
    with Gate(_rendezvous(plan, server=True)) as gate:
        controller.say("listening", port=gate.port)
        (connection,) = gate.admit(controller, plan.seconds)
    with connection:
        connection.settimeout(plan.seconds)
        connection.sendall(receive_exactly(connection, _LOAD))
    return {}


def ping(plan: ProbePlan, controller: Controller) -> t.Dict[str, t.Any]:
    """Go the way that the move would go: the same handshake, then so many bytes there and back that no packet size goes untried."""
    load = os.urandom(_LOAD)
    (connection,) = dial(_rendezvous(plan, server=False), controller, plan.seconds)
    with connection:
        connection.settimeout(plan.seconds)
        try:
            connection.sendall(load)
            answer = receive_exactly(connection, _LOAD)
        except socket.timeout as error:
            raise EndpointError(
                f"The destination node at {plan.address} is reached, but {_LOAD} bytes do not get through: a packet size (MTU) is set too large on the way."
            ) from error
        except OSError as error:
            raise EndpointError(f"The connection to the destination node at {plan.address} broke: {error.strerror or error}.", secondary=True) from error
    if answer != load:
        raise EndpointError(f"The destination node at {plan.address} sent back something else than it was sent.")
    return {}


def _rendezvous(plan: ProbePlan, server: bool) -> Rendezvous:
    return Rendezvous(plan.address, plan.port, tls.context(plan.identity, server=server, wanted=plan.ciphers), plan.move_id, 1)


def _free(directory: str) -> int:
    """Bytes that are free on the file system of *directory* or of its nearest parent that exists."""
    while True:
        try:
            figures = os.statvfs(directory)
        except FileNotFoundError:
            directory = os.path.dirname(directory)
            continue
        except OSError as error:
            raise EndpointError(f"Cannot tell how much room there is in {directory}: {error.strerror}.") from error
        return figures.f_bavail * figures.f_frsize


def _cluster() -> t.Optional[str]:
    """The name of the cluster that this node belongs to."""
    try:
        with open(_CLUSTER, encoding="ascii", errors="replace") as stream:
            return stream.read(256).strip() or None
    except OSError:
        return None
