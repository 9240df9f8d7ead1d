# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What cannot work is refused with one clear sentence, and nothing is left behind."""

from __future__ import annotations

import pytest

from . import allot
from .conftest import make
from .lab import STORAGE, eventually

WIRES = pytest.mark.apart(allot.WIRES)


@pytest.fixture
def refused(move):
    """Runs a move that must fail; returns its message."""

    def run(**arguments):
        result = move(**arguments).result()
        assert result["failed"] and not result["changed"], result
        assert "Traceback" not in result["shown"]
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
    message = refused(destination=lab.side("alpha", cluster_name="beta.lab.example"))
    assert "Wrong cluster" in message and "beta.lab.example" in message
    assert "are the same cluster" in refused(destination=lab.side("alpha"))
    untouched()


def test_a_node_that_is_not_the_master(lab, instance, refused, untouched, way):
    instance()
    assert "a1.lab.example" in refused(source=lab.side("alpha", address=f"{way.source}.lab.example"))
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
    """The destination's own check, run before anything is changed. Its policy is lowered by a MiB of memory, which no other test would notice."""
    (bounds,) = lab.ganeti("beta").call("QueryClusterInfo")["ipolicy"]["minmax"]
    most = bounds["max"]["memory-size"]
    instance(beparams={"memory": most}, start=False)

    def limit(memory):
        lower = {**bounds, "max": {**bounds["max"], "memory-size": memory}}
        lab.ganeti("beta").job({"OP_ID": "OP_CLUSTER_SET_PARAMS", "ipolicy": {"minmax": [lower]}})

    limit(most - 1)
    try:
        message = refused(primary_node="b1.lab.example")
        assert "would refuse the instance" in message and "memory-size" in message
    finally:
        limit(most)


def test_a_name_that_is_taken(lab, instance, name, refused):
    instance()
    make(lab, "beta", "b1", name, disk_template="diskless", disks=[], nics=[{"ip": "10.99.0.7"}], start=False)
    assert f"beta.lab.example already has an instance {name}" in refused()
    assert lab.fields("beta", name, "disk_template", "status") == ["diskless", "ADMIN_down"]


@pytest.mark.on("delta")
def test_a_full_destination(lab, site, instance, refused, untouched):
    instance()
    lab.run(site.nodes[2], "mount", "-t", "tmpfs", "-o", "size=30m", "none", STORAGE)
    try:
        message = refused(destination=lab.side(site.name), primary_node=site.hosts[2])
        assert f"The destination node {site.hosts[2]} has 30 MiB free" in message
    finally:
        lab.run(site.nodes[2], "umount", STORAGE)
    untouched()


@WIRES
def test_a_port_that_cannot_be_reached(lab, instance, refused, untouched, way):
    instance()
    lab.run(way.source, "ip", "route", "add", "unreachable", lab.address(way.destination))
    try:
        message = refused(data_port=7334, **way.node)
        assert f"as seen on the source node {way.source}.lab.example: Cannot connect" in message and "7334: No route to host" in message
    finally:
        lab.run(way.source, "ip", "route", "del", "unreachable", lab.address(way.destination))
    untouched()


def test_an_instance_that_another_job_has_locked(lab, instance, name, refused, way):
    instance(os_type="slow", start=False)
    job = lab.ganeti("alpha").submit({"OP_ID": "OP_INSTANCE_REINSTALL", "instance_name": name})
    eventually(lambda: sleepers(lab, way.source, name), 240, "the slow job runs")
    try:
        message = refused()
        assert sleepers(lab, way.source, name), "the job was over too early for this test to say anything"
    finally:
        lab.run(way.source, "kill", *sleepers(lab, way.source, name), check=False)
    assert f"{job} (INSTANCE_REINSTALL({name}))" in message and "Wait for them or cancel them" in message
    assert lab.fields("beta", name, "status") is None
    eventually(lambda: not any(number == job for number, _summary in lab.ganeti("alpha").unfinished(name)), 240, "the slow job has ended")


def sleepers(lab, node, name):
    """The pids of what the operating system `slow` runs for the instance."""
    found = lab.run(node, "sh", "-c", f"grep -lsz '^INSTANCE_NAME={name}$' /proc/[0-9]*/environ; true").split()
    return [path.split("/")[2] for path in found]
