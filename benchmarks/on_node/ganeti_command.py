# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""On a node: prints, as JSON, the command that the installed Ganeti would run to export or import a disk.

The command comes from Ganeti's own classes. Its status pipes have the numbers that pipeline.py gives them.
"""

from __future__ import annotations

import json
import sys
import types

sys.path.insert(0, "/usr/share/ganeti/default")

from ganeti import impexpd, utils  # noqa: E402
from ganeti.storage import base  # noqa: E402

SOCAT, DD, DD_PID = 11, 12, 13


def main() -> None:
    """Answer the request in the first argument."""
    request = json.loads(sys.argv[1])
    device = types.SimpleNamespace(dev_path=request["path"], size=request["mebibytes"], minor=1)
    importing = request["mode"] == "import"
    options = types.SimpleNamespace(
        key=request["pem"], cert=request["pem"], ca=request["pem"], bind=None, ipv4=True, ipv6=False,
        host=None if importing else request["host"], port=request["port"], magic="bench", compress=request["tool"],
        connect_timeout=20, connect_retries=10,
        cmd_prefix=None if importing else utils.ShellQuoteArgs(base.BlockDev.Export(device)) + " |",
        cmd_suffix="| " + utils.ShellQuoteArgs(base.BlockDev.Import(device)) if importing else None,
    )  # fmt: skip
    print(json.dumps(impexpd.CommandBuilder(request["mode"], options, SOCAT, DD, DD_PID).GetCommand()))


main()
