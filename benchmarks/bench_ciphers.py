# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Measures what ciphers and compression tools do to the stream, between two nodes of the lab.

Run it with ``make bench-ciphers``. It writes docs/bench-ciphers.{json,md,svg}. All combinations take turns on the same disk, in
memory, on a network that is not limited, so that encryption and compression decide. Once more, OpenSSL is told that the processor
has no instructions for AES, as the one of Ganeti's design document had none. What each tool and cipher does by itself is measured
with the program that chooses tools for moves. A copy that differs, or has another cipher than it was to have, makes this fail.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import signal
import statistics
import sys
import time
import types
import typing as t
from pathlib import Path

import ciphers_report
import stream
from ciphers_report import AES_128, AES_256, CHACHA, DEFAULT, NULL, Alone, Row
from disks import Disk, Maker, fingerprint
from nodes import MEMORY, MIB, QUICK, ROOT, Nodes, alone, machine, memory, must, shell

from ansible_collections.ganeti.cluster.plugins.module_utils.api import extended
from ansible_collections.ganeti.cluster.plugins.module_utils.move import speed
from ansible_collections.ganeti.cluster.plugins.module_utils.move.nodes import lane_count

DISK = Disk("ciphers", 1024, 1024, 1, "files")
CIPHERS = (
    DEFAULT, "TLS_AES_128_GCM_SHA256", CHACHA, "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256", AES_256, AES_128, NULL,
)  # fmt: skip
TOOLS = ("none", "lz4", "lzop", "zstd")
SLOW_TOOLS = ("gzip-fast", "gzip-slow")
NO_AES = "OPENSSL_ia32cap=~0x200000200000000:~0x20000000000"
"""Hides AES-NI, PCLMULQDQ and VAES; meant for OpenSSL on x86-64."""
SAMPLE_MIB = 64
TURNS = 3


class Plan(t.NamedTuple):
    """A combination to measure, and how often at most."""

    hardware: bool
    cipher: str
    tool: str
    runs: int


PLANS = (
    *(Plan(True, cipher, tool, 3) for cipher in CIPHERS for tool in TOOLS),
    *(Plan(True, DEFAULT, tool, 1) for tool in SLOW_TOOLS),
    *(Plan(False, cipher, "none", 2) for cipher in (DEFAULT, CHACHA, AES_256, AES_128, NULL)),
    *(Plan(False, AES_256, tool, 2) for tool in ("lzop", "gzip-fast", "gzip-slow")),
)


class WithoutAes:
    """A node whose endpoints do not find the processor's instructions for AES."""

    def __init__(self, host: t.Any) -> None:
        self._host = host
        self.name = host.name

    def popen(self, argv: list[str]) -> t.Any:
        """Start a process, as the node does."""
        return self._host.popen(["env", NO_AES, *argv])


def nodes_for(nodes: Nodes, hardware: bool) -> t.Any:
    """The nodes with, or without, the processor's instructions for AES."""
    if hardware:
        return nodes
    source, target = WithoutAes(nodes.source), WithoutAes(nodes.target)
    return types.SimpleNamespace(source=source, target=target, both=(source, target), address=nodes.address)


@contextlib.contextmanager
def bypassing(nodes: Nodes) -> t.Iterator[None]:
    """Let both nodes take any cipher, as the cluster parameter does; they must not have the parameters' file yet."""
    for host in nodes.both:
        shell(host, f"test ! -e {extended.FILE}")
    try:
        for host in nodes.both:
            must(host, "sh", "-euc", f"umask 077; cat >{extended.FILE}", data=extended.encode({"allow_cipher_bypassing": True}))
        yield
    finally:
        for host in nodes.both:
            must(host, "rm", "-f", extended.FILE)


class Bench:
    """The measuring itself."""

    def __init__(self, nodes: Nodes, quick: bool) -> None:
        self._nodes = nodes
        self._quick = quick
        self._lanes = lane_count(None, nodes.both)
        self._source, self._target = f"{MEMORY.directory}/source", f"{MEMORY.directory}/target"
        self.rows = [Row(plan.hardware, plan.cipher, plan.tool) for plan in PLANS]
        self.alone: list[Alone] = []
        self.failures: list[str] = []

    def run(self) -> None:
        """Measure all."""
        maker = Maker(self._nodes.source, self._quick)
        maker.make(DISK, self._source)
        size = maker.size(DISK) * MIB
        digest = fingerprint(self._nodes.source, self._source)["digest"]
        for turn in range(max(plan.runs for plan in PLANS)):
            for plan, row in zip(PLANS, self.rows):
                if turn < plan.runs and not row.failure and not (self._quick and turn):
                    self._copy(plan, row, size, digest if turn == 0 else None)
        self._tools()
        self._ciphers()

    def _copy(self, plan: Plan, row: Row, size: int, digest: str | None) -> None:
        nodes = nodes_for(self._nodes, plan.hardware)
        shell(self._nodes.target, 'rm -f "$1"; truncate --size="$2" "$1"', self._target, str(size))
        try:
            begun = time.monotonic()
            sent = stream.copy(nodes, self._source, self._target, size, plan.tool, self._lanes, [plan.cipher])
            seconds = time.monotonic() - begun
            if {agreed[1] for agreed in sent["tls"]} != {plan.cipher}:
                raise stream.WrongCopy(f"the ends agreed on {sent['tls']}")
            if digest is not None and fingerprint(self._nodes.target, self._target)["digest"] != digest:
                raise stream.WrongCopy("the copy differs from its source")
            row.rates.append(round(size / MIB / seconds, 1))
            row.wire = sent["wire"] / size
        except Exception as error:  # noqa: BLE001  # the others are to run all the same; told at the end
            row.failure = f"{type(error).__name__}: {error}"
            self.failures.append(f"{row.title()}: {row.failure}")
        finally:
            must(self._nodes.target, "rm", "-f", self._target)
        print(f"{row.title()}: {row.failure or format(row.rates[-1], '.0f') + ' MiB/s'}", flush=True)

    def _tools(self) -> None:
        names = [*TOOLS[1:], *SLOW_TOOLS]
        _amount, figures = speed.measure_tools(self._nodes.source, names, self._source, 1, 4 if self._quick else SAMPLE_MIB, TURNS)
        for name, found in figures.items():
            self.alone.append(Alone("tool", True, name, found.compress, found.decompress, found.ratio))
            print(f"{name} alone: {found.compress:.0f} MiB/s in, {found.decompress:.0f} MiB/s back, {found.ratio:.2f} times smaller", flush=True)

    def _ciphers(self) -> None:
        """One connection; both ends share the machine, each with a core of its own."""
        for hardware in (True, False):
            nodes = nodes_for(self._nodes, hardware)
            for cipher in CIPHERS:
                turns = range(1 if self._quick else TURNS)
                rates = [speed.network_rates(nodes.target, nodes.address, 0, nodes.source, 1, [cipher]).encryption for _turn in turns]
                self.alone.append(Alone("cipher", hardware, cipher, round(statistics.median(rates), 1)))
                print(f"{cipher} alone{'' if hardware else ', no AES instructions'}: {self.alone[-1].rate:.0f} MiB/s", flush=True)


def arguments() -> argparse.Namespace:
    """What the user asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"a disk of 1/{QUICK} of its size, one run each, to see that all works; the figures mean nothing")
    parser.add_argument("--output", type=Path, help="where results go; docs/, or a directory beside the lab with --quick")
    asked = parser.parse_args()
    if asked.output is None:
        asked.output = Path(os.environ["GANETI_LAB_DIR"]) / "bench" if asked.quick else ROOT / "docs"
    return asked


def main() -> int:
    """Measure, write, and fail where a copy was wrong."""
    asked = arguments()
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(143))
    if memory("MemAvailable") < 2 * DISK.size + 1024:
        raise SystemExit(f"This needs {(2 * DISK.size + 1024) / 1024:.0f} GiB of free memory; {memory('MemAvailable') / 1024:.1f} GiB are free.")
    with alone():
        nodes = Nodes("a2", "a3")  # of one cluster, as ciphers are chosen only within one
        where, begun = machine(nodes.versions()), time.monotonic()
        bench = Bench(nodes, asked.quick)
        nodes.clean()
        try:
            nodes.prepare(2 * DISK.size)
            with bypassing(nodes):
                bench.run()
        finally:
            nodes.clean()
    command = shlex.join(["make", "bench-ciphers", *(["BENCH=" + shlex.join(sys.argv[1:])] if sys.argv[1:] else [])])
    head = ciphers_report.Head(command, time.monotonic() - begun, asked.quick, where)
    ciphers_report.write(asked.output, bench.rows, bench.alone, head)
    print(f"Results are in {asked.output}/bench-ciphers.*")
    for failure in bench.failures:
        print(f"FAILED: {failure}", file=sys.stderr)
    return 1 if bench.failures else 0


if __name__ == "__main__":
    sys.exit(main())
