# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Running Ganeti's own failover where the old master is dead, without waiting for it.

Ganeti asks the old master three times before the new one begins, and each time waits until the network gives up: twenty seconds and more. While
its command runs, this closes the way to the dead node, so that each try fails at once. A process of the node's own, and not of whoever asked
for it, so that the way is opened again whatever becomes of them. Runs as text that is given to python3 (program.py: script); standard library only.

It is given on standard input: ``argv``, the command, and ``closed``, the addresses. It prints the command's exit status and what that said.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import typing as t


@contextlib.contextmanager
def closed(addresses: t.Sequence[str]) -> t.Iterator[None]:
    """Let connections to these addresses fail at once. An address that becomes the node's own meanwhile, as the cluster's does, is not concerned."""
    done: t.List[str] = []
    try:
        for address in addresses:
            if _route("add", address):
                done.append(address)
        yield
    finally:
        for address in done:
            _route("del", address)


def _route(action: str, address: str) -> bool:
    """Where it cannot be done, the failover takes longer, and that is all."""
    family, bits = ("-6", 128) if ":" in address else ("-4", 32)
    command = ["ip", family, "route", action, "unreachable", f"{address}/{bits}"]
    return _run(command).returncode == 0


def _run(argv: t.Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # pylint: disable=ansible-bad-function  # there is no module object in here
        list(argv), stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
    )


def take_over(argv: t.Sequence[str], addresses: t.Sequence[str]) -> t.Dict[str, t.Any]:
    """Run the command; its exit status, and the lines that it said."""
    with closed(addresses):
        done = _run(argv)
    return {"status": done.returncode, "lines": [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]}


if __name__ == "__main__":
    _given = json.load(sys.stdin)
    sys.stdout.write(json.dumps(take_over(_given["argv"], _given["closed"])) + "\n")
