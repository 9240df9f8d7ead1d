#!/usr/bin/python
# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Free what the file systems of an instance do not use."""

from __future__ import annotations

DOCUMENTATION = r"""
module: instance_zero
short_description: Give back the space that the file systems of a Ganeti instance do not use
version_added: 0.2.0
author:
  - the ganeti.cluster authors (!UNKNOWN)
description:
  - Starts a stopped KVM instance once with the zeroing helper in place of its own system. The helper discards what the file systems and swap areas on
    the disks do not use, or writes zeros there, and powers off. Then the instance is what it was before, running if it was running.
  - The helper is put on the nodes by the role C(ganeti.cluster.zeroing_image). It knows ext2, ext3, ext4, XFS, btrfs, NTFS, FAT and swap, in partitions
    and in linear logical volumes. What it does not know, and what was not closed in order, it leaves untouched.
  - Nothing of the instance's configuration changes but for tags while it lasts. The node never looks into a file system of the instance.
  - Whether anything was freed is what the primary node counts, and never what the helper says.
  - A run that was killed leaves tags on the instance, which starts normally. The same task, from any controller, ends what was begun.
    A process on the cluster's master holds a lease meanwhile, the same as a move of the instance would.
  - Somebody's start while the helper runs (C(gnt-instance start)) takes effect when it has ended. The instance is running then, and a warning says so.
extends_documentation_fragment:
  - ganeti.cluster.attributes
  - ganeti.cluster.attributes.action
  - ganeti.cluster.connection
  - ganeti.cluster.timeouts
  - ganeti.cluster.timeouts.zeroing
attributes:
  platform:
    platforms: posix
  async:
    details:
      - No progress is shown then.
  delegation:
    details:
      - Progress is shown where it runs on the controller.
  check_mode:
    support: full
    details:
      - Says whether the helper would be started. What it would free is not known before.
  diff_mode:
    support: full
  idempotent:
    support: partial
    details:
      - The helper is started each time, unless the disks take nothing at all, and the instance is stopped for that. It is a change only if the node
        counts less afterwards, so usually the second run is none.
requirements:
  - OpenSSH or paramiko on the host that the task runs on
  - SSH access as root from there to the master and to the instance's nodes, which O(ssh) tells about
options:
  name:
    description:
      - Name of the instance, in full or its first labels if these can mean no other.
    type: str
    required: true
  shutdown:
    description:
      - Whether an instance that runs, or is to run, may be stopped for it. It is started again afterwards, also one that its own user has shut down
        (C(USER_down)), which Ganeti has noted as to be up. Without it, the module refuses to touch one that runs.
    type: bool
    default: false
  method:
    description:
      - V(discard) gives blocks back to the node's storage, so that a sparse disk becomes smaller.
      - V(write) writes zeros, so that nothing of it has to be sent when the disk is copied or exported. A sparse disk grows by that.
      - V(auto) discards where the node can count the blocks of all disks, as in files, and writes where it cannot, or where discarding gave nothing back.
    type: str
    choices: [auto, discard, write]
    default: auto
  kernel_path:
    description:
      - The helper's kernel, on the nodes.
    type: str
    default: /var/lib/ganeti-zeroing/vmlinuz
  initrd_path:
    description:
      - The helper's initial RAM disk, on the nodes.
    type: str
    default: /var/lib/ganeti-zeroing/initrd.img
  shutdown_timeout:
    description:
      - How long, in seconds, the instance may take to shut down.
    type: int
    default: 120
  progress_socket:
    description:
      - Set by the action plugin of the same name, which shows the events that the module sends there. Not for use in playbooks.
    type: path
seealso:
  - module: ganeti.cluster.instance_move
  - name: Zeroing
    description: What the helper does, what it leaves alone, and when it pays.
    link: https://github.com/ganeti-cluster/ganeti.cluster/blob/main/docs/zeroing.md
"""

EXAMPLES = r"""
- name: Give back the free space of an instance that is stopped
  ganeti.cluster.instance_zero:
    name: web1.example.com
    transport: ssh
    address: alpha.example.com
  delegate_to: localhost

- name: The same of one that runs, which is stopped for it and started again
  ganeti.cluster.instance_zero:
    name: web1.example.com
    shutdown: true
    zeroing_timeout_fixed: 600
    transport: ssh
    address: alpha.example.com
  delegate_to: localhost
"""

RETURN = r"""
action:
  description: What was done, or would be done in check mode; V(finish) is the end of what an earlier run has begun.
  returned: success
  type: str
  choices: [zero, finish, none]
  sample: zero
method:
  description: How it was done in the end.
  returned: when the helper ran
  type: str
  choices: [discard, write]
  sample: discard
measure:
  description:
    - What the node has counted. V(allocated) are the bytes that its storage keeps for the disks, V(data) those of the 64 KiB blocks that hold
      anything but zeros.
  returned: when the helper ran
  type: str
  choices: [allocated, data]
  sample: allocated
before:
  description: The bytes that were counted before.
  returned: when the helper ran
  type: int
  sample: 3366223872
after:
  description: The bytes that were counted afterwards.
  returned: when the helper ran
  type: int
  sample: 1001447424
freed:
  description: The difference; less than zero where the disks take more than before.
  returned: when the helper ran
  type: int
  sample: 2364776448
filesystems:
  description: What the helper has said of what it found, with the reason where it has left something untouched. For information only.
  returned: when the helper ran
  type: list
  elements: dict
  sample: [{disk: 0, device: vda1, filesystem: ext4, zeroed: true, reason: null}]
reason:
  description: What came of it, in words.
  returned: when something was done, or nothing was to be done
  type: str
  sample: "The disks take 2364776448 bytes less, by discarding."
seconds:
  description: How long all of it took.
  returned: when the helper ran
  type: float
  sample: 31.4
problems:
  description: All that stands against it.
  returned: when it is refused before anything was changed
  type: list
  elements: str
  sample: ["web1.example.com runs, or is to run: stop it first, or set shutdown, which stops it and starts it again afterwards."]
"""

import typing as t

from ansible_collections.ganeti.cluster.plugins.module_utils import _argspec
from ansible_collections.ganeti.cluster.plugins.module_utils._errors import GanetiError
from ansible_collections.ganeti.cluster.plugins.module_utils._progress import Progress
from ansible_collections.ganeti.cluster.plugins.module_utils.zeroing.options import parse
from ansible_collections.ganeti.cluster.plugins.module_utils.zeroing.run import run


def argument_spec() -> _argspec.ArgumentSpec:
    """The options."""
    options = dict(
        name=dict(type="str", required=True),
        shutdown=dict(type="bool", default=False),
        shutdown_timeout=dict(type="int", default=120),
        progress_socket=dict(type="path"),
    )
    own = _argspec.ArgumentSpec(options).merge(_argspec.zeroing_helper(prefix=""), _argspec.zeroing_limits())
    return own.merge(_argspec.cluster_connection(), _argspec.timeouts())


def main() -> t.NoReturn:
    """Run the module."""
    module = argument_spec().create_module()
    try:
        progress = Progress(module.params["progress_socket"])
        result = run(parse(module.params), module.check_mode, progress)
        progress.close()
        for text in result.pop("warnings", ()):
            module.warn(text)
    except GanetiError as error:
        module.fail_json(msg=error.message, **error.details)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
