# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Moves that fail, are interrupted or are killed: the source is as it was, or the next run finishes the work."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time

import pytest

from . import allot
from .lab import eventually

WIRES = pytest.mark.apart(allot.WIRES)


@contextlib.contextmanager
def forbidding(lab, master, name):
    """A hook of Ganeti's on a master forbids that an instance is started."""
    hook = f"/etc/ganeti/hooks/instance-start-pre.d/50-forbid-{name.split('.')[0]}"
    script = f"#!/bin/sh\n[ \"$GANETI_INSTANCE_NAME\" != {name} ]\n"
    lab.run(master, "sh", "-c", f"mkdir -p $(dirname {hook}); cat >{hook}; chmod 755 {hook}", given=script)
    try:
        yield
    finally:
        lab.run(master, "rm", hook)


@WIRES
def test_a_cut_connection(lab, instance, move, crawling, untouched, way):
    """The network between the nodes vanishes without a word; only the kernels' timers can tell."""
    instance()
    running = move(shown=True, **way.node)
    running.wait_for(" %, ", times=2)
    lab.run(way.destination, "ip", "route", "add", "blackhole", lab.address(way.source))
    try:
        result = running.result()
    finally:
        lab.run(way.destination, "ip", "route", "del", "blackhole", lab.address(way.source))
    assert result["failed"] and "The copy failed on the" in result["msg"] and "broke" in result["msg"], result
    untouched()


@WIRES
def test_an_endpoint_that_is_killed(lab, instance, move, crawling, untouched, way):
    name = instance()
    running = move(shown=True, compress="gzip", **way.node)
    running.wait_for(" %, ", times=2)
    found = lab.endpoints(name, way.destination)
    assert found, "".join(running.lines[-5:])
    lab.run(way.destination, "kill", "-9", *(each.split()[1] for each in found))
    result = running.result()
    assert result["failed"] and "The copy failed on the" in result["msg"], result
    untouched()


@WIRES
@pytest.mark.parametrize("cluster", ["alpha", "beta"])
def test_a_disk_that_somebody_adds_under_way_is_not_lost(lab, instance, move, crawling, way, cluster):
    """To the source, which is fenced, or to the copy: Ganeti lets an administrator do it. The source is not removed, and the copy is not used."""
    name = instance()
    running = move(shown=True, source_after="removed", **way.node)
    running.wait_for(" %, ")
    lab.master(cluster, "gnt-instance", "modify", "--disk", "add:size=64m,name=added", name)
    crawling()
    result = running.result()
    assert result["failed"] and f"{name} " in result["msg"] and "was changed while it was" in result["msg"], result
    assert lab.fields("alpha", name, "status", "tags", "disk.count") == ["running", "", "2" if cluster == "alpha" else "1"]
    assert lab.fields("beta", name, "status") is None


@WIRES
def test_ctrl_c(lab, instance, move, crawling, untouched, way):
    name = instance()
    running = move(command=True, **way.node)
    running.wait_for(" %, ", times=2)
    assert lab.endpoints(name, way.source) and lab.endpoints(name, way.destination)
    presses = [time.monotonic()]
    os.killpg(running.process.pid, signal.SIGINT)

    def ended():
        if time.monotonic() - presses[-1] > 60:  # as who presses it once more where nothing happens: now and then Ansible loses one
            presses.append(time.monotonic())
            os.killpg(running.process.pid, signal.SIGINT)
        return not lab.endpoints(name, way.source, way.destination)

    eventually(ended, 300, "the endpoints are gone")
    eventually(lambda: lab.fields("alpha", name, "status", "tags") == ["running", ""], 240, "the source runs again")
    untouched()


@WIRES
def test_no_lock_is_held_while_data_flows(lab, instance, move, crawling, other, way):
    """And only the instance that takes part is affected: another one can be made and removed meanwhile."""
    name = instance()
    running = move(shown=True, **way.node)
    running.wait_for(" %, ", times=2)
    assert lab.fields("alpha", name, "status") == ["ADMIN_offline"] == lab.fields("beta", name, "status")
    for cluster in ("alpha", "beta"):
        ganeti = lab.ganeti(cluster)
        assert f"instance/{name}" not in {lock for lock, owners in ganeti.query("lock", ["name", "owner"]) if owners}
        assert ganeti.unfinished(name) == [], "a job that has not ended may hold locks"
        lab.master(cluster, "gnt-instance", "add", "-t", "diskless", "-o", "noop", "--no-install", "--no-start", "-I", "hail", "--net=0:ip=10.99.0.8",
                   "-B", "memory=64", "--no-ip-check", "--no-name-check", other)  # fmt: skip
        lab.remove(cluster, other)
    assert running.process.poll() is None and lab.endpoints(name, way.source), "the copy was over too early for this test to say anything"
    crawling()
    assert running.result()["changed"]


def test_a_destination_that_does_not_start(lab, instance, move, untouched, way):
    name = instance()
    with forbidding(lab, "b1", name):
        result = move(**way.node).result()
    assert result["failed"] and f"release {name}" in result["msg"], result
    assert "The move was undone: the source is as it was" in result["msg"]
    untouched()


PHASES = [
    ("create the destination", "move"),
    ("stop and fence the source", "move"),
    ("copy the disks", "move"),
    ("start the destination", None),  # either, as the job may be over by then
    ("commit", "finish"),
]


@pytest.mark.parametrize(("phase", "action"), PHASES)
def test_a_move_that_is_killed_is_taken_up_by_the_next_run(lab, instance, move, way, phase, action):
    name = instance()
    digest = lab.digests(way.source, name)["0"][0]
    killed = move(shown=True, **way.node)
    killed.wait_for(phase)
    killed.kill()
    states = [lab.fields(cluster, name, "oper_state") for cluster in ("alpha", "beta")]
    assert states != [["True"], ["True"]], "both copies run"
    eventually(lambda: not any(lab.ganeti(cluster).unfinished(name) for cluster in ("alpha", "beta")), 240, "Ganeti's jobs have come to their end")

    result = move(**way.node).result()
    assert result["changed"] and not result["failed"], result
    assert result["action"] == action if action else result["action"] in ("move", "finish")
    assert lab.fields("beta", name, "status", "tags") == ["running", ""]
    assert lab.fields("alpha", name, "status") == ["ADMIN_offline"]
    assert lab.digests(way.destination, name)["0"][0] == digest
    assert not move(**way.node).result()["changed"]


def test_the_journal_tells_the_steps_and_no_secret(lab, instance, move, way):
    instance()
    running = move(shown=True, destination=lab.rapi("beta"), **way.node)
    assert running.result()["changed"]
    directory = running.arguments["journal_directory"]
    (entry,) = [each for each in os.listdir(directory) if each.endswith(".json")]
    with open(f"{directory}/{entry}", encoding="ascii") as stream:
        text = stream.read()
    steps = [each["step"] for each in json.loads(text)]
    assert steps[0] == "begin" and steps[-1] == "committed" and "verified" in steps
    assert os.stat(f"{directory}/{entry}").st_mode & 0o077 == 0
    assert lab.rapi("beta")["rapi"]["password"] not in text + "".join(running.lines)
