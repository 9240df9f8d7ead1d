# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which targets are met by what bench_storage_lab.py found and, where one is missed, what in the data says why."""

from __future__ import annotations

import typing as t

from storage_lab_report import Found

TIMES, SHARE, UNTIL = 30.0, 0.9, 30.0
"""At least so many times `disk` with two candidates, at least this share of `disk` with none; seconds of a failover, at most."""


def verdicts(found: Found) -> list[str]:
    """A line for each target for which there are figures."""
    return [*submission(found), *failover(found), *losses(found)]


def submission(found: Found) -> t.Iterator[str]:
    """The two targets of the rate, at the largest batch that was measured."""
    if not found.batches:
        return
    jobs = found.sizes()[-1]
    couch, none, two = found.rate("couchdb", 2, jobs), found.rate("disk", 0, jobs), found.rate("disk", 2, jobs)
    if couch and two:
        times = couch / two
        text = f"{_met(times >= TIMES)}: `couchdb` with two standbys takes {times:.0f} times the jobs of `disk` with two candidates; target {TIMES:.0f} times."
        yield text + ("" if times >= TIMES else _ceiling(none, two))
    if couch and none:
        share = couch / none
        text = f"{_met(share >= SHARE)}: `couchdb` with two standbys takes {share:.0%} of the jobs of `disk` with no candidates; target {SHARE:.0%}."
        yield text + ("" if share >= SHARE else _shares(found, jobs, none) + _processors(found))


def _ceiling(none: float | None, two: float) -> str:
    if none is None:
        return ""
    if none / two < TIMES:
        return (
            f" No storage could meet it here: `disk` that copies nothing takes {none / two:.0f} times as many, {1000 / none:.1f} ms a job beside "
            f"{1000 / two:.0f} ms with two candidates."
        )
    return f" `disk` that copies nothing takes {none / two:.0f} times as many, so it is not Ganeti's own rate that limits this."


def _shares(found: Found, jobs: int, none: float) -> str:
    """The shares with other numbers of standbys."""
    rates = {copies: found.rate("couchdb", copies, jobs) for copies in (0, 1)}
    words = [f"{rate / none:.0%} with {'no standby' if not copies else 'one'}" for copies, rate in rates.items() if rate]
    return f" It is {' and '.join(words)}." if words else ""


def _processors(found: Found) -> str:
    """What the nodes take of the machine that they share."""
    rows = {(row.storage, row.copies): row.each() for row in found.processors}
    none, couch = rows.get(("disk", 0)), rows.get(("couchdb", 2))
    if none is None or couch is None:
        return ""
    return (
        f" Master, standbys and their servers share this machine's processors: a job takes {couch:.1f} ms of them, with `disk` {none:.1f} ms "
        "(the table below tells whose they are)."
    )


def failover(found: Found) -> t.Iterator[str]:
    """The time without a master."""
    if not found.failovers:
        return
    worst = max(found.failovers, key=lambda each: each.seconds)
    count = len(found.failovers)
    text = f"{_met(worst.seconds < UNTIL)}: from the kill until a job was accepted, {worst.seconds:.1f} s at most in {count} failovers; target {UNTIL:.0f} s."
    if worst.seconds >= UNTIL:
        step = max(worst.steps, key=lambda each: worst.steps[each])
        text += (
            f" Of that the module took {worst.module:.1f} s, the longest step \"{step}\", {worst.steps[step]:.1f} s; the other "
            f"{worst.seconds - worst.module:.1f} s are before the module's own count begins: the kill, Ansible's start, the checks. They were not told apart."
        )
    yield text


def losses(found: Found) -> t.Iterator[str]:
    """Jobs that were acknowledged and lost: none but the youngest, as far as a standby may be behind."""
    if not found.failovers:
        return
    lost = [each.before for row in found.failovers for each in row.lost]
    total = sum(row.acknowledged for row in found.failovers)
    if not found.behind:
        yield f"{len(lost)} of {total} acknowledged jobs were lost; how far standbys are behind was not measured, so there is nothing to compare that with."
        return
    lag = max(each.most for each in found.behind)
    met = _met(max(lost, default=0.0) <= lag)
    text = f"{met}: {len(lost)} of {total} acknowledged jobs were lost; target none that is older than the lag, {lag:.2f} s at most"
    if lost:
        text += f"; the oldest was acknowledged {max(lost):.2f} s before the kill" if max(lost) > 0 else "; all were acknowledged while the kill was under way"
    yield text + "."


def _met(met: bool) -> str:
    return "Met" if met else "**Missed**"
