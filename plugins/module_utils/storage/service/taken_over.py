# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Archived jobs of an earlier master's that no server had told this one of, until a standby came that has them: they become this master's files too.

A master's files are the truth, and what is in the database alone is no job of Ganeti's. So the files come first, and then the database:

1. A job that is in the files' queue is not archived: it is the same job, which ends here as it ends here.
2. A job with an id that was not given out here yet would be in the way of another that will get it. It is put aside, beside those that were in the queue
   before a promotion: people can read it, and Ganeti knows nothing of it.
3. All others have ended, and nobody will be given their ids: they are archived jobs. The follower finds those that were archived here already.
"""

from __future__ import annotations

import os
import typing as t

from ..._errors import StorageFailed
from ..drivers.disk import DiskStorage
from ..drivers.documents import Json
from .promote import ASIDE


def keep(directory: str, jobs: t.Mapping[int, Json]) -> t.FrozenSet[int]:
    """Take them over into Ganeti's directory; the ids of those that are archived there now, and were not before."""
    files = DiskStorage(directory, durable=False, inherit=True)
    if not files.has_queue():
        raise StorageFailed(f"{directory} holds no queue of Ganeti's: see whether it is mounted. {len(jobs)} archived jobs of a standby are taken over then.")
    last = files.last_job()
    ours = frozenset(number for number in jobs if number <= last and not files.holds(number) and not files.holds(number, archived=True))
    files.write_jobs({number: jobs[number] for number in sorted(ours)}, archived=True)
    files.put_aside({number: job for number, job in jobs.items() if number > last}, ASIDE)
    os.sync()
    return ours
