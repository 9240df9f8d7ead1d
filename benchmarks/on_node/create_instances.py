# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""On the master: creates instances without disks, one job each, all submitted at once, and prints each job's times.

Arguments: how many, and the nodes for them, as JSON. The times are those in the jobs' files. The instances are removed afterwards, by one job.
"""

from __future__ import annotations

import json
import sys
import time

sys.path[:0] = ["/usr/share/ganeti/default"]

from ganeti import cli, opcodes  # type: ignore[import-not-found]  # noqa: E402

PATIENCE = 900.0
FIELDS = ["status", "received_ts", "start_ts", "end_ts", "opexec", "opresult"]
PARAMETERS = {"maxmem": 16, "minmem": 16, "vcpus": 1}


def seconds(stamp: list) -> float:  # type: ignore[type-arg]
    """A time of Ganeti's, which is seconds and microseconds."""
    return float(stamp[0]) + float(stamp[1]) / 1e6


def finished(client: object, numbers: list) -> list:  # type: ignore[type-arg]
    """Wait for jobs; their fields. One call asks for all, and seldom: asking costs the master, too."""
    deadline = time.monotonic() + PATIENCE
    while True:
        rows = client.QueryJobs(numbers, FIELDS)  # type: ignore[attr-defined]
        if all(row[0] in ("success", "error", "canceled") for row in rows):
            return rows  # type: ignore[no-any-return]
        if time.monotonic() > deadline:
            raise SystemExit(f"Jobs are still open after {PATIENCE:.0f} s")
        time.sleep(0.5)


def main() -> None:
    """Create, ask, remove."""
    count, nodes = int(sys.argv[1]), json.loads(sys.argv[2])
    client = cli.GetClient()
    names = [f"bench{number}.lab.example" for number in range(1, count + 1)]
    numbers = []
    for place, name in enumerate(names):
        create = opcodes.OpInstanceCreate(
            instance_name=name, mode="create", disk_template="diskless", disks=[], nics=[], os_type="noop", no_install=True, start=False,
            name_check=False, ip_check=False, conflicts_check=False, wait_for_sync=False, pnode=nodes[place % len(nodes)], hypervisor="fake",
            beparams=PARAMETERS,
        )  # fmt: skip
        numbers.append(client.SubmitJob([create]))
    rows = finished(client, numbers)
    failed = [row for row in rows if row[0] != "success"]
    if failed:
        raise SystemExit(f"{len(failed)} of {count} creations failed, the first with {failed[0][5]}")
    print(json.dumps([{"received": seconds(row[1]), "start": seconds(row[2]), "exec": seconds(row[4][0]), "end": seconds(row[3])} for row in rows]))
    sys.stdout.flush()
    removal = client.SubmitJob([opcodes.OpInstanceRemove(instance_name=name, ignore_failures=False, shutdown_timeout=0) for name in names])
    if finished(client, [removal])[0][0] != "success":
        raise SystemExit("The instances could not be removed")


main()
