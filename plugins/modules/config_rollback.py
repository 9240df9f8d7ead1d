#!/usr/bin/python
# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bring an object of a cluster's configuration back to how it was."""

from __future__ import annotations

DOCUMENTATION = r"""
module: config_rollback
short_description: Bring an object of a Ganeti cluster's configuration back to how it was
version_added: 0.1.0
author:
  - the ganeti.cluster authors (@ganeti)
description:
  - Brings parameters and tags of an instance, node, node group or network back to how they were at a serial number of the configuration,
    as M(ganeti.cluster.config_history) shows them.
  - Uses Ganeti's own operations, which check and lock as always. Of instances these are C(beparams), C(hvparams), C(osparams) and C(tags),
    of nodes C(ndparams) and C(tags), of node groups and networks C(tags).
  - What says where real things are, as an instance's node and disks, is never written back. Where such a part differs too, the task is refused
    and names it, unless O(parts) says what to bring back.
  - Runs on the master, as root, where M(ganeti.cluster.backend_storage) has set V(couchdb).
extends_documentation_fragment:
  - ganeti.cluster.attributes
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
    choices: [instance, node, nodegroup, network]
    required: true
  name:
    description:
      - The object's name or UUID.
    type: str
    required: true
  serial:
    description:
      - The serial number of the configuration at which the object was as it is to be.
    type: int
    required: true
  parts:
    description:
      - The parts to bring back. All that differ if it is not set.
    type: list
    elements: str
seealso:
  - module: ganeti.cluster.config_history
"""

EXAMPLES = r"""
- name: See when the memory of web1 was changed (on the master)
  ganeti.cluster.config_history:
    kind: instance
    name: web1.example.com
  register: web1

- name: Bring its backend parameters back to how they were before
  ganeti.cluster.config_rollback:
    kind: instance
    name: web1.example.com
    serial: "{{ web1.revisions[1].serial }}"
    parts: [beparams]
"""

RETURN = r"""
id:
  description: The object's UUID.
  returned: success
  type: str
  sample: 0b7d5c36-0000-0000-0000-000000000000
left:
  description: The parts that differ from how they were and were not to be brought back.
  returned: success
  type: list
  elements: str
  sample: [nics]
"""

import typing as t

from ansible_collections.ganeti.cluster.plugins.module_utils import _argspec
from ansible_collections.ganeti.cluster.plugins.module_utils._errors import GanetiError
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.rollback import OPERATIONS, roll_back


def main() -> t.NoReturn:
    """Run the module."""
    options = dict(
        kind=dict(type="str", choices=list(OPERATIONS), required=True),
        name=dict(type="str", required=True),
        serial=dict(type="int", required=True),
        parts=dict(type="list", elements="str"),
    )
    module = _argspec.ArgumentSpec(options).merge(_argspec.storage_settings()).merge(_argspec.timeouts()).create_module()
    try:
        result = roll_back(module.params, module.check_mode)
    except GanetiError as error:
        module.fail_json(msg=error.message, **error.details)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
