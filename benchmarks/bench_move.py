# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Measures the stream beside Ganeti's own pipeline, nbdcopy and cp, between two nodes of the lab.

Run it with ``make bench-move``. It writes docs/bench-move.{json,md,svg}. The contenders take turns on the same disks.
Time is measured from the start of the first process, over SSH, until the copy is on stable storage. Every copy is
compared with its source at least once; one that differs, or fails, makes this end with 1 after all the rest was done.
A slow one never does.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import signal
import sys
import time
import typing as t
from pathlib import Path

import stream
from disks import Disk, Maker, fingerprint
from nodes import (
    GIGABIT,
    KEYS,
    LONGEST,
    MEMORY,
    MIB,
    QUICK,
    ROOT,
    STORAGE,
    UNLIMITED,
    Network,
    Nodes,
    Place,
    alone,
    machine,
    memory,
    must,
    on_node,
    shell,
)  # fmt: skip

from ansible_collections.ganeti.cluster.benchmarks import report
from ansible_collections.ganeti.cluster.plugins.module_utils.api.ssh import SshHost, SshProcess
from ansible_collections.ganeti.cluster.plugins.module_utils.move.nodes import lane_count

PORT = 7400


class Contender(t.NamedTuple):
    """A way to copy: who does it, with which tool, where it takes part; on all disks if none are named."""

    family: str
    tool: str
    cases: tuple[str, ...]
    disks: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What tables and plots call it."""
        return self.family if self.family in ("nbdcopy", "cp") else f"{self.family} {self.tool}"


class Case(t.NamedTuple):
    """A place and a network, what takes part under this name, and how often."""

    name: str
    place: Place
    network: Network
    runs: int
    patience: float
    """Seconds that one contender may take with all its runs on a disk; it does not begin another run after that."""
    disks: tuple[str, ...] = ("sparse", "full", "random")


DISKS = (
    Disk("sparse", 8192, 1024, 60, "files"),
    Disk("full", 2048, 2048, 1, "files"),
    Disk("random", 2048, 2048, 1, "random"),
)

CASES = (
    Case("memory", MEMORY, UNLIMITED, 3, 12),
    Case("gigabit", MEMORY, GIGABIT, 2, 7),
    Case("storage", STORAGE, UNLIMITED, 2, 10),
)

ALL, NETWORKED, LOCAL = ("memory", "gigabit", "storage"), ("memory", "gigabit"), ("memory", "storage")
COMPRESSIBLE = ("sparse", "full")
"""gzip takes a minute to find that 2 GiB of random bytes cannot be compressed, and tells nothing by it."""

CONTENDERS = (
    Contender("stream", "none", ALL),
    Contender("ganeti", "none", ALL),
    Contender("nbdcopy", "none", ALL),
    Contender("cp", "none", LOCAL),
    Contender("stream", "lzop", ALL),
    Contender("ganeti", "lzop", ALL),
    Contender("stream", "lz4", ALL),
    Contender("ganeti", "lz4", NETWORKED),
    Contender("stream", "zstd", NETWORKED),
    Contender("ganeti", "zstd", NETWORKED),
    Contender("stream", "gzip-fast", NETWORKED, COMPRESSIBLE),
    Contender("ganeti", "gzip-fast", NETWORKED, COMPRESSIBLE),
)


class Job(t.NamedTuple):
    """What one contender is to copy."""

    place: Place
    tool: str
    mebibytes: int

    @property
    def source(self) -> str:
        """The path of the source's disk on its node."""
        return f"{self.place.directory}/source"

    @property
    def target(self) -> str:
        """The path of the copy on its node."""
        return f"{self.place.directory}/target"


class Way:
    """How a family copies: what is not part of the copying is done when it is made, before the clock runs."""

    def __init__(self, nodes: Nodes, job: Job) -> None:
        self.nodes = nodes
        self.job = job
        self.reader = nodes.target
        """The node on which the copy lies."""
        self.prepare()

    def prepare(self) -> None:
        """Get ready."""

    def copy(self) -> None:
        """Copy; return when the copy is on stable storage. This is what is timed."""
        raise NotImplementedError

    def commands(self) -> list[str]:
        """The commands that copy, for the reader of the results."""
        raise NotImplementedError


class Stream(Way):
    """This collection's stream, its endpoints started and watched as in a move."""

    def prepare(self) -> None:
        self.lanes = lane_count(None, self.nodes.both)

    def copy(self) -> None:
        stream.copy(self.nodes, self.job.source, self.job.target, self.job.mebibytes * MIB, self.job.tool, self.lanes)

    def commands(self) -> list[str]:
        return [f"both ends: python3 -I -c ENDPOINT, {self.lanes} lanes, tool {self.job.tool}, TLS 1.3, CRC-32 a block, SHA-256 over these"]


class Ganeti(Way):
    """The pipeline of the installed Ganeti; its export begins when its import listens, as in an import between clusters."""

    def prepare(self) -> None:
        common = {"mebibytes": self.job.mebibytes, "tool": self.job.tool, "port": PORT, "host": self.nodes.address, "pem": f"{KEYS}/ganeti.pem"}
        self._import = self._command(self.nodes.target, {**common, "mode": "import", "path": self.job.target})
        self._export = self._command(self.nodes.source, {**common, "mode": "export", "path": self.job.source})

    def copy(self) -> None:
        with running(self.nodes.target, [*on_node("pipeline"), self._import, self.job.target]) as receiver:
            expect(receiver, b"listening")
            with running(self.nodes.source, [*on_node("pipeline"), self._export, ""]) as sender:
                succeed(sender)
                succeed(receiver)

    def commands(self) -> list[str]:
        return [f"{end}: {shlex.join(json.loads(command))}" for end, command in (("source", self._export), ("destination", self._import))]

    @staticmethod
    def _command(host: SshHost, request: dict[str, t.Any]) -> str:
        return must(host, *on_node("ganeti_command"), json.dumps(request)).decode()


class Nbdcopy(Way):
    """nbdcopy to nbdkit over mutual TLS. The disk is known to be zeros, and the end is flushed.

    With a pre-shared key in place of certificates GnuTLS takes a cipher that costs ten times as much, and without
    --threads nbdcopy opens only as many connections as there are cores.
    """

    # nbdkit comes back once it listens; it is ended by its number when standard input ends.
    SERVE = 'pid=$1; shift; rm -f "$pid"; nbdkit -P "$pid" "$@"; echo ready; read -r _ || true; until [ -s "$pid" ]; do sleep 0.01; done; kill "$(cat "$pid")"'

    def prepare(self) -> None:
        self._server = ["--tls=require", f"--tls-certificates={KEYS}", "--tls-verify-peer", "-p", str(PORT), "file", self.job.target]
        uri = f"nbds://{self.nodes.address}:{PORT}/?tls-certificates={KEYS}"
        self._client = ["nbdcopy", "--connections=4", "--threads=4", "--destination-is-zero", "--flush", self.job.source, uri]

    def copy(self) -> None:
        with running(self.nodes.target, ["sh", "-euc", self.SERVE, "sh", f"{KEYS}/nbdkit.pid", *self._server]) as server:
            expect(server, b"ready")
            must(self.nodes.source, *self._client)

    def commands(self) -> list[str]:
        return [f"source: {shlex.join(self._client)}", f"destination: {shlex.join(['nbdkit', *self._server])}"]


class Cp(Way):
    """The floor: a copy on the source's node, without network, TLS or checksums."""

    SCRIPT = 'cp --sparse=always "$1" "$2" && sync "$2"'

    def prepare(self) -> None:
        self.reader = self.nodes.source

    def copy(self) -> None:
        shell(self.nodes.source, self.SCRIPT, self.job.source, self.job.target)

    def commands(self) -> list[str]:
        return ["source only: " + self.SCRIPT.replace('"$1"', self.job.source).replace('"$2"', self.job.target)]


WAYS: dict[str, type[Way]] = {"stream": Stream, "ganeti": Ganeti, "nbdcopy": Nbdcopy, "cp": Cp}


@contextlib.contextmanager
def running(host: SshHost, argv: list[str]) -> t.Iterator[SshProcess]:
    """A process on a node, which ends when its standard input does."""
    process = host.popen(argv)
    try:
        yield process
    finally:
        process.kill()


def expect(process: SshProcess, line: bytes) -> None:
    """Wait until a process says *line*."""
    if next(iter(process), b"") != line:
        raise RuntimeError(f"{process.command} on {process.host} did not start: {said(process)}")


def succeed(process: SshProcess) -> None:
    """Wait for the end of a process, which must be good."""
    if process.wait(LONGEST):
        raise RuntimeError(f"{process.command} on {process.host} failed: {said(process)}")


def said(process: SshProcess) -> str:
    """The end of what a process wrote to standard error."""
    process.wait(10)
    return process.stderr.decode("utf-8", "replace").strip()[-1000:]


class Bench:
    """The measuring itself."""

    def __init__(self, nodes: Nodes, maker: Maker, asked: argparse.Namespace, keep: t.Callable[[list[report.Row]], None]) -> None:
        self._nodes = nodes
        self._maker = maker
        self._runs: int | None = asked.runs
        self._only: list[str] = asked.only
        self._keep = keep
        """Writes the results so far, so that a run that is ended early has not been for nothing."""
        self.rows: list[report.Row] = []
        self.failures: list[str] = []

    def run(self) -> None:
        """Measure all, with one disk at a time: memory would not hold them all."""
        for place in (MEMORY, STORAGE):
            for disk in DISKS:
                cases = {case: self._contenders(case, disk) for case in CASES if case.place == place}
                if any(cases.values()):
                    self._on_disk(place, disk, cases)

    def _contenders(self, case: Case, disk: Disk) -> list[Contender]:
        """Who takes part, as far as --only lets them: each of its words must be in the name of a case, disk or contender."""
        if disk.name not in case.disks:
            return []
        able = [each for each in CONTENDERS if case.name in each.cases and disk.name in (each.disks or case.disks)]
        return [each for each in able if all(set(word.split(",")) & {case.name, disk.name, each.family, each.name} for word in self._only)]

    def _on_disk(self, place: Place, disk: Disk, cases: dict[Case, list[Contender]]) -> None:
        path = f"{place.directory}/source"
        self._maker.make(disk, path)
        want = fingerprint(self._nodes.source, path)
        print(f"# {disk.name} on {place.name}: {self._maker.size(disk)} MiB, {want['allocated']:.0f} of them allocated", flush=True)
        try:
            for case, contenders in cases.items():
                self._nodes.limit(case.network)
                self._turns(case, disk, contenders, want)
        finally:
            self._nodes.limit(UNLIMITED)
            must(self._nodes.source, "rm", "-f", path)

    def _turns(self, case: Case, disk: Disk, contenders: list[Contender], want: dict[str, t.Any]) -> None:
        """Let the contenders take turns until each has run often enough or long enough."""
        rows = {each: report.Row(case.place.name, case.network.name, disk.name, each.name, each.family, each.tool, want["allocated"]) for each in contenders}
        for number in range(self._runs or case.runs):
            for contender, row in rows.items():
                if row.failure or sum(row.seconds) > case.patience:
                    continue
                try:
                    self._once(case, disk, contender, row, want["digest"] if number == 0 else None)
                except Exception as error:  # noqa: BLE001  # the others are to run all the same; told at the end
                    row.failure = f"{type(error).__name__}: {error}"
                    self.failures.append(f"{row.title()}: {row.failure}")
                print(f"{row.title()}: {row.failure or format(row.seconds[-1], '.2f') + ' s'}", flush=True)
        self.rows += rows.values()
        self._keep(self.rows)

    def _once(self, case: Case, disk: Disk, contender: Contender, row: report.Row, digest: str | None) -> None:
        """One run: a new, sparse destination, the copy, and a look at it."""
        size = self._maker.size(disk)
        way = WAYS[contender.family](self._nodes, Job(case.place, contender.tool, size))
        target = way.job.target
        row.commands = way.commands()
        shell(way.reader, 'rm -f "$1"; truncate --size="$2M" "$1"', target, str(size))
        self._settle(way)
        try:
            begun = time.monotonic()
            way.copy()
            seconds = time.monotonic() - begun
            found = fingerprint(way.reader, target, with_digest=digest is not None)
        finally:
            must(way.reader, "rm", "-f", target)
        if digest is not None and found["digest"] != digest:
            raise stream.WrongCopy("the copy differs from its source")
        row.seconds.append(round(seconds, 3))
        row.allocated = found["allocated"]
        row.verified = True

    def _settle(self, way: Way) -> None:
        """On storage, begin without anything left to write, and without the source in the page cache: Ganeti's dd would not use it."""
        if way.job.place is STORAGE:
            shell(self._nodes.source, 'dd if="$1" iflag=nocache count=0 status=none; sync --file-system "$1"', way.job.source)


def arguments() -> argparse.Namespace:
    """What the user asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, help="runs of each contender; without it 3 in memory and 2 elsewhere; who takes long runs less often")
    parser.add_argument("--quick", action="store_true", help=f"disks of 1/{QUICK} of their size, to see that all works; the figures mean nothing")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="WORD",
        help="cases (memory, gigabit, storage), disks (sparse, full, random), contenders (stream, 'ganeti lzop', ...); commas between alternatives",
    )  # fmt: skip
    parser.add_argument("--output", type=Path, help="where results go; docs/, or a directory beside the lab with --quick or --only")
    asked = parser.parse_args()
    if asked.output is None:
        asked.output = Path(os.environ["GANETI_LAB_DIR"]) / "bench" if asked.quick or asked.only else ROOT / "docs"
    return asked


def measure(asked: argparse.Namespace, nodes: Nodes, keep: t.Callable[[list[report.Row]], None]) -> Bench:
    """Run all on nodes that are made ready and tidied up again."""
    maker = Maker(nodes.source, asked.quick)
    most = max(maker.size(disk) for disk in DISKS)
    if memory("MemAvailable") < most + most // 4 + 1024:
        raise SystemExit(f"This needs {(most + most // 4 + 1024) / 1024:.0f} GiB of free memory; {memory('MemAvailable') / 1024:.1f} GiB are free.")
    bench = Bench(nodes, maker, asked, keep)
    nodes.clean()
    try:
        nodes.prepare(most)
        bench.run()
    finally:
        nodes.clean()
    return bench


def main() -> int:
    """Measure, write, and fail where a copy was wrong."""
    asked = arguments()
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(143))
    with alone():
        nodes = Nodes("a3", "b2")
        where, begun = machine(nodes.versions()), time.monotonic()
        command = shlex.join(["make", "bench-move", *(["BENCH=" + shlex.join(sys.argv[1:])] if sys.argv[1:] else [])])
        bench = measure(asked, nodes, lambda rows: report.write(asked.output, rows, where, command, asked.quick, time.monotonic() - begun))
    print(f"Results are in {asked.output}/bench-move.*")
    for failure in bench.failures:
        print(f"FAILED: {failure}", file=sys.stderr)
    if not bench.rows:
        print("Nothing was measured: no contender is left by --only.", file=sys.stderr)
    return 1 if bench.failures or not bench.rows else 0


if __name__ == "__main__":
    sys.exit(main())
