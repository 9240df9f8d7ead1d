# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What bench_storage_lab.py found, as tables in Markdown, with the thesis's figures beside them."""

from __future__ import annotations

from nodes import report
from storage_lab_report import Behind, Creation, Failover, Found, Head, Processors

THESIS = {
    "5.2": 'thesis: "a drop in the throughput of about 8 times" from none to one candidate; more candidates: "no significant performance drop"',
    "5.5": 'thesis: with two candidates "a speedup in the job submission rate at about 7-times"',
    "5.10": 'thesis, no numbers in its text: "the most time is consumed in the Waiting phase", and Queued and Waiting are "quite smaller" with CouchDB',
    "5.11": 'thesis, no numbers in its text: "The performance gap between the two implementations widens as the number of jobs in the cluster increases"',
}
"""Quoted from its text; the curves themselves are pictures. Its Ganeti is 2.7 with CouchDB 1, on five virtual machines of 8 processors each."""


def markdown(found: Found, head: Head, verdicts: list[str]) -> str:
    """All tables."""
    lines = [
        "# Storage in CouchDB, on real Ganeti", "",
        report.made(head.command, head.seconds),
        head.machine.line("All five nodes of the cluster, each with its Ganeti and CouchDB, are containers on it"),
        "Both were measured in turn in one run on one cluster; the idle CouchDB servers run in both. The number behind `disk` is that of master candidates",
        "besides the master, the one behind `couchdb` that of standbys, without candidates (`couchdb_mode: primary`; with 0, `mirror` with a pool of one).", "",
        "![The figures as plots](bench-storage-lab.svg)", "",
    ]  # fmt: skip
    if verdicts:
        lines += ["## Targets", "", *(f"* {verdict}" for verdict in verdicts), ""]
    if head.notes:
        lines += ["## Left out", "", *(f"* {note}" for notes in head.notes.values() for note in notes), ""]
    lines += [*submission(found), *behind(found.behind), *processors(found.processors), *creations(found.creations), *failovers(found.failovers)]
    return "\n".join([line.rstrip() for line in lines]).rstrip() + "\n"


def submission(found: Found) -> list[str]:
    """Rates by batch, and the ratios that the thesis has, too."""
    if not found.batches:
        return []
    sizes, contenders = found.sizes(), found.contenders()
    lines = [
        "## Jobs submitted a second", "",
        "Medians of the runs. One client, one job a call, over LUXI on the master; the jobs stay queued by a filter rule, so that nothing but their submission",
        "takes processors. The batches of a run follow each other, and the queue is emptied between runs. In brackets: the runs. (The thesis submits jobs",
        "that fail at once, concurrently.)", "",
        "| jobs in a batch | " + " | ".join(f"{storage}, {copies}" for storage, copies in contenders) + " |",
        "|---:|" + "---:|" * len(contenders),
    ]  # fmt: skip
    for size in sizes:
        lines.append(f"| {size} | " + " | ".join(_rates(found.rates(*each, size), found.rate(*each, size)) for each in contenders) + " |")
    lines += ["", f"As many times as, at batches of {sizes[-1]}:", "", "| | here | thesis |", "|---|---:|---|"]
    for label, above, below, figure in (
        ("`disk`, none to one candidate", ("disk", 0), ("disk", 1), THESIS["5.2"]),
        ("`disk`, one to two candidates", ("disk", 1), ("disk", 2), THESIS["5.2"]),
        ("`disk`, two to four candidates", ("disk", 2), ("disk", 4), THESIS["5.2"]),
        ("two copies, `couchdb` to `disk`", ("couchdb", 2), ("disk", 2), THESIS["5.5"]),
        ("four copies, `couchdb` to `disk`", ("couchdb", 4), ("disk", 4), ""),
        ("`couchdb` with two standbys to `disk` with no candidates", ("couchdb", 2), ("disk", 0), ""),
    ):
        one, other = found.rate(*above, sizes[-1]), found.rate(*below, sizes[-1])
        if one and other:
            lines.append(f"| {label} | {one / other:.2f} | {figure} |")
    return [*lines, ""]


def _rates(rates: list[float], median: float | None) -> str:
    return "" if median is None else f"{median:.1f} ({len(rates)})"


def behind(rows: list[Behind]) -> list[str]:
    """Lag."""
    if not rows:
        return []
    lines = [
        "## How far a standby is behind", "",
        "Jobs submitted as fast as the master takes them; seconds from each one's acknowledgement to its document in a standby's database.", "",
        "| standbys | jobs | jobs a second | never arrived | median | 99th percentile | most |", "|---:|---:|---:|---:|---:|---:|---:|",
    ]  # fmt: skip
    lines += [f"| {e.standbys} | {e.jobs} | {e.rate:.0f} | {e.missing} | {e.median:.3f} | {e.most99:.3f} | {e.most:.3f} |" for e in rows]
    return [*lines, ""]


def processors(rows: list[Processors]) -> list[str]:
    """Who takes how much of the processors for a job."""
    if not rows:
        return []
    names = sorted({name for row in rows for name in row.programs}, key=lambda name: (name.endswith("others"), name))
    lines = [
        "## What a job takes of the processors", "",
        f"Milliseconds a job, in a batch of {rows[-1].jobs}, as the kernel counts them. All nodes share this machine's processors; on real machines,",
        "what is under `others` is not for the master to pay.", "",
        "| storage, copies | " + " | ".join(names) + " | in all |", "|---|" + "---:|" * (len(names) + 1),
    ]  # fmt: skip
    for row in rows:
        values = [f"{1000 * row.programs.get(name, 0.0) / row.jobs:.2f}" for name in names]
        lines.append(f"| {row.storage}, {row.copies} | " + " | ".join(values) + f" | {row.each():.2f} |")
    return [*lines, ""]


def creations(rows: list[Creation]) -> list[str]:
    """Phases and the whole, both sides beside each other."""
    if not rows:
        return []
    lines = [
        "## Instances created", "",
        "Instances without disks, one job each, all submitted at once and spread over the nodes in turn. Seconds; means of a job's phases out of its own",
        "times: `queued` until its process is started, `waiting` until it has its locks, `running` until its end. `in all` is from the first that is received",
        "to the last that ends. `disk` keeps the client waiting for each submission, so its jobs come later, one by one, and are queued for less; only",
        "`in all` compares the two, and the plot leaves `queued` out.", "",
        f"* {THESIS['5.10']}", f"* {THESIS['5.11']}", "",
        "| instances | storage | queued | waiting | running | in all | disk to couchdb, in all | all received after |",
        "|---:|---|---:|---:|---:|---:|---:|---:|",
    ]  # fmt: skip
    wholes = {(row.storage, row.jobs): row.whole for row in rows}
    for row in sorted(rows, key=lambda each: (each.jobs, each.storage != "disk")):
        disk = wholes.get(("disk", row.jobs))
        ratio = f"{disk / row.whole:.2f}" if disk and row.storage == "couchdb" else ""
        phases = f"{row.queued:.2f} | {row.waiting:.2f} | {row.running:.2f} | {row.whole:.1f}"
        lines.append(f"| {row.jobs} | {row.storage}, {row.copies} | {phases} | {ratio} | {row.submitted:.2f} |")
    return [*lines, ""]


def failovers(rows: list[Failover]) -> list[str]:
    """Each failover."""
    if not rows:
        return []
    lines = [
        "## The master dies", "",
        "Jobs are submitted on the master and run; its container is killed (SIGKILL to all that runs in it), and `master_failover` is run at once with",
        "`fenced: true`, as Ansible's command on the controller. Seconds from the kill to the first job that a client on the new master gets accepted. The",
        "kill takes a while to come about: jobs that were acknowledged after it was ordered have a time below zero.", "",
        "| master | seconds | the module's own | its steps | jobs acknowledged | of these lost | the oldest, acknowledged before the kill |",
        "|---|---:|---:|---|---:|---:|---:|",
    ]  # fmt: skip
    for row in rows:
        steps = ", ".join(f"{step} {seconds:.1f}" for step, seconds in row.steps.items())
        oldest = f"{max(each.before for each in row.lost):.3f} s" if row.lost else ""
        lines.append(f"| {row.old} to {row.new} | {row.seconds:.1f} | {row.module:.1f} | {steps} | {row.acknowledged} | {len(row.lost)} | {oldest} |")
    return [*lines, ""]
