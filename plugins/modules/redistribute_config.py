#!/usr/bin/python
# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make what all nodes and servers have of a cluster's configuration the same as on the master."""

from __future__ import annotations

DOCUMENTATION = r"""
module: redistribute_config
short_description: Make what all nodes have of a Ganeti cluster's configuration the same as on the master
version_added: 0.2.0
author:
  - the ganeti.cluster authors (!UNKNOWN)
description:
  - To be run after a failover, when a node or a CouchDB server is back that was away meanwhile, and whenever something seems out of step.
  - Removes replications that an old master left on a server that is now a standby's. They would carry changes both ways. What the master's own
    server lacks is the service's to repair; it is told in a warning.
  - Compares the simple configuration (C(ssconf_*)) and the keys of all nodes that are online, and the configuration of master candidates, with
    the master's. Where something differs, Ganeti's own job redistributes them. That does not repair C(ssconf_*), so what is still different
    afterwards is copied with Ganeti's own tools.
  - Copies the extended parameters to nodes that have others.
  - With files or etcd as backend storage there are no replications, and the rest is done.
  - Runs on the master, as root.
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
    support: partial
    details:
      - With O(force=true), Ganeti's job is run each time.
options:
  force:
    description:
      - Run Ganeti's job even where nothing differs.
    type: bool
    default: false
  unreachable:
    description:
      - What to do where a server or a node that is online cannot be reached, after all others were made the same.
    type: str
    choices: [fail, warn]
    default: fail
seealso:
  - module: ganeti.cluster.backend_storage
  - module: ganeti.cluster.backend_storage_info
"""

EXAMPLES = r"""
- name: Have all nodes in step with the new master (on that)
  ganeti.cluster.redistribute_config:

- name: The same while a standby's server is still away
  ganeti.cluster.redistribute_config:
    unreachable: warn
"""

RETURN = r"""
away:
  description: The servers and nodes that could not be reached, and why.
  returned: success, and where the task fails for that
  type: dict
  sample:
    the server of node2.example.com: "CouchDB at https://node2.example.com:6984 does not answer (Connection refused): see whether it runs and can be reached."
"""

import typing as t

from ansible_collections.ganeti.cluster.plugins.module_utils import _argspec
from ansible_collections.ganeti.cluster.plugins.module_utils._errors import GanetiError
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.cluster.redistribute import redistribute


def argument_spec() -> _argspec.ArgumentSpec:
    """The options."""
    options = dict(
        force=dict(type="bool", default=False),
        unreachable=dict(type="str", choices=["fail", "warn"], default="fail"),
    )
    return _argspec.ArgumentSpec(options).merge(_argspec.storage_settings(), _argspec.local(), _argspec.timeouts())


def main() -> t.NoReturn:
    """Run the module."""
    module = argument_spec().create_module()
    try:
        result = redistribute(module.params, module.check_mode)
    except GanetiError as error:
        for text in error.details.pop("warnings", []):
            module.warn(text)
        module.fail_json(msg=error.message, **error.details)
    for text in result.pop("warnings"):
        module.warn(text)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
