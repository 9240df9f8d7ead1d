# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The service and its program with etcd as the storage: it follows, is checked, is replaced, and goes on."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import uuid

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import InvalidInput, StorageFenced
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers import factory
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.conversion import convert
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.disk import DiskStorage
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.epochs import EPOCH, Claim, claim_of
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.drivers.etcd.storage import EtcdStorage
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service import commands, health, main, promote, settings
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.candidate_survey import survey
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.service.program import program

from .authority import Authority
from .samples import configuration, job, name


@pytest.fixture
def chosen(etcd, cluster, tmp_path):
    """The settings of a service on the master, whose files are there."""
    directory = tmp_path / "master"
    (directory / "queue/archive/0").mkdir(parents=True)
    files = DiskStorage(str(directory), durable=False)
    files.write_configuration(configuration(20))
    files.write_jobs({7: job(7)})
    files.write_jobs({3: job(3)}, archived=True)
    files.write_serial(7)
    files.write_ssconf({"master_node": "a1.lab.example\n", "cluster_name": "alpha.lab.example\n"})
    given = {"name": "a1.lab.example", "storage": "etcd", "endpoints": etcd.urls, "cluster": cluster}
    file = tmp_path / "settings.json"
    file.write_text(json.dumps({**given, "directory": str(directory), "status": str(tmp_path / "run/status.json")}))
    file.chmod(0o600)
    return settings.read(str(file))


@pytest.fixture
def running(chosen, monkeypatch):
    """The service runs meanwhile."""
    ended = []
    monkeypatch.setattr(main, "end_soon", lambda: ended)  # signals are for the main thread
    thread = threading.Thread(target=main.run, args=(chosen,))
    thread.start()
    wait(lambda: state(chosen) == "following")
    yield chosen
    ended.append(15)
    thread.join(60)
    assert not thread.is_alive()


def state(chosen):
    """What the service does."""
    return (health.said(chosen) or {}).get("state")


def wait(condition):
    """Until it holds."""
    event = threading.Event()
    for _each in range(1200):
        if condition():
            return
        event.wait(0.05)
    raise AssertionError(condition)


def test_the_service_follows_until_another_master_claims_and_goes_on_when_it_is_told_to(running):
    files = DiskStorage(running.directory, durable=False)
    with running.open() as storage:
        assert storage.configuration() == configuration(20)
        assert storage.queue() == (frozenset({7}), frozenset({3}), 7)
        assert storage.ssconf() == files.ssconf() and storage.cluster_name() == "alpha.lab.example" and storage.last_job() == 7
        files.write_configuration(configuration(21, mark="new"))
        files.write_jobs({8: job(8)})
        wait(lambda: storage.newest().serial == 21 and 8 in storage.queue().jobs)
        wait(lambda: health.check(running)[0] == health.OK)
        storage.claim(Claim(EPOCH, "u2"))
        wait(lambda: state(running) == "replaced")
        files.write_configuration(configuration(22))
        assert storage.newest().serial == 21
        assert "this node was replaced as the master" in health.check(running)[1]
        assert "its service goes on within seconds" in commands.reclaim(running)
        wait(lambda: storage.newest().serial == 22)


def test_a_service_whose_own_write_is_refused_first_knows_that_it_was_replaced(running):
    files = DiskStorage(running.directory, durable=False)
    with running.open() as storage:
        storage.claim(Claim(EPOCH, "u2"))
        files.write_configuration(configuration(21))
        wait(lambda: state(running) == "replaced")
        assert storage.newest().serial == 20


def test_a_service_goes_on_whose_write_is_refused_as_its_own_node_has_claimed_anew(running):
    files = DiskStorage(running.directory, durable=False)
    with running.open() as storage:
        storage.claim(Claim(EPOCH, name(1)))
        files.write_configuration(configuration(21))
        wait(lambda: storage.newest().serial == 21 and state(running) == "following")


def test_a_snapshot_is_restored_into_an_empty_etcd_and_not_past_another_master(chosen, tmp_path):
    with chosen.open() as storage:
        storage.claim(claim_of(configuration(20)))
        convert(DiskStorage(chosen.directory), storage)
        asked = argparse.Namespace(snapshot=str(tmp_path / "backups"), keep=1, restore=None, another_cluster=False)
        asked = argparse.Namespace(snapshot=None, restore=commands.copy(chosen, asked), another_cluster=False)
        storage.remove_jobs([7])
        assert commands.copy(chosen, asked) == "The database holds serial number 20; 1 jobs were written or removed"
        new = chosen._replace(options={**chosen.options, "cluster": str(uuid.uuid4())}, directory=str(tmp_path / "lost"))
        assert commands.copy(new, asked) == "The database holds serial number 20; 2 jobs were written or removed", "on a node without any files"
        with new.open() as restored:
            assert restored.configuration() == configuration(20) and restored.claims() == [Claim(20, name(1))]
        storage.claim(Claim(EPOCH, "u2"))
        with pytest.raises(InvalidInput, match="is not restored: .*this node was replaced as the master"):
            commands.copy(chosen, asked)


def test_the_program_runs_on_a_bare_python(running, tmp_path):
    archive = tmp_path / "service.pyz"
    archive.write_bytes(program())
    asked = [sys.executable, "-I", str(archive), "--config", str(tmp_path / "settings.json"), "--check"]
    wait(lambda: health.check(running)[0] == health.OK)
    done = subprocess.run(asked, capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"]}, timeout=60)
    assert (done.returncode, done.stderr) == (health.OK, "") and "has 20" in done.stdout


def test_a_candidate_tells_what_is_there(chosen):
    with chosen.open() as storage:
        storage.claim(Claim(EPOCH, name(1)))
        wanted = configuration(EPOCH + 1)
        flags = dict.fromkeys(("master_candidate", "master_capable", "offline", "drained"), False)
        wanted["nodes"][name(1)].update(flags, primary_ip="10.0.0.1")
        wanted["cluster"].update(candidate_pool_size=1, master_ip="10.0.0.10")
        storage.write_configuration(wanted)
        storage.write_queue({7: job(7)}, 7)
        found = survey("a1.lab.example", storage, chosen.directory, each_job=True)
    assert (found["storage"], found["serial"], found["claimed"], found["serials"]) == ("etcd", EPOCH + 1, EPOCH, {})


def test_what_is_told_of_members(chosen, etcd):
    with chosen.open() as storage:
        storage.probe()
        storage.claim(Claim(20, name(1)))
        storage.write_configuration(configuration(20))
        (told,) = storage.describe(23)["servers"].values()
    assert (told["url"], told["serial"], told["lag"], told["problem"], told["leads"]) == (etcd.urls[0], 20, 3, None, True)
    assert told["version"].startswith("3.") and told["databases"]["etcd"]["bytes"] > 0


def test_the_factory_makes_one_of_its_name(etcd, cluster):
    with factory.open_storage("etcd", name="a1", patience=2.0, endpoints=etcd.urls, cluster=cluster) as storage:
        assert isinstance(storage, EtcdStorage) and storage.machines == 1 and etcd.urls[0] in storage.where


def test_a_candidate_becomes_the_master_out_of_etcd_and_the_old_one_is_refused(etcd, cluster, tmp_path):
    flags = {"master_capable": True, "offline": False, "drained": False, "serial_no": 1, "mtime": 1.0}
    wanted = configuration(20)
    wanted["nodes"] = {
        name(number): {"uuid": name(number), "name": f"a{number}", "primary_ip": f"10.0.0.{number}", "master_candidate": number == 1, **flags}
        for number in (1, 2)
    }
    wanted["cluster"].update(serial_no=1, candidate_certs={name(1): "AA"}, modify_ssh_setup=False, candidate_pool_size=1, mtime=1.0)
    directory = tmp_path / "a2"
    (directory / "queue/archive").mkdir(parents=True)
    certificate, _key = Authority(tmp_path, "cluster").signed("a2")
    os.rename(certificate, directory / "client.pem")
    with factory.open_storage("etcd", endpoints=etcd.urls, cluster=cluster) as old, factory.open_storage("etcd", endpoints=etcd.urls, cluster=cluster) as new:
        old.claim(claim_of(wanted))
        old.write_configuration(wanted)
        old.write_queue({number: job(number) for number in (5, 6)}, 6)
        old.write_jobs({number: job(number) for number in range(1, 5)}, archived=True)
        told = promote.promote(new, str(directory), promote.Request("a2", ["a1"], 20))
        assert promote.archive(new, str(directory)) == 4
        for write in (lambda: old.write_configuration(configuration(21)), lambda: old.write_queue({7: job(7)}, 7)):
            with pytest.raises(StorageFenced, match=f"{name(2)} is the master since serial number {EPOCH}"):
                write()
        files = DiskStorage(str(directory))
        assert files.queue() == new.queue() == (frozenset({5, 6}), frozenset({1, 2, 3, 4}), 6)
        assert told["serial"] == files.newest().serial >= EPOCH
        convert(files, new)
        assert new.configuration() == files.configuration() and new.claims() == [Claim(EPOCH, name(2))]
