# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cluster without a database: another node made the master by plan and after a death, out of the newest files of all nodes.

The tests of this file build on each other, c1, c2 and c3 being the nodes of gamma. At the end c1 is the master again, and gamma as it was.
"""

from __future__ import annotations

import pytest

from .lab import eventually
from .test_failover import Gamma, serial

pytestmark = pytest.mark.on("gamma")


@pytest.fixture(scope="module")
def gamma(lab, site):
    """Gamma, which stores in files."""
    return Gamma(lab, site)


def test_by_plan_nothing_is_lost(gamma, ran):
    ran("storage", release=gamma.site.release, backend="disk", mode="files")
    assert gamma.roles("c1") == {"c1": "M", "c2": "C", "c3": "C"}
    for _each in range(5):
        gamma.lab.run("c1", "gnt-debug", "delay", "--submit", "1")
    jobs, before = gamma.jobs("c1"), serial(gamma, "c1")
    rehearsed = gamma.fail_over("c2", "--check", "--diff")
    assert rehearsed["changed"] and not rehearsed["failed"] and gamma.roles("c1")["c1"] == "M", rehearsed
    result = gamma.fail_over("c2", "--diff")
    assert result["changed"] and not result["failed"] and result["source"] == "files", result
    assert serial(gamma, "c2") // 10**10 > before // 10**10 and jobs <= gamma.jobs("c2")
    assert gamma.roles("c2") == {"c1": "C", "c2": "M", "c3": "C"} and gamma.verified("c2")
    assert gamma.lab.run("c2", "ls", "/var/lib/ganeti/failover-source", "/run/ganeti-failover.pyz", check=False) == ""
    again = gamma.fail_over("c2", "--diff")
    assert not again["changed"] and not again["failed"] and "diff" not in again, again
    assert gamma.fail_over("c1")["changed"] and gamma.verified("c1")


def test_a_regular_node_becomes_the_master(gamma):
    gamma.lab.run("c1", "gnt-cluster", "modify", "-C", "2")
    gamma.lab.run("c1", "gnt-node", "modify", "-C", "no", "c3.lab.example")
    jobs = gamma.jobs("c1")
    result = gamma.fail_over("c3")
    assert result["changed"] and not result["failed"] and jobs <= gamma.jobs("c3") and gamma.roles("c3")["c3"] == "M", result
    assert gamma.fail_over("c1")["changed"]
    gamma.lab.run("c1", "gnt-cluster", "modify", "-C", "10")
    gamma.lab.run("c1", "gnt-node", "modify", "-C", "yes", "c3.lab.example", check=False)
    assert gamma.roles("c1") == {"c1": "M", "c2": "C", "c3": "C"} and gamma.verified("c1")


def test_the_newest_files_are_brought_after_a_death(gamma):
    """The second node did not hear of the master's last words, and becomes the master with them."""
    master = gamma.lab.cluster("gamma")["nodes"][0]["ip"]
    gamma.lab.run("c2", "ip", "route", "add", "blackhole", master)
    try:
        gamma.tag("c1", "the-last-words")
        eventually(lambda: serial(gamma, "c3") >= serial(gamma, "c1"), 120, "the third node has heard")
        assert serial(gamma, "c2") < serial(gamma, "c3")
        gamma.power("c1", False)
    finally:
        gamma.lab.run("c2", "ip", "route", "del", "blackhole", master)
    unknown = gamma.fail_over("c2")
    assert unknown["failed"] and "The master until now, c1.lab.example, cannot be reached" in unknown["msg"], unknown
    gamma.power("c3", False)
    silent = gamma.fail_over("c2", fenced=True)
    assert silent["failed"] and "The master candidate c3.lab.example does not tell what it has" in silent["msg"], silent
    gamma.power("c3", True)
    eventually(lambda: not gamma.fail_over("c2", "--check", fenced=True)["failed"], 240, "the third node answers")
    result = gamma.fail_over("c2", "--diff", fenced=True)
    assert result["changed"] and not result["failed"], result
    assert "the-last-words" in gamma.lab.run("c2", "gnt-cluster", "list-tags") and gamma.roles("c2")["c1"] == "O"


def test_who_comes_back_is_added_again(gamma):
    gamma.power("c1", True)
    eventually(lambda: gamma.lab.run("c1", "echo", "up", check=False).strip() == "up", 240, "the first node is up again")
    key = gamma.lab.run("c2", "cat", "/root/.ssh/id_rsa.pub")
    gamma.lab.run("c1", "sh", "-c", "cat >>/root/.ssh/authorized_keys", given=key)
    gamma.lab.run("c2", "gnt-node", "add", "--readd", "--no-ssh-key-check", "c1.lab.example")
    gamma.lab.run("c2", "gnt-cluster", "remove-tags", "the-last-words")
    result = gamma.fail_over("c1")
    assert result["changed"] and not result["failed"], result
    gamma.lab.run("c1", "gnt-node", "modify", "-C", "yes", "c2.lab.example", check=False)
    assert gamma.roles("c1") == {"c1": "M", "c2": "C", "c3": "C"} and gamma.verified("c1")
