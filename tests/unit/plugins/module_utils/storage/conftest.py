# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A master's files, a storage without any, and CouchDB."""

from __future__ import annotations

import json
import os
import subprocess
import uuid

import pytest
from couchdb.launch import StandIn

from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb.client import Client, path
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.couchdb.storage import CouchStorage
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.disk import DiskStorage

from .samples import CONFIGURATION, job
from .servers import of_url


def ganeti(directory):
    """The files of a master."""
    (directory / "queue/archive/0").mkdir(parents=True)
    (directory / "queue/archive/2").mkdir()
    (directory / "config.data").write_text(json.dumps(CONFIGURATION))
    for number, place in ((7, "."), (20005, "."), (3, "archive/0"), (20001, "archive/2")):
        (directory / "queue" / place / f"job-{number}").write_text(json.dumps(job(number)))
    (directory / "queue/serial").write_text("20005\n")
    for name in ("lock", "version", "job-9.new", "job-x"):
        (directory / "queue" / name).write_text("")
    (directory / "ssconf_node_list").write_text("a1.lab.example\n")
    (directory / "ssconf_master_node").write_text("a1\n")
    (directory / "ssconf_cluster_tags").write_text("")
    return DiskStorage(str(directory))


@pytest.fixture(autouse=True)
def volatile():
    """What tests write need not outlive the machine, whose disk may be busy with other tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _descriptor: None)
        yield


@pytest.fixture
def master(tmp_path):
    """A master's storage."""
    return ganeti(tmp_path / "master")


@pytest.fixture
def empty(tmp_path):
    """A storage with nothing in it."""
    (tmp_path / "standby/queue/archive").mkdir(parents=True)
    return DiskStorage(str(tmp_path / "standby"))


@pytest.fixture(scope="session")
def servers(tmp_path_factory):
    """Two servers: those of COUCHDB_URLS, or stand-ins."""
    given = [each for each in os.environ.get("COUCHDB_URLS", "").split(",") if each]
    if given:
        assert len(given) > 1, "COUCHDB_URLS must name two servers at least"
        yield [of_url(each) for each in given[:2]]
        return
    started = [StandIn(tmp_path_factory.mktemp("couchdb"), volatile=True) for _each in range(2)]
    yield [of_url(each.url) for each in started]
    for each in started:
        each.stop()


@pytest.fixture
def prefix(servers):
    """A prefix for the databases of one test, which are removed afterwards."""
    name = f"t{uuid.uuid4().hex[:8]}_"
    yield name
    for server in servers:
        client = Client(server)
        for database in client.get("/_all_dbs"):
            if database.startswith(name):
                client.delete(path(database))
        client.close()


@pytest.fixture
def couch(servers, prefix):
    """A storage in CouchDB, made ready."""
    storage = CouchStorage(Client(servers[0]), prefix)
    storage.prepare()
    yield storage
    storage.close()


class Master:
    """A master's files, changed as Ganeti does: a new file that takes the place of the old one."""

    def __init__(self, directory):
        self.directory = directory

    def put(self, name, text):
        """Write a file."""
        path = self.directory / name
        path.with_name(path.name + ".new").write_text(text)
        os.rename(path.with_name(path.name + ".new"), path)

    def job(self, number, status="success"):
        """Write a job."""
        self.put(f"queue/job-{number}", json.dumps(job(number, status)))

    def archive(self, number):
        """Archive a job."""
        place = self.directory / f"queue/archive/{number // 10000}"
        place.mkdir(exist_ok=True)
        os.rename(self.directory / f"queue/job-{number}", place / f"job-{number}")


@pytest.fixture
def files(master, tmp_path):
    """The master's files, to be changed."""
    return Master(tmp_path / "master")


@pytest.fixture(scope="session")
def made_certificate(tmp_path_factory):
    """The text of a key and a certificate, and the certificate's digest."""
    directory = tmp_path_factory.mktemp("certificate")
    key, made = (directory / name for name in ("key", "made"))
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=a2", "-keyout", str(key), "-out", str(made)]
    subprocess.run(command, check=True, capture_output=True)
    shown = subprocess.run(["openssl", "x509", "-noout", "-fingerprint", "-sha1", "-in", str(made)], check=True, capture_output=True, text=True).stdout
    return key.read_text() + made.read_text(), shown.strip().partition("=")[2]


@pytest.fixture
def certificate(tmp_path, made_certificate):
    """A file with a key and a certificate, as Ganeti's client.pem; and the certificate's digest."""
    text, digest = made_certificate
    (tmp_path / "client.pem").write_text(text)
    return str(tmp_path / "client.pem"), digest


def everything(storage):
    """All that a storage holds."""
    queue = storage.queue()
    jobs = [dict(storage.jobs(numbers, archived)) for numbers, archived in ((queue.jobs, False), (queue.archived, True))]
    return queue, jobs, storage.configuration(), storage.ssconf()
