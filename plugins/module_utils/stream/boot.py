# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""How a program gets into a fresh ``python3``: through standard input, so that it is in no file and in nobody's list of processes."""

from __future__ import annotations

BOOT = (
    "import sys; r = sys.stdin.buffer.raw; n = int(r.readline()); b = b''\n"
    "while len(b) < n: b += r.read(n - len(b)) or sys.exit(2)\n"
    "exec(compile(b, 'endpoint', 'exec'))"
)
"""The program given to ``python3 -c``: reads the bundle's length and the bundle, and runs it. Arguments are the TLS 1.3 suites to offer."""


def framed(program: bytes) -> bytes:
    """A program as BOOT reads it: preceded by a line with its length in bytes."""
    return b"%d\n%s" % (len(program), program)
