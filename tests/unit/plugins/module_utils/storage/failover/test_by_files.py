# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A failover without a database, on directories that stand for nodes, with each step really done; Ganeti's own part is played."""

from __future__ import annotations

import copy
import json
import os
import socket
import subprocess
import sys
import threading
import types

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import ConnectionFailed, GanetiError, InvalidInput, PreflightFailed
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.disk import DiskStorage
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.epochs import EPOCH
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.failover import by_files, hosts, run, start
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service import candidate_files, ganeti_failover
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.program import program

from ..samples import cluster, job

NAMES = ("a1", "a2", "a3")
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n"


class Nodes:
    """Nodes as directories; what is done on them is noted. A step in *broken*, by node and step, fails once or more often."""

    def __init__(self, directory, monkeypatch):
        self.directory = directory
        self.away = {}
        self.broken = {}
        self.done = []
        self.lock = threading.Lock()
        self._monkeypatch = monkeypatch

    def path(self, name):
        """A node's directory of Ganeti's."""
        return str(self.directory / name)

    def files(self, host, step, given=None):
        """A step, as the node does it."""
        with self.lock:
            self.done.append((host.name, step))
            if self.broken.get((host.name, step), 0):
                self.broken[(host.name, step)] -= 1
                raise ConnectionFailed(f"{host.name} does not answer")
            self._monkeypatch.setattr(socket, "gethostname", lambda: host.name)
            given = json.loads(json.dumps(given or {}))
            return json.loads(json.dumps(candidate_files.STEPS[step](self.path(host.name), given)))

    def host(self, name, *_how):
        """A node."""
        return type("Host", (), {"name": name})()

    def reach(self, nodes, _off):
        """Why those that are away cannot be reached."""
        return {name: why for name, why in self.away.items() if name in nodes}

    def text(self, host, module, given, _what):
        """Ganeti's own failover, and what it changes; or what the nodes are told."""
        step = module.__name__.rpartition(".")[2]
        self.done.append((host.name, step))
        if self.broken.get((host.name, step), 0):
            self.broken[(host.name, step)] -= 1
            raise ConnectionFailed(f"{host.name} does not answer")
        if module is ganeti_failover:
            for name in NAMES:
                (self.directory / name / "ssconf_master_node").write_text(f"{host.name}\n")
            return {"status": 0, "lines": [], "argv": given}
        return []

    def succeed(self, host, argv, _what):
        """A command on a node."""
        if argv[0] == "cat":
            return (self.directory / host.name / os.path.basename(argv[1])).read_bytes()
        self.done.append((host.name, argv[-1]))
        return b""


@pytest.fixture
def nodes(tmp_path, monkeypatch):
    """Three master candidates that have all; a1 is the master."""
    made = Nodes(tmp_path, monkeypatch)
    configuration = cluster(20, 10)
    for each in configuration["nodes"].values():
        each["master_candidate"] = True
    for name in NAMES:
        (tmp_path / name / "queue/archive/0").mkdir(parents=True)
        files = DiskStorage(made.path(name))
        files.write_configuration(configuration)
        files.write_jobs({7: job(7, "queued")})
        files.write_jobs({3: job(3)}, archived=True)
        files.write_serial(7)
        ssconf = {"node_primary_ips": "a1 10.0.0.1\na2 10.0.0.2\na3 10.0.0.3\n", "offline_nodes": "", "master_node": "a1\n", "node_list": "a1\na2\na3\n",
                  "cluster_name": "alpha.lab.example\n", "master_candidates": "a1\na2\na3\n"}  # fmt: skip
        files.write_ssconf(ssconf)
        (tmp_path / name / "client.pem").write_text(CERTIFICATE)
    monkeypatch.setattr(run, "succeed", made.succeed)
    monkeypatch.setattr(by_files, "succeed", made.succeed)
    monkeypatch.setattr(candidate_files, "installed", lambda: 3000000)
    monkeypatch.setattr(os, "sync", lambda: None)  # all of the machine's disks: seconds where others are at work
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)
    return made


@pytest.fixture
def fail_over(nodes, monkeypatch):
    """Run a failover to a2."""

    def go(check_mode=False, **params):
        made = by_files.FilesFailover(nodes, {"new_master": "a2", "timeout": 0, "fenced": False, "accept_loss": False, "cluster_name": None, **params})
        monkeypatch.setattr(made, "_accepts_jobs", lambda: True)
        monkeypatch.setattr(made, "_tidy_up", lambda situation, promoted: nodes.done.append(("a2", f"offline {situation.dead}")))
        return made.run(check_mode)

    return go


def kill(nodes, name="a1"):
    """A node cannot be reached any more."""
    nodes.away[name] = f"{name} is off"


def test_the_newest_files_are_brought_to_the_chosen_node(nodes, fail_over):
    kill(nodes)
    newest = DiskStorage(nodes.path("a3"))
    newest.write_configuration({**newest.configuration(), "serial_no": 25})
    newest.write_jobs({7: job(7, "success"), 9: job(9, "queued")})
    newest.write_jobs({4: job(4)}, archived=True)
    newest.write_serial(9)
    own = DiskStorage(nodes.path("a2"))
    own.write_jobs({4: job(4, "running")})
    with pytest.raises(PreflightFailed, match="a1, cannot be reached by SSH"):
        fail_over()
    before = own.configuration()
    rehearsed = fail_over(check_mode=True, fenced=True)
    assert rehearsed["diff"]["before"] == {
        "master": "a1", "a1 is offline": False,
        "files of a2": "serial number 20, a3 has 25, so 5 changes are brought, 3 jobs not or in an older state"}  # fmt: skip
    assert rehearsed["diff"]["after"]["files of a2"] == "serial number 25, of a3" and rehearsed["serial"] == 25
    assert own.configuration() == before and {step for _name, step in nodes.done} == {"tell"}

    result = fail_over(fenced=True)
    assert result["changed"] and (result["master"], result["old_master"], result["source"], result["serial"]) == ("a2", "a1", "files", EPOCH)
    assert own.configuration()["serial_no"] == EPOCH and own.queue() == ({7, 9}, {3, 4}, 9)
    assert dict(own.jobs([7, 9])) == {7: job(7, "success"), 9: job(9, "queued")} and dict(own.jobs([4], archived=True)) == {4: job(4)}
    assert os.listdir(tmp(nodes) / "queue/before-promotion") == ["job-4"] and not (tmp(nodes) / "failover-source").exists()
    assert ("a2", "offline ['a1']") in nodes.done and ("a2", "admit_candidate") not in nodes.done
    again = fail_over(fenced=True)
    assert not again["changed"] and again["diff"] == {"before": {}, "after": {}} and own.configuration()["serial_no"] == EPOCH


def tmp(nodes):
    """The new master's directory."""
    return nodes.directory / "a2"


def test_by_plan_the_old_masters_files_count(nodes, fail_over):
    """Ganeti had not brought a2 its last job and change, and only logged that."""
    old = DiskStorage(nodes.path("a1"))
    old.write_configuration({**old.configuration(), "serial_no": 22})
    old.write_jobs({8: job(8, "queued")})
    old.write_serial(8)
    result = fail_over()
    own = DiskStorage(nodes.path("a2"))
    assert result["changed"] and own.queue() == ({7, 8}, {3}, 8) and own.configuration()["serial_no"] == EPOCH
    order = [each for each in nodes.done if each[1] in ("stop-master", "take", "ganeti_failover", "finish")]
    assert order == [("a1", "stop-master"), ("a2", "take"), ("a2", "ganeti_failover"), ("a2", "finish")]
    assert nodes.done.index(("a1", "stop-master")) < max(at for at, each in enumerate(nodes.done) if each == ("a1", "tell")), "it is read again then"


def test_a_node_that_is_no_candidate_becomes_one(nodes, fail_over):
    for name in ("a1", "a3"):
        files = DiskStorage(nodes.path(name))
        configuration = files.configuration()
        configuration["nodes"]["u2"]["master_candidate"] = False
        files.write_configuration(configuration)
    os.unlink(tmp(nodes) / "config.data")
    (tmp(nodes) / "ssconf_master_candidates").write_text("a1\na3\n")
    rehearsed = fail_over(check_mode=True)
    assert rehearsed["diff"]["before"]["files of a2"] == "no files; those of a1 are brought"
    assert fail_over()["changed"] and ("a2", "admit_candidate") in nodes.done
    assert DiskStorage(nodes.path("a2")).configuration()["nodes"]["u2"]["master_candidate"]


def test_who_may_have_something_newer_is_named(nodes, fail_over):
    kill(nodes)
    kill(nodes, "a3")
    with pytest.raises(PreflightFailed, match="The master candidate a3 does not tell what it has .a3 is off., .*or set accept_loss"):
        fail_over(fenced=True)
    assert fail_over(fenced=True, accept_loss=True)["warnings"][0].startswith("The master candidate a3 does not tell")
    assert DiskStorage(nodes.path("a2")).configuration()["serial_no"] == EPOCH


def test_an_old_master_whose_files_are_damaged_is_stopped_all_the_same(nodes, fail_over):
    (nodes.directory / "a1/config.data").write_text('{"cut')
    with pytest.raises(PreflightFailed, match="The master candidate a1 does not tell"):
        fail_over()
    assert ("a1", "stop-master") not in nodes.done
    assert fail_over(accept_loss=True)["changed"] and ("a1", "stop-master") in nodes.done


@pytest.mark.parametrize(("node", "step"), [("a1", "read"), ("a2", "stage"), ("a2", "take")])
@pytest.mark.parametrize("again", [True, False])
def test_what_breaks_by_plan_leaves_the_old_master_and_can_be_done_again(nodes, fail_over, node, step, again):
    nodes.broken[(node, step)] = 1
    with pytest.raises(GanetiError, match=f"{node}.* does not answer"):
        fail_over()
    assert nodes.done[-1] == ("a1", "start-master") and ("a2", "ganeti_failover") not in nodes.done
    assert DiskStorage(nodes.path("a2")).configuration()["serial_no"] == 20
    if again:
        assert fail_over()["changed"] and DiskStorage(nodes.path("a2")).configuration()["serial_no"] == EPOCH


def test_who_interrupts_it_has_the_old_master_go_on(nodes, fail_over, monkeypatch):
    def interrupt(*_given):
        raise KeyboardInterrupt

    monkeypatch.setattr(by_files.FilesFailover, "_bring", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fail_over()
    assert nodes.done[-1] == ("a1", "start-master") and ("a2", "ganeti_failover") not in nodes.done


def test_who_died_before_ganetis_failover_is_not_taken_for_the_newest(nodes, fail_over):
    """Files with a new epoch, made of serial number 20; the old master has gone on, died, and a3 has what it wrote."""
    nodes.broken[("a2", "ganeti_failover")] = 1
    with pytest.raises(ConnectionFailed):
        fail_over()
    own, newest = DiskStorage(nodes.path("a2")), DiskStorage(nodes.path("a3"))
    assert own.configuration()["serial_no"] == EPOCH and nodes.done[-1] != ("a1", "start-master"), "nobody knows how far Ganeti got"
    newest.write_configuration({**newest.configuration(), "serial_no": 27, "instances": {}})
    kill(nodes)
    assert fail_over(fenced=True)["serial"] == 2 * EPOCH
    assert own.configuration()["instances"] == {}, "what a3 has"


def test_an_unused_epoch_is_compared_by_what_it_was_made_of(nodes, tmp_path):
    own, newer = nodes.path("a2"), DiskStorage(nodes.path("a3"))
    request = {"name": "a2", "seen": 20, "job": 7, "aside": []}
    candidate_files.stage(own, {"first": True, "own": True})
    assert candidate_files.take(own, request)["serial"] == EPOCH
    told = candidate_files.tell(own, {})["files"]
    assert (told["serial"], told["raised"]) == (20, EPOCH)
    candidate_files.stage(own, {"first": True, "own": True})
    assert candidate_files.take(own, {**request, "seen": EPOCH})["serial"] == 2 * EPOCH
    assert candidate_files.tell(own, {})["files"]["serial"] == 20, "twice is no harm"
    assert candidate_files.read(own, {"configuration": True, "jobs": [7, 99], "archived": [3]})["configuration"] == newer.configuration()
    used = DiskStorage(own)
    used.write_configuration({**used.configuration(), "serial_no": 2 * EPOCH + 1})
    assert candidate_files.tell(own, {})["files"]["serial"] == 2 * EPOCH + 1, "Ganeti has written since"
    assert candidate_files.finish(own, {}) == {} and not candidate_files.tell(own, {})["unfinished"]


def test_what_is_staged_is_for_root_alone_and_begins_anew(nodes):
    own = nodes.path("a2")
    candidate_files.stage(own, {"first": True, "own": True})
    candidate_files.stage(own, {"jobs": {"8": job(8)}, "archived": {"4": job(4)}})
    staged = DiskStorage(os.path.join(own, "failover-source"))
    assert staged.queue()[:2] == ({8}, {4}) and os.stat(os.path.join(own, "failover-source")).st_mode & 0o777 == 0o700
    candidate_files.stage(own, {"first": True, "configuration": cluster(30)})
    assert staged.queue()[:2] == (set(), set()) and staged.configuration()["serial_no"] == 30


def test_what_cannot_be_a_failover(nodes, fail_over):
    with pytest.raises(InvalidInput, match="a2 is a node of alpha.lab.example, not of beta"):
        fail_over(cluster_name="beta")
    files = DiskStorage(nodes.path("a1"))
    configuration = copy.deepcopy(files.configuration())
    configuration["nodes"]["u2"]["drained"] = True
    files.write_configuration(configuration)
    with pytest.raises(PreflightFailed, match="a2 is offline, drained or not master capable"):
        fail_over()
    configuration["cluster"]["master_node"] = "u3"
    files.write_configuration(configuration)
    with pytest.raises(PreflightFailed, match="names a3 as the master, and a2 takes a1 for it"):
        fail_over()
    for name in NAMES:
        os.unlink(os.path.join(nodes.path(name), "config.data"))
    with pytest.raises(PreflightFailed, match="No node that answers has Ganeti's configuration"):
        fail_over()


def test_jobs_that_still_end_are_waited_for(nodes, fail_over, monkeypatch):
    """A job's process ends a moment after the daemons."""
    old, told = DiskStorage(nodes.path("a1")), []

    def succeed(host, argv, what):
        if argv[-1] == "stop-master":
            told.append("stopped")
        return nodes.succeed(host, argv, what)

    def files(host, step, given=None):
        if told and host.name == "a1" and step == "read" and len(told) == 1:
            told.append("read")
            found = Nodes.files(nodes, host, step, given)
            old.write_jobs({7: job(7, "success")})
            return found
        return Nodes.files(nodes, host, step, given)

    monkeypatch.setattr(run, "succeed", succeed)
    monkeypatch.setattr(nodes, "files", files)
    old.write_configuration({**old.configuration(), "serial_no": 21})
    fail_over(timeout=60)
    assert dict(DiskStorage(nodes.path("a2")).jobs([7])) == {7: job(7, "success")}


@pytest.mark.parametrize(("storage", "kind"), [("disk", "FilesFailover"), ("couchdb", "Failover")])
def test_which_failover_it_is_says_the_clusters_parameter(monkeypatch, storage, kind):
    made = []
    for name in ("FilesFailover", "Failover"):
        monkeypatch.setattr(start, name, lambda _hosts, _params, name=name: made.append(name) or types.SimpleNamespace(run=lambda _check_mode: {"by": name}))
    monkeypatch.setattr(start.extended, "read", lambda host: {"backend_storage": storage} if host.name == "a2" else {})
    assert start.fail_over({"new_master": "a2", "ssh": {}}, False) == {"by": kind} and made == [kind]


def test_the_program_tells_without_settings(tmp_path):
    """As it is run on a node, where there is neither a file of settings nor a database; here there is no Ganeti."""
    (tmp_path / "program.pyz").write_bytes(program())
    command = [sys.executable, "-I", "-c", hosts._FILES, str(tmp_path / "program.pyz"), "tell"]
    done = subprocess.run(command, input="{}", capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["files"] is None
