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
    boot,
    ciphers,
    clearing,
    connection,
    control,
    dealer,
    digest,
    disks,
    durable,
    endpoint,
    errors,
    extents,
    frames,
    free_space,
    lanes,
    network_rate,
    pipes,
    policy,
    probe,
    receiver,
    sample,
    sender,
    suites,
    tls,
    tool_speed,
    tools,
)
from .boot import BOOT, framed

__all__ = ["BOOT", "MODULES", "bundle", "joined", "text_of"]

MODULES: t.Tuple[types.ModuleType, ...] = (
    suites, boot, errors, extents, digest, frames, ciphers, policy, tls, tools, disks, clearing, durable, control, free_space, lanes, dealer, connection,
    pipes, sender, receiver, probe, sample, tool_speed, network_rate, endpoint,
)  # fmt: skip
"""The modules of the endpoint, each after those that it imports."""

_LOADER = '''\
import json, linecache, sys, types
SOURCES = json.loads({sources!r})
package = types.ModuleType({package!r})
package.__path__ = []
sys.modules[{package!r}] = package
for name, source in SOURCES.items():
    full = {package!r} + "." + name
    module = types.ModuleType(full)
    module.__package__ = {package!r}
    module.__file__ = full
    sys.modules[full] = module
    setattr(package, name, module)
    linecache.cache[full] = (len(source), None, source.splitlines(True), full)
    exec(compile(source, full, "exec"), module.__dict__)
{each}sys.exit(module.main())
'''
_OFFER = '''\
    if name == "suites":  # before another module loads OpenSSL
        module.offer_only(sys.argv[1:])
'''


def bundle() -> bytes:
    """The endpoint as a program, preceded by a line with its length in bytes."""
    return framed(joined("ganeti_stream", MODULES, _OFFER).encode("ascii"))


def joined(package: str, modules: t.Sequence[types.ModuleType], each: str = "") -> str:
    """One text out of modules, each after those that it imports, the last with the program's ``main``; *each* are lines for after a module has run."""
    sources = {module.__name__.rpartition(".")[2]: text_of(module) for module in modules}
    return _LOADER.format(package=package, sources=json.dumps(sources), each=each)


def text_of(module: types.ModuleType) -> str:
    """The text of one module, be it a file or a member of the archive that Ansible makes of a module."""
    loader = t.cast(t.Any, module.__loader__)
    return str(loader.get_source(module.__name__))
