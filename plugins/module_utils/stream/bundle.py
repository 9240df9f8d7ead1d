# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Packing this package into one text that runs on a node with nothing installed there.

Runs on the controller, and still uses the standard library only.
"""

from __future__ import annotations

import json
import types
import typing as t

# Written out, as Ansible packs with a module only what it sees imported by name.
from . import (
    ciphers,
    clearing,
    connection,
    control,
    digest,
    disks,
    durable,
    endpoint,
    errors,
    extents,
    frames,
    lanes,
    line,
    measure,
    pipes,
    policy,
    probe,
    receiver,
    sample,
    sender,
    suites,
    tls,
    tools,
    work,
)

MODULES: t.Tuple[types.ModuleType, ...] = (
    suites, errors, extents, digest, frames, ciphers, policy, tls, tools, disks, clearing, durable, control, lanes, work, connection, pipes,
    sender, receiver, probe, sample, measure, line, endpoint,
)  # fmt: skip
"""The modules of the endpoint, each after those that it imports."""

BOOT = (
    "import sys; r = sys.stdin.buffer.raw; n = int(r.readline()); b = b''\n"
    "while len(b) < n: b += r.read(n - len(b)) or sys.exit(2)\n"
    "exec(compile(b, 'endpoint', 'exec'))"
)
"""The program given to ``python3 -c``: reads the bundle's length and the bundle, and runs it. Arguments are the TLS 1.3 suites to offer."""

_LOADER = '''\
import json, linecache, sys, types
SOURCES = json.loads({sources!r})
package = types.ModuleType("ganeti_stream")
package.__path__ = []
sys.modules["ganeti_stream"] = package
for name, source in SOURCES.items():
    full = "ganeti_stream." + name
    module = types.ModuleType(full)
    module.__package__ = "ganeti_stream"
    module.__file__ = full
    sys.modules[full] = module
    setattr(package, name, module)
    linecache.cache[full] = (len(source), None, source.splitlines(True), full)
    exec(compile(source, full, "exec"), module.__dict__)
    if name == "suites":  # before another module loads OpenSSL
        module.choose(sys.argv[1:])
sys.exit(sys.modules["ganeti_stream.endpoint"].main())
'''


def bundle() -> bytes:
    """The endpoint as a program, preceded by a line with its length in bytes."""
    sources = {module.__name__.rpartition(".")[2]: _source(module) for module in MODULES}
    program = _LOADER.format(sources=json.dumps(sources)).encode("ascii")
    return b"%d\n%s" % (len(program), program)


def _source(module: types.ModuleType) -> str:
    """The text of one module, be it a file or a member of the archive that Ansible makes of a module."""
    loader = t.cast(t.Any, module.__loader__)
    return str(loader.get_source(module.__name__))
