# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""On the master: submits jobs of which each does nothing, batch by batch, one job a call, and prints how long each batch took.

The argument is a list of the batches' sizes, as JSON. The answer tells, by job, when it was acknowledged, and what this client took of a processor.
"""

from __future__ import annotations

import json
import sys
import time

sys.path[:0] = ["/usr/share/ganeti/default"]

from ganeti import cli, opcodes  # type: ignore[import-not-found]  # noqa: E402


def main() -> None:
    """Submit. The first job is not measured: with it the connection is made, and luxid and the candidates are awake."""
    client = cli.GetClient()
    client.SubmitJob([opcodes.OpTestDelay(duration=0.0, on_master=True)])
    results = []
    for size in json.loads(sys.argv[1]):
        acknowledged = {}
        begun, busy = time.perf_counter(), time.process_time()
        for _each in range(size):
            number = client.SubmitJob([opcodes.OpTestDelay(duration=0.0, on_master=True)])
            acknowledged[int(number)] = time.time()
        seconds, processor = time.perf_counter() - begun, time.process_time() - busy
        results.append({"jobs": size, "seconds": seconds, "processor": processor, "acknowledged": acknowledged})
    print(json.dumps(results))


main()
