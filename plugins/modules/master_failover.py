#!/usr/bin/python
# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make another node the master of a cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: master_failover
short_description: Make another node the master of a Ganeti cluster, out of its own database or the newest files
version_added: 0.2.0
author:
  - the ganeti.cluster authors (!UNKNOWN)
description:
  - Makes a node the master. It need not be a master candidate.
  - Where the cluster's backend storage is V(disk), the files of all nodes are compared, and what the node lacks of the newest ones is brought to it. Otherwise
    it is made out of the node's own server of that storage.
  - The old master, if it can be reached, is stopped first, and all that it has written is waited for; so nothing is lost. If it is dead, the node
    becomes the master with what is in etcd, or what CouchDB had carried to it.
  - Then what is in the database becomes configuration and job queue, all nodes that can be reached learn of the new master candidate, and Ganeti's
    own failover is run. With CouchDB the service on the new master turns the replications round, and removes from the others' databases what the
    new master never had.
  - Where Ganeti has kept the node's files up to date itself, as those of a master candidate, they are taken instead.
  - Runs on the controller, which reaches the nodes by SSH. If it is interrupted at whatever point, the same task again goes on.
extends_documentation_fragment:
  - ganeti.cluster.attributes
  - ganeti.cluster.connection.nodes
  - ganeti.cluster.timeouts
attributes:
  platform:
    platforms: posix
  check_mode:
    support: full
    details:
      - Finds out all that decides whether the failover can be, and refuses what would be refused.
  diff_mode:
    support: full
  idempotent:
    support: full
requirements:
  - OpenSSH or paramiko, on the host that the task runs on
options:
  new_master:
    description:
      - The name of the node that is to be the master, as Ganeti knows it.
    type: str
    required: true
  fenced:
    description:
      - That the old master is known to be off, or cut off, for good. Needed where it cannot be reached by SSH, since a master that
        lives on would be a second one.
      - It is not waited for longer than five seconds then, and is marked offline. When it is back, add it again with C(gnt-node add --readd).
    type: bool
    default: false
  accept_loss:
    description:
      - To go on though another standby, or the old master, has changes of the configuration, or jobs, that this node has not. They are lost.
      - Without a database, to go on though a master candidate does not answer, which may have newer files, or though there are jobs of which nobody knows
        whether they are left over from an earlier time. Those do not run.
    type: bool
    default: false
  timeout:
    description:
      - How long, in seconds, to wait for what this brings about, which is that the node has all that the old master wrote, that it accepts jobs, and
        that it writes to its database. Each may take that long. Jobs have limits of their own.
    type: int
    default: 60
seealso:
  - module: ganeti.cluster.backend_storage
  - module: ganeti.cluster.redistribute_config
"""

EXAMPLES = r"""
- name: Let node2 be the master while node1 is maintained
  hosts: localhost
  tasks:
    - name: Fail over
      ganeti.cluster.master_failover:
        new_master: node2.example.com

- name: Node1 is dead, and its power was cut
  hosts: localhost
  tasks:
    - name: Fail over
      ganeti.cluster.master_failover:
        new_master: node2.example.com
        fenced: true
"""

RETURN = r"""
master:
  description: The master now or, in check mode, afterwards.
  returned: success
  type: str
  sample: node2.example.com
old_master:
  description: The master before.
  returned: success
  type: str
  sample: node1.example.com
serial:
  description: The serial number of the configuration. A failover raises it by far, so that what the old master may still write is known to be older.
  returned: success
  type: int
  sample: 1042
source:
  description: What the new master's files were made of. V(couchdb), V(etcd), or V(files) where they were Ganeti's own copies.
  returned: without a database, or changed and not in check mode
  type: str
  sample: couchdb
seconds:
  description: How long it took until the new master accepted jobs.
  returned: changed, not in check mode
  type: float
  sample: 12.8
steps:
  description: How long each step of that took, in seconds.
  returned: changed, not in check mode
  type: dict
  sample: {"look around": 3.4, "write its files": 1.2, "tell the nodes": 0.4, "Ganeti's own failover": 7.1, "accept jobs": 0.7}
"""

import typing as t

from ansible_collections.ganeti.cluster.plugins.module_utils import _argspec
from ansible_collections.ganeti.cluster.plugins.module_utils._errors import GanetiError
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.failover.start import fail_over


def argument_spec() -> _argspec.ArgumentSpec:
    """The options."""
    options = dict(
        new_master=dict(type="str", required=True),
        fenced=dict(type="bool", default=False),
        accept_loss=dict(type="bool", default=False),
        timeout=dict(type="int", default=60),
    )
    return _argspec.ArgumentSpec(options).merge(_argspec.nodes_by_ssh(), _argspec.timeouts())


def main() -> t.NoReturn:
    """Run the module."""
    module = argument_spec().create_module()
    try:
        result = fail_over(module.params, module.check_mode)
    except GanetiError as error:
        module.fail_json(msg=error.message, **error.details)
    for text in result.pop("warnings", []):
        module.warn(text)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
