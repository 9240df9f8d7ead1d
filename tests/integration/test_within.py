# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Moves within a cluster: the twin has the name and the addresses in the end, or the source has them again; and ciphers."""

from __future__ import annotations

import pytest

from . import allot
from .lab import STORAGE, eventually
from .test_failures import forbidding
from .test_move import PARAMETERS

SOURCE, DESTINATION = allot.USUAL.source, allot.USUAL.within
WITHIN = {"destination": None, "primary_node": f"{DESTINATION}.lab.example"}
FILE = "/etc/ganeti/extended-parameters.json"
HOOK = "/etc/ganeti/hooks/node-add-post.d/50-extended-parameters"
CIPHERS = pytest.mark.apart("ciphers")
NULL, WEAKER = "ECDHE-ECDSA-NULL-SHA", "ECDHE-ECDSA-AES128-GCM-SHA256"


def relatives(lab, name):
    """The names of instances on alpha that a move of *name* has made."""
    return [each for each in lab.instances("alpha") if each.startswith(f"{name}.")]


@pytest.fixture
def alone(lab, name):
    """Removes what a move within alpha leaves."""
    yield
    lab.remove("alpha", *relatives(lab, name))


@pytest.fixture
def as_before(lab, instance, alone):
    """Makes the instance; what it returns asserts that all is as it was then."""
    name = instance(nics=[{"ip": "10.99.0.1", "name": "front"}, {"ip": "10.99.0.2"}], tags=["prod"])
    described, digests = lab.fields("alpha", name, *PARAMETERS), lab.digests(SOURCE, name)

    def check():
        assert lab.fields("alpha", name, *PARAMETERS) == described
        assert lab.fields("alpha", name, "pnode", "status") == [f"{SOURCE}.lab.example", "running"]
        assert lab.digests(SOURCE, name)["0"][0] == digests["0"][0]  # what is allocated is known a while after it was written
        assert relatives(lab, name) == []
        assert lab.run(DESTINATION, "find", STORAGE, "-name", f"{name}*") == ""
        assert lab.endpoints(name, SOURCE, DESTINATION) == []

    return check


@pytest.fixture
def bypassing(lab):
    """Allows alpha to choose ciphers."""
    set_bypassing(lab, True)
    yield
    for node in ("a1", "a2", "a3"):
        lab.run(node, "rm", "-f", FILE, HOOK)


def set_bypassing(lab, allowed):
    """Set the parameter as a user does."""
    result = lab.module("cluster", {"transport": "ssh", **lab.side("alpha"), "allow_cipher_bypassing": allowed})
    assert not result["failed"], result


def test_the_twin_takes_everything_over(lab, instance, move, alone):
    name = instance(
        nics=[{"ip": "10.99.0.1", "name": "front"}, {"link": "200", "mode": "routed", "ip": "10.99.0.2"}],
        disks=[{"size": 256, "name": "root"}, {"size": 64, "mode": "ro"}], beparams={"maxmem": 96, "minmem": 64, "vcpus": 2},
        osparams={"flavour": "vanilla"}, tags=["prod", "owner:me"],
    )  # fmt: skip
    described, disks = lab.fields("alpha", name, *PARAMETERS), lab.digests(SOURCE, name)
    rehearsed = move(check_mode=True, **WITHIN).result()
    assert rehearsed["changed"] and rehearsed["action"] == "move" and relatives(lab, name) == [], rehearsed

    moved = move(**WITHIN).result()
    assert moved["changed"] and not moved["failed"], moved
    assert lab.fields("alpha", name, *PARAMETERS) == described
    assert lab.fields("alpha", name, "pnode", "status") == [f"{DESTINATION}.lab.example", "running"]
    copied = lab.digests(DESTINATION, name)
    assert {number: digest for number, (digest, _size) in copied.items()} == {number: digest for number, (digest, _size) in disks.items()}
    assert all(copied[number][1] <= disks[number][1] + 64 for number in disks), "sparseness was lost"
    assert moved["tls"][0]["version"] == "TLSv1.3"

    assert relatives(lab, name) == [moved["source_name"]]
    node, status, tags, macs = lab.fields("alpha", moved["source_name"], "pnode", "status", "tags", "nic.macs")
    assert (node, status) == (f"{SOURCE}.lab.example", "ADMIN_offline") and f"ganeti-move:{moved['move_id']}:moved-to:" in tags
    assert not set(macs.split(",")) & set(lab.fields("alpha", name, "nic.macs")[0].split(","))
    assert not move(**WITHIN).result()["changed"]

    back = move(destination=None, primary_node=f"{SOURCE}.lab.example", source_after="removed").result()
    assert back["changed"] and not back["failed"], back
    assert lab.fields("alpha", name, *PARAMETERS) == described
    assert relatives(lab, name) == [moved["source_name"]], "only the first move was to keep its source"


def test_through_the_remote_api(lab, instance, move, alone):
    name = instance(start=False)
    macs = lab.fields("alpha", name, "nic.macs")
    moved = move(source=lab.rapi("alpha"), **WITHIN, source_after="removed").result()
    assert moved["changed"] and not moved["failed"], moved
    assert lab.fields("alpha", name, "pnode", "status", "nic.macs") == [f"{DESTINATION}.lab.example", "ADMIN_down", *macs]
    assert relatives(lab, name) == []


def test_a_twin_that_does_not_start_gives_everything_back(lab, name, move, as_before):
    with forbidding(lab, DESTINATION, name):
        result = move(**WITHIN).result()
    assert result["failed"] and "The move was undone: the source is as it was" in result["msg"], result
    as_before()


PHASES = [("create the destination", "move"), ("copy the disks", "move"), ("start the destination", None), ("commit", "finish")]


@pytest.mark.parametrize(("phase", "action"), PHASES)
def test_a_killed_move_is_taken_up(lab, name, move, as_before, phase, action):
    described = lab.fields("alpha", name, *PARAMETERS)
    digest = lab.digests(SOURCE, name)["0"][0]
    killed = move(shown=True, **WITHIN)
    killed.wait_for(phase)
    killed.kill()
    eventually(lambda: not lab.ganeti("alpha").unfinished(name), 240, "Ganeti's jobs have come to their end")
    running = [each for each in [name, *relatives(lab, name)] if lab.fields("alpha", each, "oper_state") == ["True"]]
    assert len(running) <= 1, "both copies run"

    result = move(**WITHIN).result()
    assert result["changed"] and not result["failed"], result
    assert result["action"] == action if action else result["action"] in ("move", "finish")
    assert lab.fields("alpha", name, *PARAMETERS) == described
    assert lab.fields("alpha", name, "pnode", "status") == [f"{DESTINATION}.lab.example", "running"]
    assert lab.digests(DESTINATION, name)["0"][0] == digest
    assert relatives(lab, name) == [result["source_name"]]
    assert not move(**WITHIN).result()["changed"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"destination": None}, "set primary_node to the node that is to have the instance"),
        ({**WITHIN, "destination_name": "inst60.lab.example"}, "use gnt-instance rename"),
        ({"primary_node": "b1.lab.example", "ciphers": [WEAKER]}, "for moves within a cluster only"),
        pytest.param({**WITHIN, "ciphers": [WEAKER]}, f"source node {SOURCE}.lab.example does not allow moves to choose ciphers", marks=CIPHERS),
    ],
)
def test_what_is_refused(move, as_before, arguments, words):
    result = move(**arguments).result()
    assert result["failed"] and words in result["msg"], result
    as_before()


@CIPHERS
def test_what_is_not_one_cipher_with_authentication_is_refused(move, as_before, bypassing):
    for ciphers, words in (
        (["@SECLEVEL=0", "!AES", f"{WEAKER}:{NULL}", f"{WEAKER},{NULL}", f"{WEAKER} {NULL}"], "'{}' in ciphers is not a name of a cipher"),
        (["ALL", "NULL", "eNULL", "HIGH"], "{} is not the name of a cipher of this node's OpenSSL"),
        (["AECDH-NULL-SHA", "NULL-SHA256", "AES128-SHA"], "The cipher {} does not fit the certificates of a move"),
    ):
        result = move(ciphers=[*ciphers, WEAKER], **WITHIN).result()
        assert result["failed"] and all(words.format(cipher) in result["msg"] for cipher in ciphers), result
        assert words.format(WEAKER) not in result["msg"]
    as_before()


@CIPHERS
def test_each_node_decides_for_itself(lab, move, as_before, bypassing):
    lab.run(DESTINATION, "rm", FILE)
    result = move(ciphers=[WEAKER], **WITHIN).result()
    assert result["failed"] and f"destination node {DESTINATION}.lab.example does not allow moves to choose ciphers" in result["msg"], result
    assert "source node" not in result["msg"]
    as_before()
    lab.run(DESTINATION, "install", "-m", "644", "/dev/null", FILE)
    assert "only root can read and write" in move(ciphers=[WEAKER], **WITHIN).result()["msg"]
    as_before()


@CIPHERS
@pytest.mark.parametrize(("cipher", "version", "bits"), [(WEAKER, "TLSv1.2", 128), (NULL, "TLSv1.2", 0), ("TLS_AES_128_GCM_SHA256", "TLSv1.3", 128)])
def test_the_cipher_that_is_named_is_used(lab, name, move, as_before, bypassing, cipher, version, bits):
    digests = lab.digests(SOURCE, name)
    moved = move(ciphers=[cipher], compress="gzip", **WITHIN).result()
    assert moved["changed"] and not moved["failed"], moved
    assert moved["tls"] == [{"version": version, "cipher": cipher, "bits": bits}]
    assert lab.digests(DESTINATION, name)["0"][0] == digests["0"][0]
