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
import typing as t

from . import ciphers, policy, tools
from .control import Controller
from .disks import Disk
from .errors import EndpointError
from .work import data_bytes

_GREETING = 32
_WAIT = 10.0


def examine(question: t.Mapping[str, t.Any]) -> t.Dict[str, t.Any]:
    """What this node is and has.

    *question* may hold ``tools`` (names), ``directory`` (whose file system's
    free bytes are wanted), ``disks`` (paths and sizes, to count their data) and
    ``ciphers`` (names that a move is to use).
    """
    answer: t.Dict[str, t.Any] = {
        "python": list(sys.version_info[:3]),
        "tls13": ssl.HAS_TLSv1_3,
        "openssl": ssl.OPENSSL_VERSION,
        "cpus": len(os.sched_getaffinity(0)),
        "root": os.geteuid() == 0,
        "tools": {name: tools.answers(name) for name in question.get("tools", ())},
        "cipher_bypassing": None,
        "cipher_problems": [],
        "free": None,
        "data": None,
    }
    wanted = question.get("ciphers")
    if wanted:
        answer["cipher_bypassing"] = policy.allows_cipher_bypassing()
        answer["cipher_problems"] = ciphers.problems(wanted, ciphers.known())
    directory = question.get("directory")
    if directory:
        answer["free"] = _free(directory)
    if "disks" in question:
        answer["data"] = data_bytes([Disk(path, size) for path, size in question["disks"]])
    return answer


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
