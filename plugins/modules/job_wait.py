#!/usr/bin/python
# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Wait for jobs with the database alone."""

from __future__ import annotations

DOCUMENTATION = r"""
module: job_wait
short_description: Wait for jobs of a Ganeti cluster with its CouchDB database alone
version_added: 0.2.0
author:
  - the ganeti.cluster authors (!UNKNOWN)
description:
  - Waits until jobs have ended, or have got as far as is asked for, and tells how they are.
  - Reads the database of the node that it runs on, be it the master's or a standby's. So waiting, also for many jobs in many tasks,
    loads neither the master's daemons nor its sockets, and works from another site.
  - A server that is away for a while is waited for. A job that is archived meanwhile is found in the archive.
  - Inputs and results of jobs are not returned, as they may hold secrets.
extends_documentation_fragment:
  - ganeti.cluster.attributes
  - ganeti.cluster.attributes.info_module
  - ganeti.cluster.storage
options:
  jobs:
    description:
      - The jobs' ids.
    type: list
    elements: int
    required: true
  state:
    description:
      - How far the jobs have to get. V(waiting) is for locks. A job that has got further, or has ended, is waited for no longer.
    type: str
    choices: [waiting, running, ended]
    default: ended
  timeout:
    description:
      - How long, in seconds, to wait at most. V(0) looks once.
    type: int
    default: 3600
  fail:
    description:
      - Whether the task fails where a job has failed or was cancelled.
    type: bool
    default: true
  server:
    description:
      - The server to ask, instead of that of O(settings_file). For hosts without that file, as standbys have no need of it.
    type: dict
    suboptions:
      url:
        description:
          - The server's address, as V(https://node2.example.com:6984). Without encryption only on the loopback interface.
        type: str
        required: true
      username:
        description:
          - A user who can read the databases.
        type: str
        required: true
      password:
        description:
          - The user's password.
        type: str
        required: true
      ca_path:
        description:
          - A file with the certificates that the server's certificate is verified with. The system's store if it is not set.
        type: path
seealso:
  - module: ganeti.cluster.backend_storage
"""

EXAMPLES = r"""
- name: Start a job (on the master)
  ansible.builtin.command:
    argv: [gnt-instance, reboot, --submit, --print-jobid, web1.example.com]
  register: reboot
  changed_when: true

- name: Wait for it, on a standby
  ganeti.cluster.job_wait:
    jobs: ["{{ reboot.stdout }}"]
    timeout: 300
    server:
      url: https://node2.example.com:6984
      username: ganeti
      password: "{{ vault_couchdb_password }}"
  delegate_to: node2.example.com
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
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.watch import ENDED, STATES, wait


def main() -> t.NoReturn:
    """Run the module."""
    server = dict(
        url=dict(type="str", required=True),
        username=dict(type="str", required=True),
        password=dict(type="str", required=True, no_log=True),
        ca_path=dict(type="path"),
    )
    options = dict(
        jobs=dict(type="list", elements="int", required=True),
        state=dict(type="str", choices=list(STATES), default=ENDED),
        timeout=dict(type="int", default=3600),
        fail=dict(type="bool", default=True),
        server=dict(type="dict", options=server),
    )
    module = _argspec.ArgumentSpec(options).merge(_argspec.storage_settings()).create_module()
    try:
        result = wait(module.params)
    except GanetiError as error:
        module.fail_json(msg=error.message, **error.details)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
