# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Putting the master's simple configuration in the place of a node's own, out of a parcel that was copied to it.

Runs on nodes, as text that is given to python3 (program.py: script). The parcel is removed, whatever becomes of it.
"""

from __future__ import annotations

import json
import os
import re

from ..._files import replace

PARCEL = "/var/lib/ganeti/ssconf-of-the-master.json"
"""Texts by their names."""
_NAME = re.compile(r"[-_a-z0-9]+\Z")


def unpack(parcel: str) -> None:
    """Write what is in the parcel beside it; each file appears whole."""
    with open(parcel, encoding="utf-8") as stream:
        os.unlink(parcel)
        values = json.load(stream)
    for name, text in values.items():
        if not _NAME.match(name):
            raise SystemExit(f"no name of the simple configuration: {name!r}")
        replace(os.path.join(os.path.dirname(parcel), f"ssconf_{name}"), text.encode("utf-8"), 0o444)


if __name__ == "__main__":
    unpack(PARCEL)
