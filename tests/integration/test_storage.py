# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Configuration and jobs of a real Ganeti in databases: followed, replicated, with history; and back to files alone.

The databases are those of databases.py, both on the master.
"""

from __future__ import annotations

import pytest

from .databases import FILES, PORTS, switch
from .lab import eventually

pytestmark = pytest.mark.on("gamma", "delta")


def present(site):
    """The service's files that are there."""
    there = site.master("ls", *FILES, check=False).split()
    return [file for file in FILES if file in there]


def test_what_is_refused_leaves_nothing(site, databases):
    for servers, words in (
        ([], "servers does not name the one of the master"),
        (databases.servers(url=f"http://{site.lab.address(site.nodes[1])}:5984"), "is to be reached without encryption"),
        (databases.servers(url="http://127.0.0.1:9"), "CouchDB at http://127.0.0.1:9 does not answer"),
        (databases.servers(password="wr0ng"), "check user, password"),
        (databases.servers(node=site.hosts[0]), "names the same node twice"),
    ):
        result = switch(site, storage="couchdb", servers=servers)
        assert result["failed"] and words in result["msg"] and "Traceback" not in result["shown"], result
        assert databases.password not in result["shown"] and "wr0ng" not in result["shown"]
    told = site.ask("backend_storage_info")
    assert present(site) == [] and (told["storage"], told["servers"], told["healthy"]) == ("disk", {}, None)
    assert not switch(site, storage="disk")["changed"]
    without = site.module("config_history_info", {"kind": "cluster"})
    assert without["failed"] and "is not there: choose a database" in without["msg"], without


def test_switching_is_shown_before_and_done_once(site, databases):
    rehearsed = switch(site, "--check", "--diff", storage="couchdb", servers=databases.servers())
    assert rehearsed["changed"] and not rehearsed["failed"] and present(site) == [], rehearsed
    first = switch(site, "--diff", storage="couchdb", servers=databases.servers())
    assert first["changed"] and not first["failed"] and first["check"].startswith("OK: "), first
    assert databases.password not in first["shown"] + rehearsed["shown"]
    assert not switch(site, storage="couchdb", servers=databases.servers())["changed"]
    assert site.master("stat", "--format=%a %U", FILES[0]).split() == ["600", "root"]
    assert databases.same(), databases.compare()


def test_whatever_happens_it_is_in_both_databases(site, followed, resident):
    """Jobs while all is well, while the service is dead, and while a database is."""
    name = resident(start=False)
    for _each in range(10):
        site.master("gnt-debug", "delay", "--submit", "0.1")
    eventually(followed.same, 240, "both databases hold what the files do")

    site.master("systemctl", "kill", "--signal=KILL", "ganeti-couchdb")
    site.master("gnt-instance", "add-tags", name, "prod")
    site.master("gnt-job", "archive", *ended(site)[:3])
    eventually(followed.same, 240, "a killed service catches up")

    followed.stop(PORTS[0])
    site.master("gnt-instance", "modify", "-B", "vcpus=2", name)
    eventually(lambda: "does not answer" in site.ask("backend_storage_info")["check"], 240, "the check tells that the server is away")
    assert not site.ask("backend_storage_info")["healthy"]
    followed.start(PORTS[0])
    eventually(followed.same, 240, "what happened meanwhile is caught up with")

    told = site.ask("backend_storage_info")
    assert told["storage"] == "couchdb" and {each["lag"] for each in told["servers"].values()} == {0}, told
    assert len(told["replications"]) == 10 and {each["state"] for each in told["replications"]} == {"running"}
    assert all(each["conflicts"] == {} and each["databases"]["queue"]["documents"] > 5 for each in told["servers"].values())


def ended(site):
    """The ids of jobs that have succeeded."""
    rows = site.master("gnt-job", "list", "--no-headers", "--separator=|", "-o", "id,status").split()
    return [row.split("|")[0] for row in rows if row.endswith("|success")]


def test_the_history_of_an_instance(site, followed, resident):
    name = resident(osparams_private={"region": "moon"}, start=False)
    born = followed.compare()["serial"]
    site.master("gnt-instance", "add-tags", name, "prod")
    site.master("gnt-instance", "modify", "-B", "vcpus=2", name)
    eventually(followed.same, 240, "both databases hold what the files do")

    found = site.ask("config_history_info", kind="instance", name=name, serial=born, since=born)
    changed = [set(each["changed"]) for each in found["revisions"]]
    assert any("tags" in each for each in changed) and any("beparams" in each for each in changed), found
    assert found["object"]["osparams_private"] == "not shown" and "moon" not in found["shown"] and found["difference"] == {"before": {}, "after": {}}
    today = site.ask("config_history_info", kind="instance", name=name, since=born)
    assert today["difference"]["after"]["beparams"]["vcpus"] == 2 and today["difference"]["after"]["tags"] == ["prod"]
    assert site.ask("config_history_info", kind="cluster")["revisions"][0]["serial"] > born

    bring_back(site, name, born)
    site.lab.remove(site.name, name)
    eventually(lambda: site.ask("config_history_info", kind="instance", name=found["id"])["revisions"][0]["removed"], 120, "the removal is in the history")
    for arguments, words in (
        ({"kind": "instance", "name": "inst60.lab.example"}, "There is no instance inst60.lab.example"),
        ({"kind": "cluster", "name": "alpha"}, "name is needed for every kind but cluster"),
        ({"kind": "node"}, "name is needed for every kind but cluster"),
    ):
        refused = site.module("config_history_info", arguments)
        assert refused["failed"] and words in refused["msg"], refused


def bring_back(site, name, serial):
    """The instance's parameters and tags as they were at the serial number, by Ganeti's own jobs; the second run has nothing to do."""
    options = {"kind": "instance", "name": name, "serial": serial}
    rehearsed = site.module("config_rollback", options, ["--check", "--diff"])
    assert rehearsed["changed"] and site.fields(name, "tags") == ["prod"], rehearsed
    result = site.module("config_rollback", options)
    assert result["changed"] and not result["failed"], result
    assert site.fields(name, "tags", "be/vcpus") == ["", "1"]
    assert not site.module("config_rollback", options)["changed"]
    for changes, words in (
        ({"serial": 1}, "was not there yet at serial number 1"),
        ({"name": "inst60.lab.example"}, "There is no instance inst60.lab.example"),
        ({"parts": ["disks"]}, "disks of instances cannot be brought back"),
    ):
        refused = site.module("config_rollback", {**options, **changes})
        assert refused["failed"] and words in refused["msg"], refused


def test_back_to_files(site, followed):
    assert switch(site, "--check", storage="disk")["changed"] and present(site) == list(FILES)
    back = switch(site, storage="disk")
    assert back["changed"] and not back["failed"] and present(site) == [], back
    assert not switch(site, storage="disk")["changed"]
    assert site.master("systemctl", "is-active", "ganeti-couchdb", check=False).strip() == "inactive"
    assert site.ask("backend_storage_info")["storage"] == "disk"
    site.master("gnt-cluster", "verify", "--ignore-errors=ENODESETUP")
