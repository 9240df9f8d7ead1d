# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab as tests see it: nodes to run commands on, instances to make, moves to run through Ansible."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import typing as t
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STORAGE = "/srv/ganeti/file-storage"
ENDPOINT = "[r] = sys.stdin.buffer"
"""What the command lines of endpoints hold, and that of the search itself does not."""
MIB = 1024 * 1024

Result = t.Dict[str, t.Any]


class Lab:
    """The two clusters, described by the file that the lab wrote when it was made."""

    def __init__(self) -> None:
        self.description = json.loads((Path(os.environ["GANETI_LAB_DIR"]) / "run/lab.json").read_text())
        self.run_directory = Path(self.description["run"])
        # One SSH connection to each node for all commands: to connect takes five times as long as to run one.
        self._sockets = tempfile.mkdtemp(prefix="ganeti-lab-")
        shared = ["-o", "ControlMaster=auto", "-o", f"ControlPath={self._sockets}/%C", "-o", "ControlPersist=300"]
        self.ssh = ["-F", self.description["ssh_config"], *shared]

    def close(self) -> None:
        """Close the connections."""
        for cluster in self.description["clusters"].values():
            for node in cluster["nodes"]:
                subprocess.run(["ssh", *self.ssh, "-O", "exit", node["name"]], capture_output=True, check=False, timeout=20)
        shutil.rmtree(self._sockets)

    def forget(self, node: str) -> None:
        """Close the connection to a node that has died or started anew."""
        subprocess.run(["ssh", *self.ssh, "-O", "exit", f"{node}.lab.example"], capture_output=True, check=False, timeout=20)

    def cluster(self, name: str) -> Result:
        """The description of a cluster."""
        return t.cast(Result, self.description["clusters"][name])

    def side(self, which: str, **changes: t.Any) -> Result:
        """A cluster as the module takes it."""
        return {"address": self.cluster(which)["master"], "ssh": {"config_file": self.description["ssh_config"]}, **changes}

    def rapi(self, which: str, **changes: t.Any) -> Result:
        """A cluster as the module takes it, its jobs sent through the remote API."""
        rapi = {
            "username": "ansible",
            "password": Path(self.description["rapi_users"]["ansible"]["password_file"]).read_text().strip(),
            "ca_path": self.cluster(which)["rapi"]["ca"],
            **changes,
        }
        return self.side(which, transport="rapi", address=self.cluster(which)["address"], rapi=rapi)

    def run(self, host: str, *argv: str, check: bool = True, given: t.Optional[str] = None) -> str:
        """Run a command on a node of the lab, with *given* as its input; return its standard output."""
        command = ["ssh", *self.ssh, f"{host}.lab.example", "--", *(quoted(word) for word in argv)]
        done = subprocess.run(command, input=given, capture_output=True, text=True, check=False, timeout=120)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(argv)} on {host} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    def master(self, cluster: str, *argv: str, check: bool = True, given: t.Optional[str] = None) -> str:
        """Run a command on a cluster's master."""
        return self.run(self.cluster(cluster)["master"].split(".")[0], *argv, check=check, given=given)

    def fields(self, cluster: str, instance: str, *fields: str) -> t.Optional[t.List[str]]:
        """Fields of an instance as gnt-instance shows them, or None where there is no such instance."""
        output = self.master(cluster, "gnt-instance", "list", "--no-headers", "--separator=|", "-o", ",".join(("name",) + fields))
        rows = [line.split("|") for line in output.splitlines()]
        return next((row[1:] for row in rows if row[0] == instance), None)

    def digests(self, node: str, instance: str) -> t.Dict[str, t.Tuple[str, int]]:
        """SHA-256 and allocated KiB of an instance's disks on a node, by the disk's number."""
        found = {}
        for path in self.run(node, "find", f"{STORAGE}/{instance}", "-type", "f").split():
            digest = self.run(node, "sha256sum", path).split()[0]
            found[path.rpartition("disk")[2]] = (digest, int(self.run(node, "stat", "--format=%b", path)) // 2)
        return found

    def endpoints(self, *nodes: str) -> t.List[str]:
        """The processes of endpoints that run on nodes."""
        return [f"{node}: {pid}" for node in nodes for pid in self.run(node, "pgrep", "-f", ENDPOINT, check=False).split()]

    def remove(self, cluster: str, instance: str) -> None:
        """Remove an instance, if it is there."""
        if self.fields(cluster, instance, "status") is not None:
            self.master(cluster, "gnt-instance", "remove", "--force", "--shutdown-timeout=0", instance)

    def module(self, name: str, arguments: Result, host: str = "localhost", options: t.Sequence[str] = ()) -> Result:
        """Run a module of the collection as a user would: on the controller, or on a node of the lab through SSH."""
        command = [str(Path(sys.executable).parent / "ansible"), host, "-m", f"ganeti.cluster.{name}", *options]
        command += ["-a", json.dumps(arguments)] if arguments else []
        environment = {**os.environ, "ANSIBLE_LOCALHOST_WARNING": "false", "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false"}
        if host != "localhost":
            environment.update(ANSIBLE_SSH_ARGS=" ".join(self.ssh), ANSIBLE_PIPELINING="true")
            command += ["-i", f"{host},", "-u", "root", "-e", "ansible_python_interpreter=/usr/bin/python3"]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment, check=False, timeout=300)
        return parsed(host, done.stdout + done.stderr)


class Move:
    """A move that runs as a user would run it: Ansible's command, the module on the controller."""

    def __init__(self, lab: Lab, journal: Path, arguments: Result, check_mode: bool = False) -> None:
        self.lines: t.List[str] = []
        values = {"source": lab.side("alpha"), "destination": lab.side("beta"), "journal_directory": str(journal), **arguments}
        command = [str(Path(sys.executable).parent / "ansible"), "localhost", "-m", "ganeti.cluster.instance_move", "-a", json.dumps(values)]
        environment = {**os.environ, "ANSIBLE_LOCALHOST_WARNING": "false", "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false"}
        self.process = subprocess.Popen(
            command + (["--check", "--diff"] if check_mode else []),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, start_new_session=True,
        )  # fmt: skip

    def wait_for(self, words: str, times: int = 1) -> None:
        """Read what is shown until *times* lines have held *words*."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            times -= words in line
            if not times:
                return
        raise AssertionError(f"{words!r} was never shown: {''.join(self.lines)}")

    def result(self) -> Result:
        """Wait for the end; return the module's result."""
        assert self.process.stdout is not None
        self.lines += self.process.stdout.readlines()
        self.process.wait()
        return parsed("localhost", "".join(self.lines))

    def kill(self) -> None:
        """End it as a power failure would: Ansible, its workers, the module."""
        for pid in self._family():
            os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def _family(self) -> t.List[int]:
        """The process and all of its descendants, whatever sessions they are in."""
        parents = {}
        for entry in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = entry.read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            parents[int(entry.parent.name)] = int(fields[1])
        family = [self.process.pid]
        for member in family:
            family += [pid for pid, parent in parents.items() if parent == member]
        return family


def parsed(host: str, output: str) -> Result:
    """A module's result, out of what Ansible shows; the whole of that is in "shown"."""
    found = re.search(rf"^{re.escape(host)} \| (\S+?)!? => (\{{.*^\}})$", output, re.M | re.S)
    assert found, output
    return {**json.loads(found[2]), "failed": found[1] == "FAILED", "shown": output}


def quoted(word: str) -> str:
    """A word for the remote shell that ssh always uses."""
    return "'" + word.replace("'", "'\\''") + "'"


def eventually(condition: t.Callable[[], object], seconds: float, what: str) -> None:
    """Wait until *condition* holds; fail after *seconds*."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.5)
