# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What no operation of Ganeti's brings back is written into a real configuration, while Ganeti stands still for a moment; or refused, or taken back."""

from __future__ import annotations

import pytest

from .databases import unpack
from .lab import eventually

pytestmark = pytest.mark.on("delta")
CONFIGURATION = "/var/lib/ganeti/config.data"
PLACE = "/opt/test-module-utils"
# Run on the master: what Ganeti's own check says of a configuration; then writes one that is not checked, with a name that wconfd cannot read.
POISON = f"""
import copy, json, sys
sys.path.insert(0, {PLACE!r})
from module_utils._errors import GanetiError
from module_utils.api.master import LocalRunner
from module_utils.storage.drivers.disk import DiskStorage
from module_utils.storage.cluster.standstill import Standstill
from module_utils.storage.history.sound_configuration import verify
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
def back(site, followed):
    """Brings something back, on the master."""

    def run(*options, **arguments):
        return site.module("config_rollback", arguments, options)

    return run


@pytest.fixture(autouse=True)
def runs(site):
    """Asserts that Ganeti runs afterwards as it did before, on all nodes, whatever happened."""
    kept = site.master("stat", "--format=%U %G %a", CONFIGURATION)
    yield
    assert site.master("gnt-cluster", "queue", "info").strip() == "The drain flag is unset"
    assert site.master("gnt-cluster", "watcher", "info").strip() == "The watcher is not paused."
    assert site.master("stat", "--format=%U %G %a", CONFIGURATION) == kept
    assert site.master("find", "/var/lib/ganeti", "-maxdepth", "1", "-name", "*rollback*") == ""
    site.master("gnt-debug", "delay", "0.1")
    site.master("gnt-cluster", "verify", "--ignore-errors=ENODESETUP")


def configuration(site):
    """The cluster's configuration."""
    return site.ganeti.configuration()


def serial(site, followed):
    """The serial number that all databases have."""
    eventually(followed.same, 240, "both databases hold what the files do")
    return configuration(site)["serial_no"]


@pytest.fixture
def image(site):
    """Has the cluster get an image for zeroing, which no operation takes away from it; and a tag."""
    site.master("gnt-cluster", "modify", "--zeroing-image=http://192.0.2.1/zero", "--install-image=http://192.0.2.1/install")
    site.master("gnt-cluster", "add-tags", "temporary")
    yield
    site.master("gnt-cluster", "remove-tags", "temporary", check=False)


def test_values_that_no_operation_takes_away(site, followed, back, request):
    born = serial(site, followed)
    request.getfixturevalue("image")
    late = serial(site, followed)
    options = {"kind": "cluster", "serial": born}
    refused = back(**options)
    assert refused["failed"] and "zeroing_image differs, and no operation of Ganeti's sets it to what it was: with direct: true" in refused["msg"], refused
    assert configuration(site)["serial_no"] == late
    rehearsed = back("--check", "--diff", direct=True, **options)
    assert rehearsed["changed"] and rehearsed["direct"] == ["install_image", "zeroing_image"] and configuration(site)["serial_no"] == late, rehearsed

    result = back(direct=True, **options)
    assert result["changed"] and not result["failed"] and result["direct"] == rehearsed["direct"], result
    found = configuration(site)
    assert (found["cluster"]["zeroing_image"], found["cluster"]["install_image"], found["cluster"]["tags"]) == ("", "", [])
    assert found["serial_no"] > late and site.master("gnt-cluster", "list-tags").strip() == ""
    assert not back(direct=True, **options)["changed"]
    candidates = site.master("cat", "/var/lib/ganeti/ssconf_master_candidates").split()
    assert len({site.lab.run(node.split(".")[0], "sha256sum", CONFIGURATION) for node in candidates}) == 1
    assert serial(site, followed) == found["serial_no"]
    told = site.ask("config_history_info", kind="cluster", since=late)
    assert told["revisions"][0]["serial"] > late


def test_a_network_and_a_filter_that_were_removed(site, followed, back):
    site.master("gnt-network", "add", "--network=10.99.0.0/28", "--gateway=10.99.0.1", "--tags=kept", "net1")
    identity = site.master("gnt-network", "list", "--no-headers", "-o", "uuid", "net1").strip()
    rule = site.master("gnt-filter", "add", "--action=CONTINUE", '--predicates=[["jobid", [">", "id", "watermark"]]]').strip()
    born = serial(site, followed)
    there = configuration(site)
    site.master("gnt-network", "remove", "net1")
    site.master("gnt-filter", "delete", rule)
    serial(site, followed)
    try:
        options = {"kind": "network", "name": identity, "serial": born}
        refused = back(**options)
        assert refused["failed"] and "was removed, and no operation of Ganeti's makes it again as it was: direct: true" in refused["msg"], refused
        assert back("--check", direct=True, **options)["changed"] and identity not in configuration(site)["networks"]
        result = back(direct=True, **options)
        assert result["changed"] and not result["failed"], result
        result = back(kind="filter", name=rule, serial=born, direct=True)
        assert result["changed"] and not result["failed"], result
        found = configuration(site)
        counted = {"serial_no", "mtime"}
        assert {key: value for key, value in found["networks"][identity].items() if key not in counted} == {
            key: value for key, value in there["networks"][identity].items() if key not in counted
        }
        assert found["filters"][rule] == there["filters"][rule]
        assert site.master("gnt-network", "list", "--no-headers", "-o", "name,tags").split() == ["net1", "kept"]
        assert not back(direct=True, **options)["changed"]
        eventually(followed.same, 240, "both databases hold what the files do")

        site.master("gnt-network", "remove", "net1")
        site.master("gnt-network", "add", "--network=10.98.0.0/28", "net1")
        serial(site, followed)
        refused = back(direct=True, **options)
        assert refused["failed"] and "there would be several networks named net1" in refused["msg"], refused
    finally:
        site.master("gnt-network", "remove", "net1", check=False)
        site.master("gnt-filter", "delete", rule, check=False)


def test_a_node_groups_policy(site, followed, back):
    group = site.master("gnt-group", "list", "--no-headers", "-o", "uuid").split()[0]
    site.master("gnt-group", "modify", "--ipolicy-vcpu-ratio=3", group)
    born = serial(site, followed)
    site.master("gnt-group", "modify", "--ipolicy-vcpu-ratio=default", group)
    serial(site, followed)
    result = back(kind="nodegroup", name=group, serial=born, direct=True)
    assert result["changed"] and result["direct"] == ["ipolicy"] and configuration(site)["nodegroups"][group]["ipolicy"] == {"vcpu-ratio": 3}, result
    site.master("gnt-group", "modify", "--ipolicy-vcpu-ratio=default", group)


def test_what_operations_take_away(site, followed, back):
    """A node group's and a network's parameters, and a cluster's of an operating system: no daemon is stopped for these."""
    site.master("gnt-group", "add", "group1")
    site.master("gnt-network", "add", "--network=10.99.0.0/28", "net1")
    try:
        born = serial(site, followed)
        group = site.master("gnt-group", "list", "--no-headers", "-o", "uuid", "group1").strip()
        site.master("gnt-group", "modify", "--alloc-policy=unallocable", "--node-parameters=spindle_count=7", "group1")
        site.master("gnt-network", "modify", "--mac-prefix=aa:00:01", "net1")
        site.master("gnt-cluster", "modify", "--max-running-jobs=7", "-B", "vcpus=2")
        site.master("gnt-cluster", "add-tags", "temporary")
        serial(site, followed)
        for options in ({"kind": "nodegroup", "name": "group1"}, {"kind": "network", "name": "net1"}, {"kind": "cluster"}):
            result = back(serial=born, **options)
            assert result["changed"] and not result["failed"] and result["direct"] == [], result
            assert not back(serial=born, **options)["changed"]
        found = configuration(site)
        assert (found["nodegroups"][group]["alloc_policy"], found["nodegroups"][group]["ndparams"]) == ("preferred", {})
        assert (found["cluster"]["max_running_jobs"], found["cluster"]["beparams"]["default"]["vcpus"], found["cluster"]["tags"]) == (20, 1, [])

        site.master("gnt-group", "remove", "group1")
        serial(site, followed)
        result = back(kind="nodegroup", name=group, serial=born, direct=True)
        assert result["changed"] and not result["failed"], result
        assert "group1" in site.master("gnt-group", "list", "--no-headers", "-o", "name").split()
    finally:
        site.master("gnt-group", "remove", "group1", check=False)
        site.master("gnt-network", "remove", "net1", check=False)
        site.master("gnt-cluster", "modify", "--max-running-jobs=20", "-B", "vcpus=1")
        site.master("gnt-cluster", "remove-tags", "temporary", check=False)


def test_nothing_is_stopped_beside_a_job(site, followed, back, request):
    born = serial(site, followed)
    request.getfixturevalue("image")
    serial(site, followed)
    job = site.ganeti.hold()
    options = {"kind": "cluster", "serial": born, "parts": ["zeroing_image", "install_image"], "direct": True}
    try:
        refused = back(**options)
    finally:
        site.ganeti.let_go(job)
    assert refused["failed"] and "Jobs are running or queued, so Ganeti cannot be stopped" in refused["msg"], refused
    assert f": {job} (TEST_DELAY(600.0))" in refused["msg"]
    result = back(**options)
    assert result["changed"] and result["left"] == ["tags"], result
    assert configuration(site)["cluster"]["zeroing_image"] == ""


def test_what_is_refused_with_direct_too(site, followed, back, resident):
    name = resident(start=False)
    identity = configuration(site)["instances"]
    identity = next(each for each in identity if identity[each]["name"] == name)
    born = serial(site, followed)
    site.master("gnt-instance", "modify", "--net", "0:ip=10.99.0.2", name)
    serial(site, followed)
    options = {"kind": "instance", "name": name, "serial": born, "direct": True}
    refused = back(**options)
    assert refused["failed"] and "nics differs too, and says where real things are" in refused["msg"], refused
    site.lab.remove(site.name, name)
    eventually(lambda: identity not in configuration(site)["instances"] and followed.same(), 240, "its removal is in the databases")
    for changes, words in (
        ({"name": identity}, "was removed, and its disks or its machine with it"),
        ({"kind": "cluster"}, "name is needed for every kind but cluster"),
        ({"kind": "cluster", "name": None, "parts": ["master_node"]}, "master_node of clusters cannot be brought back"),
    ):
        refused = back(**{**options, **changes})
        assert refused["failed"] and words in refused["msg"], refused


def test_a_configuration_that_ganeti_does_not_start_with_is_taken_back(site):
    before = site.master("sha256sum", CONFIGURATION)
    site.master("mkdir", "-p", PLACE)
    try:
        unpack(site, PLACE, "plugins/module_utils", "module_utils")
        said = site.master("python3", "-I", "-c", POISON)
    finally:
        site.master("rm", "-rf", PLACE)
    assert "The configuration would be wrong: cluster has invalid beparams" in said, said
    assert "Ganeti did not start with the new configuration" in said and "The old one was put back, and Ganeti runs with it" in said, said
    assert site.master("sha256sum", CONFIGURATION) == before
