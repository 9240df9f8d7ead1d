# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""On a standby that is to be the master: tries to submit a job until one is accepted, and prints when that was, and how often it tried.

The argument is how many seconds to try.
"""

from __future__ import annotations

import json
import sys
import time

sys.path[:0] = ["/usr/share/ganeti/default"]

from ganeti import cli, errors, opcodes  # type: ignore[import-not-found]  # noqa: E402


def main() -> None:
    """Try. Until the node is the master, Ganeti's client refuses to connect or is not answered."""
    deadline, tried, last = time.monotonic() + float(sys.argv[1]), 0, "there was no time to try"
    while time.monotonic() < deadline:
        tried += 1
        try:
            number = cli.GetClient().SubmitJob([opcodes.OpTestDelay(duration=0.0, on_master=True)])
        except (errors.GenericError, OSError) as error:
            last = f"{type(error).__name__}: {error}"
            time.sleep(0.1)
            continue
        print(json.dumps({"accepted": time.time(), "job": int(number), "tried": tried}))
        return
    raise SystemExit(f"No job was accepted: {last}")


main()
