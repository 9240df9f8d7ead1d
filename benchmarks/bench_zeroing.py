# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures what the free space of an aged disk costs a move on the lab: as it is, given back before, or left out.

Run it with ``make bench-zeroing``. It writes docs/bench-zeroing.{json,md,svg}. A KVM instance with an aged ext4 is moved once in each way, always with
the same bytes on its disk. After each move the file system is checked at the destination, and its files are compared with those that were made.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import typing as t
from pathlib import Path

from disks import fingerprint
from lab_moves import NAME, STORAGE, Lab, Moved, timed
from nodes import BASE, ROOT, alone, machine, must, on_node, shell

from ansible_collections.ganeti.cluster.benchmarks import zeroing_report as report

SOURCE, TARGET = "a2", "b1"
SIZE = 4096
"""MiB."""
LONGEST = 1200
"""Seconds for the helper: where nothing is alone on the machine, zeros take their time."""
PLACE = f"{BASE}/zeroing"
AGED, KERNEL, INITRD = (f"{PLACE}/{name}" for name in ("aged", "vmlinuz", "initrd.img"))
IMAGE = Path("~/.cache/ganeti.cluster/zeroing/image").expanduser()
"""Where make zeroing-helper has put it."""
GUEST = "kvm:kernel_path=/boot/vmlinuz-guest,initrd_path=/boot/initrd-guest,root_path=/dev/none,serial_console=true,kernel_args=ro quiet panic=1"
"""The lab's guest leaves a disk alone that it has not made, so that the file system stays as it is."""
USED = """dumpe2fs -h "$1" 2>/dev/null | awk -F: '/^Block count/ { all = $2 } /^Free blocks/ { free = $2 } /^Block size/ { size = $2 }
END { printf "%d", (all - free) * size }'"""
COPY = 'cp --sparse=auto "$1" "$(ls "$2"/*.disk0)"; sync'


def zeroed(method: str) -> dict[str, t.Any]:
    """What a move is told that zeroes before."""
    paths = {"zeroing_kernel_path": KERNEL, "zeroing_initrd_path": INITRD}
    return {"zero_free_space": "yes", "zeroing_method": method, "zeroing_timeout_fixed": LONGEST, **paths}


WAYS: dict[str, dict[str, t.Any]] = {
    report.PLAIN: {},
    report.SKIPPED: {"skip_free_space": True},
    report.DISCARDED: zeroed("discard"),
    report.WRITTEN: zeroed("write"),
}


class Aged(t.NamedTuple):
    """What is on the disk: the bytes in used blocks, the MiB that are allocated for it, and its files' digest."""

    used: int
    allocated: float
    files: dict[str, t.Any]


def prepare(lab: Lab, size: int) -> Aged:
    """Put the aged disk and the helper on the source's node."""
    host = lab.host(SOURCE)
    must(host, "mkdir", "-p", PLACE)
    for path in (KERNEL, INITRD):
        shell(host, 'cat >"$1"', path, data=(IMAGE / Path(path).name).read_bytes())
    must(host, *on_node("age"), AGED, str(size), f"{PLACE}/scratch")
    must(host, "rm", "-r", f"{PLACE}/scratch")
    shell(host, "sync")
    return Aged(int(shell(host, USED, AGED)), fingerprint(host, AGED, False)["allocated"], files(lab, SOURCE, AGED))


def files(lab: Lab, node: str, path: str) -> dict[str, t.Any]:
    """The files on a disk, whose file system must be whole."""
    must(lab.host(node), "e2fsck", "-f", "-n", path)
    return t.cast("dict[str, t.Any]", json.loads(must(lab.host(node), *on_node("digest_files"), path)))


def disk(lab: Lab, node: str) -> str:
    """The file of the instance's disk on a node."""
    return shell(lab.host(node), 'sync; ls "$1"/*.disk0', f"{STORAGE}/{NAME}").decode().strip()


def downtimes(said: t.Mapping[str, list[str]]) -> tuple[float, float]:
    """Seconds in which the instance's own system did not run: for the zeroing, the helper included, and for the copy."""
    times = {word: [float(line.split()[1]) for line in said[SOURCE] if line.startswith(word)] for word in ("up", "down")}
    there = [float(line.split()[1]) for line in said[TARGET] if line.startswith("up")]
    if len(there) != 1 or not times["down"] or len(times["up"]) != len(times["down"]):
        raise RuntimeError(f"The instance did not run at first on {SOURCE} and at last on {TARGET}: {said}")
    return times["up"][-1] - times["down"][0] if len(times["down"]) > 1 else 0.0, there[0] - times["down"][-1]


def told(moved: Moved) -> dict[str, t.Any]:
    """The module's result, as Ansible's command prints it."""
    return t.cast("dict[str, t.Any]", json.JSONDecoder().raw_decode(moved.output.partition(" => ")[2])[0])


def run_once(lab: Lab, asked: t.Mapping[str, t.Any], size: int, aged: Aged) -> report.Run:
    """One move of a new instance with the aged disk."""
    lab.make(SOURCE, size, "-H", GUEST, "-B", "memory=256")
    shell(lab.host(SOURCE), COPY, AGED, f"{STORAGE}/{NAME}")
    lab.start(SOURCE)
    with lab.watched(SOURCE, TARGET) as said:
        moved = timed(lab.move(SOURCE, TARGET, **asked), os.environ["BUILD"])
    result, copy = told(moved), disk(lab, TARGET)
    if files(lab, TARGET, copy) != aged.files:
        raise RuntimeError("The files at the destination are not those of the source.")
    before, away = downtimes(said)
    zeroing = result.get("zeroing", {})
    if zeroing.get("method") != asked.get("zeroing_method"):
        raise RuntimeError(f"It was not zeroed as was asked: {zeroing}")
    return report.Run(
        round(moved.seconds, 2), round(result["copy_seconds"], 2), round(zeroing.get("seconds", 0.0), 2), round(before, 2), round(away, 2),
        result["payload"], result["wire"], fingerprint(lab.host(TARGET), copy, False)["allocated"],
        fingerprint(lab.host(SOURCE), disk(lab, SOURCE), False)["allocated"],
    )  # fmt: skip


def measure(lab: Lab, rows: t.Sequence[report.Row], runs: int, size: int, aged: Aged) -> list[str]:
    """Let the ways take turns; what failed."""
    failures = []
    for number in range(runs):
        for row in rows:
            lab.clean(SOURCE, TARGET)
            try:
                row.runs.append(run_once(lab, WAYS[row.way], size, aged))
                print(f"{number}: {row.way}: {row.runs[-1]}", flush=True)
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                failures.append(f"{row.way}: {error}")
                print(failures[-1], flush=True)
            finally:
                lab.clean(SOURCE, TARGET)
    return failures


def main() -> int:
    """Measure all; 1 where a move failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1, help="how often the disk is moved in each way (1)")
    parser.add_argument("--size", type=int, default=SIZE, help=f"MiB of the disk ({SIZE})")
    parser.add_argument("--shared", action="store_true", help="say that other work ran on the machine meanwhile")
    parser.add_argument("--output", type=Path, default=ROOT / "docs", help="where the results go (docs)")
    asked = parser.parse_args()
    rows = [report.Row(way) for way in WAYS]
    begun, lab = time.monotonic(), Lab()
    with alone():
        about = machine(must(lab.host(SOURCE), "dpkg-query", "--show", "--showformat=${Package} ${Version}", "ganeti").decode())
        try:
            aged = prepare(lab, asked.size)
            print(aged, flush=True)
            failures = measure(lab, rows, asked.runs, asked.size, aged)
        finally:
            lab.host(SOURCE).run(["rm", "-rf", PLACE])
    command = "make bench-zeroing" + (f" BENCH='{' '.join(sys.argv[1:])}'" if sys.argv[1:] else "")
    head = report.Head(command, round(time.monotonic() - begun), asked.shared, about, asked.size, aged.used, aged.allocated, aged.files["files"])
    report.write(asked.output, rows, head)
    print(*failures, sep="\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
