# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How fast jobs are submitted, and how far a standby is behind meanwhile."""

from __future__ import annotations

import json
import statistics
import threading
import time

import lab_processors
from lab_cluster import LOCAL, Cluster
from nodes import on_node
from storage_lab_report import Batch, Behind, Processors

from ansible_collections.ganeti.cluster.plugins.module_utils.api.ssh import SshProcess

ARRIVAL = 60.0
"""Seconds that the last job may take to the standby."""
REST = 1.5
"""Seconds after a batch in which its last jobs come to the standbys; what servers take without work is in the figures, too."""
SHORT = 10.0
"""Seconds of a run of batches that is made more than once; who has candidates hardly varies, and has a run a pass."""


def measure(cluster: Cluster, storage: str, copies: int, sizes: list[int], runs: int) -> list[Batch]:
    """Runs of all batches on a cluster that stores so; one alone where it takes long. A run's jobs stay in the queue, on either side; then it is emptied."""
    found: list[Batch] = []
    cluster.pause(True)
    try:
        for _each in range(runs):
            rows = json.loads(cluster.program("submit_jobs", json.dumps(sizes)))
            found += [Batch(storage, copies, each["jobs"], each["seconds"]) for each in rows]
            if sum(each["seconds"] for each in rows) > SHORT:
                break
            cluster.clear()
    finally:
        cluster.alone()
        cluster.clear()
        cluster.pause(False)
    return found


def behind(cluster: Cluster, standbys: int, jobs: int) -> Behind:
    """Submit jobs as fast as the master takes them; how long after its acknowledgement each was in the first standby's database."""
    with_standby = Arrivals(cluster, cluster.standbys()[0])
    cluster.pause(True)
    try:
        (batch,) = json.loads(cluster.program("submit_jobs", json.dumps([jobs])))
        acknowledged = {int(number): when for number, when in batch["acknowledged"].items()}
        deadline = time.monotonic() + ARRIVAL
        while acknowledged.keys() - with_standby.seen.keys() and time.monotonic() < deadline:
            time.sleep(0.2)
    finally:
        with_standby.end()
        cluster.clear()
        cluster.pause(False)
    lags = sorted(with_standby.seen[number] - when for number, when in acknowledged.items() if number in with_standby.seen)
    if not lags:
        raise RuntimeError("No job arrived on the standby.")
    return Behind(standbys, jobs, jobs / batch["seconds"], jobs - len(lags), statistics.median(lags), lags[min(len(lags) - 1, int(0.99 * len(lags)))], lags[-1])


def processors(cluster: Cluster, storage: str, copies: int, jobs: int) -> Processors:
    """Submit jobs; what that took of the processors, with what came after them until standbys were at rest again."""
    cluster.pause(True)
    try:
        before = lab_processors.times()
        (batch,) = json.loads(cluster.program("submit_jobs", json.dumps([jobs])))
        time.sleep(REST)
        programs = lab_processors.spent(before, lab_processors.times(), cluster.run(*lab_processors.NODE).strip())
    finally:
        cluster.clear()
        cluster.pause(False)
    return Processors(storage, copies, jobs, {"client, master": batch["processor"], **programs})


class Arrivals:
    """What the program on the standby tells of jobs that arrive."""

    def __init__(self, cluster: Cluster, standby: str) -> None:
        self.seen: dict[int, float] = {}
        self._process: SshProcess = cluster.host(standby).popen([*on_node("arrivals"), LOCAL, "ganeti", cluster.password])
        self._lines = iter(self._process)
        if next(self._lines, b"") != b"ready":
            self._process.wait(10)
            raise RuntimeError(f"The standby's queue cannot be followed: {self._process.stderr.decode()[-500:]}")
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._lines:
            number, when = line.split()
            self.seen[int(number)] = float(when)

    def end(self) -> None:
        """End it."""
        self._process.stdin.close()
        self._reader.join(30)
        self._process.kill()
