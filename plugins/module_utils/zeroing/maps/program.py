# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The readers as a program for ``python3`` on a node, which the stream's sender starts with no more than the disks' descriptors."""

from __future__ import annotations

import json
import types
import typing as t

# Written out, as Ansible packs with a module only what it sees imported by name.
from . import btrfs, confine, ext, lvm, main, ntfs, partitions, ranges, signatures, survey, volume, xfs

MODULES: t.Tuple[types.ModuleType, ...] = (ranges, volume, partitions, ext, xfs, ntfs, btrfs, lvm, signatures, survey, confine, main)
"""The modules of the program, each after those that it imports."""

_LOADER = '''\
import json, linecache, sys, types
SOURCES = json.loads({sources!r})
package = types.ModuleType("ganeti_maps")
package.__path__ = []
sys.modules["ganeti_maps"] = package
for name, source in SOURCES.items():
    full = "ganeti_maps." + name
    module = types.ModuleType(full)
    module.__package__ = "ganeti_maps"
    module.__file__ = full
    sys.modules[full] = module
    setattr(package, name, module)
    linecache.cache[full] = (len(source), None, source.splitlines(True), full)
    exec(compile(source, full, "exec"), module.__dict__)
sys.exit(sys.modules["ganeti_maps.main"].main())
'''


def program() -> str:
    """The text of the program."""
    sources = {module.__name__.rpartition(".")[2]: str(t.cast(t.Any, module.__loader__).get_source(module.__name__)) for module in MODULES}
    return _LOADER.format(sources=json.dumps(sources))
