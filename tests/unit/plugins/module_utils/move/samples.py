# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Facts for tests, with everything in order; tests replace what they are about."""

from __future__ import annotations

from ansible_collections.ganeti.cluster.plugins.module_utils.move import facts, preflight
from ansible_collections.ganeti.cluster.plugins.module_utils.move.options import parse
from ansible_collections.ganeti.cluster.plugins.module_utils.move.plan import Source

MIB = 1024 * 1024
MOVE = "0123456789abcdef"
OTHER = "fedcba9876543210"

PARAMS = {
    "name": "web.example.com", "state": "moved", "destination_name": None, "source": {"address": "a1"}, "destination": {"address": "b1"},
    "primary_node": None, "iallocator": None, "disk_template": None, "nics": [], "osparams_private": None,
    "secondary_node": None, "ext_params": None, "nic_map": [], "hvparams": None, "ignore_ipolicy": False,
    "compress": "none", "ciphers": [], "skip_free_space": False,
    "lanes": None, "verify": "stream", "source_after": "fenced", "start": "as_before", "data_network": "primary", "data_port": 0,
    "opportunistic_tries": 0, "opportunistic_delay": 30, "lock_timeout": 300, "job_timeout": 3600, "shutdown_timeout": 120,
    "stall_timeout": 120, "journal_directory": "/nowhere",
    "zero_free_space": "no", "zeroing_method": "auto", "zeroing_kernel_path": "/k", "zeroing_initrd_path": "/i", "zeroing_timeout_fixed": 300.0,
    "zeroing_timeout_per_mib": 0.05,
}  # fmt: skip

NIC = facts.Nic("aa:00:00:11:22:33", "192.0.2.1", "lan", "bridged", "br0", "", None, {"link": "br0"})


def options(**changes):
    """The options of a move, with *changes*."""
    return parse({**PARAMS, **changes})


def rule(match, **changes):
    """An entry of the option nic_map."""
    unset = dict.fromkeys(("mode", "link", "vlan", "network"))
    return {"match": {**unset, **match}, "set": {**unset, "ip": None, "mac": "keep", **changes}}


def override(index=0, mac="keep", **changes):
    """An entry of the option nics."""
    return {**dict.fromkeys(("ip", "mode", "link", "vlan", "network")), "index": index, "mac": mac, **changes}


def instance(**changes):
    """An instance that runs."""
    return facts.Instance(
        name="web.example.com", uuid="11111111-2222", node="a2", os="debian+default", hypervisor="kvm", disk_template="file",
        admin_state="up", running=facts.Running.YES, status="running", tags=("prod",), be={"maxmem": 512, "vcpus": 2}, custom_be={"maxmem": 512},
        hv={"boot_order": "disk", "acpi": True}, custom_hv={"acpi": True}, custom_os={"flavour": "small"}, nics=(NIC,),
    )._replace(**changes)  # fmt: skip


def source(**changes):
    """A source with one disk."""
    return Source(instance(**changes), (facts.InstanceDisk(1024, "rw", "root", "/srv/disk0"),), {})


def info(name="beta.example.com", **changes):
    """What a cluster says of itself."""
    return {
        "name": name, "uuid": f"uuid of {name}", "software_version": "3.0.2", "enabled_hypervisors": ["kvm"], "enabled_disk_templates": ["file", "plain"],
        "compression_tools": ["gzip", "lzop"], "default_iallocator": "hail", "file_storage_dir": "/srv/ganeti/file-storage",
        "nicparams": {"default": {"mode": "bridged", "link": "xen-br0", "vlan": ""}},
        "beparams": {"default": {"maxmem": 128, "vcpus": 1}}, "hvparams": {"kvm": {"boot_order": "cdrom", "acpi": False, "migration_port": 8102}}, **changes,
    }  # fmt: skip


def clusters(**changes):
    """What both clusters say, with nothing against the move."""
    return preflight.Clusters(
        source_info=info("alpha.example.com"), destination_info=info(), source=source(), namesake=None,
        destination_nodes={"b2": facts.Node("b2", "uuid of b2", "192.0.2.2", "198.51.100.2", True, 4096, 100000)},
        destination_networks={"lan"}, lock_holder=None,
    )._replace(**changes)  # fmt: skip


CIPHERS = {"cipher_bypassing": None, "cipher_problems": []}


def examined(size=1024 * MIB, recorded=1024 * MIB, **changes):
    """A disk as its node measures it."""
    return {"path": "/srv/disk0", "recorded": recorded, "size": size, "kind": "file", "data": 10**9, "error": None, **changes}


def probe(**changes):
    """What a node says of itself."""
    fine = {"python": [3, 11, 2], "tls13": True, "root": True, "tools": {}, "free": 10**10, "disks": [examined()], "cpus": 2, "clock": 0.0, "cluster": None}
    return {**fine, **CIPHERS, **changes}


def probes(**changes):
    """What both nodes say, with nothing against the move."""
    return preflight.Probes("a2", probe(), "b2", probe(), None, 10**9)._replace(**changes)
