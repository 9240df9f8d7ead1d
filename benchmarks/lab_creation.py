# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long batches of instance creations take, and in which phases."""

from __future__ import annotations

import json
import statistics

from lab_cluster import Cluster, full
from storage_lab_report import Creation


def measure(cluster: Cluster, storage: str, copies: int, count: int) -> Creation:
    """Create so many instances at once, spread over the nodes in turn; means of the phases, as in the thesis, and the whole from first to last."""
    nodes = [full(name) for name in cluster.members()]
    jobs = json.loads(cluster.program("create_instances", str(count), json.dumps(nodes)))

    def mean(begin: str, end: str) -> float:
        return statistics.fmean(job[end] - job[begin] for job in jobs)

    whole = max(job["end"] for job in jobs) - min(job["received"] for job in jobs)
    submitted = max(job["received"] for job in jobs) - min(job["received"] for job in jobs)
    return Creation(storage, copies, count, mean("received", "start"), mean("start", "exec"), mean("exec", "end"), whole, submitted)
