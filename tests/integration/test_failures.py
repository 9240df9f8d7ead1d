# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Moves that fail, are interrupted or are killed: the source is as it was, or the next run finishes the work."""

from __future__ import annotations

import json
import os
import signal

import pytest

from .lab import ENDPOINT, eventually

NODE = {"primary_node": "b1.lab.example"}


def address(lab, name):
    """The address of a node."""
    nodes = [node for cluster in lab.description["clusters"].values() for node in cluster["nodes"]]
    return next(node["ip"] for node in nodes if node["name"].startswith(name))


def test_a_cut_connection(lab, instance, move, slow, untouched):
    """The network between the nodes vanishes without a word; only the kernels' timers can tell."""
    instance()
    running = move(**NODE)
    running.wait_for(" %, ", times=2)
    lab.run("b1", "ip", "route", "add", "blackhole", address(lab, "a2"))
    try:
        result = running.result()
    finally:
        lab.run("b1", "ip", "route", "del", "blackhole", address(lab, "a2"))
    assert result["failed"] and "The copy failed on the" in result["msg"] and "broke" in result["msg"], result
    untouched()


def test_an_endpoint_that_is_killed(lab, instance, move, slow, untouched):
    instance()
    running = move(compress="gzip", **NODE)
    running.wait_for(" %, ", times=2)
    assert lab.endpoints("b1"), "".join(running.lines[-5:])
    lab.run("b1", "pkill", "-9", "-f", ENDPOINT)
    result = running.result()
    assert result["failed"] and "The copy failed on the" in result["msg"], result
    untouched()


def test_ctrl_c(lab, instance, move, slow, untouched):
    name = instance()
    running = move(**NODE)
    running.wait_for(" %, ", times=2)
    assert lab.endpoints("a2") and lab.endpoints("b1")
    os.killpg(running.process.pid, signal.SIGINT)
    eventually(lambda: not lab.endpoints("a2", "b1"), 10, "the endpoints are gone")
    eventually(lambda: lab.fields("alpha", name, "status", "tags") == ["running", ""], 60, "the source runs again")
    untouched()


def test_no_lock_is_held_while_data_flows(lab, instance, move, slow):
    """And only the instance that takes part is affected: another one can be made and removed meanwhile."""
    name = instance(data=120)
    running = move(**NODE)
    running.wait_for(" %, ", times=2)
    assert lab.fields("alpha", name, "status") == ["ADMIN_offline"] == lab.fields("beta", name, "status")
    for cluster in ("alpha", "beta"):
        locks = lab.master(cluster, "gnt-debug", "locks", "--no-headers", "--separator=|", "-o", "name,owner").split()
        assert all(lock.endswith("|") for lock in locks), locks
        lab.master(cluster, "gnt-instance", "add", "-t", "diskless", "-o", "noop", "--no-install", "--no-start", "-I", "hail", "--net=0:ip=10.99.0.8",
                   "-B", "memory=64", "--no-ip-check", "--no-name-check", "inst3.lab.example")  # fmt: skip
        lab.remove(cluster, "inst3.lab.example")
    assert running.process.poll() is None and lab.endpoints("a2"), "the copy was over too early for this test to say anything"
    assert running.result()["changed"]


def test_a_destination_that_does_not_start(lab, instance, move, untouched):
    """A hook of Ganeti's on the destination's master forbids it."""
    instance()
    hook = "/etc/ganeti/hooks/instance-start-pre.d/00-forbid"
    lab.run("b1", "install", "-D", "-m", "755", "/bin/false", hook)
    try:
        result = move(**NODE).result()
    finally:
        lab.run("b1", "rm", hook)
    assert result["failed"] and "release inst1.lab.example" in result["msg"], result
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
def test_a_move_that_is_killed_is_taken_up_by_the_next_run(lab, instance, move, phase, action):
    name = instance()
    digest = lab.digests("a2", name)["0"][0]
    killed = move(**NODE)
    killed.wait_for(phase)
    killed.kill()
    states = [lab.fields(cluster, name, "oper_state") for cluster in ("alpha", "beta")]
    assert states != [["Y"], ["Y"]], "both copies run"
    eventually(lambda: not unfinished(lab), 60, "Ganeti's jobs have come to their end")

    result = move(**NODE).result()
    assert result["changed"] and not result["failed"], result
    assert result["action"] == action if action else result["action"] in ("move", "finish")
    assert lab.fields("beta", name, "status", "tags") == ["running", ""]
    assert lab.fields("alpha", name, "status") == ["ADMIN_offline"]
    assert lab.digests("b1", name)["0"][0] == digest
    assert not move(**NODE).result()["changed"]


def unfinished(lab):
    """Jobs that have not ended."""
    lists = [lab.master(cluster, "gnt-job", "list", "--no-headers", "-o", "status") for cluster in ("alpha", "beta")]
    return set(" ".join(lists).split()) - {"success", "error", "canceled"}


def test_the_journal_tells_the_steps_and_no_secret(lab, instance, move):
    instance()
    running = move(destination=lab.rapi("beta"), **NODE)
    assert running.result()["changed"]
    arguments = running.process.args
    directory = json.loads(arguments[arguments.index("-a") + 1])["journal_directory"]
    (entry,) = [each for each in os.listdir(directory) if each.endswith(".json")]
    with open(f"{directory}/{entry}", encoding="ascii") as stream:
        text = stream.read()
    steps = [each["step"] for each in json.loads(text)]
    assert steps[0] == "begin" and steps[-1] == "committed" and "verified" in steps
    assert os.stat(f"{directory}/{entry}").st_mode & 0o077 == 0
    assert lab.rapi("beta")["rapi"]["password"] not in text + "".join(running.lines)
