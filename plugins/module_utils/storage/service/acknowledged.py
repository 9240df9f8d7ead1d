# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Which servers have a job in a state or a later one: what a module asks on the master before it tells anybody of the job (api/acknowledge.py)."""

from __future__ import annotations

import time
import typing as t

from ..drivers import job_status
from ..drivers.documents import Json
from .settings import Settings

_MOMENT = 5.0
"""Seconds that an answer is waited for, so that nobody has to ask again at once."""
_PAUSE = 0.02


def answer(chosen: Settings, request: Json, moment: float = _MOMENT) -> Json:
    """Which servers have the job of the request; when enough have, or after a moment."""
    terms = {"wanted": chosen.acknowledge, "degrade": chosen.degrade, "after": chosen.degrade_after}
    if not chosen.acknowledge:
        return {**terms, "has": [], "others": {}}
    deadline = time.monotonic() + moment
    pause = _PAUSE
    with chosen.open() as storage:
        while True:
            found = {name: lacking(job, request["status"]) for name, job in storage.everywhere(request["job"]).items()}
            has = [name for name, why in found.items() if why is None]
            if len(has) >= chosen.acknowledge or time.monotonic() >= deadline:
                return {**terms, "has": has, "others": {name: why for name, why in found.items() if why is not None}}
            time.sleep(pause)
            pause = min(2 * pause, 0.5)


def lacking(found: t.Union[Json, str, None], wanted: str) -> t.Optional[str]:
    """Why what a server has is not enough, in words; None where it is."""
    if found is None:
        return "has it not"
    if isinstance(found, str):
        return found
    return None if job_status.as_far(found, wanted) else f"has it as {job_status.status(found)}"
