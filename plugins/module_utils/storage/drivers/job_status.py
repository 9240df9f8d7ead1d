# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""How far a job has got, by what is stored of it."""

from __future__ import annotations

import typing as t

from .documents import Json

QUEUED, WAITING, RUNNING, CANCELING = "queued", "waiting", "running", "canceling"
FINAL = ("canceled", "error", "success")
FINAL_RANK = 4
"""What has ended."""
RANK: t.Mapping[str, int] = {QUEUED: 0, WAITING: 1, CANCELING: 2, RUNNING: 3, **dict.fromkeys(FINAL, FINAL_RANK)}
"""The status of a job, and of an opcode, never falls in this."""


def status(job: Json) -> str:
    """The status of a job, out of those of its opcodes (Ganeti 3.0: jqueue/__init__.py, CalcStatus).

    The first that is canceling, canceled or failed decides; else the last that waits or runs; else all are queued, or all have succeeded.
    """
    found = QUEUED
    statuses = [each["status"] for each in job["ops"]]
    for each in statuses:
        if each in (CANCELING, "canceled", "error"):
            return str(each)
        if each in (WAITING, RUNNING):
            found = each
    return "success" if all(each == "success" for each in statuses) else found


def as_far(job: Json, wanted: str) -> bool:
    """Whether what is stored of a job is its state of this status, or a later one."""
    return RANK.get(status(job), 0) >= RANK.get(wanted, 0)
