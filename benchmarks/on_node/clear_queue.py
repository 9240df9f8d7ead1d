# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""On the master: cancels all jobs that wait, waits until no job runs, and archives all."""

from __future__ import annotations

import sys
import time

sys.path[:0] = ["/usr/share/ganeti/default"]

from ganeti import cli  # type: ignore[import-not-found]  # noqa: E402

PATIENCE = 300.0


def main() -> None:
    """Empty the queue."""
    client = cli.GetClient()
    deadline = time.monotonic() + PATIENCE
    for number, status in client.QueryJobs(None, ["id", "status"]):
        if status in ("queued", "waiting"):
            client.CancelJob(number)
    while any(status in ("queued", "waiting", "running", "canceling") for _number, status in client.QueryJobs(None, ["id", "status"])):
        if time.monotonic() > deadline:
            raise SystemExit(f"Jobs are still open after {PATIENCE:.0f} s")
        time.sleep(0.2)
    while client.QueryJobs(None, ["id"]):  # each call archives for as long as Ganeti lets it
        if time.monotonic() > deadline:
            raise SystemExit(f"Jobs are not archived after {PATIENCE:.0f} s")
        client.AutoArchiveJobs(-1)


main()
