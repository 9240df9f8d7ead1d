#!/usr/bin/python
# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Export an instance to a node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: instance_export
short_description: Export a Ganeti instance to a node, as gnt-backup does
version_added: 0.2.0
author:
  - the ganeti.cluster authors (!UNKNOWN)
description:
  - Has Ganeti write an instance's disks and configuration to a node, as C(gnt-backup export) does, or removes what it has written.
  - Ganeti keeps one export of an instance in a cluster. It is not verified, not sparse while it is written, and no history; to have an instance elsewhere,
    M(ganeti.cluster.instance_move) is faster and safer.
  - An export that is there is left as it is, unless O(replace) is set. The task fails where such a one holds nothing of a disk.
  - An instance that Ganeti has stopped for an export which then failed is started again. Ganeti itself leaves it down.
  - Releases that cannot export (3.1.0~rc2 of Debian 13) are refused before anything is changed.
extends_documentation_fragment:
  - ganeti.cluster.attributes
  - ganeti.cluster.connection
  - ganeti.cluster.timeouts
  - ganeti.cluster.timeouts.zeroing
  - ganeti.cluster.zeroing_helper
attributes:
  platform:
    platforms: posix
  check_mode:
    support: full
    details:
      - Ganeti itself checks the export, and does not begin it.
  diff_mode:
    support: full
  idempotent:
    support: partial
    details:
      - Not with O(replace), which makes a new export each time.
options:
  name:
    description:
      - Name of the instance, in full or its first labels if these can mean no other. In full where there is no such instance any more.
    type: str
    required: true
  state:
    description:
      - V(present) makes an export on O(target_node) if there is none.
      - V(absent) removes it, from whatever node.
    type: str
    choices: [present, absent]
    default: present
  target_node:
    description:
      - The node that the export is written to. Needed for O(state=present).
    type: str
  replace:
    description:
      - Whether an export is made anew where there is one. Ganeti removes the one of before when the new one is written, also if it is on another node.
    type: bool
    default: false
  compress:
    description:
      - The compression tool, one of the cluster's C(compression_tools).
    type: str
    default: none
  shutdown:
    description:
      - Whether an instance that runs, or is to run, may be stopped for it. It is started again, at once if its disks can be snapshotted (LVM), otherwise
        after the copy. Without it, one that runs is exported from a snapshot, and refused if there can be none.
    type: bool
    default: false
  shutdown_timeout:
    description:
      - How long, in seconds, the instance may take to shut down.
    type: int
    default: 120
  remove_instance:
    description:
      - Whether the instance is removed once the export is complete. It is stopped and marked offline before it is exported, and does not run again.
    type: bool
    default: false
  zero_free_space:
    description:
      - Whether the free space of the instance's file systems is zeroed first, so that it costs little in the export.
      - An instance that runs is stopped and started again for this, and then once more for the export. The export is not begun where it fails.
    type: bool
    default: false
  zeroing_by:
    description:
      - V(helper) has the zeroing helper do it, as M(ganeti.cluster.instance_zero) does; for KVM instances of every disk template, not over
        O(transport=rapi).
      - V(ganeti) uses Ganeti's own zeroing, as a part of the export. What it needs is checked first, LVM, user shutdown detection, the boot order, and a
        C(zeroing_image) that is a file.
    type: str
    choices: [helper, ganeti]
    default: helper
seealso:
  - module: ganeti.cluster.export_info
  - module: ganeti.cluster.instance_move
  - module: ganeti.cluster.instance_zero
  - name: Exports
    description: What Ganeti's exports are good for, and what not.
    link: https://github.com/ganeti-cluster/ganeti.cluster/blob/main/docs/instance_export.md
"""

EXAMPLES = r"""
- name: Export a stopped instance to another node
  ganeti.cluster.instance_export:
    name: web1.example.com
    target_node: node3.example.com
    compress: gzip
    transport: ssh
    address: alpha.example.com
  delegate_to: localhost

- name: Export one that runs, with its free space zeroed, and replace the export of last week
  ganeti.cluster.instance_export:
    name: web1.example.com
    target_node: node3.example.com
    shutdown: true
    zero_free_space: true
    replace: true
    transport: ssh
    address: alpha.example.com
  delegate_to: localhost

- name: Remove the export
  ganeti.cluster.instance_export:
    name: web1.example.com
    state: absent
    transport: ssh
    address: alpha.example.com
  delegate_to: localhost
"""

RETURN = r"""
exports:
  description: The exports of the instance afterwards.
  returned: success
  type: list
  elements: dict
  contains:
    instance:
      description: The instance's name.
      type: str
    node:
      description: The node that holds it.
      type: str
  sample: [{instance: web1.example.com, node: node3.example.com}]
zeroing:
  description: What came of zeroing its free space, as M(ganeti.cluster.instance_zero) returns it.
  returned: when the zeroing helper ran
  type: dict
  sample: {action: zero, method: discard, freed: 2364776448, reason: "The disks take 2364776448 bytes less, by discarding."}
problems:
  description: All that stands against it.
  returned: when it is refused before anything was changed
  type: list
  elements: str
  sample: ["web1.example.com runs, and disks of the template file have no snapshots: set shutdown, or stop it first."]
"""

import typing as t

from ansible_collections.ganeti.cluster.plugins.module_utils import _argspec
from ansible_collections.ganeti.cluster.plugins.module_utils._errors import GanetiError
from ansible_collections.ganeti.cluster.plugins.module_utils.exports.ensure import ensure


def argument_spec() -> _argspec.ArgumentSpec:
    """The options."""
    options = dict(
        name=dict(type="str", required=True),
        state=dict(type="str", choices=["present", "absent"], default="present"),
        target_node=dict(type="str"),
        replace=dict(type="bool", default=False),
        compress=dict(type="str", default="none"),
        shutdown=dict(type="bool", default=False),
        shutdown_timeout=dict(type="int", default=120),
        remove_instance=dict(type="bool", default=False),
        zero_free_space=dict(type="bool", default=False),
        zeroing_by=dict(type="str", choices=["helper", "ganeti"], default="helper"),
    )
    own = _argspec.ArgumentSpec(options, required_if=[["state", "present", ["target_node"]]])
    return own.merge(_argspec.cluster_connection(), _argspec.timeouts(), _argspec.zeroing_limits(), _argspec.zeroing_helper())


def main() -> t.NoReturn:
    """Run the module."""
    module = argument_spec().create_module()
    try:
        result = ensure(module.params, module.check_mode)
        for text in result.pop("warnings", ()):
            module.warn(text)
    except GanetiError as error:
        module.fail_json(msg=error.message, **error.details)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
