# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Measures the stream beside Ganeti's own pipeline, nbdcopy and cp, between two nodes of the lab.

Run it with ``make bench-move``. It writes docs/bench-move.{json,md,svg}. The
contenders take turns on the same disks; a contender that takes long runs fewer
times. Every copy is compared with its source; one that differs makes this fail,
a slow one never does.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
import types
import typing as t
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

for _name, _path in (("ansible_collections", []), ("ansible_collections.ganeti", []), ("ansible_collections.ganeti.cluster", [str(ROOT)])):
    _module = types.ModuleType(_name)
    _module.__path__ = _path
    sys.modules.setdefault(_name, _module)

from ansible_collections.ganeti.cluster.plugins.module_utils.api.ssh import SshHost  # noqa: E402
from ansible_collections.ganeti.cluster.plugins.module_utils.move.certificates import identities  # noqa: E402
from ansible_collections.ganeti.cluster.plugins.module_utils.move.nodes import Transfer, ask  # noqa: E402
from ansible_collections.ganeti.cluster.plugins.module_utils.move.progress import Progress  # noqa: E402

MIB = 1024 * 1024
PORT = 7400
RUNS = 3
ENOUGH = 10.0
"""Seconds of one contender on one disk after which it does not run again."""

MOVE = "0123456789abcdef"
GANETI_CN = "ganeti.example.com"

# What Ganeti would run, from its own classes; only the descriptors are ours and the certificate carries the name that 3.0.2 expects.
GANETI_END = """
import json, os, subprocess, sys, types
sys.path.insert(0, "/usr/share/ganeti/default")
from ganeti import constants, impexpd, utils
from ganeti.storage import base
ask = json.loads(sys.argv[1])
device = types.SimpleNamespace(dev_path=ask["path"], size=ask["size"] // 1048576, minor=1)
take, give = ask["mode"] == "import", ask["mode"] == "export"
options = types.SimpleNamespace(
    key=ask["pem"], cert=ask["pem"], ca=ask["pem"], bind=None, ipv4=True, ipv6=False, port=ask["port"], host=ask["host"], magic="benchmark",
    compress=ask["tool"], connect_timeout=20, connect_retries=10, exp_size=None,
    cmd_prefix=utils.ShellQuoteArgs(base.BlockDev.Export(device)) + " |" if give else None,
    cmd_suffix="| " + utils.ShellQuoteArgs(base.BlockDev.Import(device)) if take else None)
null = os.open(os.devnull, os.O_RDWR)
command = impexpd.CommandBuilder(ask["mode"], options, null, null, null).GetCommand()
done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, pass_fds=[null])
sys.stderr.buffer.write(done.stderr)
if take and done.returncode == 0:
    with open(ask["path"], "rb+") as disk:
        os.fsync(disk.fileno())
sys.exit(done.returncode)
"""

# Writes MiB of a node's own files into a disk, in the same order each time, again from the beginning where there are too few.
FILL = """
import os, sys
path, seek, left = sys.argv[1], int(sys.argv[2]) << 20, int(sys.argv[3]) << 20
with open(path, "rb+") as disk:
    disk.seek(seek)
    while left:
        for directory, folders, names in os.walk("/usr"):
            folders.sort()
            for name in sorted(names):
                file = os.path.join(directory, name)
                if left and os.path.isfile(file) and not os.path.islink(file):
                    with open(file, "rb") as stream:
                        left -= disk.write(stream.read(left))
"""


class Place(t.NamedTuple):
    """Where disks lie on both nodes."""

    name: str
    directory: str


class Disk(t.NamedTuple):
    """A disk: its size, and how many MiB of what are on it."""

    name: str
    size: int
    data: int
    random: bool


class Contender(t.NamedTuple):
    """One way to copy: its family and its tool."""

    family: str
    tool: str

    @property
    def name(self) -> str:
        """How tables and plots call it."""
        return self.family if self.tool == "none" else f"{self.family}, {self.tool}"


class Case(t.NamedTuple):
    """One group of measurements."""

    place: Place
    megabits: int | None
    disks: tuple[Disk, ...]
    contenders: tuple[Contender, ...]


MEMORY, STORAGE = Place("tmpfs", "/srv/bench-tmpfs"), Place("disk, fsync", "/srv/bench-disk")
SPARSE = Disk("8 GiB, 1 GiB of data", 8192, 1024, False)
FULL = Disk("2 GiB of files", 2048, 2048, False)
RANDOM = Disk("2 GiB of random bytes", 2048, 2048, True)

STREAM = tuple(Contender("stream", tool) for tool in ("none", "lzop", "zstd", "lz4", "gzip-fast"))
GANETI = tuple(Contender("ganeti", tool) for tool in ("none", "lzop", "gzip-fast"))
OTHERS = (Contender("nbdcopy", "none"), Contender("cp and sync", "none"))
NETWORKED = (*STREAM, *GANETI, OTHERS[0])

CASES = (
    Case(MEMORY, None, (SPARSE, FULL, RANDOM), (*STREAM, *GANETI, *OTHERS)),
    Case(STORAGE, None, (SPARSE, FULL, RANDOM), (*STREAM[:2], *GANETI[:2], *OTHERS)),
    Case(MEMORY, 1000, (SPARSE, FULL, RANDOM), NETWORKED),
)

SHORT = (
    Case(MEMORY, None, (SPARSE,), (*STREAM[:4], *GANETI[:2], *OTHERS)),
    Case(MEMORY, None, (FULL, RANDOM), (*STREAM, *GANETI, *OTHERS)),
    Case(MEMORY, 1000, (SPARSE, FULL), (*STREAM[:3], *GANETI[:2], OTHERS[0])),
    Case(STORAGE, None, (SPARSE, FULL), (STREAM[0], GANETI[0], *OTHERS)),
)


class Bench:
    """The two nodes and what is measured on them."""

    def __init__(self, quick: bool) -> None:
        lab = json.loads((Path(os.environ["GANETI_LAB_DIR"]) / "run/lab.json").read_text())
        self.addresses = {node["name"].split(".")[0]: node["ip"] for cluster in lab["clusters"].values() for node in cluster["nodes"]}
        self.source, self.target = (SshHost(f"{node}.lab.example", {"config_file": lab["ssh_config"]}) for node in ("a3", "b2"))
        self.address = self.addresses["b2"]
        self.scale = 16 if quick else 1
        self.lanes = min(4, *(int(ask(host, {"command": "examine"})["cpus"]) for host in (self.source, self.target)))
        self.results: list[dict[str, t.Any]] = []
        self.failures: list[str] = []

    def prepare(self) -> None:
        """Make the places and the keys."""
        for host in (self.source, self.target):
            must(host, "mkdir", "-p", MEMORY.directory, STORAGE.directory)
            must(host, "mount", "-t", "tmpfs", "-o", "size=11g", "none", MEMORY.directory)
        key = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
        keys = STORAGE.directory

        def make(name: str, subject: str, *more: str) -> None:
            must(self.source, *key, "-subj", f"/CN={subject}", "-keyout", f"{keys}/{name}-key.pem", "-out", f"{keys}/{name}-cert.pem", *more)

        make("ganeti", GANETI_CN)
        make("ca", "bench")
        # Certificates for nbdcopy as well: with a pre-shared key GnuTLS takes a cipher that costs ten times as much.
        authority = ["-CA", f"{keys}/ca-cert.pem", "-CAkey", f"{keys}/ca-key.pem"]
        for end in ("server", "client"):
            make(end, end, *authority, "-addext", f"subjectAltName=IP:{self.address}", "-addext", "basicConstraints=CA:FALSE")
        both = must(self.source, "cat", f"{keys}/ganeti-key.pem", f"{keys}/ganeti-cert.pem")
        must(self.source, "tee", f"{keys}/ganeti.pem", data=both)
        for name in ("ganeti", "ca-cert", "server-cert", "server-key"):
            must(self.target, "tee", f"{keys}/{name}.pem", data=must(self.source, "cat", f"{keys}/{name}.pem"))

    def clean(self) -> None:
        """Leave the nodes as they were."""
        self.limit(None)
        for host in (self.source, self.target):
            host.run(["umount", "--lazy", MEMORY.directory])
            host.run(["rm", "-rf", MEMORY.directory, STORAGE.directory])

    def limit(self, megabits: int | None) -> None:
        """Limit what both nodes send."""
        for host in (self.source, self.target):
            host.run(["tc", "qdisc", "del", "dev", "eth0", "root"])
            if megabits:
                must(host, "tc", "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", f"{megabits}mbit", "burst", "1mb", "latency", "50ms")

    def run(self, cases: t.Iterable[Case]) -> None:
        """Measure all cases."""
        for case in cases:
            for disk in case.disks:
                self.limit(None)
                digest = self.make_disk(case.place, disk)
                self.limit(case.megabits)
                self.measure(case, disk, digest)
                must(self.source, "rm", "-f", f"{case.place.directory}/source")

    def make_disk(self, place: Place, disk: Disk) -> str:
        """Make a disk on the source node; return its SHA-256."""
        path, size, data = f"{place.directory}/source", disk.size // self.scale, disk.data // self.scale
        must(self.source, "truncate", f"--size={size}M", path)
        piece = data if size == data else data // 8
        for number in range(data // piece):
            # Pieces of data lie apart from each other, as on a file system.
            seek = number * (size // (data // piece))
            if disk.random:
                must(self.source, "dd", "if=/dev/urandom", f"of={path}", "bs=1M", f"seek={seek}", f"count={piece}", "conv=notrunc", "status=none")
            else:
                must(self.source, "python3", "-c", FILL, path, str(seek), str(piece))
        must(self.source, "sync", path)
        return must(self.source, "sha256sum", path).decode().split()[0]

    def measure(self, case: Case, disk: Disk, digest: str) -> None:
        """Let the contenders take turns until each has run often or long enough."""
        taken: dict[Contender, list[float]] = {contender: [] for contender in case.contenders}
        allocated: dict[Contender, int] = {}
        for number in range(RUNS):
            for contender, seconds in taken.items():
                if number and (sum(seconds) > ENOUGH or not seconds):
                    continue
                try:
                    seconds.append(self.once(case.place, contender, disk))
                    # Once is enough; the stream compares digests of its own every time.
                    compare = not number and contender.family != "stream"
                    allocated[contender] = self.check(case.place, contender, digest if compare else None)
                except Exception as error:  # noqa: BLE001  # the others are to run all the same; reported at the end
                    self.failures.append(f"{contender.name}, {disk.name}: {error}")
                print(f"{case.place.name}, {case.megabits or 'unlimited'}, {disk.name}, {contender.name}: {seconds[-1:]}", flush=True)
        for contender, seconds in taken.items():
            if seconds:
                row = {"place": case.place.name, "megabits": case.megabits, "disk": disk.name, "contender": contender.name, "family": contender.family}
                self.results.append({**row, "seconds": seconds, "median": statistics.median(seconds), "allocated": allocated.get(contender)})

    def once(self, place: Place, contender: Contender, disk: Disk) -> float:
        """Copy once to a fresh sparse disk; the seconds until the copy is on stable storage."""
        size = disk.size // self.scale * MIB
        target = self.source if contender.family == "cp and sync" else self.target
        must(target, "rm", "-f", f"{place.directory}/target")
        must(target, "truncate", f"--size={size}", f"{place.directory}/target")
        begun = time.monotonic()
        getattr(self, "_" + contender.family.split()[0])(place, contender.tool, size)
        return round(time.monotonic() - begun, 2)

    def check(self, place: Place, contender: Contender, digest: str | None) -> int:
        """Compare a copy with its source where *digest* is given; return the MiB it takes, and remove it."""
        host = self.source if contender.family == "cp and sync" else self.target
        path = f"{place.directory}/target"
        if digest is not None and must(host, "sha256sum", path).decode().split()[0] != digest:
            self.failures.append(f"{contender.name}: the copy differs from its source")
        blocks = int(must(host, "stat", "--format=%b", path))
        must(host, "rm", "-f", path)
        return blocks // 2048

    def _stream(self, place: Place, tool: str, size: int) -> None:
        source, destination = identities(MOVE)
        common = {"move_id": MOVE, "lanes": self.lanes, "tool": tool, "checksum": "crc32", "address": self.address}
        send = {**common, **source._asdict(), "command": "send", "disks": [[f"{place.directory}/source", size]]}
        receive = {**common, **destination._asdict(), "command": "receive", "disks": [[f"{place.directory}/target", size]], "port": 0, "readback": False}
        sent, received = Transfer(Progress(), 120).run(self.target, receive, self.source, send)
        if sent["digests"] != received["digests"]:
            raise RuntimeError("the digests differ")

    def _ganeti(self, place: Place, tool: str, size: int) -> None:
        common = {"size": size, "tool": tool, "port": PORT, "host": self.address, "pem": f"{STORAGE.directory}/ganeti.pem"}
        ends = [
            host.popen(["python3", "-c", GANETI_END, json.dumps({**common, "mode": mode, "path": f"{place.directory}/{path}"})])
            for host, mode, path in ((self.target, "import", "target"), (self.source, "export", "source"))
        ]
        for process in ends:
            if process.wait(600):
                raise RuntimeError(process.stderr.decode("utf-8", "replace")[-300:])

    def _nbdcopy(self, place: Place, tool: str, size: int) -> None:
        tls = ["--tls=require", f"--tls-certificates={STORAGE.directory}", "--tls-verify-peer"]
        server = self.target.popen(["nbdkit", "-f", *tls, "-p", str(PORT), "file", f"{place.directory}/target"])
        try:
            uri = f"nbds://{self.address}:{PORT}/?tls-certificates={STORAGE.directory}"
            for attempt in range(50):
                status, _output, error = self.source.run(
                    ["nbdcopy", "--connections=4", "--threads=4", "--destination-is-zero", "--flush", f"{place.directory}/source", uri], timeout=600
                )
                if not status:
                    return
                if b"refused" not in error or attempt == 49:
                    raise RuntimeError(error.decode("utf-8", "replace"))
                time.sleep(0.05)
        finally:
            self.target.run(["pkill", "nbdkit"])
            server.wait(30)

    def _cp(self, place: Place, tool: str, size: int) -> None:
        must(self.source, "cp", "--sparse=always", f"{place.directory}/source", f"{place.directory}/target")
        must(self.source, "sync", f"{place.directory}/target")


def must(host: SshHost, *argv: str, data: bytes | None = None) -> bytes:
    """Run a command on a node, which must succeed; its standard output."""
    status, output, error = host.run(list(argv), input=data, timeout=600)
    if status:
        raise RuntimeError(f"{argv[0]} on {host.name} ended with {status}: {error.decode('utf-8', 'replace')}")
    return output


def groups(results: list[dict[str, t.Any]]) -> dict[tuple[str, int | None, str], list[dict[str, t.Any]]]:
    """Results by place, network and disk."""
    found: dict[tuple[str, int | None, str], list[dict[str, t.Any]]] = {}
    for row in results:
        found.setdefault((row["place"], row["megabits"], row["disk"]), []).append(row)
    return found


def title(key: tuple[str, int | None, str]) -> str:
    """A group's heading."""
    place, megabits, disk = key
    return f"{disk}, {place}, " + (f"{megabits / 1000:g} Gbit/s" if megabits else "network not limited")


def markdown(results: list[dict[str, t.Any]], machine: str, command: str) -> str:
    """The tables."""
    lines = ["# The stream beside Ganeti's pipeline, nbdcopy and cp", "", f"Made by `{command}` on {machine}.", ""]
    lines += ["Medians of whole copies, from the start of both ends to the copy on stable storage; how often each ran is in the table.",
              "Machines are noisy and shared: look at the ratios. `ganeti` is the pipeline that the installed Ganeti 3.0.2 builds, magic and dd included.",
              "It runs only because its certificate was given the name that 3.0.2 wrongly expects.", ""]  # fmt: skip
    for key, rows in groups(results).items():
        base = next((row["median"] for row in rows if row["contender"] == "ganeti"), None)
        best = min((row["median"] for row in rows if row["family"] == "ganeti"), default=None)
        lines += [f"## {title(key)}", "", "| | seconds | runs | times as fast as Ganeti | as Ganeti's best | MiB allocated |", "|---|---:|---:|---:|---:|---:|"]
        for row in sorted(rows, key=lambda each: each["median"]):
            ratios = " | ".join(f"{reference / row['median']:.1f}" if reference else "" for reference in (base, best))
            lines.append(f"| {row['contender']} | {row['median']:.2f} | {len(row['seconds'])} | {ratios} | {row['allocated']} |")
        lines.append("")
    return "\n".join([*lines, "![The same as a plot](bench-move.svg)", ""])


def plot(results: list[dict[str, t.Any]], path: Path) -> None:
    """The bars."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    colours = {"stream": "#1f77b4", "ganeti": "#d62728", "nbdcopy": "#2ca02c", "cp and sync": "#7f7f7f"}
    found = groups(results)
    columns = 3
    figure, axes = pyplot.subplots(-(-len(found) // columns), columns, figsize=(15, 3.4 * -(-len(found) // columns)), squeeze=False)
    for axis in axes.flat[len(found):]:
        axis.set_visible(False)
    for axis, (key, rows) in zip(axes.flat, found.items()):
        rows = sorted(rows, key=lambda each: -each["median"])
        bars = axis.barh([row["contender"] for row in rows], [row["median"] for row in rows], color=[colours[row["family"]] for row in rows])
        axis.bar_label(bars, fmt="%.1f", padding=2, fontsize=8)
        axis.set_title(title(key), fontsize=9)
        axis.set_xlabel("seconds (median)", fontsize=8)
        axis.tick_params(labelsize=8)
        axis.margins(x=0.15)
    figure.tight_layout()
    figure.savefig(path)


def machine() -> str:
    """What this was measured on."""
    with open("/proc/cpuinfo", encoding="ascii") as stream:
        model = next((line.split(":")[1].strip() for line in stream if line.startswith("model name")), "an unknown processor")
    return f"{os.cpu_count()} cores of {model}, Linux {platform.release()}, {time.strftime('%d %B %Y', time.gmtime())}"


def main() -> int:
    """Measure, write, and fail where a copy was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="disks a sixteenth of their size, to see that all works")
    parser.add_argument("--output", type=Path, default=ROOT / "docs", help="where the results go")
    parser.add_argument("--short", action="store_true", help="a quarter of an hour: fewer contenders where it takes long")
    parser.add_argument("--only", metavar="WORD", help="only contenders whose names hold the word")
    arguments = parser.parse_args()
    bench = Bench(arguments.quick)
    bench.clean()
    try:
        bench.prepare()
        chosen = SHORT if arguments.short else CASES
        if arguments.only:
            chosen = tuple(case._replace(contenders=tuple(each for each in case.contenders if arguments.only in each.name)) for case in chosen)
        bench.run(chosen)
    finally:
        bench.clean()
    command = "make bench-move" + (" BENCH=--short" if arguments.short else "")
    where = machine() + f", {bench.lanes} lanes"
    arguments.output.mkdir(exist_ok=True)
    (arguments.output / "bench-move.json").write_text(json.dumps({"machine": where, "results": bench.results}, indent=1) + "\n")
    (arguments.output / "bench-move.md").write_text(markdown(bench.results, where, command))
    plot(bench.results, arguments.output / "bench-move.svg")
    for failure in bench.failures:
        print(f"FAILED: {failure}", file=sys.stderr)
    return 1 if bench.failures else 0


if __name__ == "__main__":
    sys.exit(main())
