#!/usr/bin/python
# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tell how a cluster's storage is."""

from __future__ import annotations

DOCUMENTATION = r"""
module: backend_storage_info
short_description: Tell where a Ganeti cluster's configuration and jobs are stored, and how that is
version_added: 0.2.0
author:
  - the ganeti.cluster authors (!UNKNOWN)
description:
  - Tells for every CouchDB server, or member of etcd, which serial number of the configuration it has, how far it is behind, how large its databases
    are, and whether there are conflicts; and how the service and the replications are.
  - Runs on the master, as root.
extends_documentation_fragment:
  - ganeti.cluster.attributes
  - ganeti.cluster.attributes.info_module
  - ganeti.cluster.connection.local
  - ganeti.cluster.storage
  - ganeti.cluster.timeouts.unused
seealso:
  - module: ganeti.cluster.backend_storage
"""

EXAMPLES = r"""
- name: Look at the storage (on the master)
  ganeti.cluster.backend_storage_info:
  register: storage

- name: See that no standby lags
  ansible.builtin.assert:
    that: storage.healthy
    fail_msg: "{{ storage.check }}"
"""

RETURN = r"""
storage:
  description: Where configuration and jobs are stored, V(disk), V(couchdb) or V(etcd).
  returned: success
  type: str
  sample: couchdb
healthy:
  description: Whether the service and all standbys are as they should be; none where there is no service.
  returned: success
  type: bool
  sample: true
check:
  description: What the service's check says.
  returned: success
  type: str
  sample: "OK: serial number 20; node1.example.com has 20, node2.example.com has 20"
master:
  description: The node on which the service writes.
  returned: where there is a service
  type: str
  sample: node1.example.com
serial:
  description: The serial number of Ganeti's configuration.
  returned: where there is a service
  type: int
  sample: 20
servers:
  description:
    - What every server has, by the name of its node; of etcd's members by their addresses, with C(version), and C(leads) of the one that leads.
    - C(serial) is that of the newest configuration of which there is anything, C(whole) that of the newest that is complete there, which a failover
      would take.
  returned: success
  type: dict
  sample:
    node2.example.com:
      url: https://node2.example.com:6984
      serial: 20
      whole: 20
      lag: 0
      databases: {instances: {documents: 12, bytes: 81920}}
      conflicts: {}
      problem: null
replications:
  description: The replications from the master's server, as CouchDB tells of them; none with etcd.
  returned: success
  type: list
  elements: dict
  sample: [{name: from_node1.example.com_to_node2.example.com_instances, state: running, reason: null}]
watchdog:
  description:
    - What the watchdog of each node has said last, by the node's name; none where no node has one, see the role P(ganeti.cluster.backend_storage#role).
    - C(sees) is V(master) on the master, V(alive), V(gone) or V(unknown) elsewhere. C(says) is what follows, or why nothing does. C(takeover) is what
      became of the last takeover of that node, and C(problem) why its server does not tell.
  returned: success
  type: dict
  sample:
    node2.example.com:
      sees: alive
      armed: true
      says: node1.example.com is not seen to be gone from here
      takeover: null
      problem: null
"""

import typing as t

from ansible_collections.ganeti.cluster.plugins.module_utils import _argspec
from ansible_collections.ganeti.cluster.plugins.module_utils._errors import GanetiError
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.cluster.storage_status import describe


def argument_spec() -> _argspec.ArgumentSpec:
    """The options."""
    return _argspec.storage_settings().merge(_argspec.local(), _argspec.timeouts())


def main() -> t.NoReturn:
    """Run the module."""
    module = argument_spec().create_module()
    try:
        result = describe(module.params)
    except GanetiError as error:
        module.fail_json(msg=error.message, **error.details)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
