# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cluster whose only copies are CouchDB's: a server on each node, TLS between them, and another node made the master, by plan and after a death.

The tests of this file build on each other, c1, c2 and c3 being the nodes of gamma. At the end c1 is the master again, and gamma as it was.
"""

from __future__ import annotations

import json
import os
import subprocess
import time

import pytest

from . import allot, examples
from .databases import COMPARE
from .lab import ROOT, eventually

pytestmark = pytest.mark.on("gamma")
VARIABLES = ROOT / "molecule/backend_storage/variables.yml"
CHECK = ("python3", "-I", "/usr/local/lib/ganeti-couchdb/service.pyz", "--config", "/etc/ganeti/couchdb.json", "--check")


class Gamma:
    """Gamma with a CouchDB on each node."""

    def __init__(self, lab, site):
        self.lab = lab
        self.site = site
        self.nodes = site.nodes
        self.password = variables()["ganeti"]

    def switch(self, master, mode="primary", options=(), nodes=None):
        """Run the module on the master."""
        servers = [
            {"node": f"{node}.lab.example", "url": f"https://{node}.lab.example:6984", "username": "ganeti", "password": self.password,
             "ca_path": "/etc/ganeti/couchdb-ca.pem"} for node in nodes or self.nodes
        ]  # fmt: skip
        return self.lab.module("backend_storage", {"storage": "couchdb", "couchdb_mode": mode, "servers": servers}, f"{master}.lab.example", options)

    def fail_over(self, to, *options, **arguments):
        """Run the module on the controller."""
        ssh = {"config_file": self.lab.description["ssh_config"]}
        return self.lab.module("master_failover", {"new_master": f"{to}.lab.example", "ssh": ssh, **arguments}, options=options)

    def roles(self, master):
        """What each node is, by Ganeti's letters."""
        rows = self.lab.run(master, "gnt-node", "list", "--no-headers", "--separator=|", "-o", "name,role").split()
        return {row.split(".")[0]: row.split("|")[1] for row in rows}

    def same(self, master):
        """Whether all databases hold what the master's files do."""
        return all(parts == [] for parts in json.loads(self.lab.run(master, "python3", "-I", "-c", COMPARE))["different"].values())

    def jobs(self, node):
        """The jobs that a node has in its files."""
        return set(self.lab.run(node, "find", "/var/lib/ganeti/queue", "-name", "job-*", "-printf", "%f\\n").split())

    def verified(self, master):
        """Whether Ganeti finds nothing to complain of; what its nodes lack for being containers is not counted."""
        return "ERROR" not in self.lab.run(master, "gnt-cluster", "verify", "--error-codes", "--ignore-errors=ENODESETUP", check=False)

    def says(self, node):
        """What the service's check says on a node."""
        return self.lab.run(node, *CHECK, check=False).strip()

    def tag(self, master, tag):
        """Change the configuration."""
        self.lab.run(master, "gnt-cluster", "add-tags", tag)

    def power(self, node, on):
        """End a node as a power failure does, or start it again."""
        engine = os.environ["GANETI_LAB_ENGINE"]
        command = [engine, "start" if on else "kill", *([] if on else ["--signal=KILL"]), f"{node}.lab.example"]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        self.lab.forget(node)


def variables():
    """The passwords by user, out of the scenario's variables, which are simple enough to be read without a parser of YAML."""
    lines = [line.split(": ", 1)[1].strip() for line in VARIABLES.read_text().splitlines() if "name: " in line or "password: " in line]
    return dict(zip(lines[::2], lines[1::2]))


def play(playbook, *options):
    """Run a playbook on gamma; it must succeed."""
    command = ["ansible-playbook", "-i", "molecule/inventory.yml", playbook, "-e", "nodes=gamma", "-e", f"@{VARIABLES}", *options]
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=1200)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def gamma(lab, site):
    """Gamma, switched by the playbook; back to files alone, without CouchDB, at the end."""
    play("tests/couchdb/lab/place.yml")
    play("playbooks/backend_storage.yml", "-e", "backend_storage_couchdb_mode=primary", "-e", "backend_storage_snapshot_directory=")
    yield Gamma(lab, site)
    play("playbooks/backend_storage.yml", "-e", "backend_storage_state=disk")
    play("tests/couchdb/lab/remove.yml")
    for node in site.nodes:
        lab.run(node, "rm", "-rf", "/etc/ganeti/extended-parameters.json", "/etc/ganeti/hooks/node-add-post.d/50-extended-parameters",
                "/usr/local/lib/ganeti-couchdb")  # fmt: skip


def test_copies_are_couchdbs_alone(gamma, ran):
    ran("storage", release=gamma.site.release, backend="couchdb", mode="primary")
    assert gamma.roles("c1") == {"c1": "M", "c2": "R", "c3": "R"} and gamma.verified("c1")
    assert gamma.says("c1").startswith("OK: serial number")
    assert all(gamma.says(node).startswith("OK: c1.lab.example is the master") for node in ("c2", "c3"))
    again = gamma.switch("c1", options=["--diff"])
    assert not again["failed"] and not again["changed"], again
    eventually(lambda: gamma.same("c1"), 120, "all have the same")


def test_refused_before_anything_is_done(gamma):
    result = gamma.fail_over("c9")
    assert result["failed"] and "does not resolve" in result["msg"] and "Traceback" not in result["shown"], result
    strange = gamma.lab.module("backend_storage", {"storage": "couchdb", "couchdb_mode": "primary", "servers": []}, "c1.lab.example")
    assert strange["failed"] and "servers does not name the one of the master" in strange["msg"]
    alone = gamma.switch("c1", nodes=["c1"])
    assert alone["failed"] and "needs the server of a second node" in alone["msg"], alone
    assert gamma.roles("c1") == {"c1": "M", "c2": "R", "c3": "R"}
    assert not gamma.fail_over("c1")["changed"], "it is the master already"


def test_the_examples_run(gamma, tmp_path):
    """Those of the documentation, see test_examples.py."""
    examples.rehearse(gamma.lab, "master_failover", {"node2.example.com": "c2.lab.example"}, "localhost", tmp_path, {})
    assert gamma.roles("c1") == {"c1": "M", "c2": "R", "c3": "R"}, "they only looked"


FENCE = """#!/bin/sh
# Plays a power switch: the test says which node is off, when it has killed it.
test -e "/run/lab-off-$1" || { echo "$1 may be on"; exit 1; }
"""
SILENT = 5


class Watchdog:
    """Gamma's nodes with a watchdog."""

    def __init__(self, gamma):
        self.gamma = gamma
        self.lab = gamma.lab

    def switch(self, enabled):
        """Have the role's entry point for it run on all nodes."""
        chosen = {"enabled": enabled, "fence_command": "/root/lab-fence", "silent_for": SILENT}
        command = ["ansible", "gamma", "-i", "molecule/inventory.yml", "-m", "ansible.builtin.include_role",
                   "-a", "name=ganeti.cluster.backend_storage tasks_from=watchdog", "-e", json.dumps({"backend_storage_watchdog": chosen})]  # fmt: skip
        done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=600)
        assert done.returncode == 0, done.stdout + done.stderr

    def told(self, master):
        """What each node's watchdog says, by the module on the master."""
        found = self.gamma.lab.module("backend_storage_info", {}, f"{master}.lab.example")
        return {name.split(".")[0]: each for name, each in found["watchdog"].items()}

    def takeovers(self, nodes):
        """What became of takeovers, by the nodes that have tried one."""
        said = {node: self.lab.run(node, "cat", "/var/lib/ganeti/watchdog-takeover", check=False) for node in nodes}
        return {node: json.loads(text)["said"] for node, text in said.items() if text}

    def accepts(self, node):
        """Whether a node runs jobs as the master."""
        self.lab.run(node, "gnt-debug", "delay", "0.1", check=False)
        return self.lab.run(node, "gnt-job", "list", "--no-headers", "-o", "status", check=False).split()[-1:] == ["success"]


@pytest.fixture
def watchdog(gamma):
    """Armed on all nodes, and gone afterwards."""
    made = Watchdog(gamma)
    for node in gamma.nodes:
        gamma.lab.run(node, "sh", "-c", "cat >/root/lab-fence && chmod 0755 /root/lab-fence", given=FENCE)
    made.switch(True)
    yield made
    made.switch(False)
    for node in gamma.nodes:
        gamma.lab.run(node, "sh", "-c", "rm -f /root/lab-fence /run/lab-off-* /var/lib/ganeti/watchdog-takeover")


def test_the_watchdog_replaces_a_dead_master_by_itself(gamma, watchdog, record_property):
    """Nobody has ordered it; the time is from the kill. Without the proof it does not."""
    expected = {"c1": ("master", True), "c2": ("alive", True), "c3": ("alive", True)}
    eventually(lambda: {node: (each["sees"], each["armed"]) for node, each in watchdog.told("c1").items()} == expected, 60, "all watch, and are armed")
    gamma.tag("c1", "before-the-kill")
    for node in ("c2", "c3"):
        eventually(lambda node=node: json.loads(gamma.lab.run(node, *CHECK[:-1], "--survey"))["serial"] >= serial(gamma, "c1"), 120, "it has heard")
    killed = time.monotonic()
    gamma.power("c1", False)
    eventually(lambda: "c1.lab.example may be on" in " ".join(watchdog.takeovers(["c2", "c3"]).values()), 120, "one says that there is no proof")
    assert {gamma.lab.run(node, "cat", "/var/lib/ganeti/ssconf_master_node").strip() for node in ("c2", "c3")} == {"c1.lab.example"}
    for node in ("c2", "c3"):
        gamma.lab.run(node, "touch", "/run/lab-off-c1.lab.example")
    proven = time.monotonic()
    eventually(lambda: "is the master instead of c1.lab.example" in " ".join(watchdog.takeovers(["c2", "c3"]).values()), 240, "one has become the master")
    (new,) = [node for node, said in watchdog.takeovers(["c2", "c3"]).items() if "is the master instead" in said]
    eventually(lambda: watchdog.accepts(new), 60, "it runs jobs")
    record_property("watchdog_seconds", f"{time.monotonic() - killed:.1f} from the kill, {time.monotonic() - proven:.1f} from the proof")
    other = "c3" if new == "c2" else "c2"
    assert gamma.roles(new) == {"c1": "O", new: "M", other: "R"}
    assert "before-the-kill" in gamma.lab.run(new, "gnt-cluster", "list-tags")
    status = ("cat", "/run/ganeti-couchdb/status.json")  # the check speaks of the dead one as well
    eventually(lambda: json.loads(gamma.lab.run(new, *status))["state"] == "following", 240, "its service follows")
    eventually(lambda: "--arm" in watchdog.told(new)[other]["says"] and not watchdog.told(new)[other]["armed"], 60, "nobody acts again")
    gamma.power("c1", True)
    come_back(gamma, new, "c1")
    assert gamma.fail_over("c1")["changed"] and gamma.roles("c1") == {"c1": "M", "c2": "R", "c3": "R"}
    gamma.lab.run("c1", "gnt-cluster", "remove-tags", "before-the-kill")
    assert gamma.verified("c1")


def test_by_plan_nothing_is_lost(gamma):
    """Jobs are running and queued; the instance is not touched."""
    name = allot.names()[3]
    gamma.lab.run("c1", "gnt-instance", "add", "-t", "diskless", "-o", "noop", "--no-install", "-n", "c3.lab.example", "-B", "memory=64", "--no-ip-check",
                  "--no-name-check", "--no-nics", name)  # fmt: skip
    gamma.lab.run("c1", "gnt-instance", "start", name)
    for _each in range(10):
        gamma.lab.run("c1", "gnt-debug", "delay", "--submit", "1")
    jobs = set(gamma.lab.run("c1", "gnt-job", "list", "--no-headers", "-o", "id").split())
    rehearsed = gamma.fail_over("c2", "--check", "--diff")
    assert rehearsed["changed"] and gamma.roles("c1")["c1"] == "M", rehearsed
    result = gamma.fail_over("c2", "--diff")
    assert result["changed"] and not result["failed"] and result["source"] == "couchdb", result
    assert (result["old_master"], result["master"]) == ("c1.lab.example", "c2.lab.example")
    assert gamma.roles("c2") == {"c1": "R", "c2": "M", "c3": "R"} and gamma.verified("c2")
    assert len(jobs) > 10 and jobs <= set(gamma.lab.run("c2", "gnt-job", "list", "--no-headers", "-o", "id").split())
    assert gamma.lab.run("c2", "gnt-instance", "list", "--no-headers", "-o", "name,status", name).split() == [name, "running"]
    eventually(lambda: gamma.says("c2").startswith("OK: serial number"), 240, "the service has moved")
    eventually(lambda: gamma.says("c1").startswith("OK: c2.lab.example is the master"), 120, "the old one rests")
    eventually(lambda: gamma.same("c2"), 120, "all have the same")
    assert gamma.lab.run("c2", "ls", "/run/ganeti-failover.pyz", check=False) == ""
    assert not gamma.fail_over("c2")["changed"]
    gamma.lab.run("c2", "gnt-instance", "remove", "--force", "--shutdown-timeout=0", name)


@pytest.fixture(scope="module")
def dead(gamma):
    """The master, c2, is dead, and c3 has not heard of its last change."""
    gamma.lab.run("c3", "ip", "route", "add", "blackhole", gamma.lab.cluster("gamma")["nodes"][1]["ip"])
    gamma.tag("c2", "the-last-words")
    eventually(lambda: json.loads(gamma.lab.run("c1", *CHECK[:-1], "--survey"))["serial"] >= serial(gamma, "c2"), 120, "c1 has heard")
    gamma.power("c2", False)
    yield gamma
    gamma.lab.run("c3", "ip", "route", "del", "blackhole", gamma.lab.cluster("gamma")["nodes"][1]["ip"], check=False)


def serial(gamma, node):
    """The serial number of a master's file."""
    return json.loads(gamma.lab.run(node, "cat", "/var/lib/ganeti/config.data"))["serial_no"]


def test_a_dead_master_is_replaced_by_who_has_all(dead):
    unknown = dead.fail_over("c1")
    assert unknown["failed"] and "The master until now, c2.lab.example, cannot be reached" in unknown["msg"], unknown
    behind = dead.fail_over("c3", fenced=True)
    assert behind["failed"] and "The standby c1.lab.example has serial number" in behind["msg"] and "changes would be lost" in behind["msg"], behind
    result = dead.fail_over("c1", "--diff", fenced=True)
    assert result["changed"] and not result["failed"] and result["source"] == "couchdb", result
    assert dead.roles("c1") == {"c1": "M", "c2": "O", "c3": "R"}
    assert "the-last-words" in dead.lab.run("c1", "gnt-cluster", "list-tags")
    assert "unreachable" not in dead.lab.run("c1", "ip", "route")
    dead.lab.run("c1", "gnt-debug", "delay", "0.1")
    assert dead.lab.run("c1", "gnt-job", "list", "--no-headers", "-o", "status").split()[-1] == "success"


def test_who_comes_back_does_no_harm(dead):
    """The old master takes itself for one until it is added again; what it has is older, and stays where it is."""
    dead.lab.run("c3", "ip", "route", "del", "blackhole", dead.lab.cluster("gamma")["nodes"][1]["ip"])
    dead.power("c2", True)
    come_back(dead, "c1", "c2")
    assert dead.roles("c1") == {"c1": "M", "c2": "R", "c3": "R"} and dead.verified("c1")
    eventually(lambda: dead.same("c1"), 240, "all have the same")
    assert dead.says("c2").startswith("OK: c1.lab.example is the master")


def come_back(gamma, master, old):
    """An old master that is started takes itself for one until it is added again."""
    eventually(lambda: "this node was replaced as the master" in gamma.says(old), 300, "the old master notices")
    key = gamma.lab.run(master, "cat", "/root/.ssh/id_rsa.pub")
    gamma.lab.run(old, "sh", "-c", "cat >>/root/.ssh/authorized_keys", given=key)
    gamma.lab.run(master, "gnt-node", "add", "--readd", "--no-ssh-key-check", f"{old}.lab.example")
    back = gamma.switch(master)
    assert not back["failed"] and back["check"].startswith("OK: "), back


def test_ganetis_own_copies_come_back(gamma):
    gamma.lab.run("c1", "gnt-cluster", "remove-tags", "the-last-words")
    result = gamma.switch("c1", "mirror")
    assert result["changed"] and not result["failed"], result
    assert gamma.roles("c1") == {"c1": "M", "c2": "C", "c3": "C"} and gamma.verified("c1")
    again = gamma.switch("c1", "mirror", ["--diff"])
    assert not again["changed"], again
    # Ganeti sends a new candidate no jobs of before, so its files are not enough: all comes out of the database.
    assert gamma.jobs("c1") - gamma.jobs("c2")
    by_database = gamma.fail_over("c2")
    assert by_database["changed"] and by_database["source"] == "couchdb" and gamma.jobs("c1") <= gamma.jobs("c2"), by_database
    back = gamma.fail_over("c1")
    assert back["changed"] and not back["failed"] and gamma.jobs("c2") <= gamma.jobs("c1"), back
    assert not gamma.switch("c1", "mirror")["failed"]
    assert gamma.roles("c1") == {"c1": "M", "c2": "C", "c3": "C"} and gamma.verified("c1")
    # By now the second node has all jobs in its files, and they are taken as they are, but for the epoch that begins.
    before = serial(gamma, "c1")
    by_files = gamma.fail_over("c2")
    assert by_files["changed"] and by_files["source"] == "files" and serial(gamma, "c2") // 10**10 > before // 10**10, by_files
    assert gamma.fail_over("c1")["changed"] and gamma.verified("c1")


def test_after_ganetis_own_failover_an_epoch_begins(gamma):
    """The service on the new master notices, the check warns, and backend_storage begins one."""
    # A job that ran while c1 was replaced by plan is taken for running, until a master's luxid looks after it; that does so each 307 seconds.
    ended = {"success", "error", "canceled"}
    eventually(lambda: set(gamma.lab.run("c1", "gnt-job", "list", "--no-headers", "-o", "status").split()) <= ended, 900, "no job is under way")
    before = serial(gamma, "c1")
    gamma.lab.run("c2", "gnt-cluster", "master-failover")
    eventually(lambda: "c1.lab.example was the master in the same epoch" in gamma.says("c2"), 240, "the check tells")
    assert serial(gamma, "c2") // 10**10 == before // 10**10
    rehearsed = gamma.switch("c2", "mirror", ["--check", "--diff"])
    assert rehearsed["changed"] and serial(gamma, "c2") // 10**10 == before // 10**10, rehearsed
    begun = gamma.switch("c2", "mirror", ["--diff"])
    assert begun["changed"] and not begun["failed"] and serial(gamma, "c2") // 10**10 == before // 10**10 + 1, begun
    eventually(lambda: gamma.says("c2").startswith("OK: serial number"), 240, "the warning is gone")
    assert not gamma.switch("c2", "mirror")["changed"] and gamma.verified("c2")
    assert gamma.fail_over("c1")["changed"] and gamma.verified("c1")


def test_modules_tell_of_jobs_that_all_servers_have(gamma):
    def acknowledge(count, degrade="after", after=30):
        servers = [
            {"node": f"{node}.lab.example", "url": f"https://{node}.lab.example:6984", "username": "ganeti", "password": gamma.password,
             "ca_path": "/etc/ganeti/couchdb-ca.pem"} for node in gamma.nodes
        ]  # fmt: skip
        arguments = {"storage": "couchdb", "servers": servers, "acknowledge": count, "degrade": degrade, "degrade_after": after}
        return gamma.lab.module("backend_storage", arguments, "c1.lab.example")

    def change(count):
        return gamma.lab.module("cluster", {"max_running_jobs": count}, "c1.lab.example")

    refused = acknowledge(4)
    assert refused["failed"] and "acknowledge is 4, and of couchdb 3 can be told apart" in refused["msg"], refused
    assert not acknowledge(3, "refuse", 5)["failed"]
    assert change(21)["changed"]
    gamma.lab.run("c3", "systemctl", "stop", "couchdb")
    try:
        short = change(22)
        assert short["failed"] and "is not on 3 servers within 5 s: c1.lab.example, c2.lab.example have it; c3.lab.example: " in short["msg"], short
    finally:
        gamma.lab.run("c3", "systemctl", "start", "couchdb")
    assert not acknowledge(0)["failed"]
    gamma.lab.run("c1", "gnt-cluster", "modify", "--max-running-jobs=20")
