# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's nodes as one cluster of five, with a CouchDB on each, as benchmarks of the storage want it: made, switched, and brought to rest."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import typing as t
from pathlib import Path

from nodes import ROOT, must, on_node, shell

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import GanetiError
from ansible_collections.ganeti.cluster.plugins.module_utils.api.ssh import SshHost

NODES = ("a1", "a2", "a3", "b1", "b2")
VARIABLES = "molecule/backend_storage/variables.yml"
LOCAL = "http://127.0.0.1:5984"
"""Where a node reaches its own server."""
PAUSE = '[["opcode", ["=", "OP_ID", "OP_TEST_DELAY"]]]'
MASTERS = "! test -e /var/lib/ganeti/config.data || cat /var/lib/ganeti/ssconf_master_node"
"""Prints something where there is a cluster."""
CLEAR = """
/usr/lib/ganeti/daemon-util stop ganeti-luxid
while pgrep -f "jqueue/[e]xec" >/dev/null; do sleep 0.1; done
find /var/lib/ganeti/queue -name 'job-*' -delete
/usr/lib/ganeti/daemon-util start ganeti-luxid
until gnt-job list >/dev/null 2>&1; do sleep 0.2; done
"""
"""Takes the files of all jobs away: Ganeti 3.0.2 cannot archive a job that was cancelled before it began, and takes long to end hundreds.
The brackets keep pgrep from finding this very script."""

Json = t.Dict[str, t.Any]


class Cluster:
    """Alpha with all of the lab's nodes."""

    def __init__(self) -> None:
        self._lab = json.loads((Path(os.environ["GANETI_LAB_DIR"]) / "run/lab.json").read_text())
        self._hosts = {name: SshHost(full(name), {"config_file": self._lab["ssh_config"]}) for name in NODES}
        self.password = re.findall(r"name: ganeti\n\s+password: (\S+)", (ROOT / VARIABLES).read_text())[0]
        self.master = must(self._hosts["a1"], "cat", "/var/lib/ganeti/ssconf_master_node").decode().split(".")[0]
        """Which node is the master; a failover changes it."""

    def host(self, name: str) -> SshHost:
        """A node."""
        return self._hosts[name]

    def run(self, *argv: str) -> str:
        """Run a command on the master, which must succeed."""
        return must(self.host(self.master), *argv).decode()

    def program(self, name: str, *arguments: str) -> str:
        """Run one of the programs in on_node/ on the master."""
        return self.run(*on_node(name), *arguments)

    # --- How it comes to be ----------------------------------------------------------------------------------------

    def members(self) -> list[str]:
        """The nodes that it has."""
        return [line.split(".")[0] for line in self.run("gnt-node", "list", "--no-headers", "-o", "name").split()]

    def enlarge(self) -> None:
        """Take the nodes of beta in, which is no more after that."""
        missing = [name for name in NODES if name not in self.members()]
        if shell(self.host("b1"), MASTERS) and "b1" in missing:
            must(self.host("b1"), "gnt-node", "remove", full("b2"))
            shell(self.host("b1"), "gnt-cluster destroy --yes-do-it; /usr/lib/ganeti/daemon-util stop-all")
        key = self.run("cat", "/root/.ssh/id_rsa.pub")
        for name in missing:
            must(self.host(name), "sh", "-c", "cat >>/root/.ssh/authorized_keys", data=key.encode())
            self.run("gnt-node", "add", "--no-ssh-key-check", full(name))

    def equip(self) -> None:
        """Put CouchDB on all nodes, and let the role make it ready: servers, certificates, and the first switch."""
        play("tests/couchdb/lab/place.yml")
        play("playbooks/backend_storage.yml", "-e", "backend_storage_couchdb_mode=primary", "-e", "backend_storage_snapshot_directory=")

    def versions(self) -> str:
        """Of what is measured; ends the program where CouchDB is not the real one."""
        about = json.loads(must(self.host(self.master), "curl", "--silent", "--user", f"ganeti:{self.password}", LOCAL))
        if not about.get("vendor", {}).get("name", "").startswith("The Apache"):
            raise SystemExit("The nodes have the tests' stand-in: figures are made with real CouchDB.")
        ganeti = self.run("dpkg-query", "--show", "--showformat=${Version}", "ganeti")
        return f"Ganeti {ganeti}, CouchDB {about['version']}"

    # --- Where it stores -------------------------------------------------------------------------------------------

    def disk(self, candidates: int) -> None:
        """Files alone, with so many candidates beside the master."""
        self._switch({"storage": "disk"})
        self._candidates(candidates)

    def couchdb(self, standbys: int) -> None:
        """CouchDB, with so many standbys and no candidate. Without a standby the module refuses `primary`, so there the pool is made by hand."""
        used = [self.master, *self.standbys()[:standbys]]
        servers = [
            {"node": full(name), "url": f"https://{full(name)}:6984", "username": "ganeti", "password": self.password, "ca_path": "/etc/ganeti/couchdb-ca.pem"}
            for name in used
        ]
        self._switch({"storage": "couchdb", "couchdb_mode": "primary" if standbys else "mirror", "servers": servers})
        self._candidates(0)

    def standbys(self) -> list[str]:
        """All nodes that could be the master but are not, in the order in which they become standbys."""
        return [name for name in NODES if name != self.master]

    def _switch(self, arguments: Json) -> None:
        result = module("backend_storage", arguments, full(self.master), self._lab["ssh_config"])
        if result["failed"]:
            raise RuntimeError(f"backend_storage failed: {result['msg']}")

    def _candidates(self, count: int) -> None:
        self.program("set_candidates", str(count), json.dumps([full(name) for name in self.standbys()]))

    # --- Rest ------------------------------------------------------------------------------------------------------

    def tidy(self) -> None:
        """Take away what an earlier run may have left."""
        self.alone()
        self.clear()
        self.pause(False)
        left = [name for name in self.run("gnt-instance", "list", "--no-headers", "-o", "name").split() if name.startswith("bench")]
        for name in left:
            self.run("gnt-instance", "remove", "--force", "--shutdown-timeout=0", name)

    def clear(self) -> None:
        """Empty the queue, where there are no candidates, which would keep the files."""
        shell(self.host(self.master), CLEAR)

    def pause(self, paused: bool) -> None:
        """Whether jobs that do nothing stay in the queue: so that no process of a job takes a share of the processors while others are submitted."""
        for each in self.run("gnt-filter", "list", "--no-headers", "-o", "uuid").split():
            self.run("gnt-filter", "delete", each)
        if paused:
            self.run("gnt-filter", "add", f"--predicates={PAUSE}", "--action=PAUSE")

    def alone(self) -> None:
        """Have no candidates, whichever way it stores."""
        self._candidates(0)

    # --- Failover --------------------------------------------------------------------------------------------------

    def power(self, name: str, on: bool) -> None:
        """End a node as a power failure does, or start it again."""
        command = [os.environ["GANETI_LAB_ENGINE"], "start" if on else "kill", *([] if on else ["--signal=KILL"]), full(name)]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        self.host(name).close()

    def fail_over(self, new: str, **arguments: t.Any) -> Json:
        """Run the module on the controller; its result."""
        ssh = {"config_file": self._lab["ssh_config"]}
        result = module("master_failover", {"new_master": full(new), "ssh": ssh, **arguments}, "localhost", self._lab["ssh_config"])
        if result["failed"]:
            raise RuntimeError(f"master_failover failed: {result['msg']}")
        return result

    def bring_back(self, name: str) -> None:
        """Start a dead node, and add it again."""
        self.power(name, True)
        self._answers(name, 90)
        key = self.run("cat", "/root/.ssh/id_rsa.pub")
        must(self.host(name), "sh", "-c", "cat >>/root/.ssh/authorized_keys", data=key.encode())
        self.run("gnt-node", "add", "--readd", "--no-ssh-key-check", full(name))

    def _answers(self, name: str, seconds: float) -> None:
        """Wait for its node daemon. That all of its units have started cannot be waited for: it takes itself for the master, and starts in vain."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                if self.host(name).run(["ss", "-Hltn", "sport = :1811"], timeout=10)[1]:
                    return
            except GanetiError:
                self.host(name).close()
            if time.monotonic() > deadline:
                raise RuntimeError(f"{name} does not come back within {seconds:.0f} s.")
            time.sleep(0.5)

    def close(self) -> None:
        """Close the connections."""
        for host in self._hosts.values():
            host.close()


def full(name: str) -> str:
    """A node's whole name."""
    return f"{name}.lab.example"


def play(playbook: str, *options: str) -> None:
    """Run a playbook on all nodes, which must succeed."""
    command = [tool("ansible-playbook"), "-i", "molecule/inventory.yml", "-f", str(len(NODES)), playbook]
    command += ["-e", "nodes=alpha:beta", "-e", f"@{VARIABLES}", *options]
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=900)
    if done.returncode:
        raise RuntimeError(f"{playbook} failed:\n{done.stdout[-3000:]}{done.stderr[-1000:]}")


def module(name: str, arguments: Json, host: str, ssh_config: str) -> Json:
    """Run a module of the collection as a user would, on the controller or on a node."""
    command = [tool("ansible"), host, "-m", f"ganeti.cluster.{name}", "-a", json.dumps(arguments)]
    environment = {**os.environ, "ANSIBLE_LOCALHOST_WARNING": "false", "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false"}
    if host != "localhost":
        environment.update(ANSIBLE_SSH_ARGS=f"-F {ssh_config}", ANSIBLE_PIPELINING="true")
        command += ["-i", f"{host},", "-u", "root", "-e", "ansible_python_interpreter=/usr/bin/python3"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment, check=False, timeout=300)
    found = re.search(rf"^{re.escape(host)} \| (\S+?)!? => (\{{.*^\}})$", done.stdout, re.M | re.S)
    if not found:
        raise RuntimeError(f"{name} on {host} gave no result: {(done.stdout + done.stderr)[-2000:]}")
    return {**json.loads(found[2]), "failed": found[1] == "FAILED"}


def tool(name: str) -> str:
    """A program of the virtual environment."""
    return str(Path(sys.executable).parent / name)
