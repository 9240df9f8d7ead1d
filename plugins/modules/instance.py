#!/usr/bin/python
# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make, change, rename, reinstall, start, stop and remove an instance."""

from __future__ import annotations

DOCUMENTATION = r"""
module: instance
short_description: Make, change, rename, reinstall, start, stop and remove an instance of a Ganeti cluster
version_added: 0.2.0
author:
  - the ganeti.cluster authors (!UNKNOWN)
description:
  - Makes an instance that is not there, and changes one that is. What is not named stays as it is.
  - What cannot be changed, as the nodes, is refused with what changes it. All that stands against a change is said at once, before any job.
  - Another name, disk template or installation needs an instance that is stopped. One that runs is stopped and started again only with
    O(restart_if_pending) or O(state=restarted).
  - An instance that is being moved or zeroed is left alone. Where its node does not tell whether it runs, it is neither started, stopped nor removed.
  - After a change everything is read back, and the task fails where Ganeti did not take a value.
extends_documentation_fragment:
  - ganeti.cluster.attributes
  - ganeti.cluster.connection
  - ganeti.cluster.timeouts
attributes:
  platform:
    platforms: posix
  check_mode:
    support: full
    details:
      - Ganeti itself checks what it would make or change, in jobs that do nothing (its C(dry_run)), unless the instance would be stopped first.
  diff_mode:
    support: full
    details:
      - Of private OS parameters only that they change.
  idempotent:
    support: partial
    details:
      - With O(state=restarted), each run restarts the instance. With O(state=reinstalled) and no O(os), each run installs it anew.
requirements:
  - OpenSSH or paramiko, for O(transport=ssh)
options:
  name:
    description:
      - The instance. One that is there may be given by its first labels.
    type: str
    required: true
  state:
    description:
      - With V(present) it is there; one that is made is not started.
      - With V(started), V(stopped) and V(restarted) it is there, and runs or does not run in the end.
      - With V(reinstalled) it is there, and O(os) is installed on its disks, B(which destroys what is on them). It is not, if it is the one that is
        installed already, so a second run changes nothing. Without O(os), what is installed is installed anew, on each run.
      - With V(absent) it is removed, with its disks.
    type: str
    choices: [present, absent, started, stopped, restarted, reinstalled]
    default: present
  new_name:
    description:
      - The name that it is to have. It may have it already, so a second run changes nothing. If there are instances of both names, the task is refused.
      - Not with O(state=absent).
    type: str
  os:
    description:
      - The operating system to make it with, or to install with O(state=reinstalled), with its variant, as V(debootstrap+default).
    type: str
  hypervisor:
    description:
      - The hypervisor. The cluster's first one, if the instance is made and this is not set.
    type: str
  disk_template:
    description:
      - The disk template. The cluster's first one, if the instance is made and this is not set.
      - Disks of another one are converted by Ganeti on the same node, which copies what is on them and then removes the old ones. What Ganeti does not
        convert is refused, as to V(diskless) and V(blockdev), or from V(diskless).
    type: str
  ext_params:
    description:
      - The C(provider), and its own parameters, for disks that are converted to O(disk_template=ext). Only looked at when they are.
    type: dict
  primary_node:
    description:
      - The node to make it on.
    type: str
  secondary_node:
    description:
      - The node to mirror its disks to, when it is made, or when they are converted to O(disk_template=drbd).
    type: str
  iallocator:
    description:
      - The allocator that chooses the nodes to make it on; the cluster's default, if there is no O(primary_node) either.
      - Likewise the one to mirror to, when disks are converted to O(disk_template=drbd).
    type: str
  group:
    description:
      - The node group to make it in, with an allocator.
    type: str
  file_driver:
    description:
      - How disks in files are reached that are made with the instance, or by a conversion.
    type: str
    choices: [loop, blktap, blktap2]
  file_storage_dir:
    description:
      - The directory, below the cluster's, for disks in files that are made with the instance, or by a conversion.
    type: str
  install:
    description:
      - Whether to install O(os) when the instance is made.
    type: bool
    default: true
  force_variant:
    description:
      - Whether to make or install it also with a variant of O(os) that is not declared.
    type: bool
    default: false
  name_check:
    description:
      - Whether its name has to resolve when it is made or renamed.
    type: bool
    default: false
  ip_check:
    description:
      - Whether nobody may answer at its address when it is made or renamed. Needs O(name_check).
    type: bool
    default: false
  opportunistic_locking:
    description:
      - Whether the allocator takes only nodes that are not locked just now, instead of waiting for them.
    type: bool
    default: false
  conflicts_check:
    description:
      - Whether addresses of O(nics) may not be those of a network that they are not in.
    type: bool
    default: true
  ignore_ipolicy:
    description:
      - Whether to pass over violations of the instance policy.
    type: bool
    default: false
  wait_for_sync:
    description:
      - Whether to wait until mirrored disks are the same on both nodes.
    type: bool
    default: true
  hotplug:
    description:
      - Whether a running instance gets, and gives back, disks and interfaces at once. Otherwise it does when it starts again.
    type: bool
    default: false
  beparams:
    description:
      - Backend parameters. C(memory) stands for C(minmem) and C(maxmem).
      - Merged into its own. V(default) for a parameter makes it follow the cluster.
    type: dict
  hvparams:
    description:
      - Hypervisor parameters.
      - Merged into its own. V(default) for a parameter makes it follow the cluster.
    type: dict
  osparams:
    description:
      - OS parameters.
      - Merged into its own. V(default) for a parameter removes it.
    type: dict
  osparams_private:
    description:
      - Private OS parameters. Never shown.
      - Merged into its own. V(default) for a parameter removes it.
      - With O(transport=rapi) only for an instance that is made, as the remote API does not tell them.
    type: dict
  disks:
    description:
      - Disks, each meant by its O(disks[].index), or its O(disks[].name), or its place in this list. One that is not there is added at the end.
      - Those that are not given stay as they are.
    type: list
    elements: dict
    suboptions:
      state:
        description:
          - With V(absent) it is removed, and what is on it is lost. All in the list are meant by their names then, as indexes change.
        type: str
        choices: [present, absent]
        default: present
      index:
        description:
          - Which one it is, counted from 0. The name, if it is set, is given to it.
        type: int
      name:
        description:
          - Its name.
        type: str
      size:
        description:
          - Its size, as V(10G), in MiB without a unit; rounded up to a multiple of 4 MiB. A disk can grow, and is never made smaller.
          - Not with O(disks[].adopt), where what is there says it.
        type: str
      mode:
        description:
          - Whether the instance may write to it. Ganeti's default is V(rw).
        type: str
        choices: [rw, ro]
      access:
        description:
          - How disks of templates C(rbd), C(gluster) and C(ext) are reached. Only when it is made.
        type: str
        choices: [kernelspace, userspace]
      spindles:
        description:
          - Its spindles. Only when it is made.
        type: int
      vg:
        description:
          - The volume group to make it in. Only looked at when it is made.
        type: str
      metavg:
        description:
          - The volume group for the metadata of its mirror. Only looked at when it is made.
        type: str
      provider:
        description:
          - The provider of a disk of template C(ext). Only looked at when it is made.
        type: str
      adopt:
        description:
          - A volume or device that is there and becomes this disk. Only looked at when it is made.
        type: str
      params:
        description:
          - Parameters for the provider of a disk of template C(ext). Only looked at when it is made.
        type: dict
        default: {}
  nics:
    description:
      - Network interfaces, each meant by its O(nics[].index), or its O(nics[].name), or its place in this list. One that is not there is added at the end.
      - Those that are not given stay as they are. If it is not set, an instance that is made gets one with the cluster's defaults.
    type: list
    elements: dict
    suboptions:
      state:
        description:
          - With V(absent) it is removed. All in the list are meant by their names then.
        type: str
        choices: [present, absent]
        default: present
      index:
        description:
          - Which one it is, counted from 0. The name, if it is set, is given to it.
        type: int
      name:
        description:
          - Its name.
        type: str
      mac:
        description:
          - Its hardware address. V(generate) lets Ganeti choose one if it has none.
        type: str
      ip:
        description:
          - Its address; V(pool) for any of its O(nics[].network), V(none) for none.
        type: str
      network:
        description:
          - The network of Ganeti's that it is in, which says its mode and link; V(none) for none.
        type: str
      mode:
        description:
          - How it is connected.
        type: str
        choices: [bridged, routed, openvswitch]
      link:
        description:
          - What it is connected to, as a bridge.
        type: str
      vlan:
        description:
          - Its VLAN, with O(nics[].mode=openvswitch).
        type: str
  tags:
    description:
      - Tags that it has. Those of moves and zeroings cannot be given, and stay.
    type: list
    elements: str
  exact_tags:
    description:
      - Whether tags that are not in O(tags) are removed.
    type: bool
    default: false
  restart_if_pending:
    description:
      - Whether an instance that runs is restarted where RV(pending) is not empty.
      - Also whether it is stopped, and started again, for a change that needs it stopped, as O(new_name), O(disk_template) and O(state=reinstalled) do.
        Without it such a change of an instance that runs is refused.
    type: bool
    default: false
  shutdown_timeout:
    description:
      - How long, in seconds, it may take to shut down before it is switched off.
    type: int
    default: 120
seealso:
  - module: ganeti.cluster.instance_info
  - module: ganeti.cluster.instance_move
"""

EXAMPLES = r"""
- name: Have an instance that runs, with two disks (on the master)
  ganeti.cluster.instance:
    name: web1.example.com
    state: started
    os: noop
    disk_template: file
    primary_node: node2.example.com
    beparams:
      memory: 128
      vcpus: 1
    disks:
      - index: 0
        name: root
        size: 256
      - name: data
        size: 256
    tags: [web]

- name: Give it more memory and restart it if it runs (from anywhere, through SSH)
  ganeti.cluster.instance:
    transport: ssh
    address: alpha.example.com
    name: web1.example.com
    beparams:
      memory: 256
    restart_if_pending: true
  delegate_to: localhost

- name: Convert its disks, and stop it for that if it runs
  ganeti.cluster.instance:
    transport: ssh
    address: alpha.example.com
    name: web1.example.com
    disk_template: sharedfile
    restart_if_pending: true
  delegate_to: localhost

- name: Give it another name (through the remote API)
  ganeti.cluster.instance:
    transport: rapi
    address: alpha.example.com
    rapi:
      username: ansible
      password: "{{ vault_rapi_password }}"
      ca_path: /etc/ssl/alpha-rapi.pem
    name: web1.example.com
    new_name: www.example.com
    restart_if_pending: true
  delegate_to: localhost

- name: Install its operating system anew, whatever is on its disks, each time that this runs (on the master)
  ganeti.cluster.instance:
    name: web1.example.com
    state: reinstalled
    osparams:
      region: north
    restart_if_pending: true

- name: Remove it (through the remote API)
  ganeti.cluster.instance:
    transport: rapi
    address: alpha.example.com
    rapi:
      username: ansible
      password: "{{ vault_rapi_password }}"
      ca_path: /etc/ssl/alpha-rapi.pem
    name: web1.example.com
    state: absent
  delegate_to: localhost
"""

RETURN = r"""
instance:
  description:
    - The instance as it is now, in the form of M(ganeti.cluster.instance_info); none where there is none. In check mode, as it was found.
  returned: success
  type: dict
  sample: {name: web1.example.com, primary_node: node2.example.com, admin_state: up, oper_state: true}
pending:
  description:
    - What the running instance gets only when it is restarted, of this change, and of earlier ones as far as Ganeti tells. That is memory and processors;
      nobody tells which hypervisor parameters an instance was started with.
  returned: success
  type: list
  elements: str
  sample: [beparams.maxmem, disks.data.size]
problems:
  description: All that stands against the change. Nothing was changed.
  returned: when something does
  type: list
  elements: str
  sample: ["disk data has 1024 MiB and is to have 512: a disk is never made smaller, as what is in it would be lost."]
not_taken:
  description: What is not as it should be after all jobs have succeeded.
  returned: when Ganeti has not taken everything
  type: list
  elements: str
  sample: [hvparams.acpi]
"""

import typing as t

from ansible_collections.ganeti.cluster.plugins.module_utils import _argspec
from ansible_collections.ganeti.cluster.plugins.module_utils._errors import GanetiError
from ansible_collections.ganeti.cluster.plugins.module_utils.instance import run, table
from ansible_collections.ganeti.cluster.plugins.module_utils.instance.plan import PRESENT, STATES


def argument_spec() -> _argspec.ArgumentSpec:
    """The options."""
    options = dict(
        name=dict(type="str", required=True),
        state=dict(type="str", choices=list(STATES), default=PRESENT),
        exact_tags=dict(type="bool", default=False),
        restart_if_pending=dict(type="bool", default=False),
        shutdown_timeout=dict(type="int", default=120),
        **table.argument_spec(),
    )
    return _argspec.ArgumentSpec(options).merge(_argspec.cluster_connection(), _argspec.timeouts())


def main() -> t.NoReturn:
    """Run the module."""
    module = argument_spec().create_module()
    params = _argspec.withdraw(module, "osparams_private")
    try:
        result = run.ensure(params, module.check_mode)
    except GanetiError as error:
        module.fail_json(msg=error.message, **error.details)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
