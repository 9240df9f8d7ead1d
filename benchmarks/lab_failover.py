# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long a cluster is without a master that takes jobs when the master dies under load, and which jobs are lost."""

from __future__ import annotations

import json
import threading
import time
import typing as t

from lab_cluster import Cluster
from nodes import must, on_node
from storage_lab_report import Failover, Lost

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import GanetiError

PATIENCE = 240.0
KEPT = 'cd /var/lib/ganeti/queue; { ls job-* archive/*/job-* | xargs --no-run-if-empty grep --no-filename --only-matching "$1-[0-9]*\\." || true; } 2>/dev/null'
"""Prints the tokens of the load's jobs that a node's queue or archive has."""


def measure(cluster: Cluster, number: int, rate: float, seconds: float) -> Failover:
    """Load the master, kill it, and fail over to the next standby."""
    old, new = cluster.master, NEXT[cluster.master]
    load = Load(cluster, f"load{number}x{int(time.time())}", rate)
    time.sleep(seconds)
    acceptance = Acceptance(cluster, new)
    killed = time.time()
    cluster.power(old, False)
    result = cluster.fail_over(new, fenced=True)
    accepted = acceptance.wait()
    load.end()
    cluster.master = new
    kept = set(must(cluster.host(new), "sh", "-c", KEPT, "sh", load.name).decode().split())
    # What was acknowledged after the command to kill was given, but before it took effect, counts too.
    lost = [Lost(token, killed - when) for token, when in load.acknowledged.items() if token not in kept]
    return Failover(old, new, accepted["accepted"] - killed, result["seconds"], result["steps"], len(load.acknowledged), lost)


def restore(cluster: Cluster, dead: str) -> None:
    """Bring the dead node back, and have all stand by again."""
    cluster.bring_back(dead)
    cluster.clear()
    cluster.couchdb(len(cluster.standbys()))


NEXT = {"a1": "a2", "a2": "a3", "a3": "a1"}
"""Who is the master after whom, so that three rounds end where they began."""


class Load:
    """Jobs that are submitted on the master, and what it acknowledged, kept here."""

    def __init__(self, cluster: Cluster, name: str, rate: float) -> None:
        self.name = name
        self.acknowledged: dict[str, float] = {}
        self._process = cluster.host(cluster.master).popen([*on_node("load"), str(rate), name])
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        try:
            for line in self._process:
                _number, token, when = line.split()
                self.acknowledged[token.decode()] = float(when)
        except (GanetiError, ValueError):
            return  # the node died, perhaps in the middle of a line, as is intended; what it had told is what counts

    def end(self) -> None:
        """The node is dead; let what it had sent come to an end."""
        self._process.kill()
        self._reader.join(30)
        if not self.acknowledged:
            raise RuntimeError(f"No job was acknowledged before the master died: {self._process.stderr.decode()[-500:]}")


class Acceptance:
    """A client that tries, on the new master, until a job is accepted."""

    def __init__(self, cluster: Cluster, node: str) -> None:
        self._process = cluster.host(node).popen([*on_node("acceptance"), str(PATIENCE)])

    def wait(self) -> dict[str, t.Any]:
        """When it was."""
        line = next(iter(self._process), b"")
        if not line:
            self._process.wait(10)
            raise RuntimeError(f"No job was accepted: {self._process.stderr.decode()[-500:]}")
        return t.cast("dict[str, t.Any]", json.loads(line))
