# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Configuration and jobs of a real Ganeti in databases: followed, replicated, with history; and back to files alone.

The databases are those of databases.py, both on the master.
"""

from __future__ import annotations

from .databases import FILES, PORTS, ask, switch
from .lab import eventually


def present(lab):
    """The service's files that are there."""
    return [file for file in FILES if lab.run("a1", "ls", file, check=False)]


def test_what_is_refused_leaves_nothing(lab, databases):
    for servers, words in (
        ([], "servers does not name the one of the master, a1.lab.example"),
        (databases.servers(url="http://10.77.0.12:5984"), "is to be reached without encryption"),
        (databases.servers(url="http://127.0.0.1:9"), "CouchDB at http://127.0.0.1:9 does not answer"),
        (databases.servers(password="wr0ng"), "check user, password"),
        (databases.servers(node="a1.lab.example"), "names the same node twice"),
    ):
        result = switch(lab, storage="couchdb", servers=servers)
        assert result["failed"] and words in result["msg"] and "Traceback" not in result["shown"], result
        assert databases.password not in result["shown"] and "wr0ng" not in result["shown"]
    told = ask(lab, "backend_storage_info")
    assert present(lab) == [] and (told["storage"], told["servers"], told["healthy"]) == ("disk", {}, None)
    assert not switch(lab, storage="disk")["changed"]
    without = lab.module("config_history", {"kind": "cluster"}, "a1.lab.example")
    assert without["failed"] and "is not there: switch CouchDB on" in without["msg"], without


def test_switching_is_shown_before_and_done_once(lab, databases):
    rehearsed = switch(lab, "--check", "--diff", storage="couchdb", servers=databases.servers())
    assert rehearsed["changed"] and not rehearsed["failed"] and present(lab) == [], rehearsed
    first = switch(lab, "--diff", storage="couchdb", servers=databases.servers())
    assert first["changed"] and not first["failed"] and first["check"].startswith("OK: "), first
    assert databases.password not in first["shown"] + rehearsed["shown"]
    assert not switch(lab, storage="couchdb", servers=databases.servers())["changed"]
    assert lab.run("a1", "stat", "--format=%a %U", FILES[0]).split() == ["600", "root"]
    assert databases.same(), databases.compare()


def test_whatever_happens_it_is_in_both_databases(lab, followed, instance):
    """Jobs while all is well, while the service is dead, and while a database is."""
    name = instance("--net=0:ip=10.99.0.1", start=False)
    for _each in range(10):
        lab.master("alpha", "gnt-debug", "delay", "--submit", "0.1")
    eventually(followed.same, 60, "both databases hold what the files do")

    lab.run("a1", "systemctl", "kill", "--signal=KILL", "ganeti-couchdb")
    lab.master("alpha", "gnt-instance", "add-tags", name, "prod")
    lab.master("alpha", "gnt-job", "archive", *ended(lab)[:3])
    eventually(followed.same, 60, "a killed service catches up")

    followed.stop(PORTS[0])
    lab.master("alpha", "gnt-instance", "modify", "-B", "vcpus=2", name)
    eventually(lambda: "does not answer" in ask(lab, "backend_storage_info")["check"], 60, "the check tells that the server is away")
    assert not ask(lab, "backend_storage_info")["healthy"]
    followed.start(PORTS[0])
    eventually(followed.same, 120, "what happened meanwhile is caught up with")

    told = ask(lab, "backend_storage_info")
    assert told["storage"] == "couchdb" and {each["lag"] for each in told["servers"].values()} == {0}, told
    assert len(told["replications"]) == 10 and {each["state"] for each in told["replications"]} == {"running"}
    assert all(each["conflicts"] == {} and each["databases"]["queue"]["documents"] > 5 for each in told["servers"].values())


def ended(lab):
    """The ids of jobs that have succeeded."""
    rows = lab.master("alpha", "gnt-job", "list", "--no-headers", "--separator=|", "-o", "id,status").split()
    return [row.split("|")[0] for row in rows if row.endswith("|success")]


def test_the_history_of_an_instance(lab, followed, instance):
    name = instance("--net=0:ip=10.99.0.1", "--os-parameters-private", "region=moon", start=False)
    born = followed.compare()["serial"]
    lab.master("alpha", "gnt-instance", "add-tags", name, "prod")
    lab.master("alpha", "gnt-instance", "modify", "-B", "vcpus=2", name)
    eventually(followed.same, 60, "both databases hold what the files do")

    found = ask(lab, "config_history", kind="instance", name=name, serial=born, since=born)
    changed = [set(each["changed"]) for each in found["revisions"]]
    assert any("tags" in each for each in changed) and any("beparams" in each for each in changed), found
    assert found["object"]["osparams_private"] == "not shown" and "moon" not in found["shown"] and found["difference"] == {"before": {}, "after": {}}
    today = ask(lab, "config_history", kind="instance", name=name, since=born)
    assert today["difference"]["after"]["beparams"]["vcpus"] == 2 and today["difference"]["after"]["tags"] == ["prod"]
    assert ask(lab, "config_history", kind="cluster")["revisions"][0]["serial"] > born

    bring_back(lab, name, born)
    lab.remove("alpha", name)
    eventually(lambda: ask(lab, "config_history", kind="instance", name=found["id"])["revisions"][0]["removed"], 30, "the removal is in the history")
    for arguments, words in (
        ({"kind": "instance", "name": "inst9.lab.example"}, "There is no instance inst9.lab.example"),
        ({"kind": "cluster", "name": "alpha"}, "name is needed for every kind but cluster"),
        ({"kind": "node"}, "name is needed for every kind but cluster"),
    ):
        refused = lab.module("config_history", arguments, "a1.lab.example")
        assert refused["failed"] and words in refused["msg"], refused


def bring_back(lab, name, serial):
    """The instance's parameters and tags as they were at the serial number, by Ganeti's own jobs; the second run has nothing to do."""
    options = {"kind": "instance", "name": name, "serial": serial}
    rehearsed = lab.module("config_rollback", options, "a1.lab.example", ["--check", "--diff"])
    assert rehearsed["changed"] and lab.fields("alpha", name, "tags") == ["prod"], rehearsed
    result = lab.module("config_rollback", options, "a1.lab.example")
    assert result["changed"] and not result["failed"], result
    assert lab.fields("alpha", name, "tags", "be/vcpus") == ["", "1"]
    assert not lab.module("config_rollback", options, "a1.lab.example")["changed"]
    for changes, words in (
        ({"serial": 1}, "was not there yet at serial number 1"),
        ({"name": "inst9.lab.example"}, "There is no instance inst9.lab.example"),
        ({"parts": ["disks"]}, "disks of instances cannot be brought back"),
    ):
        refused = lab.module("config_rollback", {**options, **changes}, "a1.lab.example")
        assert refused["failed"] and words in refused["msg"], refused


def test_back_to_files(lab, followed):
    assert switch(lab, "--check", storage="disk")["changed"] and present(lab) == list(FILES)
    back = switch(lab, storage="disk")
    assert back["changed"] and not back["failed"] and present(lab) == [], back
    assert not switch(lab, storage="disk")["changed"]
    assert lab.run("a1", "systemctl", "is-active", "ganeti-couchdb", check=False).strip() == "inactive"
    assert ask(lab, "backend_storage_info")["storage"] == "disk"
    lab.master("alpha", "gnt-cluster", "verify", "--ignore-errors=ENODESETUP")
