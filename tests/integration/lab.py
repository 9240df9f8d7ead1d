# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab as tests see it: clusters to ask, nodes to run commands on, modules to run through Ansible."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import typing as t
from pathlib import Path

from . import programs
from .luxi import Ganeti, Opcode, shown

ROOT = Path(__file__).resolve().parents[2]
STORAGE = "/srv/ganeti/file-storage"
DOMAIN = "lab.example"
ANSIBLE = str(Path(sys.executable).parent / "ansible")
MIB = 1024 * 1024
LONGEST = 600
"""Seconds that a module may take; far more than any needs."""
# Run on a node: the processes of endpoints there, by pid, with the pids of all that they descend from, whether sshd is among these, and their open files.
# An endpoint's command line holds the mark, and this script's does not.
FIND_ENDPOINTS = """
import json, os
mark = ("sys.stdin." + "buffer.raw; n = int").encode()
def read(pid, name):
    with open(f"/proc/{pid}/{name}", "rb") as stream:
        return stream.read()
def ancestors(pid):
    while pid > 1:
        pid = int(read(pid, "stat").rpartition(b")")[2].split()[1])
        yield pid
def files(pid):
    for number in os.listdir(f"/proc/{pid}/fd"):
        try:
            yield os.readlink(f"/proc/{pid}/fd/{number}")
        except FileNotFoundError:
            pass
found = {}
for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
    try:
        if mark in read(pid, "cmdline"):
            above = [each for each in ancestors(pid) if each > 1]
            watched = any(read(each, "comm").startswith(b"sshd") for each in above)
            found[pid] = {"above": above, "watched": watched, "files": list(files(pid))}
    except (FileNotFoundError, ProcessLookupError):
        pass
print(json.dumps(found))
"""

Result = programs.Result


class Lab:
    """The clusters, described by the file that the lab wrote when it was made."""

    def __init__(self) -> None:
        self.description = json.loads((Path(os.environ["GANETI_LAB_DIR"]) / "run/lab.json").read_text())
        self.run_directory = Path(self.description["run"])
        self._ganeti: t.Dict[str, Ganeti] = {}
        self._releases: t.Dict[str, str] = {}
        # One SSH connection to each node for all commands: to connect takes five times as long as to run one.
        self._sockets = tempfile.mkdtemp(prefix="ganeti-lab-")
        shared = ["-o", "ControlMaster=auto", "-o", f"ControlPath={self._sockets}/%C", "-o", "ControlPersist=600"]
        self.ssh = ["-F", self.description["ssh_config"], *shared]
        # Ansible looks a thousand times a second whether a task has ended, if nobody stops it.
        Path(self._sockets, "ansible.cfg").write_text("[defaults]\ninternal_poll_interval = 0.02\n")
        # Read by the server of programs.py when it starts, so that what runs on nodes takes the same connections.
        os.environ.update(
            ANSIBLE_LOCALHOST_WARNING="false", ANSIBLE_INVENTORY_UNPARSED_WARNING="false", ANSIBLE_SSH_ARGS=" ".join(self.ssh),
            ANSIBLE_PIPELINING="true", ANSIBLE_LOCAL_TEMP=f"{self._sockets}/ansible", ANSIBLE_CONFIG=f"{self._sockets}/ansible.cfg",
        )  # fmt: skip

    def close(self) -> None:
        """Close the connections."""
        for cluster in self.description["clusters"].values():
            for node in cluster["nodes"]:
                self._disconnect(node["name"])
        shutil.rmtree(self._sockets)

    def forget(self, node: str) -> None:
        """Close the connection to a node that has died or started anew."""
        self._disconnect(f"{node}.{DOMAIN}")

    def _disconnect(self, host: str) -> None:
        subprocess.run(["ssh", *self.ssh, "-O", "exit", host], capture_output=True, check=False, timeout=20)

    def cluster(self, name: str) -> Result:
        """The description of a cluster."""
        return t.cast(Result, self.description["clusters"][name])

    def address(self, node: str) -> str:
        """The address of a node."""
        nodes = [each for cluster in self.description["clusters"].values() for each in cluster["nodes"]]
        return next(str(each["ip"]) for each in nodes if each["name"] == f"{node}.{DOMAIN}")

    def ganeti(self, cluster: str) -> Ganeti:
        """A cluster's own socket, on the master that it was made with."""
        if cluster not in self._ganeti:
            self._ganeti[cluster] = Ganeti(functools.partial(self.master, cluster))
        return self._ganeti[cluster]

    def release(self, cluster: str) -> str:
        """The release of Ganeti that a cluster says it runs."""
        if cluster not in self._releases:
            self._releases[cluster] = str(self.ganeti(cluster).call("QueryClusterInfo")["software_version"])
        return self._releases[cluster]

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
        command = ["ssh", *self.ssh, f"{host}.{DOMAIN}", "--", *(quoted(word) for word in argv)]
        done = subprocess.run(command, input=given or "", capture_output=True, text=True, check=False, timeout=LONGEST)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(argv)} on {host} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    def master(self, cluster: str, *argv: str, check: bool = True, given: t.Optional[str] = None) -> str:
        """Run a command on a cluster's master."""
        return self.run(self.cluster(cluster)["master"].split(".")[0], *argv, check=check, given=given)

    def fields(self, cluster: str, instance: str, *fields: str) -> t.Optional[t.List[str]]:
        """Fields of an instance, by the names that gnt-instance has for them, or None where there is no such instance."""
        # Within "&", as luxid takes a name alone for one that must be there.
        rows = self.ganeti(cluster).query("instance", [*fields], ["&", ["=", "name", instance]])
        return next(([shown(sorted(value) if field == "tags" else value) for field, value in zip(fields, row)] for row in rows), None)

    def instances(self, cluster: str) -> t.List[str]:
        """The names of a cluster's instances."""
        return [name for (name,) in self.ganeti(cluster).query("instance", ["name"])]

    def digests(self, node: str, instance: str) -> t.Dict[str, t.Tuple[str, int]]:
        """SHA-256 and allocated KiB of an instance's disks on a node, by the disk's number."""
        lines = self.run(node, "find", f"{STORAGE}/{instance}", "-type", "f", "-printf", "%k ", "-exec", "sha256sum", "{}", ";").splitlines()
        found = (line.split() for line in lines)
        return {path.rpartition("disk")[2]: (digest, int(allocated)) for allocated, digest, path in found}

    def endpoints(self, instance: str, *nodes: str) -> t.List[str]:
        """The processes of endpoints on nodes that have a disk of the instance open, with those that started them."""
        found = []
        for node in nodes:
            there = self._endpoints(node)
            own = {pid for pid, seen in there.items() if any(f"/{instance}" in file for file in seen["files"])}
            own |= {str(above) for pid in own for above in there[pid]["above"] if str(above) in there}
            found += [f"{node}: {pid}" for pid in sorted(own)]
        return found

    def orphans(self, *nodes: str) -> t.List[str]:
        """The processes of endpoints on nodes whose controller is gone."""
        return [f"{node}: {pid}" for node in nodes for pid, seen in self._endpoints(node).items() if not seen["watched"]]

    def _endpoints(self, node: str) -> Result:
        return t.cast(Result, json.loads(self.run(node, "python3", "-I", "-c", FIND_ENDPOINTS)))

    def removal(self, cluster: str, *instances: str) -> t.Optional[int]:
        """The job that removes those of these instances which are there."""
        present = set(self.instances(cluster))
        opcodes: t.List[Opcode] = [
            {"OP_ID": "OP_INSTANCE_REMOVE", "instance_name": name, "shutdown_timeout": 0, "ignore_failures": True} for name in instances if name in present
        ]
        return self.ganeti(cluster).submit(*opcodes) if opcodes else None

    def remove(self, cluster: str, *instances: str) -> None:
        """Remove instances, those that are there."""
        job = self.removal(cluster, *instances)
        if job is not None:
            self.ganeti(cluster).wait(job)

    def module(self, name: str, arguments: Result, host: str = "localhost", options: t.Sequence[str] = ()) -> Result:
        """Run a module of the collection: on a node through Ansible and SSH, on the controller by itself; there too through Ansible where a difference is
        to be shown."""
        if host == "localhost" and "--diff" not in options:
            return programs.result_of(programs.module(name, {**arguments, "_ansible_check_mode": "--check" in options}), LONGEST)
        argv = [host, "-m", f"ganeti.cluster.{name}", *options]
        argv += ["-a", json.dumps(arguments)] if arguments else []
        if host != "localhost":
            argv += ["-i", f"{host},", "-u", "root", "-e", "ansible_python_interpreter=/usr/bin/python3"]
        return parsed(host, programs.output_of(programs.ansible(*argv), LONGEST))


class Site:
    """One cluster, for tests that have it for themselves."""

    def __init__(self, lab: Lab, name: str) -> None:
        self.lab = lab
        self.name = name
        self.full = f"{name}.{DOMAIN}"
        self.hosts = [node["name"] for node in lab.cluster(name)["nodes"]]
        self.nodes = [host.split(".")[0] for host in self.hosts]
        """The short names, the master's first."""
        assert lab.cluster(name)["master"] == self.hosts[0]
        self.ganeti = lab.ganeti(name)
        self.release = lab.release(name)

    def master(self, *argv: str, check: bool = True, given: t.Optional[str] = None) -> str:
        """Run a command on the master."""
        return self.lab.run(self.nodes[0], *argv, check=check, given=given)

    def fields(self, instance: str, *fields: str) -> t.Optional[t.List[str]]:
        """Fields of an instance, or None."""
        return self.lab.fields(self.name, instance, *fields)

    def module(self, name: str, arguments: Result, options: t.Sequence[str] = (), on: int = 0) -> Result:
        """Run a module on a node, the master if nothing else is said."""
        return self.lab.module(name, arguments, self.hosts[on], options)

    def ask(self, module: str, **arguments: t.Any) -> Result:
        """Run a module that only tells, on the master."""
        result = self.module(module, arguments)
        assert not result["failed"] and not result["changed"], result
        return result


def parsed(host: str, output: str) -> Result:
    """A module's result, out of what Ansible shows; the whole of that is in "shown"."""
    found = re.search(rf"^{re.escape(host)} \| (\S+?)!? => (\{{.*^\}})$", output, re.M | re.S)
    assert found, output
    print(output)  # as programs.result_of does
    return {**json.loads(found[2]), "failed": found[1] == "FAILED", "shown": output}


def quoted(word: str) -> str:
    """A word for the remote shell that ssh always uses."""
    return "'" + word.replace("'", "'\\''") + "'"


def eventually(condition: t.Callable[[], object], seconds: float, what: str) -> None:
    """Wait until *condition* holds; fail after *seconds*."""
    deadline, pause = time.monotonic() + seconds, 0.2
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(pause)
        pause = min(2.0, pause * 1.5)  # to look costs more of the processors than to wait


def side_by_side(*calls: t.Callable[[], object]) -> None:
    """Run these at the same time; raise what the first of them that fails raises."""
    failures: t.List[BaseException] = []

    def run(call: t.Callable[[], object]) -> None:
        try:
            call()
        except BaseException as error:  # handed to the caller
            failures.append(error)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
