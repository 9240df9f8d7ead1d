#!/usr/bin/python
# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tell of the exports that a cluster's nodes hold."""

from __future__ import annotations

DOCUMENTATION = r"""
module: export_info
short_description: Tell which exports of instances the nodes of a Ganeti cluster hold
version_added: 0.2.0
author:
  - the ganeti.cluster authors (!UNKNOWN)
description:
  - Tells which instances have an export, and on which nodes, as C(gnt-backup list) does.
extends_documentation_fragment:
  - ganeti.cluster.attributes
  - ganeti.cluster.attributes.info_module
  - ganeti.cluster.connection
  - ganeti.cluster.timeouts.unused
attributes:
  platform:
    platforms: posix
options:
  name:
    description:
      - Full name of an instance, of whose exports alone is told. It need not be there any more.
    type: str
seealso:
  - module: ganeti.cluster.instance_export
"""

EXAMPLES = r"""
- name: Tell of all exports
  ganeti.cluster.export_info:
    transport: ssh
    address: alpha.example.com
  delegate_to: localhost
  register: backups
"""

RETURN = r"""
exports:
  description: The exports, by instance and node.
  returned: success
  type: list
  elements: dict
  contains:
    instance:
      description: The instance's name. An export that was never finished has C(.new) behind it.
      type: str
    node:
      description: The node that holds it.
      type: str
  sample: [{instance: web1.example.com, node: node3.example.com}]
silent:
  description: Nodes that are not marked offline, and do not tell which exports they hold.
  returned: success
  type: list
  elements: str
  sample: []
"""

import typing as t

from ansible_collections.ganeti.cluster.plugins.module_utils import _argspec
from ansible_collections.ganeti.cluster.plugins.module_utils._errors import GanetiError
from ansible_collections.ganeti.cluster.plugins.module_utils.exports.ensure import tell


def argument_spec() -> _argspec.ArgumentSpec:
    """The options."""
    return _argspec.ArgumentSpec(dict(name=dict(type="str"))).merge(_argspec.cluster_connection(), _argspec.timeouts())


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
