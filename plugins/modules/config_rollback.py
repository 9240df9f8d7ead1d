#!/usr/bin/python
# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bring an object of a cluster's configuration back to how it was."""

from __future__ import annotations

DOCUMENTATION = r"""
module: config_rollback
short_description: Bring an object of a Ganeti cluster's configuration back to how it was
version_added: 0.2.0
author:
  - the ganeti.cluster authors (!UNKNOWN)
description:
  - Brings parameters and tags of the cluster, an instance, node, node group or network back to how they were at a serial number of the configuration,
    as M(ganeti.cluster.config_history_info) shows them.
  - Uses Ganeti's own operations where there are any, which check and lock as always. Of instances these are C(beparams), C(hvparams), C(os), C(osparams)
    and C(tags), of nodes C(ndparams) and C(tags), of node groups C(alloc_policy), C(ndparams) and C(tags), of networks C(gateway6), C(mac_prefix),
    C(network6) and C(tags), of the cluster most parameters.
  - What no operation sets to what it was, as an empty C(zeroing_image) or an instance policy, and removed filters, networks and node groups can be
    brought back with O(direct).
  - What says where real things are, as an instance's node and disks, is never written back. Where such a part differs too, the task is refused
    and names it, unless O(parts) says what to bring back.
  - Runs on the master, as root, where M(ganeti.cluster.backend_storage) has chosen a database.
extends_documentation_fragment:
  - ganeti.cluster.attributes
  - ganeti.cluster.connection.local
  - ganeti.cluster.storage
  - ganeti.cluster.timeouts
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  kind:
    description:
      - What the object is.
    type: str
    choices: [cluster, instance, node, nodegroup, network, filter]
    required: true
  name:
    description:
      - The object's name or UUID; its UUID if it was removed. Not for V(cluster).
    type: str
  serial:
    description:
      - The serial number of the configuration at which the object was as it is to be. Refused where this server does not know how it was then.
    type: int
    required: true
  parts:
    description:
      - The parts to bring back. All that differ if it is not set.
    type: list
    elements: str
  direct:
    description:
      - Whether parts that no operation of Ganeti's brings back may be written into the configuration itself, and removed filters, networks and
        node groups be put there again. A table says which parts; they are configuration and nothing else.
      - Ganeti's queue is drained for that. Where jobs are open ten seconds later, the task is refused. C(ganeti-luxid) and C(ganeti-wconfd) are
        stopped for a second; instances run on. The new configuration is checked before, with Ganeti's own check too. When Ganeti does not start with it,
        the old one is put back. Afterwards Ganeti's own job pushes it to all nodes.
    type: bool
    default: false
seealso:
  - module: ganeti.cluster.config_history_info
"""

EXAMPLES = r"""
- name: See when the memory of web1 was changed (on the master)
  ganeti.cluster.config_history_info:
    kind: instance
    name: web1.example.com
  register: web1

- name: Bring its backend parameters back to how they were before
  ganeti.cluster.config_rollback:
    kind: instance
    name: web1.example.com
    serial: "{{ web1.revisions[1].serial }}"
    parts: [beparams]

- name: Bring a network back that was removed by mistake, by the UUID that the history knows it by
  ganeti.cluster.config_rollback:
    kind: network
    name: b6c4f545-a65d-4ac7-b673-a9678b227832
    serial: 4711
    direct: true
"""

RETURN = r"""
id:
  description: The object's UUID; C(config_data) for the cluster.
  returned: success
  type: str
  sample: 0b7d5c36-0000-0000-0000-000000000000
left:
  description: The parts that differ from how they were and were not to be brought back.
  returned: success
  type: list
  elements: str
  sample: [nics]
direct:
  description: The parts that were written directly or, in check mode, would be.
  returned: success
  type: list
  elements: str
  sample: [zeroing_image]
"""

import typing as t

from ansible_collections.ganeti.cluster.plugins.module_utils import _argspec
from ansible_collections.ganeti.cluster.plugins.module_utils._errors import GanetiError
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.history.rollback import OPERATIONS, roll_back


def argument_spec() -> _argspec.ArgumentSpec:
    """The options."""
    options = dict(
        kind=dict(type="str", choices=list(OPERATIONS), required=True),
        name=dict(type="str"),
        serial=dict(type="int", required=True),
        parts=dict(type="list", elements="str"),
        direct=dict(type="bool", default=False),
    )
    return _argspec.ArgumentSpec(options).merge(_argspec.storage_settings(), _argspec.local(), _argspec.timeouts())


def main() -> t.NoReturn:
    """Run the module."""
    module = argument_spec().create_module()
    try:
        result = roll_back(module.params, module.check_mode)
    except GanetiError as error:
        module.fail_json(msg=error.message, **error.details)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
