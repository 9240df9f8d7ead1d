# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Cluster parameters: set, read back with Ganeti's own tools, the second run changes nothing, every refusal changes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from ansible_collections.ganeti.cluster.plugins.module_utils.api import extended, extended_hook, parameters
from ansible_collections.ganeti.cluster.plugins.module_utils.api.parameters import BY_NAME, MODIFY, STEPS, TABLE

from .pristine import restore, stored

GANETI = "import json, sys; sys.path.insert(0, '/usr/share/ganeti/default'); from ganeti import constants, opcodes, pathutils; "
BOTH, GAMMA, DELTA = pytest.mark.on("gamma", "delta"), pytest.mark.on("gamma"), pytest.mark.on("delta")
"""Nested parameters, and what walks the installed fields, on both releases; the rest on one of them, so that both clusters are busy for about as long."""


def info(site):
    """What gnt-cluster info says; it is YAML, or near enough."""
    return yaml.safe_load(site.master("gnt-cluster", "info"))


def ganeti(site, **expressions):
    """Values out of the Ganeti that is installed."""
    dictionary = ", ".join(f"{name!r}: {expression}" for name, expression in expressions.items())
    return json.loads(site.master("python3", "-c", GANETI + f"print(json.dumps({{{dictionary}}}, default=lambda o: sorted(o)))"))


@pytest.fixture
def cluster(lab, site, ran):
    """Runs the module on the cluster through SSH; whatever a test changes is changed back."""
    before = stored(site)
    ran("parameters", release=site.release)
    yield Runs(site)
    # By Ganeti's own means, and not by the module that is tested: the file as it was, with those daemons stopped that have read it.
    if stored(site) != before:
        restore(site, before)
        assert stored(site) == before
    for node in site.nodes:
        lab.run(node, "rm", "-f", extended.FILE, extended_hook.HOOK)


class Runs:
    """Runs of the module, by any transport."""

    def __init__(self, site):
        self.site = site
        self.lab = site.lab

    def __call__(self, *options, by="ssh", name="cluster", **given):
        if by == "luxi":
            return self.site.module(name, given, options)
        side = self.lab.side(self.site.name, transport="ssh") if by == "ssh" else self.lab.rapi(self.site.name, **given.pop("rapi", {}))
        return self.lab.module(name, {**{key: side[key] for key in ("transport", "address", "ssh", "rapi") if key in side}, **given}, options=options)

    def twice(self, **given):
        """Set it, and see that the second run has nothing to do."""
        rehearsed = self("--check", **given)
        assert rehearsed["changed"] and not rehearsed["failed"], rehearsed
        first = self("--diff", **given)
        assert first["changed"] and not first["failed"], first
        second = self(**given)
        assert not second["changed"] and not second["failed"], second
        return first

    def refused(self, **given):
        """It fails with words, and nothing at all has changed."""
        before = stored(self.site)
        result = self(**given)
        assert result["failed"] and not result["changed"], result
        assert "Traceback" not in result["shown"]
        assert stored(self.site) == before
        return result["msg"]


# --- The table and the installed Ganeti ------------------------------------------------------------------------------


@BOTH
def test_no_parameter_of_the_installed_ganeti_is_missing(site):
    installed = set(ganeti(site, names="[each[0] for each in opcodes.OpClusterSetParams.OP_PARAMS]")["names"])
    assert "compression_tools" in installed
    assert {row.name for row in TABLE if row.via == MODIFY} | STEPS == installed


@BOTH
def test_every_parameter_is_where_the_table_says(cluster):
    told = cluster(name="cluster_info")
    for row in TABLE:
        if row.origin == parameters.INFO:
            assert (row.key or row.name) in told["info"], row.name
    assert set(told["parameters"]) == set(BY_NAME) and told["unreadable"] == []


@BOTH
def test_the_defaults_are_ganetis(site):
    names = {
        "candidate_pool_size": "MASTER_POOL_SIZE_DEFAULT",
        "max_running_jobs": "LUXID_MAXIMAL_RUNNING_JOBS_DEFAULT",
        "max_tracked_jobs": "LUXID_MAXIMAL_TRACKED_JOBS_DEFAULT",
        "compression_tools": "IEC_DEFAULT_TOOLS",
        "mac_prefix": "DEFAULT_MAC_PREFIX",
        "enabled_disk_templates": "DEFAULT_ENABLED_DISK_TEMPLATES",
    }
    installed = ganeti(site, interval="constants.MOND_TIME_INTERVAL", **{name: f"constants.{constant}" for name, constant in names.items()})
    assert BY_NAME["data_collector_interval"].default.value == installed.pop("interval")
    assert {name: BY_NAME[name].default for name in names} == installed
    there = ganeti(site, **{
        row.name: f"hasattr(constants, '{row.default.name}') or hasattr(pathutils, '{row.default.name}')"
        for row in TABLE if isinstance(row.default, parameters.Constant)
    })  # fmt: skip
    assert there and all(there.values()), there


# --- Setting ----------------------------------------------------------------------------------------------------------


@BOTH
def test_single_values_and_lists(site, cluster):
    """Many at once, in one job; read back with gnt-cluster info and from the configuration."""
    given = {
        "compression_tools": ["gzip", "lzop", "gzip-fast", "my-tool_1"], "zeroing_image": "/srv/zero.raw", "install_image": "/srv/install.raw",
        "enabled_disk_templates": [*stored(site)["enabled_disk_templates"], "blockdev"], "shared_file_storage_dir": "/srv/ganeti/shared",
        "candidate_pool_size": 7, "max_running_jobs": 21, "max_tracked_jobs": 26, "maintain_node_health": True, "mac_prefix": "AA:00:09",
        "uid_pool": ["5000-5010", 6000], "reserved_lvs": ["xenvg/keep-.*"], "hidden_os": ["slow"], "blacklisted_os": ["noop"],
        "default_iallocator": "hail", "default_iallocator_params": {"verbose": "1"}, "prealloc_wipe_disks": True, "modify_etc_hosts": False,
        "enabled_user_shutdown": True,
    }  # fmt: skip
    jobs = len(site.master("gnt-job", "list", "--no-headers").splitlines())
    first = cluster.twice(**given)
    assert len(site.master("gnt-job", "list", "--no-headers").splitlines()) == jobs + 2, "one rehearsal and one change"
    found = stored(site)
    assert sorted(found["compression_tools"]) == ["gzip", "gzip-fast", "lzop", "my-tool_1"]
    assert found["uid_pool"] == [[5000, 5010], [6000, 6000]] and found["mac_prefix"] == "aa:00:09"
    for name in ("zeroing_image", "install_image", "enabled_disk_templates", "shared_file_storage_dir", "candidate_pool_size", "max_running_jobs",
                 "max_tracked_jobs", "maintain_node_health", "reserved_lvs", "hidden_os", "blacklisted_os", "default_iallocator_params",
                 "prealloc_wipe_disks", "modify_etc_hosts", "enabled_user_shutdown"):  # fmt: skip
        assert found[name] == given[name], name
    shown = info(site)["Cluster parameters"]
    assert shown["zeroing image"] == "/srv/zero.raw" and shown["candidate pool size"] == 7
    assert '-    "zeroing_image": ""' in first["shown"] and '+    "zeroing_image": "/srv/zero.raw"' in first["shown"]
    assert not cluster(**first["parameters"])["changed"], "what is returned can be given"

    again = cluster(candidate_pool_size="default", uid_pool="default", max_running_jobs="default", mac_prefix="default", hidden_os=[], blacklisted_os=[])
    found = stored(site)
    assert again["changed"] and (found["candidate_pool_size"], found["uid_pool"], found["max_running_jobs"]) == (10, [], 20), again
    assert (found["mac_prefix"], found["hidden_os"], found["blacklisted_os"]) == ("aa:00:00", [], [])
    assert cluster.refused(zeroing_image="default", candidate_pool_size=3).startswith("zeroing_image cannot be cleared")
    assert cluster.refused(install_image="").startswith("install_image cannot be cleared")


@BOTH
def test_nested_parameters_are_merged_and_default_resets_one(site, cluster):
    before = stored(site)
    given = {
        "hvparams": {"lxc": {"num_ttys": "4", "devices": "c 1:3 rw"}, "fake": {"migration_mode": "non-live"}},
        "beparams": {"maxmem": "1G", "vcpus": 2},
        "nicparams": {"link": "br9"},
        "ndparams": {"spindle_count": 3},
        "diskparams": {"drbd": {"resync-rate": 1024}},
        "ipolicy": {"vcpu-ratio": 5, "minmax": [{"max": {"memory-size": 4096}}], "std": {"memory-size": 256}},
        "os_hvp": {"noop": {"fake": {"migration_mode": "non-live"}, "lxc": {"num_ttys": 3, "startup_timeout": 9}}},
        "enabled_data_collectors": {"drbd": False},
        "data_collector_interval": {"lv": 7.5},
        "hv_state": {"fake": {"mem_node": 64}},
        "disk_state": {"plain": {"xenvg": {"disk_reserved": 10}}},
    }
    cluster.twice(**given)
    found = stored(site)
    expected = json.loads(json.dumps(before))
    expected["hvparams"]["lxc"].update(num_ttys=4, devices="c 1:3 rw")
    expected["hvparams"]["fake"]["migration_mode"] = "non-live"
    expected["beparams"]["default"].update(maxmem=1024, vcpus=2)
    expected["nicparams"]["default"]["link"] = "br9"
    expected["ndparams"]["spindle_count"] = 3
    expected["diskparams"]["drbd"]["resync-rate"] = 1024
    expected["ipolicy"]["vcpu-ratio"] = 5
    expected["ipolicy"]["minmax"][0]["max"]["memory-size"] = 4096
    expected["ipolicy"]["std"]["memory-size"] = 256
    expected["data_collectors"]["drbd"]["active"] = False
    expected["data_collectors"]["lv"]["interval"] = 7500000
    for name in ("hvparams", "beparams", "nicparams", "ndparams", "diskparams", "ipolicy", "data_collectors"):
        assert found[name] == expected[name], name
    assert found["os_hvp"] == given["os_hvp"]
    assert found["hv_state_static"]["fake"]["mem_node"] == 64 and found["disk_state_static"]["plain"]["xenvg"]["disk_reserved"] == 10

    cluster.twice(
        hvparams={"lxc": {"num_ttys": "default"}}, beparams={"memory": "default"}, ipolicy={"std": "default"}, ndparams={"spindle_count": "default"},
        os_hvp={"noop": {"fake": "default", "lxc": {"num_ttys": "default"}}}, data_collector_interval={"lv": "default"},
        hv_state={"fake": {"mem_node": "default"}},
    )  # fmt: skip
    found = stored(site)
    assert found["hvparams"]["lxc"] == {**before["hvparams"]["lxc"], "devices": "c 1:3 rw"}
    assert found["beparams"]["default"]["maxmem"] == 128 and found["beparams"]["default"]["vcpus"] == 2
    assert found["ipolicy"]["std"] == ganeti(site, policy="constants.IPOLICY_DEFAULTS")["policy"]["std"] and found["ipolicy"]["vcpu-ratio"] == 5
    assert found["os_hvp"] == {"noop": {"lxc": {"startup_timeout": 9}}}
    assert found["data_collectors"]["lv"]["interval"] == 5000000 and found["ndparams"]["spindle_count"] == 1


@GAMMA
def test_parameters_of_operating_systems_and_secrets(site, cluster):
    given = {"osparams": {"noop": {"flavour": "vanilla"}}, "osparams_private_cluster": {"noop": {"region": "moon-base"}}}
    first = cluster.twice(**given)
    found = stored(site)
    assert found["osparams"] == given["osparams"] and found["osparams_private_cluster"] == given["osparams_private_cluster"]
    assert "moon-base" not in first["shown"] and "osparams_private_cluster.noop.region" in first["shown"]
    told = cluster(name="cluster_info")
    assert "moon-base" not in told["shown"] and list(told["parameters"]["osparams_private_cluster"]["noop"]) == ["region"]
    cluster.twice(osparams={"noop": "default"}, osparams_private_cluster={"noop": {"region": "default"}})
    assert (stored(site)["osparams"], stored(site)["osparams_private_cluster"]) == ({}, {})


@DELTA
def test_tags_and_the_masters_address(lab, site, cluster):
    before = stored(site)
    masks = [mask for mask in (31, 30, 29) if mask != before["master_netmask"]]
    try:
        cluster.twice(tags=["b:1", "a"], master_netmask=masks[0])
        assert sorted(site.master("gnt-cluster", "list-tags").split()) == ["a", "b:1"]
        assert stored(site)["master_netmask"] == masks[0]
        address = site.master("ip", "-o", "address", "show", "dev", before["master_netdev"])
        assert f"{lab.cluster(site.name)['address']}/{masks[0]} " in address
        cluster.twice(tags=["c"], master_netmask=masks[1])
        assert site.master("gnt-cluster", "list-tags").split() == ["c"]
        assert "has no such network device: the cluster's address would be lost" in cluster.refused(master_netdev="nothere0")
        assert "up to 32" in cluster.refused(master_netmask=64)
    finally:
        cluster(tags=[], master_netmask=before["master_netmask"])
    assert site.master("gnt-cluster", "list-tags").split() == [] and stored(site)["master_netmask"] == before["master_netmask"]


# --- Transports -------------------------------------------------------------------------------------------------------


@BOTH
def test_on_the_master_itself(site, cluster):
    first = cluster("--diff", by="luxi", candidate_pool_size=8, hvparams={"lxc": {"num_ttys": 4}}, modify_etc_hosts=True, allow_cipher_bypassing=True)
    assert first["changed"] and not first["failed"], first
    assert '+    "hvparams.lxc.num_ttys": 4' in first["shown"]
    assert stored(site)["candidate_pool_size"] == 8 and stored(site)["hvparams"]["lxc"]["num_ttys"] == 4
    assert not cluster(by="luxi", candidate_pool_size=8, hvparams={"lxc": {"num_ttys": 4}}, allow_cipher_bypassing=True)["changed"]
    told = cluster(by="luxi", name="cluster_info")
    assert told["parameters"]["allow_cipher_bypassing"] is True and told["parameters"]["candidate_pool_size"] == 8
    assert f"is not the master of its cluster, {site.hosts[0]} is" in site.module("cluster_info", {}, on=1)["msg"]


@DELTA
def test_through_the_remote_api(site, cluster):
    first = cluster("--check", by="rapi", candidate_pool_size=8, hvparams={"lxc": {"num_ttys": 4}}, tags=["x"])
    assert first["changed"] and stored(site)["candidate_pool_size"] == 10, first
    first = cluster(by="rapi", candidate_pool_size=8, hvparams={"lxc": {"num_ttys": 4}}, tags=["x"], zeroing_image="/srv/z")
    assert first["changed"] and not first["failed"], first
    assert stored(site)["candidate_pool_size"] == 8 and stored(site)["zeroing_image"] == "/srv/z"
    assert site.master("gnt-cluster", "list-tags").split() == ["x"]
    assert not cluster(by="rapi", candidate_pool_size=8, hvparams={"lxc": {"num_ttys": 4}}, tags=["x"])["changed"]
    assert cluster(by="rapi", tags=[])["changed"]
    assert "use transport ssh" in cluster.refused(by="rapi", hvparams={"kvm": {"acpi": "default"}})


@GAMMA
@pytest.mark.parametrize("name", [row.name for row in TABLE if "rapi" not in row.transports])
def test_what_the_remote_api_must_not_do_is_refused_before_any_request(cluster, name):
    given = {"bool": True, "list": ["gzip"], "dict": {"x": {"y": 1}}, "str": "disk"}[BY_NAME[name].kind.argument["type"]]
    # Nobody listens at this port: a request would fail in another way.
    message = cluster.refused(by="rapi", rapi={"port": 1}, **{name: given})
    assert message.startswith(f"{name} cannot be set") and "over RAPI" in message and "nothing was sent" in message


@GAMMA
def test_a_reader_reads_and_does_not_write(lab, site, cluster):
    password = Path(lab.description["rapi_users"]["reader"]["password_file"]).read_text().strip()
    reader = {"username": "reader", "password": password}
    told = cluster("--check", by="rapi", name="cluster_info", rapi=reader, query='parameters.ipolicy.minmax[0].max."memory-size"')
    assert told["result"] == stored(site)["ipolicy"]["minmax"][0]["max"]["memory-size"]
    assert told["name"] == site.full and told["master"] == site.hosts[0]
    assert sorted(told["unreadable"]) == sorted(row.name for row in TABLE if row.origin != parameters.INFO)
    assert "compression_tools" in told["parameters"] and password not in told["shown"]
    assert cluster.refused(by="rapi", rapi=reader, candidate_pool_size=8)
    assert "no JMESPath expression" in cluster(by="rapi", name="cluster_info", rapi=reader, query="][")["msg"]


# --- Refusals ---------------------------------------------------------------------------------------------------------


@DELTA
@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"compression_tools": ["lzop"]}, "lacks gzip"),
        ({"compression_tools": []}, "lacks gzip"),
        ({"compression_tools": ["gzip", "none"]}, "reserved"),
        ({"compression_tools": ["gzip", "-d"]}, "no dash in front"),
        ({"compression_tools": ["gzip", "gzip -9"]}, "letters, digits"),
        ({"zeroing_image": "relative", "candidate_pool_size": 3}, "zeroing_image is 'relative'"),
        ({"gluster_storage_dir": "/srv/other"}, "without storing it"),
        ({"enabled_data_collectors": {"weather": True}, "candidate_pool_size": 3}, "has weather"),
        ({"enabled_disk_templates": []}, "is empty"),
        ({"enabled_hypervisors": []}, "is empty"),
        ({"hvparams": {"kvm": {"colour": 1}}}, "kvm.colour, which Ganeti does not have"),
        ({"backend_storage": "couchdb"}, "use the module backend_storage"),
        ({"cluster_name": "beta.lab.example", "candidate_pool_size": 3}, "Wrong cluster"),
        ({"default_iallocator": "nobody", "candidate_pool_size": 3}, "Invalid default iallocator"),
        ({"enabled_disk_templates": ["drbd"], "candidate_pool_size": 3}, "volume group"),
        ({}, "No parameter of the cluster was given"),
    ],
)
def test_refusals(cluster, given, words):
    assert words in cluster.refused(**given)


@DELTA
def test_a_hypervisor_in_use_stays(cluster, resident):
    name = resident(start=False, data=0)
    assert f"{name} (fake)" in cluster.refused(enabled_hypervisors=["chroot"])


@BOTH
def test_traps_are_still_there(site, cluster):
    """What the module sees coming is what Ganeti would do: where this fails, Ganeti has been repaired and so may be the module."""
    partly = ("--zeroing-image=relative", "--shared-file-storage-dir=/srv/partly", "--max-running-jobs=9")
    failed = site.master("gnt-cluster", "modify", *partly, check=False)
    assert stored(site)["shared_file_storage_dir"] == "/srv/partly" and stored(site)["max_running_jobs"] != 9, f"applied in part: {failed}"
    interval = stored(site)["data_collectors"]["lv"]["interval"]
    site.master("gnt-cluster", "modify", "--data-collector-interval=lv=7", check=False)
    assert stored(site)["data_collectors"]["lv"]["interval"] == interval != 7000000, "gnt-cluster cannot set it"


@GAMMA
def test_a_job_that_fails_halfway_says_what_is_in_force(site, cluster):
    """Ganeti calls a script that is not there to take the address down, after it has saved the disk templates."""
    site.master("gnt-cluster", "modify", "--use-external-mip-script=yes")
    site.master("ip", "link", "add", "dummy7", "type", "bridge")
    try:
        wanted = [*stored(site)["enabled_disk_templates"], "blockdev"]
        result = cluster(enabled_disk_templates=wanted, master_netdev="dummy7", max_running_jobs=33)
        assert result["failed"] and result["applied"] == ["enabled_disk_templates"], result
        assert "in force all the same: enabled_disk_templates" in result["msg"]
        assert stored(site)["enabled_disk_templates"] == wanted
    finally:
        site.master("ip", "link", "del", "dummy7")


# --- Extended parameters ----------------------------------------------------------------------------------------------


def copies(site):
    """Each node's copy, with its mode and owner."""
    command = f"stat -c %a:%U {extended.FILE} 2>/dev/null; cat {extended.FILE} 2>/dev/null; true"
    return {node: site.lab.run(node, "sh", "-c", command) for node in site.nodes}


@GAMMA
def test_extended_parameters_are_on_every_node_and_for_root_only(lab, site, cluster):
    _first, second, third = site.hosts
    assert not cluster(allow_cipher_bypassing=False, backend_storage="disk")["changed"], "the defaults need no file"
    assert cluster("--check", allow_cipher_bypassing=True)["changed"] and set(copies(site).values()) == {""}
    first = cluster.twice(allow_cipher_bypassing=True)
    assert sorted(first["distributed"]) == site.hosts
    (content,) = set(copies(site).values())
    mode, text = content.split("\n", 1)
    assert mode == "600:root" and json.loads(text) == {"allow_cipher_bypassing": True, "backend_storage": "disk"}
    assert site.master("sh", "-c", f"ls {extended.FILE}*").split() == [extended.FILE]
    lab.run(site.nodes[1], "rm", extended_hook.HOOK)
    assert cluster(allow_cipher_bypassing=True)["distributed"] == [second]

    lab.run(site.nodes[2], "rm", extended.FILE)  # as where the hook for nodes that join has failed
    lab.run(site.nodes[1], "chmod", "644", extended.FILE)
    late = cluster(allow_cipher_bypassing=True)
    assert late["changed"] and sorted(late["distributed"]) == [second, third]
    assert set(copies(site).values()) == {content}
    assert not cluster(allow_cipher_bypassing=True)["changed"]

    cluster.twice(allow_cipher_bypassing=False)
    assert all(json.loads(copy.split("\n", 1)[1])["allow_cipher_bypassing"] is False for copy in copies(site).values())


@BOTH
def test_a_node_that_joins_gets_the_extended_parameters(lab, site, cluster):
    assert not cluster(allow_cipher_bypassing=True)["failed"]
    (content,) = set(copies(site).values())
    lab.run(site.nodes[2], "rm", extended.FILE, extended_hook.HOOK)
    site.master("gnt-node", "add", "--readd", "--no-node-setup", "--no-ssh-key-check", site.hosts[2])
    assert set(copies(site).values()) == {content}
    assert not cluster(allow_cipher_bypassing=True)["changed"], "the hook itself came along"


@DELTA
def test_a_damaged_file_and_a_storage_that_is_already_there(site, cluster):
    site.master("sh", "-c", f"echo nonsense >{extended.FILE}")
    assert "repair it, or remove it" in cluster.refused(allow_cipher_bypassing=True)
    site.master("sh", "-c", f'echo "{{\\"backend_storage\\": \\"couchdb\\"}}" >{extended.FILE}')
    assert "use the module backend_storage" in cluster.refused(backend_storage="disk")
    result = cluster(backend_storage="couchdb")
    assert not result["failed"] and len(result["distributed"]) == 3
    assert cluster(name="cluster_info")["parameters"]["backend_storage"] == "couchdb"


@DELTA
def test_an_unreachable_node_is_named(lab, site, cluster):
    site.master("ip", "route", "add", "unreachable", lab.address(site.nodes[2]))
    try:
        result = cluster(allow_cipher_bypassing=True)
    finally:
        site.master("ip", "route", "del", "unreachable", lab.address(site.nodes[2]))
    assert result["failed"] and f"{site.hosts[2]} did not answer" in result["msg"], result
    assert cluster(allow_cipher_bypassing=True)["distributed"] == [site.hosts[2]]
