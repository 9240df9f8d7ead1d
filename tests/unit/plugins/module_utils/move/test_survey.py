# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What nodes are asked, and above all what is never run on them."""

from __future__ import annotations

import types

import pytest

from ansible_collections.ganeti.cluster.plugins.module_utils._errors import InvalidInput
from ansible_collections.ganeti.cluster.plugins.module_utils.move import benchmark, facts, preflight, survey
from ansible_collections.ganeti.cluster.plugins.module_utils.move.session import Side

from .samples import info, options, probe, source

NODE = facts.Node("b2", "uuid of b2", "192.0.2.2", "198.51.100.2", True, 4096, 100000)


@pytest.fixture
def asked(monkeypatch):
    """The tools that nodes were asked to run; the nodes answer as good ones do."""
    found = []

    def ask(host, request, *_rest):
        found.append(list(request.get("tools", ())))
        return probe()

    monkeypatch.setattr(survey, "ask", ask)
    monkeypatch.setattr(survey, "reachable", lambda *_all, **_named: None)
    return found


def check(compress, here, there):
    sides = [Side(None, info(f"{name}.example.com", compression_tools=tools), {}) for name, tools in (("alpha", here), ("beta", there))]
    session = types.SimpleNamespace(source=sides[0], destination=sides[1], host=lambda side, node: node.name, data_address=lambda node: node.primary_ip)
    return survey.check_nodes(session, options(compress=compress), source(), NODE._replace(name="a2"), NODE)


@pytest.mark.parametrize(("here", "there"), [(["gzip"], ["gzip"]), (["gzip", "shutdown"], ["gzip"]), (["gzip"], ["shutdown"])])
def test_no_program_runs_that_is_not_on_both_clusters_lists(asked, here, there):
    check("shutdown", here, there)
    assert asked == [[], []]


def test_a_listed_tool_is_looked_for_on_both_nodes(asked):
    check("lzop", ["gzip", "lzop"], ["lzop"])
    assert asked == [["lzop"], ["lzop"]]


@pytest.mark.parametrize("compress", ["none", "auto"])
def test_words_that_are_no_tools_are_not_run(compress):
    assert preflight.runnable(options(compress=compress), info(compression_tools=["gzip", "none", "auto"])) == []


def test_the_benchmark_runs_nothing_else_than_the_clusters_tools():
    assert benchmark.runnable(None, info()) == ["gzip", "lzop"]
    assert benchmark.runnable(["lzop"], info()) == ["lzop"]
    with pytest.raises(InvalidInput, match=r"shutdown, reboot in tools is not among the compression_tools of beta.example.com, which are gzip, lzop"):
        benchmark.runnable(["gzip", "shutdown", "reboot"], info())
