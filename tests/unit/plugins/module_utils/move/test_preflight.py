# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each thing that would make a move fail has its sentence, and all are told at once."""

from __future__ import annotations

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils.move import preflight, tags
from ansible_collections.ganeti.cluster.plugins.module_utils.move.facts import Node

from .samples import MOVE, NIC, clusters, info, options, override, probe, probes, source


def test_nothing_stands_against_a_good_move():
    assert preflight.of_clusters(clusters(), options()) == []
    assert preflight.of_nodes(probes(), options()) == []


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
        ({"lock_holder": "job 17"}, {}, "is locked by job 17"),
        ({"name_taken": True}, {}, "already has an instance web.example.com"),
        ({}, {"disk_template": "drbd"}, "disk template drbd is not enabled"),
        ({"source": source(hypervisor="xen-pvm")}, {}, "hypervisor xen-pvm is not enabled"),
        ({"source": source(os="arch")}, {}, "operating system arch is not installed"),
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
    assert any(words in problem for problem in problems), problems
    assert all(problem.endswith((".", ")")) for problem in problems)


@pytest.mark.parametrize(
    ("changes", "option_changes", "words"),
    [
        ({"source": probe(python=[3, 8, 1])}, {}, "source node a2 has Python 3.8"),
        ({"destination": probe(tls13=False)}, {}, "destination node b2 has no TLS 1.3"),
        ({"source": probe(root=False)}, {}, "is not root"),
        ({"destination": probe(cipher_bypassing=False)}, {"ciphers": ["AES128-SHA"]}, "destination node b2 does not allow moves to choose ciphers"),
        ({"source": probe(cipher_bypassing=True, cipher_problems=["X is no cipher."])}, {"ciphers": ["X"]}, "On the source node a2: X is no cipher."),
        ({"destination": probe(tools={"lzop": False})}, {"compress": "lzop"}, "lzop does not answer -h on the destination node b2"),
        ({"destination": probe(free=10**9)}, {}, "b2 has 953 MiB free"),
        ({"unreachable": "Connection refused"}, {"data_port": 7000}, "on port 7000: Connection refused"),
    ],
)
def test_each_problem_of_nodes_has_one_sentence(changes, option_changes, words):
    problems = preflight.of_nodes(probes(**changes), options(**option_changes))
    assert len(problems) == 1 and words in problems[0]


def test_all_problems_are_told_at_once():
    seen = clusters(name_taken=True, lock_holder="job 3", source=source(hypervisor="xen-pvm", os="arch"))
    assert len(preflight.of_clusters(seen, options(compress="zstd", disk_template="drbd"))) == 7


def test_an_override_of_the_network_needs_that_network():
    seen = clusters(source=source(nics=(NIC._replace(network="dmz"),)))
    assert preflight.of_clusters(seen, options(nics=[override(network="lan")])) == []
    assert preflight.of_clusters(seen, options(nics=[override(mode="bridged", link="br0")])) == []


def test_memory_counts_only_where_the_instance_will_run():
    seen = clusters(destination_nodes={"b2": SMALL})
    assert preflight.of_clusters(seen, options(primary_node="b2", start="no")) == []
