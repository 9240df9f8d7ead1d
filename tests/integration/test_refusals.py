# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What cannot work is refused with one clear sentence, and nothing is left behind."""

from __future__ import annotations

import time

import pytest

from .lab import STORAGE, eventually


@pytest.fixture
def refused(move):
    """Runs a move that must fail; returns its message."""

    def run(**arguments):
        result = move(**arguments).result()
        assert result["failed"] and not result.get("changed"), result
        assert "Traceback" not in result["msg"]
        return result["msg"]

    return run


def test_options_that_cannot_be_meant(lab, instance, refused, untouched):
    instance()
    assert "is not a name of a compression tool" in refused(compress="gzip -9")
    assert "is not a host name" in refused(destination_name="a;b")
    untouched()


def test_a_wrong_password(lab, instance, refused, untouched):
    instance()
    message = refused(destination=lab.rapi("beta", password="not-the-password"))
    assert "ansible" in message and "password" in message and "not-the-password" not in message
    untouched()


def test_another_authority(lab, instance, refused, untouched):
    instance()
    assert "certificate" in refused(destination=lab.rapi("beta", ca_path=lab.cluster("alpha")["rapi"]["ca"])).lower()
    untouched()


def test_an_unknown_host_key(lab, instance, refused, untouched, tmp_path):
    instance()
    (tmp_path / "known_hosts").write_text("")
    config = (lab.run_directory / "ssh_config").read_text().replace(lab.description["known_hosts"], str(tmp_path / "known_hosts"))
    (tmp_path / "config").write_text(config)
    message = refused(destination=lab.side("beta", ssh={"config_file": str(tmp_path / "config")}))
    assert "host key" in message and "b1.lab.example" in message
    untouched()


def test_an_unknown_instance(lab, name, refused):
    message = refused()
    assert f"There is no instance {name} on alpha.lab.example" in message


def test_another_cluster_than_was_meant(lab, instance, refused, untouched):
    instance()
    message = refused(destination=lab.side("alpha", name="beta.lab.example"))
    assert "Wrong cluster" in message and "beta.lab.example" in message
    assert "are the same cluster" in refused(destination=lab.side("alpha"))
    untouched()


def test_a_node_that_is_not_the_master(lab, instance, refused, untouched):
    instance()
    assert "a1.lab.example" in refused(source=lab.side("alpha", address="a2.lab.example"))
    untouched()


def test_all_that_is_wrong_is_told_at_once(lab, instance, move, untouched):
    instance()
    result = move(compress="zstd", disk_template="plain", primary_node="b9.lab.example", nics=[{"index": 4}]).result()
    assert result["failed"] and len(result["problems"]) == 4, result
    text = " ".join(result["problems"])
    assert "zstd is not allowed on the destination cluster beta.lab.example" in text
    assert "disk template plain is not enabled" in text and "no node b9.lab.example" in text and "the interface 4" in text
    untouched()


def test_an_operating_system_that_is_not_there(lab, instance, refused):
    instance(os_type="alpha-only")
    assert "operating system alpha-only is not installed" in refused()


def test_what_ganeti_would_refuse(lab, instance, refused):
    """The destination's own check, run before anything is changed."""
    instance("--net=0:ip=10.99.0.1", "-B", "maxmem=300,minmem=300")
    bounds = (
        "min:memory-size=16,cpu-count=1,disk-size=4,disk-count=0,nic-count=0,spindle-use=1"
        "/max:memory-size={},cpu-count=8,disk-size=1048576,disk-count=16,nic-count=8,spindle-use=12"
    )
    lab.master("beta", "gnt-cluster", "modify", "--ipolicy-bounds-specs=" + bounds.format(256))
    try:
        message = refused(primary_node="b1.lab.example")
        assert "would refuse the instance" in message and "memory-size" in message
    finally:
        lab.master("beta", "gnt-cluster", "modify", "--ipolicy-bounds-specs=" + bounds.format(32768))


def test_a_name_that_is_taken(lab, instance, name, refused):
    instance()
    lab.master("beta", "gnt-instance", "add", "-t", "diskless", "-o", "noop", "--no-install", "--no-start", "-n", "b1.lab.example", "--net=0:ip=10.99.0.7",
               "-B", "memory=64", "--no-ip-check", "--no-name-check", name)  # fmt: skip
    assert f"beta.lab.example already has an instance {name}" in refused()
    assert lab.fields("beta", name, "disk_template", "status") == ["diskless", "ADMIN_down"]


def test_a_full_destination(lab, instance, refused, untouched):
    instance()
    lab.run("b2", "mount", "-t", "tmpfs", "-o", "size=30m", "none", STORAGE)
    try:
        message = refused(primary_node="b2.lab.example")
        assert "The destination node b2.lab.example has 30 MiB free" in message
    finally:
        lab.run("b2", "umount", STORAGE)
    untouched()


def test_a_port_that_cannot_be_reached(lab, instance, refused, untouched):
    instance()
    address = next(node["ip"] for node in lab.cluster("beta")["nodes"] if node["name"] == "b2.lab.example")
    lab.run("a2", "ip", "route", "add", "unreachable", address)
    try:
        assert "cannot reach the destination node b2.lab.example" in refused(primary_node="b2.lab.example", data_port=7334)
    finally:
        lab.run("a2", "ip", "route", "del", "unreachable", address)
    untouched()


def test_an_instance_that_another_job_has_locked(lab, instance, name, refused):
    instance(os_type="slow", start=False)
    lab.master("alpha", "gnt-instance", "reinstall", "--force", "--submit", name)
    eventually(lambda: lab.run("a2", "pgrep", "-f", "os/slow/create|sleep 60", check=False), 20, "the slow job runs")
    begun = time.monotonic()
    try:
        message = refused()
    finally:
        lab.run("a2", "pkill", "-f", "sleep 60", check=False)
    assert f"{name} is locked by" in message and "wait for that job or cancel it" in message
    assert time.monotonic() - begun < 50, "it did not wait for the lock"
    assert lab.fields("beta", name, "status") is None
