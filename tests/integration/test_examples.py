# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The examples in the modules' documentation run as they stand, in check mode, with the lab's names. Those of master_failover are in test_failover.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import examples
from .lab import ROOT, eventually

pytestmark = pytest.mark.on("gamma")
ELSEWHERE = {"export_info", "instance_export", "instance_zero", "master_failover"}
"""Modules whose examples need more than is here, or (exports) another release."""


def nothing(site, followed, name):
    """For examples that need nothing but the cluster."""
    return {}


def for_backend_storage(site, followed, name):
    first, second = followed.servers()
    return {
        "https://node1.example.com:6984": first["url"], "https://node2.example.com:6984": second["url"],
        "node1.example.com": site.hosts[0], "node2.example.com": site.hosts[1], "node3.example.com": site.hosts[2],
    }  # fmt: skip


def for_cluster(site, followed, name):
    return {"alpha.example.com": site.full, "username: admin": "username: ansible", "/etc/ssl/alpha-rapi.pem": site.lab.cluster(site.name)["rapi"]["ca"]}


def for_cluster_info(site, followed, name):
    return {"alpha.example.com": site.full, "/etc/ssl/alpha-rapi.pem": site.lab.cluster(site.name)["rapi"]["ca"]}


def for_compression_benchmark_info(site, followed, name):
    return {"alpha.example.com": site.full, "web1.example.com": name, "node2.example.com": site.hosts[2], "zstd-fast": "zstd"}


def for_compression_tool(site, followed, name):
    return {"/dev/xenvg/disk0": "/usr/lib/ganeti"}


def for_config_history_info(site, followed, name):
    eventually(followed.same, 240, "the databases have the instance")
    return {"web1.example.com": name}


def for_config_rollback(site, followed, name):
    """The instance has changed, and a network was removed."""
    site.master("gnt-network", "add", "--network=10.99.0.0/28", "examples")
    identity = site.master("gnt-network", "list", "--no-headers", "-o", "uuid", "examples").strip()
    site.master("gnt-instance", "modify", "-B", "vcpus=2", name)
    born = followed.compare()["serial"]
    eventually(followed.same, 240, "the databases have the network")
    site.master("gnt-network", "remove", "examples")
    eventually(followed.same, 240, "the databases know that it is gone")
    return {"web1.example.com": name, "b6c4f545-a65d-4ac7-b673-a9678b227832": identity, "4711": str(born)}


IMAGES = "/var/tmp/images-of-examples"
MAKE_IMAGES = """
set -eu
mkdir -p "$1" && cd "$1"
echo web1 >sda.img && truncate -s 1M sda.img
qemu-img convert -f raw -O qcow2 sda.img debian-12.qcow2
qemu-img convert -f raw -O vmdk sda.img appliance.vmdk
sha256sum debian-12.qcow2 sda.img
"""


def for_disk_image(site, followed, name):
    """Small images in the places of large ones."""
    lines = site.lab.run(site.nodes[0], "sh", "-c", MAKE_IMAGES, "make", IMAGES).splitlines()
    first, second = (line.split()[0] for line in lines)
    return {
        "9d1c1f9e2d6a5b0b3f8f5e0a4d2c7b6a1e3f4d5c6b7a8990a1b2c3d4e5f60718": first,
        "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae": second,
        "/srv/images": IMAGES, "/srv/old/web1": IMAGES, "/srv/ganeti/file-storage/imported": IMAGES, "/srv/ganeti/shared-file-storage/images": IMAGES,
        "node1.example.com": site.hosts[0],
    }  # fmt: skip


def for_disk_image_info(site, followed, name):
    site.lab.run(site.nodes[0], "sh", "-c", MAKE_IMAGES, "make", IMAGES)
    return {"/srv/images": IMAGES, "node1.example.com": site.hosts[0]}


def for_instance_info(site, followed, name):
    return {
        "alpha.example.com": site.full, "web1.example.com": name, "node2.example.com": site.hosts[1],
        "/etc/ssl/alpha-rapi.pem": site.lab.cluster(site.name)["rapi"]["ca"],
    }  # fmt: skip


def for_instance(site, followed, name):
    return {**for_instance_info(site, followed, name), "www.example.com": "www.lab.example"}


def for_instance_move(site, followed, name):
    """From gamma to beta, and within gamma with a cipher that it allows."""
    allowed = site.module("cluster", {"allow_cipher_bypassing": True})
    assert not allowed["failed"], allowed
    for host in site.nodes:  # the zeroing helper, which check mode only looks for
        site.lab.run(host, "sh", "-c", "mkdir -p /var/lib/ganeti-zeroing && touch /var/lib/ganeti-zeroing/vmlinuz /var/lib/ganeti-zeroing/initrd.img")
    return {
        "node3.beta.example.com": "b2.lab.example", "node2.alpha.example.com": site.hosts[2], "alpha.example.com": site.full,
        "beta.example.com": "beta.lab.example", "web1.example.com": name, "/etc/ssl/beta-rapi.pem": site.lab.cluster("beta")["rapi"]["ca"],
        "username: mover": "username: ansible", "provider: san": "provider: loopdev", "pool: fast": "allocation: full",
    }  # fmt: skip


def for_job_info(site, followed, name):
    """Two jobs; the standby's server is on the master, too."""
    jobs = [site.ganeti.submit({"OP_ID": "OP_TEST_DELAY", "duration": 0.1, "on_master": True}) for _each in range(2)]
    return {
        "4711": str(jobs[0]), "4712": str(jobs[1]), "https://node2.example.com:6984": followed.servers()[1]["url"], "node2.example.com": site.hosts[0],
        "node1.example.com": site.hosts[0], "node3.example.com": site.hosts[0],
    }  # fmt: skip


PREPARED = {
    "backend_storage": for_backend_storage,
    "backend_storage_info": nothing,
    "cluster": for_cluster,
    "cluster_info": for_cluster_info,
    "compression_benchmark_info": for_compression_benchmark_info,
    "compression_tool": for_compression_tool,
    "config_history_info": for_config_history_info,
    "config_rollback": for_config_rollback,
    "disk_image": for_disk_image,
    "disk_image_info": for_disk_image_info,
    "instance": for_instance,
    "instance_info": for_instance_info,
    "instance_move": for_instance_move,
    "job_info": for_job_info,
    "redistribute_config": nothing,
}


def usual(lab):
    """What is not as usual about the instance that the examples are about."""
    return {}


def with_a_kernel(lab):
    return {"hypervisor": "kvm", "hvparams": {"kernel_path": lab.description["guest"]["kernel"]}}


INSTANCES = {"compression_benchmark_info": usual, "config_history_info": usual, "config_rollback": usual, "instance": usual, "instance_move": with_a_kernel}
"""Modules whose examples are about an instance."""


def test_no_module_is_forgotten():
    assert PREPARED.keys() | ELSEWHERE == {path.stem for path in (ROOT / "plugins/modules").glob("*.py")}


@pytest.mark.parametrize("module", PREPARED)
def test_the_examples_run(lab, site, followed, resident, module, tmp_path):
    name = resident(start=False, **INSTANCES[module](lab)) if module in INSTANCES else "none"
    names = PREPARED[module](site, followed, name)
    passwords = {user: Path(described["password_file"]).read_text().strip() for user, described in lab.description["rapi_users"].items()}
    variables = {
        "vault_rapi_password": passwords["ansible"], "vault_beta_rapi_password": passwords["ansible"], "vault_rapi_reader_password": passwords["reader"],
        "vault_couchdb_password": followed.password,
    }  # fmt: skip
    shown = examples.rehearse(lab, module, names, site.hosts[0], tmp_path, variables, group=[name])
    assert not [secret for secret in variables.values() if secret in shown]
