#!/usr/bin/python
# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tell of jobs, or wait for them, with the database alone."""

from __future__ import annotations

DOCUMENTATION = r"""
module: job_info
short_description: Tell of jobs of a Ganeti cluster, or wait for them, with its database alone
version_added: 0.2.0
author:
  - the ganeti.cluster authors (!UNKNOWN)
description:
  - Tells how jobs are. With O(wait=true), waits until they have ended, or have got as far as is asked for.
  - Reads the database as the node does that it runs on, be it the master or a standby. So waiting, also for many jobs in many tasks,
    loads neither the master's daemons nor its sockets, and works from another site.
  - A server that is away for a while is waited for. A job that is archived meanwhile is found in the archive.
  - Inputs and results of jobs are not returned, as they may hold secrets.
extends_documentation_fragment:
  - ganeti.cluster.attributes
  - ganeti.cluster.attributes.info_module
  - ganeti.cluster.connection.local
  - ganeti.cluster.storage
  - ganeti.cluster.storage.server
  - ganeti.cluster.storage.etcd_of_cluster
  - ganeti.cluster.timeouts.unused
attributes:
  platform:
    platforms: posix
options:
  jobs:
    description:
      - The jobs' ids.
    type: list
    elements: int
    required: true
  wait:
    description:
      - Whether to wait for the jobs, and not only to look once.
    type: bool
    default: false
  until:
    description:
      - How far the jobs have to get, with O(wait=true). V(waiting) is for locks. A job that has got further, or has ended, is waited for no longer.
    type: str
    choices: [waiting, running, ended]
    default: ended
  timeout:
    description:
      - How long, in seconds, to wait for what is asked for, with O(wait=true). After that the task fails, and the jobs go on.
    type: int
    default: 3600
  fail:
    description:
      - Whether the task fails where a job has failed or was cancelled. It does with O(wait=true) if this is not set, and does not else.
    type: bool
seealso:
  - module: ganeti.cluster.backend_storage
  - module: ganeti.cluster.backend_storage_info
"""

EXAMPLES = r"""
- name: See how a job is (on the master)
  ganeti.cluster.job_info:
    jobs: [4711]
  register: found

- name: Wait until two jobs have ended, on a standby
  ganeti.cluster.job_info:
    jobs: [4711, 4712]
    wait: true
    timeout: 300
    server:
      url: https://node2.example.com:6984
      username: ganeti
      password: "{{ vault_couchdb_password }}"
  delegate_to: node2.example.com

- name: The same with etcd, on a host that is no node of the cluster
  ganeti.cluster.job_info:
    jobs: [4711, 4712]
    wait: true
    etcd:
      endpoints: ["https://node1.example.com:2379", "https://node2.example.com:2379", "https://node3.example.com:2379"]
      ca_path: /etc/etcd/ca.pem
      cert_path: /etc/etcd/tls/server.pem
      key_path: /etc/etcd/tls/server.key
      cluster: b5d3a8ae-5b1c-4f4e-9d3c-7a1f5a6f0c11
"""

RETURN = r"""
jobs:
  description: The jobs, in the order in which they were asked for. Where the task fails, those that were seen.
  returned: success, and where jobs failed or did not get that far in time
  type: list
  elements: dict
  contains:
    id:
      description: The job's id.
      type: int
    status:
      description: Its status, as C(gnt-job list) shows it.
      type: str
    archived:
      description: Whether it was archived.
      type: bool
    received:
      description: When it was submitted, in seconds since the epoch.
      type: float
    started:
      description: When it began to run; none if it has not.
      type: float
    ended:
      description: When it ended; none if it has not.
      type: float
    opcodes:
      description: Its opcodes, each with its C(summary), C(status), C(started), C(ended), the lines of its C(log), and its C(error), if it failed.
      type: list
      elements: dict
  sample:
    - id: 17
      status: success
      archived: false
      received: 1795272345.268
      started: 1795272345.301
      ended: 1795272349.77
      opcodes:
        - summary: INSTANCE_REBOOT(web1.example.com)
          status: success
          started: 1795272345.301
          ended: 1795272349.76
          log: []
          error: null
server:
  description: The server that was asked.
  returned: success, and where jobs failed
  type: str
  sample: https://node2.example.com:6984
"""

import typing as t

from ansible_collections.ganeti.cluster.plugins.module_utils import _argspec
from ansible_collections.ganeti.cluster.plugins.module_utils._errors import GanetiError
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.cluster.wait_for_jobs import ENDED, STATES, tell


def argument_spec() -> _argspec.ArgumentSpec:
    """The options."""
    options = dict(
        jobs=dict(type="list", elements="int", required=True),
        wait=dict(type="bool", default=False),
        until=dict(type="str", choices=list(STATES), default=ENDED),
        timeout=dict(type="int", default=3600),
        fail=dict(type="bool"),
    )
    spec = _argspec.ArgumentSpec(options, mutually_exclusive=[["server", "etcd"]])
    return spec.merge(_argspec.server(), _argspec.etcd_of_cluster(), _argspec.storage_settings(), _argspec.local(), _argspec.timeouts())


def main() -> t.NoReturn:
    """Run the module."""
    module = argument_spec().create_module()
    try:
        result = tell(module.params)
    except GanetiError as error:
        module.fail_json(msg=error.message, **error.details)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
