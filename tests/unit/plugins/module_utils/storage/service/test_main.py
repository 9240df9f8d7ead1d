# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The service as it runs on a master: one file, a process of its own, real files, a database, replication to another."""

from __future__ import annotations

import functools
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zipfile

import pytest
from couchdb.launch import StandIn

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import InvalidInput
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.conversion import convert
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb import replication, server_check
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb.client import Client, path
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb.storage import CouchStorage
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.disk import DiskStorage
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.documents import DATABASES
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.epochs import EPOCH
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service import health, promotion_mark, settings, signs_of_life
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service import program as packing
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.follow import Status
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.one_writer import alone
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.program import program
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.tend import STEP

from ..conftest import Master, everything, ganeti
from ..samples import configuration, job
from ..servers import of_url

pytestmark = pytest.mark.functional


@functools.cache
def hurried():
    """The program, with a tenth of the seconds between two looks, and compiled already, which takes most of the time of a start."""
    slow, source = f"STEP = {STEP}\n", packing.source
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as directory:
        patch.setattr(packing, "source", lambda module: source(module).replace(slow, f"STEP = {STEP / 10}\n"))
        made = program()
        with zipfile.ZipFile(io.BytesIO(made)) as archive:
            archive.extractall(directory)
        stream = io.BytesIO()
        with zipfile.PyZipFile(stream, "w") as archive:
            for name in sorted(os.listdir(directory)):
                archive.writepy(os.path.join(directory, name))
    assert made != program(), "there was nothing to hurry"
    return stream.getvalue()


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Whoever asks again and again need not wait for what may come in a moment."""
    monkeypatch.setattr(server_check, "PATIENCE", 0.1)


class Service:
    """The service of a node that has a server, and another node's server; it is the first one's unless *name* says otherwise.

    *packed* makes the program.
    """

    def __init__(self, directory, servers, prefix, name="a1", packed=hurried):
        self.config = directory / "service.json"
        self.program = directory / "service.pyz"
        self.program.write_bytes(packed())
        described = {name: {"url": server.url, "username": server.username, "password": server.password} for name, server in zip(("a1", "a2"), servers)}
        values = {"name": name, "servers": described, "prefix": prefix, "lag": 3}
        values.update(directory=str(directory / "master"), status=str(directory / "run/status.json"))
        self.config.write_text(json.dumps(values))
        self.config.chmod(0o600)
        self.process = None

    def start(self):
        """Start it."""
        self.process = subprocess.Popen([sys.executable, "-I", str(self.program), "--config", str(self.config)], stderr=subprocess.PIPE, text=True)

    def stop(self, number=signal.SIGTERM):
        """End it; what it said."""
        self.process.send_signal(number)
        said = self.process.stderr.read()
        self.process.stderr.close()
        return self.process.wait(60), said

    def command(self, *options):
        """What the program does that it is asked for instead."""
        command = [sys.executable, "-I", str(self.program), "--config", str(self.config), *options]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    def check(self):
        """What monitoring would see."""
        done = self.command("--check")
        assert done.stderr == ""
        return done.returncode, done.stdout.strip()

    def state(self):
        """What the service itself says it does."""
        return health.said(settings.read(str(self.config)))["state"]

    def looks(self):
        """The same, without the program: to be asked again and again until it is so. A start of Python with all of this costs half a second."""
        return health.check(settings.read(str(self.config)))


@pytest.fixture
def databases(servers, prefix):
    """The storages of master and standby, made ready."""
    storages = [CouchStorage(Client(server), prefix) for server in servers]
    for storage in storages:
        storage.prepare()
    yield storages
    client = Client(servers[0])
    replication.arrange(client, {})
    client.close()
    for storage in storages:
        storage.close()


@pytest.fixture
def packed():
    """What makes the program that runs."""
    return hurried


@pytest.fixture
def running(tmp_path, master, servers, prefix, databases, packed):
    """The service, running."""
    made = Service(tmp_path, servers, prefix, packed=packed)
    made.start()
    yield made
    if made.process.poll() is None:
        made.stop(signal.SIGKILL)


def eventually(condition, seconds=120):
    """Wait until it holds."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return
        except Exception:
            if time.monotonic() > deadline:
                raise
        assert time.monotonic() < deadline, condition
        time.sleep(0.05)


@pytest.mark.parametrize("packed", [program], ids=["as on nodes"])
def test_what_ganeti_writes_is_soon_on_the_standby(running, files, master, databases):
    standby = databases[1]
    eventually(lambda: everything(standby) == everything(master))
    files.put("config.data", json.dumps(configuration(21, instances={})))
    files.job(20006, "queued")
    files.archive(7)
    eventually(lambda: everything(standby) == everything(master))
    eventually(lambda: running.looks()[0] == 0)
    assert running.check()[1] == "OK: serial number 21; a1 has 21, a2 has 21"
    assert running.stop() == (0, "")
    assert "no sign of life" not in running.check()[1], "it has ended a moment ago"


def test_a_killed_service_goes_on_where_it_was(running, files, master, databases):
    eventually(lambda: databases[0].configuration()["serial_no"] == 20)
    running.stop(signal.SIGKILL)
    for number in range(20010, 20060):
        files.job(number, "running")
    files.put("config.data", json.dumps(configuration(30)))
    running.start()
    eventually(lambda: everything(databases[1]) == everything(master))
    client = Client(databases[0]._client.server)
    revs = [client.get(path(databases[0].database("queue"), str(number)))["_rev"] for number in range(20010, 20060)]
    client.close()
    assert all(rev.startswith("1-") for rev in revs), "nothing was written twice"


def test_a_promotion_that_nobody_finished_is_finished_by_the_service(tmp_path, files, master, servers, prefix, databases):
    """As where the controller died before its last step: the master has jobs to follow, and no archived ones yet."""
    convert(master, databases[0])
    whole = everything(master)
    for name in ("0/job-3", "2/job-20001"):
        os.unlink(files.directory / "queue/archive" / name)
    promotion_mark.begin(str(files.directory))
    made = Service(tmp_path, servers, prefix)
    made.start()
    try:
        eventually(lambda: not promotion_mark.unfinished(str(files.directory)))
        assert everything(master) == whole == everything(databases[0])
        eventually(lambda: made.looks()[0] == 0)
    finally:
        made.stop(signal.SIGKILL)


def test_a_service_that_is_no_longer_on_the_master_rests(running, files, master, databases, servers):
    """The new master's files are the truth then: nothing is written any more, and no replication is left that would fight with its own."""
    eventually(lambda: running.looks()[0] == 0)
    files.put("ssconf_master_node", "a2\n")
    eventually(lambda: running.state() == "resting")
    files.put("config.data", json.dumps(configuration(40)))
    client = Client(servers[0])
    eventually(lambda: replication.arrange(client, {}, change=False).removed == [])
    client.close()
    assert databases[0].configuration()["serial_no"] == 20 and running.check() == (0, "OK: a2 is the master; a1 has 20")
    files.put("ssconf_master_node", "a1\n")
    eventually(lambda: everything(databases[1]) == everything(master))
    eventually(lambda: running.looks()[0] == 0)


def test_a_replaced_master_does_no_harm(tmp_path, running, files, master, databases, servers, prefix):
    """The old master does not know of the failover: it goes on writing to its files, and comes back with replications of its own."""
    eventually(lambda: running.looks()[0] == 0)
    ganeti(tmp_path / "new/master")
    here = Master(tmp_path / "new/master")
    new = Service(tmp_path / "new", servers, prefix, "a2")
    new.start()
    try:
        eventually(lambda: "a1 is the master" in new.looks()[1])
        running.stop(signal.SIGKILL)
        databases[0].write_jobs({20077: job(20077)})
        cluster = {**configuration()["cluster"], "master_node": "u2"}
        here.put("config.data", json.dumps(configuration(1021, cluster=cluster)))
        here.put("ssconf_master_node", "a2\n")
        eventually(lambda: new.looks()[0] == 1 and "a1.lab.example was the master in the same epoch" in new.looks()[1])  # it was Ganeti's own failover
        assert new.check()[0] == 1
        here.put("config.data", json.dumps(configuration(EPOCH, cluster=cluster)))
        eventually(lambda: new.looks()[0] == 0)
        files.put("config.data", json.dumps(configuration(25)))
        running.start()
        eventually(lambda: "this node was replaced as the master" in running.looks()[1])
        truth = DiskStorage(str(tmp_path / "new/master"))
        eventually(lambda: everything(databases[0]) == everything(truth) == everything(databases[1]))
        assert new.check()[1] == f"OK: serial number {EPOCH}; a2 has {EPOCH}, a1 has {EPOCH}"
    finally:
        new.stop(signal.SIGKILL)
        with Client(servers[1]) as client:
            replication.arrange(client, {})


def test_a_node_knows_its_server_by_its_own_name(tmp_path, servers):
    made = Service(tmp_path, servers, "")
    values = json.loads(made.config.read_text())
    del values["name"]
    made.config.write_text(json.dumps(values))
    assert "does not name this node, which calls itself" in made.check()[1]
    values["servers"][socket.gethostname()] = values["servers"].pop("a2")
    made.config.write_text(json.dumps(values))
    chosen = settings.read(str(made.config))
    assert (chosen.name, chosen.open().where, list(chosen.options["servers"])) == (socket.gethostname(), servers[1].url, ["a1", socket.gethostname()])


def test_replications_are_arranged_and_removed(servers, databases, prefix):
    client = Client(servers[0])
    wanted = replication.wanted(("a1", servers[0]), {"a2": servers[1]}, prefix)
    assert len(wanted) == len(DATABASES) and f"from_a1_to_a2_{DATABASES[0]}" in wanted
    client.put(path("_replicator", "from_old_to_a1_nodes"), {**next(iter(wanted.values())), "_id": "from_old_to_a1_nodes"})
    assert replication.arrange(client, wanted, change=False) == (list(wanted), ["from_old_to_a1_nodes"])
    assert replication.arrange(client, wanted) == (list(wanted), ["from_old_to_a1_nodes"])
    assert replication.arrange(client, wanted) == ([], [])
    eventually(lambda: {each.state for each in replication.states(client)} == {"running"} and len(replication.states(client)) == len(wanted))
    name = "from_a1_to_a2_nodes"
    replication.kick(client, {name: wanted[name]})
    assert replication.arrange(client, wanted) == ([], [])
    assert replication.arrange(client, {}) == ([], sorted(wanted))
    assert "secret" not in repr(replication.states(client))
    client.close()


def test_the_check_warns_of_a_standby_that_lags(tmp_path, master, servers, prefix, databases, files):
    made = Service(tmp_path, servers, prefix)
    assert made.check()[0] == 2 and "the service gives no sign of life" in made.check()[1]
    convert(master, databases[0])
    convert(master, databases[1])
    signs_of_life.tell(str(tmp_path / "run/status.json"), Status("following", 20))
    files.put("config.data", json.dumps(configuration(25)))
    databases[0].write_configuration(configuration(25))
    status, line = made.looks()
    assert status == 2 and "10 of 10 replications to a2 do not run, from_a1_to_a2_nodes is missing: nobody arranged it" in line
    assert "a2 is 5 serial numbers behind" in line
    databases[1].write_configuration(configuration(22))
    assert "a2 is" not in made.looks()[1]


def test_a_database_that_is_away_is_caught_up_with(tmp_path, files, master):
    """Ganeti goes on while the server is dead, and nothing is missing when it is back."""
    stand_in = StandIn(tmp_path / "couchdb", volatile=True)
    server = of_url(stand_in.url)
    CouchStorage(Client(server)).prepare()
    made = Service(tmp_path, [server, server], "")
    values = json.loads(made.config.read_text())
    made.config.write_text(json.dumps({**values, "servers": {"a1": values["servers"]["a1"]}}))
    made.start()
    storage = CouchStorage(Client(server))
    try:
        eventually(lambda: storage.configuration()["serial_no"] == 20)
        stand_in.kill()
        files.job(20006, "running")
        files.put("config.data", json.dumps(configuration(26)))
        eventually(lambda: "does not answer" in (json.loads((tmp_path / "run/status.json").read_text())["problem"] or ""))
        files.job(20006)
        stand_in.start()
        eventually(lambda: everything(storage) == everything(master))
        eventually(lambda: json.loads((tmp_path / "run/status.json").read_text())["state"] == "following")
        assert dict(storage.jobs([20006])) == {20006: job(20006)}
        assert made.stop() == (0, "")
    finally:
        if made.process.poll() is None:
            made.stop(signal.SIGKILL)
        storage.close()
        stand_in.kill()


@pytest.fixture
def silent():
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def test_a_silent_server_does_not_keep_it_alive(tmp_path, master, silent):
    """In the middle of a request, which would wait for three minutes."""
    made = Service(tmp_path, [], "")
    server = {"url": f"http://127.0.0.1:{silent.getsockname()[1]}", "username": "admin", "password": "secret"}
    made.config.write_text(json.dumps({**json.loads(made.config.read_text()), "servers": {"a1": server}}))
    made.start()
    try:
        silent.settimeout(30)
        connection, _address = silent.accept()
        with connection:
            assert connection.recv(10), "it has asked for something"
            made.process.send_signal(signal.SIGTERM)
            assert made.process.wait(20) == 0
    finally:
        made.stop(signal.SIGKILL)


def test_a_status_that_cannot_be_written_is_said_and_no_more(tmp_path, files, master, servers, prefix, databases):
    """The service goes on; a restore is still refused, which does not go by the status alone."""
    (tmp_path / "run").write_text("no directory")
    made = Service(tmp_path, servers, prefix)
    made.start()
    try:
        eventually(lambda: everything(databases[0]) == everything(master))
        files.put("config.data", json.dumps(configuration(21)))
        eventually(lambda: databases[0].configuration()["serial_no"] == 21)
        restored = made.command("--restore", "/nothing")
        assert restored.returncode == 2 and "stop it first" in restored.stdout
        code, said = made.stop()
        assert code == 0 and said.count("cannot be told how the service is (") == 1 and str(tmp_path / "run/status.json") in said
    finally:
        if made.process.poll() is None:
            made.stop(signal.SIGKILL)


def test_it_does_not_write_beside_a_restore(tmp_path, master, servers, prefix, databases):
    made = Service(tmp_path, servers, prefix)
    with alone(str(tmp_path / "master")) as mine:
        assert mine
        made.start()
        eventually(lambda: "another process of this node writes" in made.looks()[1])
        assert databases[0].queue().jobs == set()
    try:
        eventually(lambda: everything(databases[0]) == everything(master))
    finally:
        made.stop(signal.SIGKILL)


def test_the_check_tells_a_service_that_catches_up_from_a_dead_one(tmp_path, master, servers, prefix, databases):
    made = Service(tmp_path, servers, prefix)
    convert(master, databases[0])
    signs_of_life.tell(str(tmp_path / "run/status.json"), Status("catching up", 20, done=12000))
    assert "the service is catching up, 12000 documents so far" in made.check()[1]


def test_settings_that_others_can_read_are_refused(tmp_path, servers):
    made = Service(tmp_path, servers, "")
    made.config.chmod(0o644)
    with pytest.raises(InvalidInput, match="can be read by others"):
        settings.read(str(made.config))
    made.config.chmod(0o600)
    assert settings.read(str(made.config)).open().machines == 2
    made.config.write_text('{"name": "a9", "servers": {}}')
    status, line = made.check()
    assert status == 2 and line.startswith("CRITICAL:") and "is no configuration of this service" in line
    os.unlink(made.config)
    assert made.check()[0] == 2


def test_snapshots_by_the_program(tmp_path, master, servers, prefix, databases):
    made = Service(tmp_path, servers, prefix)
    convert(master, databases[0])
    command = [sys.executable, "-I", str(made.program), "--config", str(made.config)]
    taken = subprocess.run([*command, "--snapshot", str(tmp_path / "backups"), "--keep", "1"], capture_output=True, text=True, check=True, timeout=60)
    archive = taken.stdout.strip()
    assert os.listdir(tmp_path / "backups") == [os.path.basename(archive)]
    databases[0].remove_jobs([7])
    signs_of_life.tell(str(tmp_path / "run/status.json"), Status("following", 20))
    refused = subprocess.run([*command, "--restore", archive], capture_output=True, text=True, check=False, timeout=60)
    assert refused.returncode == 2 and "stop it first" in refused.stdout and 7 not in databases[0].queue().jobs
    os.unlink(tmp_path / "run/status.json")
    restored = subprocess.run([*command, "--restore", archive], capture_output=True, text=True, check=True, timeout=60)
    assert restored.stdout.strip() == "The database holds serial number 20; 1 jobs were written or removed"
    assert everything(databases[0]) == everything(master)
    databases[0].write_configuration(configuration(20, cluster={**configuration()["cluster"], "cluster_name": "beta"}))
    refused = subprocess.run([*command, "--restore", archive], capture_output=True, text=True, check=False, timeout=60)
    assert refused.returncode == 2 and "--another-cluster" in refused.stdout
    subprocess.run([*command, "--restore", archive, "--another-cluster"], capture_output=True, text=True, check=True, timeout=60)
    assert everything(databases[0]) == everything(master)
    pruned = subprocess.run([*command, "--prune"], capture_output=True, text=True, check=True, timeout=60)
    assert pruned.stdout.startswith("The database has forgotten 0 jobs of the queue and 0 archived ones")


def test_the_same_sources_make_the_same_program():
    assert program() == program()
