# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each thing that would make a move fail has its sentence, and all are told at once."""

from __future__ import annotations

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import PreflightFailed
from ansible_collections.ganeti.cluster.plugins.module_utils.move import preflight, tags
from ansible_collections.ganeti.cluster.plugins.module_utils.move.facts import Node

from .samples import MOVE, NIC, clusters, info, instance, options, override, probe, probes, source


def test_nothing_stands_against_a_good_move():
    assert preflight.of_clusters(clusters(), options()) == []
    assert preflight.of_nodes(probes(), options()) == []


EXT = {"destination_info": info(enabled_disk_templates=["ext"]), "providers": {"loopdev": {"pool"}}}
DRBD = {"destination_info": info(enabled_disk_templates=["drbd"])}
SMALL = Node("b2", "uuid", "192.0.2.2", "198.51.100.2", True, 100, 100000)


@pytest.mark.parametrize(
    ("changes", "option_changes", "words"),
    [
        ({"destination_info": info(software_version="2.16.1")}, {}, "runs Ganeti 2.16.1"),
        ({"destination_info": info("alpha.example.com")}, {}, "set primary_node to the node"),
        ({"destination_info": info("alpha.example.com")}, {"primary_node": "b2", "destination_name": "other"}, "destination_name cannot be set"),
        ({}, {"ciphers": ["AES128-SHA"]}, "within a cluster only"),
        ({"source": source(admin_state="offline", running=False)}, {}, "is marked offline"),
        ({"source": source(running=False, status="ERROR_down")}, {}, "in the state ERROR_down"),
        ({"source": source(tags=(tags.released(MOVE),))}, {}, "carries the tag"),
        ({"source": source(tags=(f"ganeti-zeroing:{MOVE}:was:up",))}, {}, "is being zeroed by a run that died"),
        ({"lock_holder": "job 17"}, {}, "is locked by job 17"),
        ({"namesake": instance(uuid="another")}, {}, "already has an instance web.example.com"),
        ({"namesake": instance(uuid="x", tags=(tags.moved_to(MOVE, instance().uuid),))}, {}, f"the copy that move {MOVE} of this very instance has left"),
        ({"namesake": instance(uuid="x", tags=(tags.moved_to(MOVE, "third"),))}, {}, "of an instance that was moved away to another one (third)"),
        ({}, {"destination": None, "primary_node": "b2", "name": "w" * 240}, None),
        ({"destination_info": info("alpha.example.com")}, {"primary_node": "b2", "name": "w" * 240}, "too long to be moved within its cluster"),
        ({"destination_info": info(blacklisted_os=["debian+default"])}, {}, "debian+default is blacklisted on beta"),
        ({"source": source(os="")}, {}, "has no operating system"),
        ({}, {"hvparams": {"nonsense": 1}}, "hvparams sets nonsense, which beta.example.com does not know"),
        ({}, {"hvparams": {"migration_port": 1}}, "hvparams sets migration_port"),
        (EXT, {"disk_template": "ext"}, "Disk 0 is to have the disk template ext, which needs a provider"),
        (EXT, {"disk_template": "ext", "ext_params": {"provider": "rbd"}}, "does not have the provider rbd of disk 0, but loopdev"),
        (EXT, {"disk_template": "ext", "ext_params": {"provider": "loopdev", "color": "red"}}, "does not know color of disk 0"),
        (EXT, {"disk_template": "ext", "ext_params": {"provider": "loopdev", "size": "1"}}, "ext_params cannot set size"),
        ({}, {"ext_params": {"provider": "loopdev"}}, "ext_params are given, but the disk template"),
        (DRBD, {"disk_template": "drbd", "primary_node": "b2"}, "needs a second node beside primary_node"),
        (DRBD, {"disk_template": "drbd", "primary_node": "b2", "secondary_node": "b9"}, "has no node b9"),
        ({}, {"primary_node": "b2", "secondary_node": "b3"}, "is not drbd: leave it out"),
        ({}, {"disk_template": "drbd"}, "disk template drbd is not enabled"),
        ({"source": source(hypervisor="xen-pvm")}, {}, "hypervisor xen-pvm is not enabled"),
        ({}, {"compress": "zstd"}, "zstd is not allowed on the source cluster"),
        ({"destination_info": info(compression_tools=["gzip"])}, {"compress": "lzop"}, "lzop is not allowed on the destination cluster"),
        ({"source": source(nics=(NIC._replace(network="dmz"),))}, {}, "is in the network dmz"),
        ({}, {"nics": [override(3)]}, "names the interface 3, but web.example.com has 1"),
        ({}, {"primary_node": "b9"}, "has no node b9"),
        ({"destination_nodes": {"b2": SMALL._replace(usable=False)}}, {"primary_node": "b2"}, "b2 is offline"),
        ({"destination_nodes": {"b2": SMALL}}, {"primary_node": "b2"}, "has 100 MiB of memory free"),
        ({"destination_info": info(default_iallocator="")}, {}, "no default iallocator"),
    ],
)
def test_each_problem_of_clusters_has_one_sentence(changes, option_changes, words):
    problems = preflight.of_clusters(clusters(**changes), options(**option_changes))
    assert any(words in problem for problem in problems) if words else problems == [], problems
    assert all(problem.endswith((".", ")")) for problem in problems)


@pytest.mark.parametrize(
    ("changes", "option_changes", "words"),
    [
        ({"source": probe(python=[3, 8, 1])}, {}, "source node a2 has Python 3.8"),
        ({"source": probe(cluster="gamma"), "clusters": ("alpha", "beta")}, {}, "the source node a2 is a node of gamma, not of alpha"),
        ({"destination": probe(tls13=False)}, {}, "destination node b2 has no TLS 1.3"),
        ({"source": probe(root=False)}, {}, "is not root"),
        ({"destination": probe(cipher_bypassing=False)}, {"ciphers": ["AES128-SHA"]}, "destination node b2 does not allow moves to choose ciphers"),
        ({"source": probe(cipher_bypassing=True, cipher_problems=["X is no cipher."])}, {"ciphers": ["X"]}, "On the source node a2: X is no cipher."),
        ({"destination": probe(tools={"lzop": False})}, {"compress": "lzop"}, "lzop does not answer -h on the destination node b2"),
        ({"destination": probe(free=10**9)}, {}, "b2 has 953 MiB free"),
        ({"unreachable": "Connection refused."}, {"data_port": 7000}, "Connection refused."),
    ],
)
def test_each_problem_of_nodes_has_one_sentence(changes, option_changes, words):
    problems = preflight.of_nodes(probes(**changes), options(**option_changes))
    assert len(problems) == 1 and words in problems[0]


def test_tags_of_a_move_or_a_zeroing_are_not_the_users():
    assert tags.foreign(["theirs", f"ganeti-zeroing:{MOVE}:was:up", "ganeti-instance:stopped", tags.ready(MOVE)]) == ["theirs"]


def test_all_problems_are_told_at_once():
    seen = clusters(namesake=instance(uuid="another"), lock_holder="job 3", source=source(hypervisor="xen-pvm", os=""))
    assert len(preflight.of_clusters(seen, options(compress="zstd", disk_template="drbd"))) == 7


def test_an_override_of_the_network_needs_that_network():
    seen = clusters(source=source(nics=(NIC._replace(network="dmz"),)))
    assert preflight.of_clusters(seen, options(nics=[override(network="lan")])) == []
    assert preflight.of_clusters(seen, options(nics=[override(mode="bridged", link="br0")])) == []


def test_memory_counts_only_where_the_instance_will_run():
    seen = clusters(destination_nodes={"b2": SMALL})
    assert preflight.of_clusters(seen, options(primary_node="b2", start="no")) == []


@pytest.mark.parametrize("version", ["3.0.2", "3.1.0~rc2", "3.1.0~rc2-3", "3.1", "3.0.2+dfsg"])
def test_versions_are_read_tolerantly(version):
    seen = clusters(destination_info=info(software_version=version))
    assert preflight.of_clusters(seen, options()) == [] and preflight.notes(seen) == []


def test_a_newer_release_is_no_problem_but_told():
    seen = clusters(destination_info=info(software_version="3.2.0~beta1"))
    assert preflight.of_clusters(seen, options()) == []
    assert preflight.notes(seen) == ["beta.example.com runs Ganeti 3.2.0~beta1, with which moves were not tried: the newest known is 3.1."]


@pytest.mark.parametrize("listed", ["debian", "debian+default"])
def test_a_hidden_os_is_left_to_the_rehearsal(listed):
    """The remote API does not list it, and Ganeti makes instances with it all the same."""
    seen = clusters(destination_info=info(hidden_os=[listed]))
    assert preflight.of_clusters(seen, options()) == preflight.missing_os(seen, set()) == []


@pytest.mark.parametrize("name", ["debian", "debian+default"])
def test_an_os_is_on_all_nodes_of_the_destination(name):
    seen = clusters(source=source(os=name))
    assert preflight.missing_os(seen, {"debian", "debian+default"}) == []
    (problem,) = preflight.missing_os(seen, {"arch"})
    assert f"operating system {name} is not installed on all nodes of beta.example.com" in problem


def test_problems_are_sentences_side_by_side():
    """They had been joined to "another.; The"."""
    failed = PreflightFailed(["One.", "Two", "Three (gnt-job list)."])
    assert failed.message == "One. Two. Three (gnt-job list)." and failed.problems == ["One.", "Two.", "Three (gnt-job list)."]


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("Parameter 'kernel_path' fails validation: not found or not a file (current value: '/boot/x')", "or set kernel_path in hvparams, to null"),
        ("Hypervisor parameter 'disk_aio' fails the check", "or set disk_aio in hvparams"),
        ("Instance allocation to group default violates policy: memory-size", "memory-size. Choose another node, or set ignore_ipolicy."),
        ("Something else.", "beta would refuse the instance: Something else."),
    ],
)
def test_a_refusal_says_which_option_helps(message, words):
    told = preflight.refused("beta", message, {"hvparams": {"kernel_path": "/boot/x", "disk_aio": "io_uring", "acpi": True}})
    assert words in told and "acpi" not in told and told.endswith(".") and ".." not in told
