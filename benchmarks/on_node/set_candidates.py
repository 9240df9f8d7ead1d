# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""On the master: has so many candidates beside it, by one job, and no job at all where that is so already.

Arguments: how many, and the other nodes' names in the order in which they become candidates, as JSON. Ganeti neither promotes
nor demotes by itself because the size of its pool has changed.
"""

from __future__ import annotations

import json
import sys

sys.path[:0] = ["/usr/share/ganeti/default"]

from ganeti import cli, opcodes  # type: ignore[import-not-found]  # noqa: E402


def main() -> None:
    """Compare, and change."""
    count, names = int(sys.argv[1]), json.loads(sys.argv[2])
    client = cli.GetClient()
    now = dict(client.QueryNodes(names, ["name", "master_candidate"], False))
    steps = [
        opcodes.OpNodeSetParams(node_name=name, master_candidate=place < count)
        for place, name in enumerate(names) if now[name] != (place < count)
    ]  # fmt: skip
    if steps or client.QueryClusterInfo()["candidate_pool_size"] != count + 1:
        cli.PollJob(client.SubmitJob([opcodes.OpClusterSetParams(candidate_pool_size=count + 1), *steps]), cl=client)


main()
