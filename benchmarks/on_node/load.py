# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""On the master: submits jobs at a rate without an end, and prints each one's number, token and the time of its acknowledgement, at once.

Arguments: jobs a second, and the load's name, which makes the tokens unlike those of other loads: a new master may give the numbers out again.
"""

from __future__ import annotations

import sys
import time

sys.path[:0] = ["/usr/share/ganeti/default"]

from ganeti import cli, opcodes  # type: ignore[import-not-found]  # noqa: E402


def main() -> None:
    """Submit until the node dies."""
    rate, name = float(sys.argv[1]), sys.argv[2]
    client = cli.GetClient()
    begun, count = time.monotonic(), 0
    while True:
        time.sleep(max(0.0, begun + count / rate - time.monotonic()))
        count += 1
        token = f"{name}-{count}."
        number = client.SubmitJob([opcodes.OpTestDelay(duration=0.1, on_master=True, comment=token)])
        print(number, token, time.time(), flush=True)


main()
