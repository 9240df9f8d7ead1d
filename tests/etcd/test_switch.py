# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module backend_storage against a real etcd: what it decides, writes and waits for. Ganeti's tools and systemd are played, the service is the real one."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import threading
from pathlib import Path

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import AuthenticationFailed, ConnectionFailed, InvalidInput
from ansible_collections.ganeti.cluster.plugins.module_utils.api import extended
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.cluster import (
    begin_epoch,
    candidate_pool,
    placement,
    storage_status,
    switch,
    wait_for_jobs,
)
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.disk import DiskStorage
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.etcd.storage import EtcdStorage
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.factory import open_storage
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service import health, main, settings

from .samples import PASSWORD, configuration, job

MASTER = socket.gethostname()
ACKNOWLEDGE = {"acknowledge": 0, "degrade": "after", "degrade_after": 30.0}


class Site:
    """A cluster of four nodes: the master, which this host is, a standby, one that is offline, and one that may not become the master."""

    def __init__(self, uuid):
        self.uuid = uuid
        self.storage = "disk"
        self.pool = 10
        self.nodes = {MASTER: {}, "a2": {}, "a3": {}, "a4": {}}
        """The files of each node, with mode and digest."""
        self.ended = []
        self.service = None

    # --- Ganeti

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        """It stays."""

    def info(self):
        """As LUXI has it."""
        return {"uuid": self.uuid, "master": MASTER, "candidate_pool_size": self.pool, "name": "alpha.lab.example"}

    def query(self, _what, fields, _filter=None):
        """The nodes."""
        usual = {"master_candidate": False, "master_capable": True, "offline": False, "drained": False}
        special = {"a3": {"offline": True}, "a4": {"master_capable": False}}
        return [{field: {**usual, "name": name, **special.get(name, {})}[field] for field in fields} for name in self.nodes]

    def resize(self, _cluster, ops, **_limits):
        """Do what a job would; who is a candidate is not kept."""
        self.pool = ops[0].get("candidate_pool_size", self.pool)

    def parameters(self, _runner, names, wanted):
        """How the nodes have the cluster's parameter."""
        return [extended.NodeCopy(name, self.storage == wanted["backend_storage"], "has other values") for name in names]

    # --- Its commands, and systemd

    def run(self, argv, _input=None):
        """Play a command of Ganeti's on the master."""
        assert argv[0] == "gnt-cluster"
        names = [word.partition("=")[2] for word in argv if word.startswith("--node=")]
        assert "a3" not in names, "it is offline"
        if argv[1] == "copyfile":
            for name in names:
                self.nodes[name][argv[-1]] = shape(argv[-1])
            return 0, b"", b""
        said = {placement._LOOK: self.look, placement._START: self.start, placement._REMOVE: self.remove}.get(argv[-1], lambda _name: [])
        return 0, "".join(f"{name}: {line}\n" for name in names for line in said(name)).encode(), b""

    def look(self, name):
        """What a node says of the service."""
        if name == MASTER:
            self.nodes[name] = {file: shape(file) for file in placement.FILES if os.path.exists(file)}
        there = self.nodes[name]
        unit = ["unit active enabled"] if there else ["unit inactive"]
        return [*(f"file {file} {mode} {digest}" for file, (mode, digest) in there.items()), *unit]

    def start(self, name):
        """Start the service, which is a real one on the master."""
        if name == MASTER:
            self.stop()
            self.service = threading.Thread(target=main.run, args=(settings.read(placement.SETTINGS),))
            self.service.start()
        return []

    def stop(self):
        """End it."""
        if self.service:
            self.ended[-1].append(15)
            self.service.join(60)
            assert not self.service.is_alive()
            self.service = None

    def told_to_end(self):
        """What a service looks at, instead of signals, which are for the main thread."""
        self.ended.append([])
        return self.ended[-1]

    def remove(self, name):
        """End the service and remove its files."""
        if name == MASTER:
            self.stop()
            for file in placement.FILES:
                os.unlink(file)
        self.nodes[name] = {}
        return []


def shape(file):
    """Mode and digest of a file that is here, as a node would tell of it."""
    with open(file, "rb") as stream:
        return f"{os.stat(file).st_mode & 0o777:o}:0:0", hashlib.sha256(stream.read()).hexdigest()


@pytest.fixture
def site(cluster, tmp_path, monkeypatch):
    """The cluster, on this host's own directories."""
    made = Site(cluster)
    files = DiskStorage(str(tmp_path / "ganeti"), durable=False)
    (tmp_path / "ganeti/queue/archive").mkdir(parents=True)
    files.write_configuration(configuration(20))
    files.write_jobs({7: job(7)})
    files.write_serial(7)
    files.write_ssconf({"master_node": f"{MASTER}\n"})
    places = {file: (str(tmp_path / "root" / file.lstrip("/")), mode) for file, mode in placement.FILES.items()}
    for name, constant in (("PROGRAM", placement.PROGRAM), ("SETTINGS", placement.SETTINGS), ("UNIT_FILE", placement.UNIT_FILE)):
        monkeypatch.setattr(placement, name, places[constant][0])
    monkeypatch.setattr(placement, "FILES", dict(places.values()))
    monkeypatch.setattr(settings, "STATUS", str(tmp_path / "run/status.json"))
    monkeypatch.setitem(settings._DEFAULTS, "directory", str(tmp_path / "ganeti"))
    monkeypatch.setattr(begin_epoch.note, "__defaults__", (str(tmp_path / "ganeti"),))
    monkeypatch.setattr(switch, "LocalRunner", lambda: made)
    monkeypatch.setattr(switch, "connect", lambda _options, **_named: made)
    monkeypatch.setattr(candidate_pool.jobs, "run", made.resize)
    monkeypatch.setattr(extended, "read", lambda _runner: {"allow_cipher_bypassing": False, "backend_storage": made.storage})
    monkeypatch.setattr(extended, "nodes", made.parameters)
    monkeypatch.setattr(extended, "spread", lambda _runner, _names, wanted: setattr(made, "storage", wanted["backend_storage"]))
    monkeypatch.setattr(main, "end_soon", made.told_to_end)
    yield made
    made.stop()


@pytest.fixture
def asked(closed, authority):
    """The module's parameters."""
    access = {"endpoints": closed.urls, "username": "ganeti", "password": PASSWORD, "ca_path": authority.path, "cert_path": None, "key_path": None}
    limits = {"timeout": 60, "lock_timeout": 1, "job_timeout": 1}
    return {"storage": "etcd", "etcd": access, "servers": [], "couchdb_mode": "mirror", "lag": 10, "cluster_name": None, **limits, **ACKNOWLEDGE}


@pytest.fixture
def stored(closed, authority, cluster):
    """What is in etcd."""
    with open_storage("etcd", endpoints=closed.urls, username="ganeti", password=PASSWORD, ca_path=authority.path, cluster=cluster) as opened:
        yield opened


def test_switching_on_and_back_each_shown_before_and_done_once(site, asked, stored, closed, authority, tmp_path):
    rehearsed = switch.switch(asked, True)
    assert rehearsed["changed"] and PASSWORD not in repr(rehearsed) and set(site.nodes) == {name for name, files in site.nodes.items() if not files}
    assert rehearsed["diff"]["before"]["backend_storage"] == "disk" and rehearsed["diff"]["after"][f"service on {MASTER}"] == "in place and running"
    assert stored.claims() == [] and site.storage == "disk"

    first = switch.switch(asked, False)
    assert first["changed"] and first["check"].startswith("OK: serial number 20; ") and PASSWORD not in repr(first) and first["diff"] == rehearsed["diff"]
    assert first["warnings"] == ["a3 is offline, so nothing was done there: run this again when it is back."]
    assert stored.configuration() == configuration(20) and stored.queue() == (frozenset({7}), frozenset(), 7)
    assert {name for name, files in site.nodes.items() if files} == {MASTER, "a2"}, "a4 may not become the master, and is not to have the password"
    assert site.nodes["a2"][placement.SETTINGS][0] == "600:0:0" and site.storage == "etcd"
    with open(placement.SETTINGS, encoding="utf-8") as stream:
        own = {"storage": "etcd", "status": settings.STATUS, "lag": 10, "mode": "mirror", "pool_size": None, **ACKNOWLEDGE}
        access = {"endpoints": closed.urls, "username": "ganeti", "password": PASSWORD, "ca_path": authority.path}
        assert json.load(stream) == {**own, **access, "cluster": site.uuid, "nodes": sorted([MASTER, "a2"])}
    assert settings.read(placement.SETTINGS).name == MASTER

    again = switch.switch(asked, False)
    assert not again["changed"] and again["diff"] == {"before": {}, "after": {}}
    with pytest.raises(InvalidInput, match="stores in etcd, .*go back to files first, with storage disk, and switch to couchdb then"):
        switch.switch({**asked, "storage": "couchdb"}, False)

    back = {**asked, "storage": "disk"}
    assert switch.switch(back, True)["changed"] and os.path.exists(placement.SETTINGS)
    done = switch.switch(back, False)
    assert done["changed"] and not done["warnings"] and site.storage == "disk" and not any(site.nodes.values())
    assert not switch.switch(back, False)["changed"] and stored.configuration() == configuration(20)
    assert not os.path.exists(placement.SETTINGS)


def test_what_there_is_to_tell_then(site, asked, monkeypatch):
    switch.switch(asked, False)
    monkeypatch.setattr(storage_status, "check_cluster", lambda _name: None)
    told = storage_status.describe({"cluster_name": None, "settings_file": placement.SETTINGS})
    members = list(told["servers"].values())
    assert (told["storage"], told["healthy"], told["master"], told["serial"], told["replications"]) == ("etcd", True, MASTER, 20, [])
    assert [(each["serial"], each["lag"], each["problem"]) for each in members] == [(20, 0, None)]
    waiting = {"jobs": [7], "wait": True, "until": "ended", "timeout": 5, "fail": None, "server": None, "etcd": None, "cluster_name": "alpha.lab.example"}
    for place in ({"etcd": None, "settings_file": placement.SETTINGS}, {"etcd": {**asked["etcd"], "cluster": site.uuid}, "settings_file": "/nowhere"}):
        found = wait_for_jobs.tell({**waiting, **place})
        assert [each["status"] for each in found["jobs"]] == ["success"] and site.uuid in found["server"]


def test_where_etcd_has_the_only_copies_ganeti_has_one_candidate(site, asked, monkeypatch, tmp_path):
    monkeypatch.setattr(EtcdStorage, "machines", 3)
    assert switch.switch({**asked, "couchdb_mode": "primary"}, False)["diff"]["after"]["candidate_pool_size"] == 1
    assert site.pool == 1 and settings.read(placement.SETTINGS).pool_size == 10
    assert not switch.switch({**asked, "couchdb_mode": "primary"}, False)["changed"]
    authority = tmp_path / "gone.pem"
    authority.write_text(Path(asked["etcd"]["ca_path"]).read_text(encoding="utf-8"), encoding="utf-8")
    moved = {**asked, "couchdb_mode": "primary", "etcd": {**asked["etcd"], "ca_path": str(authority)}}
    assert switch.switch(moved, False)["changed"] and settings.read(placement.SETTINGS).pool_size == 10
    authority.unlink()
    (warning,) = switch.switch({**asked, "storage": "disk"}, False)["warnings"]
    assert "gone.pem cannot be read" in warning and site.pool == 10, "what there was is known though the certificates are gone"


def test_another_lag_is_a_change_of_the_settings_alone(site, asked):
    switch.switch(asked, False)
    changed = switch.switch({**asked, "lag": 3}, False)
    assert set(changed["diff"]["after"]) == {f"service on {MASTER}", "service on a2"}
    assert health.check(settings.read(placement.SETTINGS))[0] == health.OK and settings.read(placement.SETTINGS).lag == 3


def test_a_service_of_couchdb_that_an_interrupted_run_has_left_is_seen(site, asked):
    os.makedirs(os.path.dirname(placement.SETTINGS))
    with open(os.open(placement.SETTINGS, os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="utf-8") as stream:
        json.dump({"servers": {MASTER: {"url": "http://127.0.0.1:1", "username": "u", "password": "p"}}}, stream)
    with pytest.raises(InvalidInput, match="This cluster stores in couchdb, .*go back to files first, with storage disk, and switch to etcd then"):
        switch.switch(asked, False)
    os.unlink(placement.SETTINGS)
    site.storage = "couchdb"
    with pytest.raises(InvalidInput, match="This cluster stores in couchdb"):
        switch.switch(asked, True)


def test_an_etcd_that_cannot_be_used_changes_nothing(site, asked, etcd, authority, tmp_path):
    (tmp_path / "none.pem").write_text("none")
    for access, error, words in (
        ({"password": "wr0ng"}, AuthenticationFailed, "check username and password"),
        ({"username": None}, InvalidInput, "username and password go together"),
        ({"ca_path": "ca.pem"}, InvalidInput, "ca_path: ca.pem is relative to nothing that a service knows"),
        ({"ca_path": str(tmp_path / "none.pem")}, InvalidInput, "cannot be read as certificates"),
        ({"key_path": "/key.pem"}, InvalidInput, "name the certificate in cert_path, too"),
        ({"endpoints": []}, InvalidInput, "endpoints names no member of etcd"),
        ({"endpoints": ["http://192.0.2.1:2379"]}, InvalidInput, "is to be reached without encryption"),
        ({"endpoints": ["https://127.0.0.1:1"]}, ConnectionFailed, "No member of etcd does what it was asked for"),
        ({"endpoints": etcd.urls, "username": None, "password": None}, AuthenticationFailed, "lets anybody read the configuration"),
    ):
        with pytest.raises(error, match=words) as caught:
            switch.switch({**asked, "etcd": {**asked["etcd"], **access}}, False)
        assert "wr0ng" not in caught.value.message and PASSWORD not in caught.value.message
    with pytest.raises(InvalidInput, match="primary needs the endpoint of a second member: without it nothing but the master would have a copy"):
        switch.switch({**asked, "couchdb_mode": "primary"}, False)
    with pytest.raises(InvalidInput, match="servers is no option of the storage etcd, which takes etcd"):
        switch.switch({**asked, "servers": [{"node": MASTER}]}, False)
    assert not any(site.nodes.values()) and site.storage == "disk" and site.pool == 10
