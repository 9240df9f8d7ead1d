#!/usr/bin/python
# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Choose where a cluster's configuration and jobs are stored."""

from __future__ import annotations

DOCUMENTATION = r"""
module: backend_storage
short_description: Choose where a Ganeti cluster's configuration and jobs are stored
version_added: 0.2.0
author:
  - the ganeti.cluster authors (!UNKNOWN)
description:
  - With V(couchdb) or V(etcd), a service on the master follows Ganeti's configuration and job queue and writes what changes into the database, object
    by object. CouchDB replicates it to the servers of other nodes; etcd has it on a majority of its members before a write is acknowledged. Both keep
    revisions of every object.
  - Ganeti's own files stay as they are. When the database cannot be reached, Ganeti goes on and the service catches up later. So switching in either
    direction stops nothing and loses nothing.
  - With V(couchdb) the service is put on every node that has a server, with V(etcd) on every node that is online and master capable. Where the node
    is not the master it rests; so after a failover it goes on at the new one. Run this again when there are more nodes.
  - Runs on the master, as root. The database has to be there already.
  - The task ends when everything is in the database and every standby has it.
extends_documentation_fragment:
  - ganeti.cluster.attributes
  - ganeti.cluster.connection.local
  - ganeti.cluster.storage.servers
  - ganeti.cluster.storage.etcd
  - ganeti.cluster.timeouts
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - Of files that hold secrets only that they change.
  idempotent:
    support: full
options:
  storage:
    description:
      - Where to store. It is the cluster parameter C(backend_storage), which this module sets.
      - V(disk) ends the service and the replications. The databases stay as they are.
      - From one database to another the way leads through V(disk).
    type: str
    choices: [disk, couchdb, etcd]
    required: true
  couchdb_mode:
    description:
      - Who keeps copies of configuration and jobs beside the master. With V(etcd) as well, in spite of its name.
      - With V(mirror), Ganeti's master candidates as always, and the database in addition.
      - With V(primary), the database alone. The size of Ganeti's candidate pool is made 1 and the other candidates become regular nodes, so that jobs
        are accepted without waiting for copies. Should the master die, M(ganeti.cluster.master_failover) makes another node the master out of the
        database. What the service had not written, or CouchDB not carried there, by then is lost, as a rule the last fraction of a second.
      - When it is V(primary) no more, the pool gets the size that it had.
    type: str
    choices: [mirror, primary]
    default: mirror
  lag:
    description:
      - How many serial numbers of the configuration a standby may be behind before the service's check warns.
    type: int
    default: 10
  acknowledge:
    description:
      - How many of the servers have to have a job, in its state or a later one, before any module of this collection tells of it or of its end.
        Those modules wait for it that run jobs, by LUXI or SSH as root, and M(ganeti.cluster.job_info) where it uses the node's settings.
      - With V(0) nobody waits. Other programs, as C(gnt-instance), are told by Ganeti itself, and never wait.
    type: int
    default: 0
  degrade:
    description:
      - What is done where fewer servers have the job after O(degrade_after) seconds.
      - With V(wait), a warning is given, and it is waited for. With V(after), a warning is given, and the task goes on. With V(refuse), the task fails.
        In no case is the job undone.
    type: str
    choices: [wait, after, refuse]
    default: after
  degrade_after:
    description:
      - Seconds, see O(degrade).
    type: int
    default: 30
  timeout:
    description:
      - How long, in seconds, to wait for what this brings about, which is that everything is written and replicated. Jobs have limits of their own.
    type: int
    default: 120
seealso:
  - module: ganeti.cluster.backend_storage_info
  - module: ganeti.cluster.config_history_info
  - module: ganeti.cluster.master_failover
"""

EXAMPLES = r"""
- name: Follow configuration and jobs into CouchDB on two nodes (on the master)
  ganeti.cluster.backend_storage:
    storage: couchdb
    servers:
      - node: node1.example.com
        url: https://node1.example.com:6984
        username: ganeti
        password: "{{ vault_couchdb_password }}"
      - node: node2.example.com
        url: https://node2.example.com:6984
        username: ganeti
        password: "{{ vault_couchdb_password }}"

- name: Follow them into an etcd of three members, from a node that has a certificate for it
  ganeti.cluster.backend_storage:
    storage: etcd
    etcd:
      endpoints:
        - https://node1.example.com:2379
        - https://node2.example.com:2379
        - https://node3.example.com:2379
      ca_path: /etc/etcd/ca.pem
      cert_path: /etc/etcd/tls/server.pem
      key_path: /etc/etcd/tls/server.key

- name: Back to files alone
  ganeti.cluster.backend_storage:
    storage: disk
"""

RETURN = r"""
storage:
  description: Where configuration and jobs are stored now or, in check mode, would be.
  returned: success
  type: str
  sample: couchdb
check:
  description: What the service's check says.
  returned: with O(storage=couchdb) and O(storage=etcd), not in check mode
  type: str
  sample: "OK: serial number 20; node1.example.com has 20, node2.example.com has 20"
"""

import typing as t

from ansible_collections.ganeti.cluster.plugins.module_utils import _argspec
from ansible_collections.ganeti.cluster.plugins.module_utils._errors import GanetiError
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.cluster.switch import switch


def argument_spec() -> _argspec.ArgumentSpec:
    """The options."""
    options = dict(
        storage=dict(type="str", choices=["disk", "couchdb", "etcd"], required=True),
        couchdb_mode=dict(type="str", choices=["mirror", "primary"], default="mirror"),
        lag=dict(type="int", default=10),
        acknowledge=dict(type="int", default=0),
        degrade=dict(type="str", choices=["wait", "after", "refuse"], default="after"),
        degrade_after=dict(type="int", default=30),
        timeout=dict(type="int", default=120),
    )
    spec = _argspec.ArgumentSpec(options, required_if=[["storage", "etcd", ["etcd"]]])
    return spec.merge(_argspec.servers(), _argspec.etcd(), _argspec.local(), _argspec.timeouts())


def main() -> t.NoReturn:
    """Run the module."""
    module = argument_spec().create_module()
    try:
        result = switch(module.params, module.check_mode)
    except GanetiError as error:
        module.fail_json(msg=error.message, **error.details)
    for text in result.pop("warnings", []):
        module.warn(text)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
