# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compression tools on the lab: put on nodes, used by Ganeti's daemon and by moves, measured, and chosen."""

from __future__ import annotations

import pytest

from . import allot
from .lab import STORAGE

DELTA = pytest.mark.on("delta")

TOOL = "zstd-tiny"
SCRIPT = f"/usr/local/bin/{TOOL}"
DECLARED = {"name": TOOL, "command": "zstd -1 -c -T1", "decompress_command": "zstd -d -c"}
LIBRARY = "/usr/lib/x86_64-linux-gnu/libcrypto.so.3"


def fill(lab, node, name):
    """Write a program library, which compresses well, to an instance's disk."""
    lab.run(node, "sh", "-c", f"dd if={LIBRARY} of=$(ls {STORAGE}/{name}/*.disk0) bs=1M seek=9 conv=notrunc status=none")
    return name


@pytest.fixture
def clean(lab, site):
    """Removes the script from the nodes."""
    yield
    for node in site.nodes:
        lab.run(node, "rm", "-f", SCRIPT)


@pytest.fixture
def compressible(lab, instance, way):
    """An instance whose disk compresses well."""
    return fill(lab, way.source, instance(data=0))


def declare(site, *options, on=1, **changes):
    """Run compression_tool on a node, through Ansible and SSH."""
    return site.module("compression_tool", {**DECLARED, "measure": False, **changes}, options, on)


@DELTA
def test_a_script_is_proved_put_in_place_and_removed(lab, site, clean):
    node = site.nodes[1]
    rehearsed = declare(site, "--check", "--diff")
    assert rehearsed["changed"] and not rehearsed["failed"], rehearsed
    assert lab.run(node, "ls", SCRIPT, check=False) == ""
    first = declare(site, measure=True, sample="/usr/lib", sample_mib=2)
    assert first["changed"] and first["ratio"] > 1 and first["compress_mib_per_second"] > 0 and first["decompress_mib_per_second"] > 0, first
    assert lab.run(node, "stat", "--format=%a %U", SCRIPT).split() == ["755", "root"]
    assert not declare(site)["changed"]
    lab.run(node, "chmod", "600", SCRIPT)
    assert declare(site)["changed"] and not declare(site)["changed"]
    assert declare(site, state="absent")["changed"] and not declare(site, state="absent")["changed"]
    assert lab.run(node, "ls", SCRIPT, check=False) == ""


@DELTA
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "auto"}, "auto is the word for the tool that is found best"),
        ({"name": "gzip-fast"}, "a command of its own for gzip-fast"),
        ({"command": "no-such-program -1"}, "does not answer -h"),
        ({"command": "cat", "decompress_command": "cat"}, "does not notice that its input was cut off"),
        ({"name": "not-there", "command": None, "decompress_command": None}, "install not-there"),
    ],
)
def test_what_is_no_tool_leaves_nothing(lab, site, changes, words):
    before = lab.run(site.nodes[1], "ls", "-A", "/usr/local/bin")
    result = declare(site, **changes)
    assert result["failed"] and words in result["msg"] and "Traceback" not in result["shown"], result
    assert lab.run(site.nodes[1], "ls", "-A", "/usr/local/bin") == before


@DELTA
def test_an_alias_carries_a_move(lab, site, resident, move, clean):
    """The tool on both nodes and in the cluster's list: a move goes through it."""
    name = fill(lab, site.nodes[1], resident(data=0))
    for number in (1, 2):
        assert declare(site, on=number)["changed"]
    side = {"transport": "ssh", **lab.side(site.name)}
    before = lab.module("cluster_info", side)["parameters"]["compression_tools"]
    assert not lab.module("cluster", {**side, "compression_tools": [*before, TOOL]})["failed"]
    try:
        arguments = {"source": lab.side(site.name), "destination": None, "primary_node": site.hosts[2]}
        moved = move(name=name, compress=TOOL, source_after="removed", **arguments).result()
        assert moved["changed"] and not moved["failed"] and moved["compress"] == TOOL and "compress_reason" not in moved, moved
        assert moved["wire"] < 0.7 * moved["payload"]
    finally:
        assert not lab.module("cluster", {**side, "compression_tools": before})["failed"]


def test_the_best_tool_depends_on_the_network(lab, compressible, way):
    arguments = {"transport": "ssh", **lab.side("alpha"), "name": compressible, "sample_mib": 4, "lanes": 1}
    known = lab.module("cluster_info", {"transport": "ssh", **lab.side("alpha")})["info"]["compression_tools"]
    slow = lab.module("compression_benchmark_info", {**arguments, "network_rate": 1})
    assert not slow["failed"] and not slow["changed"], slow
    assert {row["name"] for row in slow["tools"]} == {"none", *known}
    speeds = [row["speed"] for row in slow["tools"]]
    assert speeds == sorted(speeds, reverse=True) and slow["recommended"] == slow["tools"][0]["name"] != "none"
    best = slow["tools"][0]
    assert best["ratio"] > 1 and best["slowest"] == "the network" and best["speed"] == pytest.approx(best["ratio"], rel=0.1)
    assert slow["explanation"].startswith(f"{best['name']}: ") and slow["node"] == f"{way.source}.lab.example" and 0 < slow["sample_bytes"] <= 4 << 20

    fast = lab.module("compression_benchmark_info", {**arguments, "tools": ["gzip-slow"], "peer": f"{way.within}.lab.example"})
    assert fast["recommended"] == "none" and fast["network_rate"] > 0 and fast["encryption_rate"] > 0, fast
    assert lab.endpoints(compressible, way.source, way.within) == []


def test_the_benchmark_refuses(lab, instance, way):
    name = instance(data=0, start=False)
    arguments = {"transport": "ssh", **lab.side("alpha"), "name": name, "network_rate": 1}
    for changes, words in (
        ({"network_rate": None}, "What the network carries is not known"),
        ({"network_rate": 0}, "network_rate is 0"),
        ({"name": "inst60.lab.example"}, "There is no instance inst60.lab.example on alpha.lab.example"),
        ({"disk": 1}, "has 1 disks and none of the number 1"),
        ({"peer": f"{way.source}.lab.example"}, "is not another node than the one that"),
        ({"tools": ["-x"]}, "'-x' in tools is not a name of a compression tool"),
        ({"tools": ["gzip", "shutdown"]}, "shutdown in tools is not among the compression_tools of alpha.lab.example"),
        ({"sample_mib": 0}, "sample_mib is 0: use 1 to 1024"),
        ({"lanes": 0}, "lanes is 0: use 1 to 32"),
        ({}, "holds nothing but zeros"),
    ):
        result = lab.module("compression_benchmark_info", {**arguments, **changes})
        assert result["failed"] and words in result["msg"] and "Traceback" not in result["shown"], result


@pytest.mark.apart(allot.WIRES)
def test_auto_takes_what_is_fastest(compressible, move, slow, way):
    rehearsed = move(check_mode=True, compress="auto", **way.node).result()
    assert rehearsed["changed"] and rehearsed["compress"] != "none", rehearsed
    moved = move(compress="auto", **way.node).result()
    assert moved["changed"] and not moved["failed"], moved
    # With 40 Mbit/s any tool is better than none; which one is best is a matter of the day.
    assert moved["compress"] != "none" and moved["compress_reason"].startswith(moved["compress"] + ": ")
    assert moved["wire"] < 0.8 * moved["payload"]


def test_auto_sends_zeros_without_a_tool(instance, move):
    instance(data=0, start=False)
    rehearsed = move(check_mode=True, compress="auto").result()
    assert (rehearsed["compress"], rehearsed["compress_reason"]) == ("none", "The disks hold nothing but zeros, which are not sent."), rehearsed
