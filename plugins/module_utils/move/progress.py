# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""How fast a copy is, and how long it will take."""

from __future__ import annotations

import time
import typing as t

_MIB = 1024 * 1024


class Meter:
    """Turns byte counts into percent, rates over the last seconds and the time that is left."""

    _WINDOW = 10.0
    _SHORTEST = 0.2
    """Seconds that a rate is taken over at least: what was done in less says nothing about what is to come."""

    def __init__(self, clock: t.Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._samples: t.List[t.Tuple[float, int, int]] = [(clock(), 0, 0)]

    def update(self, done: int, wire: int, total: int) -> t.Dict[str, t.Any]:
        """The figures for an event; rates in MiB/s and the time left in seconds, None where it is too early to tell."""
        now = self._clock()
        self._samples.append((now, done, wire))
        while now - self._samples[0][0] > self._WINDOW and len(self._samples) > 2:
            self._samples.pop(0)
        begin, done_then, wire_then = self._samples[0]
        seconds = now - begin
        percent = min(100, done * 100 // total) if total else 100
        if seconds < self._SHORTEST:
            return {"percent": percent, "logical_rate": None, "wire_rate": None, "eta": None}
        logical, on_wire = (done - done_then) / seconds, (wire - wire_then) / seconds
        return {
            "percent": percent,
            "logical_rate": round(logical / _MIB, 1),
            "wire_rate": round(on_wire / _MIB, 1),
            "eta": round((total - done) / logical) if logical and total > done else None,
        }
