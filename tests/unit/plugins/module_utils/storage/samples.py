# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A configuration and jobs as Ganeti 3.0 has them, made small."""

from __future__ import annotations

import json
import uuid

NODE, GROUP, INSTANCE, DISK = (str(uuid.UUID(int=number)) for number in (1, 2, 3, 4))

CONFIGURATION = {
    "version": 3000000,
    "cluster": {"cluster_name": "alpha.lab.example", "master_node": NODE, "osparams_private_cluster": {"noop": {"key": "hidden"}}, "ctime": 1795248633.98324},
    "nodes": {NODE: {"uuid": NODE, "name": "a1.lab.example", "serial_no": 1, "mtime": 1795250042.730287}},
    "nodegroups": {GROUP: {"uuid": GROUP, "name": "default", "members": [NODE]}},
    "instances": {INSTANCE: {"uuid": INSTANCE, "name": "inst1.lab.example", "disks": [DISK], "osparams_private": {"region": "moon"}}},
    "networks": {},
    "disks": {DISK: {"uuid": DISK, "size": 1152921504606846976, "secret": "drbd"}},
    "filters": {},
    "serial_no": 20,
    "ctime": 1795248633.98324,
    "mtime": 1795250042.730287,
}
_TEXT = json.dumps(CONFIGURATION)


def configuration(serial=20, **objects):
    """A configuration of this serial number, with other objects in the containers that are named."""
    result = json.loads(_TEXT)
    result.update(serial_no=serial, **objects)
    return result


def job(number, status="success"):
    """A job with one opcode."""
    return {"id": number, "ops": [{"input": {"OP_ID": "OP_TEST_DELAY", "duration": 0.5}, "status": status}], "received_timestamp": [1795250042, number]}


def node(name, **changes):
    """A node as the configuration has it."""
    return {
        "name": name, "uuid": f"u{name[1:]}", "primary_ip": f"10.0.0.{name[1:]}", "master_candidate": False, "master_capable": True, "offline": False,
        "drained": False, "serial_no": 3, "mtime": 1.0, **changes,
    }  # fmt: skip


def cluster(serial=20, pool_size=1):
    """A configuration with three nodes, the master of which is a1."""
    found = configuration(serial, nodes={"u1": node("a1", master_candidate=True), "u2": node("a2"), "u3": node("a3")})
    found["cluster"].update(
        master_node="u1", master_ip="10.0.0.10", candidate_certs={"u1": "AA:01"}, candidate_pool_size=pool_size, serial_no=7, mtime=1.0, modify_ssh_setup=False
    )
    return found
