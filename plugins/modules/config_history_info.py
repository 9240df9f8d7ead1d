#!/usr/bin/python
# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Show the history of an object of a cluster's configuration."""

from __future__ import annotations

DOCUMENTATION = r"""
module: config_history_info
short_description: Show the history of an object of a Ganeti cluster's configuration
version_added: 0.2.0
author:
  - the ganeti.cluster authors (!UNKNOWN)
description:
  - Lists the revisions of an instance, node or other object that the database has, says what changed with each, shows the object as it was, and
    compares two states.
  - A revision belongs to the serial number that the whole configuration had when the object changed.
  - What a server was never brought, or has no more, is not made up. A serial number between two revisions that lack others in between is refused.
  - Private OS parameters and other secrets, as that of a DRBD disk in its C(logical_id), are not shown.
  - Runs on the master, as root, where M(ganeti.cluster.backend_storage) has chosen a database.
extends_documentation_fragment:
  - ganeti.cluster.attributes
  - ganeti.cluster.attributes.info_module
  - ganeti.cluster.connection.local
  - ganeti.cluster.storage
  - ganeti.cluster.timeouts.unused
options:
  kind:
    description:
      - What the object is.
    type: str
    choices: [cluster, node, nodegroup, instance, network, disk, filter]
    required: true
  name:
    description:
      - The object's name or UUID; its UUID if it was removed. Not for V(cluster).
    type: str
  serial:
    description:
      - Show the object as it was when the configuration had this serial number.
    type: int
  since:
    description:
      - Compare the object as it was at this serial number with how it was at O(serial), or is now.
    type: int
seealso:
  - module: ganeti.cluster.backend_storage
  - module: ganeti.cluster.config_rollback
"""

EXAMPLES = r"""
- name: List what happened to web1 (on the master)
  ganeti.cluster.config_history_info:
    kind: instance
    name: web1.example.com
  register: web1

- name: See how it was then, and what is different today
  ganeti.cluster.config_history_info:
    kind: instance
    name: web1.example.com
    since: "{{ web1.revisions[-1].serial }}"
"""

RETURN = r"""
id:
  description: The object's UUID; C(config_data) for the cluster.
  returned: success
  type: str
  sample: 0b7d5c36-0000-0000-0000-000000000000
revisions:
  description: The revisions, the newest first.
  returned: success
  type: list
  elements: dict
  contains:
    rev:
      description: The database's name of the revision.
      type: str
    serial:
      description: The serial number of the configuration.
      type: int
    removed:
      description: Whether the object was removed.
      type: bool
    changed:
      description: The parts of the object that differ from the revision before.
      type: list
      elements: str
    missing:
      description: How many revisions between this and the one before are not known, as they were compacted away, or never carried to this server.
      type: int
  sample: [{rev: 2-7a7e4b29f3af401e69b6f86e4c26b727, serial: 21, removed: false, changed: [admin_state, mtime, serial_no], missing: 0}]
object:
  description: The object as it was at O(serial); none where it was not there then.
  returned: success
  type: dict
  sample: {name: web1.example.com, admin_state: up}
difference:
  description: The parts of the object that differ between O(since) and O(serial) or now, before and after.
  returned: success
  type: dict
  sample: {before: {tags: []}, after: {tags: [prod]}}
"""

import typing as t

from ansible_collections.ganeti.cluster.plugins.module_utils import _argspec
from ansible_collections.ganeti.cluster.plugins.module_utils._errors import GanetiError
from ansible_collections.ganeti.cluster.plugins.module_utils.storage.history.object_history import KINDS, tell


def argument_spec() -> _argspec.ArgumentSpec:
    """The options."""
    options = dict(
        kind=dict(type="str", choices=list(KINDS), required=True),
        name=dict(type="str"),
        serial=dict(type="int"),
        since=dict(type="int"),
    )
    return _argspec.ArgumentSpec(options).merge(_argspec.storage_settings(), _argspec.local(), _argspec.timeouts())


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
