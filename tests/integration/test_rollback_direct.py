# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What no operation of Ganeti's brings back is written into a real configuration, while Ganeti stands still for a moment; or refused, or taken back."""

from __future__ import annotations

import io
import json
import tarfile
import time

import pytest

from .databases import ask, encoded
from .lab import ROOT, eventually

CONFIGURATION = "/var/lib/ganeti/config.data"
PLACE = "/opt/test-module-utils"
# Run on the master: what Ganeti's own check says of a configuration; then writes one that is not checked, with a name that wconfd cannot read.
POISON = f"""
import copy, json, sys
sys.path.insert(0, {PLACE!r})
from module_utils._errors import GanetiError
from module_utils.api.master import LocalRunner
from module_utils.storage.disk import DiskStorage
from module_utils.storage.standstill import Standstill, verify
before = DiskStorage().configuration()
wrong = copy.deepcopy(before)
wrong["cluster"]["beparams"]["default"]["vcpus"] = "many"
try:
    verify(LocalRunner(), before, wrong)
except GanetiError as error:
    print(error.message)
after = copy.deepcopy(before)
after["cluster"]["cluster_name"] = 7
try:
    Standstill(LocalRunner()).write(before, after, 60, 60)
except GanetiError as error:
    print(error.message)
"""


@pytest.fixture
def back(lab, followed):
    """Brings something back, on the master."""

    def run(*options, host="a1", **arguments):
        return lab.module("config_rollback", arguments, f"{host}.lab.example", options)

    return run


@pytest.fixture(autouse=True)
def runs(lab):
    """Asserts that Ganeti runs afterwards as it did before, on all nodes, whatever happened."""
    kept = lab.run("a1", "stat", "--format=%U %G %a", CONFIGURATION)
    yield
    assert lab.master("alpha", "gnt-cluster", "queue", "info").strip() == "The drain flag is unset"
    assert lab.master("alpha", "gnt-cluster", "watcher", "info").strip() == "The watcher is not paused."
    assert lab.run("a1", "stat", "--format=%U %G %a", CONFIGURATION) == kept
    assert lab.run("a1", "find", "/var/lib/ganeti", "-maxdepth", "1", "-name", "*rollback*") == ""
    lab.master("alpha", "gnt-debug", "delay", "0.1")
    lab.master("alpha", "gnt-cluster", "verify", "--ignore-errors=ENODESETUP")


def configuration(lab):
    """The cluster's configuration."""
    return json.loads(lab.run("a1", "cat", CONFIGURATION))


def serial(lab, followed):
    """The serial number that all databases have."""
    eventually(followed.same, 60, "both databases hold what the files do")
    return configuration(lab)["serial_no"]


@pytest.fixture
def image(lab):
    """Has the cluster get an image for zeroing, which no operation takes away from it; and a tag."""
    lab.master("alpha", "gnt-cluster", "modify", "--zeroing-image=http://192.0.2.1/zero", "--install-image=http://192.0.2.1/install")
    lab.master("alpha", "gnt-cluster", "add-tags", "temporary")
    yield
    lab.master("alpha", "gnt-cluster", "remove-tags", "temporary", check=False)


def test_values_that_no_operation_takes_away(lab, followed, back, request):
    born = serial(lab, followed)
    request.getfixturevalue("image")
    late = serial(lab, followed)
    options = {"kind": "cluster", "serial": born}
    refused = back(**options)
    assert refused["failed"] and "zeroing_image differs, and no operation of Ganeti's sets it to what it was: with direct: true" in refused["msg"], refused
    assert configuration(lab)["serial_no"] == late
    rehearsed = back("--check", "--diff", direct=True, **options)
    assert rehearsed["changed"] and rehearsed["direct"] == ["install_image", "zeroing_image"] and configuration(lab)["serial_no"] == late, rehearsed

    result = back(direct=True, **options)
    assert result["changed"] and not result["failed"] and result["direct"] == rehearsed["direct"], result
    found = configuration(lab)
    assert (found["cluster"]["zeroing_image"], found["cluster"]["install_image"], found["cluster"]["tags"]) == ("", "", [])
    assert found["serial_no"] > late and lab.master("alpha", "gnt-cluster", "list-tags").strip() == ""
    assert not back(direct=True, **options)["changed"]
    candidates = lab.run("a1", "cat", "/var/lib/ganeti/ssconf_master_candidates").split()
    assert len({lab.run(node.split(".")[0], "sha256sum", CONFIGURATION) for node in candidates}) == 1
    assert serial(lab, followed) == found["serial_no"]
    told = ask(lab, "config_history", kind="cluster", since=late)
    assert told["revisions"][0]["serial"] > late


def test_a_network_and_a_filter_that_were_removed(lab, followed, back):
    lab.master("alpha", "gnt-network", "add", "--network=10.99.0.0/28", "--gateway=10.99.0.1", "--tags=kept", "net1")
    identity = lab.master("alpha", "gnt-network", "list", "--no-headers", "-o", "uuid", "net1").strip()
    rule = lab.master("alpha", "gnt-filter", "add", "--action=CONTINUE", '--predicates=[["jobid", [">", "id", "watermark"]]]').strip()
    born = serial(lab, followed)
    there = configuration(lab)
    lab.master("alpha", "gnt-network", "remove", "net1")
    lab.master("alpha", "gnt-filter", "delete", rule)
    serial(lab, followed)
    try:
        options = {"kind": "network", "name": identity, "serial": born}
        refused = back(**options)
        assert refused["failed"] and "was removed, and no operation of Ganeti's makes it again as it was: direct: true" in refused["msg"], refused
        assert back("--check", direct=True, **options)["changed"] and identity not in configuration(lab)["networks"]
        result = back(direct=True, **options)
        assert result["changed"] and not result["failed"], result
        result = back(kind="filter", name=rule, serial=born, direct=True)
        assert result["changed"] and not result["failed"], result
        found = configuration(lab)
        counted = {"serial_no", "mtime"}
        assert {key: value for key, value in found["networks"][identity].items() if key not in counted} == {
            key: value for key, value in there["networks"][identity].items() if key not in counted
        }
        assert found["filters"][rule] == there["filters"][rule]
        assert lab.master("alpha", "gnt-network", "list", "--no-headers", "-o", "name,tags").split() == ["net1", "kept"]
        assert not back(direct=True, **options)["changed"]
        eventually(followed.same, 60, "both databases hold what the files do")

        lab.master("alpha", "gnt-network", "remove", "net1")
        lab.master("alpha", "gnt-network", "add", "--network=10.98.0.0/28", "net1")
        serial(lab, followed)
        refused = back(direct=True, **options)
        assert refused["failed"] and "there would be several networks named net1" in refused["msg"], refused
    finally:
        lab.master("alpha", "gnt-network", "remove", "net1", check=False)
        lab.master("alpha", "gnt-filter", "delete", rule, check=False)


def test_a_node_groups_policy(lab, followed, back):
    group = lab.master("alpha", "gnt-group", "list", "--no-headers", "-o", "uuid").split()[0]
    lab.master("alpha", "gnt-group", "modify", "--ipolicy-vcpu-ratio=3", group)
    born = serial(lab, followed)
    lab.master("alpha", "gnt-group", "modify", "--ipolicy-vcpu-ratio=default", group)
    serial(lab, followed)
    result = back(kind="nodegroup", name=group, serial=born, direct=True)
    assert result["changed"] and result["direct"] == ["ipolicy"] and configuration(lab)["nodegroups"][group]["ipolicy"] == {"vcpu-ratio": 3}, result
    lab.master("alpha", "gnt-group", "modify", "--ipolicy-vcpu-ratio=default", group)


def test_what_operations_take_away(lab, followed, back):
    """A node group's and a network's parameters, and a cluster's of an operating system: no daemon is stopped for these."""
    lab.master("alpha", "gnt-group", "add", "group1")
    lab.master("alpha", "gnt-network", "add", "--network=10.99.0.0/28", "net1")
    try:
        born = serial(lab, followed)
        group = lab.master("alpha", "gnt-group", "list", "--no-headers", "-o", "uuid", "group1").strip()
        lab.master("alpha", "gnt-group", "modify", "--alloc-policy=unallocable", "--node-parameters=spindle_count=7", "group1")
        lab.master("alpha", "gnt-network", "modify", "--mac-prefix=aa:00:01", "net1")
        lab.master("alpha", "gnt-cluster", "modify", "--max-running-jobs=7", "-B", "vcpus=2")
        lab.master("alpha", "gnt-cluster", "add-tags", "temporary")
        serial(lab, followed)
        for options in ({"kind": "nodegroup", "name": "group1"}, {"kind": "network", "name": "net1"}, {"kind": "cluster"}):
            result = back(serial=born, **options)
            assert result["changed"] and not result["failed"] and result["direct"] == [], result
            assert not back(serial=born, **options)["changed"]
        found = configuration(lab)
        assert (found["nodegroups"][group]["alloc_policy"], found["nodegroups"][group]["ndparams"]) == ("preferred", {})
        assert (found["cluster"]["max_running_jobs"], found["cluster"]["beparams"]["default"]["vcpus"], found["cluster"]["tags"]) == (20, 1, [])

        lab.master("alpha", "gnt-group", "remove", "group1")
        serial(lab, followed)
        result = back(kind="nodegroup", name=group, serial=born, direct=True)
        assert result["changed"] and not result["failed"], result
        assert "group1" in lab.master("alpha", "gnt-group", "list", "--no-headers", "-o", "name").split()
    finally:
        lab.master("alpha", "gnt-group", "remove", "group1", check=False)
        lab.master("alpha", "gnt-network", "remove", "net1", check=False)
        lab.master("alpha", "gnt-cluster", "modify", "--max-running-jobs=20", "-B", "vcpus=1")
        lab.master("alpha", "gnt-cluster", "remove-tags", "temporary", check=False)


def test_nothing_is_stopped_beside_a_job(lab, followed, back, request):
    born = serial(lab, followed)
    request.getfixturevalue("image")
    serial(lab, followed)
    job = lab.master("alpha", "gnt-debug", "delay", "--submit", "--print-jobid", "40").strip()
    time.sleep(1)
    options = {"kind": "cluster", "serial": born, "parts": ["zeroing_image", "install_image"], "direct": True}
    refused = back(**options)
    assert refused["failed"] and "Jobs are running or queued, so Ganeti cannot be stopped" in refused["msg"], refused
    assert f": {job} (TEST_DELAY(40.0))" in refused["msg"]
    eventually(lambda: lab.master("alpha", "gnt-job", "list", "--no-headers", "-o", "status", job).strip() == "success", 60, "the job ends well")
    result = back(**options)
    assert result["changed"] and result["left"] == ["tags"], result
    assert configuration(lab)["cluster"]["zeroing_image"] == ""


def test_what_is_refused_with_direct_too(lab, followed, back, instance):
    name = instance("--net=0:ip=10.99.0.1", start=False)
    identity = configuration(lab)["instances"]
    identity = next(each for each in identity if identity[each]["name"] == name)
    born = serial(lab, followed)
    lab.master("alpha", "gnt-instance", "modify", "--net", "0:ip=10.99.0.2", name)
    serial(lab, followed)
    options = {"kind": "instance", "name": name, "serial": born, "direct": True}
    refused = back(**options)
    assert refused["failed"] and "nics differs too, and says where real things are" in refused["msg"], refused
    lab.remove("alpha", name)
    eventually(lambda: identity not in configuration(lab)["instances"] and followed.same(), 60, "its removal is in the databases")
    for changes, words in (
        ({"name": identity}, "was removed, and its disks or its machine with it"),
        ({"kind": "cluster"}, "name is needed for every kind but cluster"),
        ({"kind": "cluster", "name": None, "parts": ["master_node"]}, "master_node of clusters cannot be brought back"),
    ):
        refused = back(**{**options, **changes})
        assert refused["failed"] and words in refused["msg"], refused


def test_a_configuration_that_ganeti_does_not_start_with_is_taken_back(lab):
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.add(ROOT / "plugins/module_utils", "module_utils", filter=lambda member: None if "__pycache__" in member.name else member)
    before = lab.run("a1", "sha256sum", CONFIGURATION)
    lab.run("a1", "mkdir", "-p", PLACE)
    try:
        unpack = "import base64, io, sys, tarfile; tarfile.open(fileobj=io.BytesIO(base64.b64decode(sys.stdin.read()))).extractall(sys.argv[1])"
        lab.run("a1", "python3", "-c", unpack, PLACE, given=encoded(archive))
        said = lab.run("a1", "python3", "-I", "-c", POISON)
    finally:
        lab.run("a1", "rm", "-rf", PLACE)
    assert "The configuration would be wrong: cluster has invalid beparams" in said, said
    assert "Ganeti did not start with the new configuration" in said and "the old one was put back, and Ganeti runs with it" in said, said
    assert lab.run("a1", "sha256sum", CONFIGURATION) == before
