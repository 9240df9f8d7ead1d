# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The two nodes of the lab that benchmarks run on, and the machine that they share."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import sys
import types
import typing as t
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

for _name, _path in (("ansible_collections", []), ("ansible_collections.ganeti", []), ("ansible_collections.ganeti.cluster", [str(ROOT)])):
    _module = types.ModuleType(_name)
    _module.__path__ = _path
    sys.modules.setdefault(_name, _module)

from ansible_collections.ganeti.cluster.benchmarks import report  # noqa: E402
from ansible_collections.ganeti.cluster.plugins.module_utils.api.ssh import SshHost  # noqa: E402

MIB = 1024 * 1024
BASE = "/srv/bench"
KEYS = f"{BASE}/keys"
"""Certificates and keys for Ganeti's pipeline and for nbdkit."""
MOVE = "0123456789abcdef"
GANETI_CN = "ganeti.example.com"
"""The name that 3.0.2 expects in a certificate, whatever the other end is called."""
LONGEST = 900.0
"""Seconds after which a contender is taken for stuck."""
QUICK = 16
"""What --quick divides all sizes by."""

MAKE_KEYS = """
cd "$1"
make() { name=$1; shift; openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout "$name-key.pem" -out "$name-cert.pem" "$@" 2>/dev/null; }
make ganeti -subj "/CN=$2"
cat ganeti-key.pem ganeti-cert.pem >ganeti.pem
make ca -subj /CN=bench
for end in server client; do make $end -subj /CN=$end -CA ca-cert.pem -CAkey ca-key.pem -addext "subjectAltName=IP:$3" -addext basicConstraints=CA:FALSE; done
tar --create ganeti.pem ca-cert.pem server-*.pem client-*.pem
"""
"""Makes, in a directory, Ganeti's certificate and those for nbdkit and nbdcopy; writes them out as an archive."""


class Place(t.NamedTuple):
    """Where disks lie on both nodes."""

    name: str
    directory: str


class Network(t.NamedTuple):
    """How fast the nodes may send; None for as fast as they can."""

    name: str
    megabits: int | None


MEMORY, STORAGE = Place("tmpfs", f"{BASE}/tmpfs"), Place("disk", f"{BASE}/disk")
UNLIMITED, GIGABIT = Network("unlimited", None), Network("1 Gbit/s", 1000)


def must(host: SshHost, *argv: str, data: bytes | None = None) -> bytes:
    """Run a command on a node, which must succeed; its standard output."""
    status, output, error = host.run(list(argv), input=data, timeout=LONGEST)
    if status:
        raise RuntimeError(f"{argv[0]} on {host.name} ended with {status}: {error.decode('utf-8', 'replace').strip()[-500:]}")
    return output


def shell(host: SshHost, script: str, *arguments: str, data: bytes | None = None) -> bytes:
    """Run a script of the shell on a node, which must succeed."""
    return must(host, "sh", "-euc", script, "sh", *arguments, data=data)


def on_node(program: str) -> list[str]:
    """The words that run one of the programs in on_node/; its arguments are to follow."""
    return ["python3", "-I", "-c", (Path(__file__).parent / "on_node" / f"{program}.py").read_text()]


class Nodes:
    """The two nodes: made ready, limited, and left as they were."""

    def __init__(self, source: str, target: str) -> None:
        lab = json.loads((Path(os.environ["GANETI_LAB_DIR"]) / "run/lab.json").read_text())
        found = {node["name"].split(".")[0]: node for cluster in lab["clusters"].values() for node in cluster["nodes"]}
        options = {"config_file": lab["ssh_config"]}
        self.source, self.target = (SshHost(found[name]["name"], options) for name in (source, target))
        self.address = found[target]["ip"]
        self.both = (self.source, self.target)

    def prepare(self, most: int) -> None:
        """Make the places, for disks of up to *most* MiB, and the keys."""
        for host in self.both:
            must(host, "mkdir", "-p", MEMORY.directory, STORAGE.directory, KEYS)
            must(host, "mount", "-t", "tmpfs", "-o", f"size={most + 2048}m", "bench", MEMORY.directory)
        keys = shell(self.source, MAKE_KEYS, KEYS, GANETI_CN, self.address)
        must(self.target, "tar", "--extract", "--directory", KEYS, data=keys)

    def clean(self) -> None:
        """Leave the nodes as they were; each step is tried, whatever became of the others."""
        for host in self.both:
            with contextlib.suppress(Exception):
                host.run(["tc", "qdisc", "del", "dev", "eth0", "root"])
            with contextlib.suppress(Exception):
                shell(host, f"while umount --lazy {MEMORY.directory} 2>/dev/null; do :; done; rm -rf {BASE}")

    def limit(self, network: Network) -> None:
        """Limit what each of the nodes sends, and with that both directions."""
        for host in self.both:
            host.run(["tc", "qdisc", "del", "dev", "eth0", "root"])  # fails where there is no limit yet
            if network.megabits:
                rate = f"{network.megabits}mbit"
                must(host, "tc", "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", rate, "burst", "256kb", "latency", "50ms")

    def versions(self) -> str:
        """The versions of what is measured."""
        packages = ("ganeti", "socat", "openssl", "python3", "nbdkit", "libnbd-bin", "lzop", "lz4", "zstd", "gzip")
        shown = must(self.source, "dpkg-query", "--show", "--showformat=${Package} ${Version}, ", *packages)
        return shown.decode().strip(" ,")


def machine(versions: str) -> report.Machine:
    """What this is measured on, and which versions of what."""
    with open("/proc/cpuinfo", encoding="ascii") as stream:
        model = next((line.split(":")[1].strip() for line in stream if line.startswith("model name")), "unknown processor")
    kernel = f"Linux {platform.release()}"
    return report.Machine(len(os.sched_getaffinity(0)), model, memory("MemTotal"), kernel, versions, os.getloadavg()[0])


def memory(field: str) -> int:
    """A line of /proc/meminfo, in MiB."""
    with open("/proc/meminfo", encoding="ascii") as stream:
        return next(int(line.split()[1]) // 1024 for line in stream if line.startswith(field + ":"))


@contextlib.contextmanager
def alone() -> t.Iterator[None]:
    """Let no other measurement run on this lab; ends the program where one does."""
    with open(Path(os.environ["GANETI_LAB_DIR"]) / "bench.lock", "w", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit("Another measurement runs on this lab.") from None
        yield
