# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The hook of Ganeti's by which a node that joins the cluster gets the extended parameters at once.

It is on every node, as any may be the master when another one joins. Ganeti runs it on all nodes after it has added one
(``gnt-node add``, with or without ``--readd``); on those that are not the master it does nothing.
"""

from __future__ import annotations

import hashlib

from .master import Runner, succeed

_DIRECTORY = "/etc/ganeti/hooks/node-add-post.d"
HOOK = f"{_DIRECTORY}/50-extended-parameters"
_TRIES = 15
"""Seconds until luxid knows a node that was just added; it reads the configuration when it hears of a change."""


def text(file: str) -> bytes:
    """The hook that hands on *file*, and itself."""
    return f"""\
#!/bin/sh
# Written by ganeti.cluster.cluster, which overwrites changes. A node that joins gets the cluster's extended parameters and this hook.
set -eu
node=${{GANETI_NODE_NAME:?}}
if [ "$(hostname --fqdn)" != "${{GANETI_MASTER:?}}" ] || [ "$node" = "$GANETI_MASTER" ] || [ ! -e {file} ]; then
  exit 0
fi
tries={_TRIES}
until gnt-cluster command -M -n "$node" mkdir -p {_DIRECTORY} </dev/null; do
  tries=$((tries - 1))
  [ $tries -gt 0 ] || exit 1
  sleep 1
done
gnt-cluster copyfile -n "$node" {file}
gnt-cluster copyfile -n "$node" {HOOK}
""".encode()


def fingerprint(file: str) -> str:
    """The line that a node which has the hook answers to :data:`QUESTION`."""
    return f"hook {hashlib.sha256(text(file)).hexdigest()}"


QUESTION = f"if [ -x {HOOK} ]; then echo hook $(sha256sum <{HOOK} | cut -c1-64); fi"
"""A command of the shell for every node."""


def distribute(master: Runner, file: str) -> None:
    """Put the hook on all nodes that are online. Ganeti's copy says nothing of failures: look afterwards."""
    what = "Distributing the hook for nodes that join"
    write = f"umask 022 && mkdir -p {_DIRECTORY} && cat >{HOOK}.new && chmod 0755 {HOOK}.new && mv -f {HOOK}.new {HOOK}"
    succeed(master, ["sh", "-c", write], what, text(file))
    succeed(master, ["gnt-cluster", "command", "-M", f"mkdir -p {_DIRECTORY}"], what)
    succeed(master, ["gnt-cluster", "copyfile", HOOK], what)
