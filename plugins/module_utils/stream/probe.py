# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Answers about a node, given before anything is changed."""

from __future__ import annotations

import os
import select
import socket
import ssl
import sys
import time
import typing as t

from . import ciphers, policy, tools
from .control import Controller
from .disks import open_any
from .errors import EndpointError
from .extents import BLOCK, blocks_of, data_extents

_GREETING = 32
_WAIT = 10.0
_CLUSTER = "/var/lib/ganeti/ssconf_cluster_name"


def examine(question: t.Mapping[str, t.Any]) -> t.Dict[str, t.Any]:
    """What this node is and has.

    *question* may hold ``tools`` (names), ``directory`` (whose file system's
    free bytes are wanted), ``disks`` (paths and recorded sizes in bytes, to be
    measured) and ``ciphers`` (names that a move is to use).

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
        "tools": {name: tools.answers(name) for name in question.get("tools", ())},
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
        answer["disks"] = [measure_disk(path, recorded) for path, recorded in question["disks"]]
    return answer


def measure_disk(path: str, recorded: int) -> t.Dict[str, t.Any]:
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


def listen(address: str, port: int, controller: Controller) -> t.Dict[str, t.Any]:
    """Open the port that the move would use and wait for the other node's greeting."""
    with socket.create_server((address, port), family=socket.AF_INET6 if ":" in address else socket.AF_INET) as listener:
        controller.say("listening", port=listener.getsockname()[1])
        ready = select.select([listener, controller.descriptor], [], [], _WAIT)[0]
        if controller.descriptor in ready:
            controller.heard()
        if listener not in ready:
            return {"reached": False}
        connection, _peer = listener.accept()
        with connection:
            connection.settimeout(_WAIT)
            connection.sendall(connection.recv(_GREETING))
    return {"reached": True}


def connect(address: str, port: int) -> t.Dict[str, t.Any]:
    """Greet the other node's open port and expect the greeting back."""
    greeting = os.urandom(_GREETING)
    try:
        with socket.create_connection((address, port), timeout=_WAIT) as connection:
            connection.sendall(greeting)
            answer = connection.recv(_GREETING)
    except OSError as error:
        return {"reached": False, "why": str(error.strerror or error)}
    return {"reached": answer == greeting, "why": "somebody else answered"}


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
