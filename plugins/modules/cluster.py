#!/usr/bin/python
# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Set the parameters of a cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster
short_description: Set the parameters of a Ganeti cluster
version_added: 0.2.0
author:
  - the ganeti.cluster authors (!UNKNOWN)
description:
  - Sets any parameter that C(gnt-cluster modify) can set, and the extended parameters O(allow_cipher_bypassing) and O(backend_storage),
    which stock Ganeti does not have.
  - Parameters that are not named stay as they are. Nested parameters are merged into what is set. Lists are replaced as a whole.
  - What Ganeti would apply only in part, take without storing it, or find out too late is refused before anything is changed.
  - After a change everything is read back, and the task fails where Ganeti did not take a value.
  - Extended parameters are written to C(/etc/ganeti/extended-parameters.json) on the master, for root only, and copied to all nodes that are online.
    Nodes that join later get the file by a hook of Ganeti's. One that was offline gets it at the next run that names one of them.
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
      - Ganeti itself checks what it would do, in a job that changes nothing (its C(dry_run)).
  diff_mode:
    support: full
    details:
      - Of nested parameters only those that change are shown, of private ones only that they change.
  idempotent:
    support: full
requirements:
  - OpenSSH or paramiko, for O(transport=ssh)
options:
  enabled_hypervisors:
    description:
      - Hypervisors in use. The first is the default for new instances.
    type: list
    elements: str
  enabled_disk_templates:
    description:
      - Disk templates in use. The first is the default.
      - V(default) is Ganeti's default.
    type: list
    elements: str
  hvparams:
    description:
      - Parameters of hypervisors, by hypervisor.
      - Merged into what is set. V(default) for a parameter is Ganeti's default.
    type: dict
  os_hvp:
    description:
      - Parameters of hypervisors for an operating system, by system and hypervisor.
      - Merged into what is set. V(default) for a parameter removes it.
    type: dict
  beparams:
    description:
      - Backend parameters of instances. C(memory) stands for C(minmem) and C(maxmem).
      - Merged into what is set. V(default) for a parameter is Ganeti's default.
    type: dict
  nicparams:
    description:
      - Parameters of network interfaces.
      - Merged into what is set. V(default) for a parameter is Ganeti's default.
    type: dict
  ndparams:
    description:
      - Parameters of nodes.
      - Merged into what is set. V(default) for a parameter is Ganeti's default.
    type: dict
  diskparams:
    description:
      - Parameters of disks, by disk template.
      - Merged into what is set. V(default) for a parameter is Ganeti's default.
    type: dict
  ipolicy:
    description:
      - The instance policy, with C(minmax) (a list of pairs of C(min) and C(max)), C(std), C(disk-templates), C(vcpu-ratio) and C(spindle-ratio).
      - Merged into what is set. V(default) for a parameter is Ganeti's default.
    type: dict
  osparams:
    description:
      - Parameters of operating systems, by system.
      - Merged into what is set. V(default) for a parameter removes it.
    type: dict
  osparams_private_cluster:
    description:
      - Private parameters of operating systems, by system. Never shown.
      - Merged into what is set. V(default) for a parameter removes it.
      - Not with O(transport=rapi).
    type: dict
  hv_state:
    description:
      - What hypervisors hold of a node's resources, by hypervisor.
      - Merged into what is set. V(default) for a parameter is Ganeti's default.
      - Not with O(transport=rapi).
    type: dict
  disk_state:
    description:
      - What is held of storage, by storage type and name.
      - Merged into what is set. V(default) for a parameter is Ganeti's default.
      - Not with O(transport=rapi).
    type: dict
  candidate_pool_size:
    description:
      - How many nodes are master candidates.
      - V(default) is Ganeti's default.
    type: str
  max_running_jobs:
    description:
      - How many jobs run at once.
      - V(default) is Ganeti's default.
    type: str
  max_tracked_jobs:
    description:
      - How many running jobs are watched for changes.
      - V(default) is Ganeti's default.
    type: str
  maintain_node_health:
    description:
      - Whether to shut down instances and DRBD devices on offline nodes.
    type: bool
  prealloc_wipe_disks:
    description:
      - Whether to wipe disks before instances get them.
    type: bool
  modify_etc_hosts:
    description:
      - Whether Ganeti keeps C(/etc/hosts) of the nodes.
      - Not with O(transport=rapi).
    type: bool
  use_external_mip_script:
    description:
      - Whether a script of yours sets up the master's address.
    type: bool
  enabled_user_shutdown:
    description:
      - Whether a shutdown from inside an instance is told from a crash.
    type: bool
  default_iallocator:
    description:
      - The allocator to use where none is named.
      - V(default) is Ganeti's default.
    type: str
  default_iallocator_params:
    description:
      - Parameters of the default allocator.
      - Merged into what is set. V(default) for a parameter removes it.
    type: dict
  vg_name:
    description:
      - The LVM volume group; an empty text for none.
    type: str
  reserved_lvs:
    description:
      - Patterns of logical volumes that Ganeti leaves alone.
      - V(default) is Ganeti's default.
    type: list
    elements: str
  drbd_helper:
    description:
      - The helper program of DRBD; an empty text for none.
    type: str
  file_storage_dir:
    description:
      - Where disks of template C(file) are.
      - V(default) is Ganeti's default.
    type: str
  shared_file_storage_dir:
    description:
      - Where disks of template C(sharedfile) are.
      - V(default) is Ganeti's default.
    type: str
  gluster_storage_dir:
    description:
      - Where Gluster is mounted. Ganeti 3.0 does not store a change, so this only accepts what is set.
    type: str
  mac_prefix:
    description:
      - The first three octets of generated hardware addresses.
      - V(default) is Ganeti's default.
    type: str
  master_netdev:
    description:
      - The network device that has the cluster's address.
    type: str
  master_netmask:
    description:
      - The length of the netmask of the cluster's address.
    type: str
  uid_pool:
    description:
      - User ids that hypervisors may run instances as, as V(1000-1999).
      - V(default) is Ganeti's default.
    type: list
    elements: str
  hidden_os:
    description:
      - Operating systems that are not shown.
      - V(default) is Ganeti's default.
    type: list
    elements: str
  blacklisted_os:
    description:
      - Operating systems that are not for new instances.
      - V(default) is Ganeti's default.
    type: list
    elements: str
  install_image:
    description:
      - The image in which OS scripts run. Cannot be cleared.
    type: str
  instance_communication_network:
    description:
      - The network between instances and their node; an empty text for none.
      - V(default) is Ganeti's default.
    type: str
  zeroing_image:
    description:
      - The image that zeroes free space of disks. Cannot be cleared.
    type: str
  compression_tools:
    description:
      - Compression tools that exports and moves may use. V(gzip) always stays.
      - V(default) is Ganeti's default.
      - Not with O(transport=rapi).
    type: list
    elements: str
  enabled_data_collectors:
    description:
      - Whether data collectors of the monitoring daemon run, by collector.
      - Merged into what is set. V(default) for a parameter is Ganeti's default.
    type: dict
  data_collector_interval:
    description:
      - Seconds between two runs of data collectors, by collector.
      - Merged into what is set. V(default) for a parameter is Ganeti's default.
    type: dict
  tags:
    description:
      - The cluster's tags, all of them.
      - V(default) is Ganeti's default.
    type: list
    elements: str
  allow_cipher_bypassing:
    description:
      - Whether moves within the cluster may choose weaker ciphers. Extended parameter, never over RAPI.
    type: bool
  backend_storage:
    description:
      - Where configuration and jobs are stored. Extended parameter; only accepts what is set, the module C(backend_storage) switches it.
    type: str
seealso:
  - module: ganeti.cluster.cluster_info
"""

EXAMPLES = r"""
- name: Allow more compression tools and choose where file disks are (on the master)
  ganeti.cluster.cluster:
    compression_tools: [gzip, gzip-fast, gzip-slow, lzop, zstd]
    file_storage_dir: /srv/ganeti/file-storage
    zeroing_image: /srv/ganeti/zeroing.raw

- name: Change single hypervisor and backend parameters, and set one back to its default (from anywhere, through SSH)
  ganeti.cluster.cluster:
    transport: ssh
    address: alpha.example.com
    cluster_name: alpha.example.com
    hvparams:
      kvm:
        vhost_net: true
        cpu_type: default
    beparams:
      memory: 1G
  delegate_to: localhost

- name: Raise a bound of the instance policy (through the remote API)
  ganeti.cluster.cluster:
    transport: rapi
    address: alpha.example.com
    rapi:
      username: admin
      password: "{{ vault_rapi_password }}"
      ca_path: /etc/ssl/alpha-rapi.pem
    ipolicy:
      minmax:
        - max:
            memory-size: 65536
  delegate_to: localhost

- name: Let moves within the cluster choose their ciphers
  ganeti.cluster.cluster:
    allow_cipher_bypassing: true
"""

RETURN = r"""
parameters:
  description: The parameters that were named, as they are now or, in check mode, would be. Private ones are masked.
  returned: success
  type: dict
  sample: {compression_tools: [gzip, gzip-fast, gzip-slow, lzop], candidate_pool_size: 10}
distributed:
  description: The nodes that the extended parameters were, or would be, copied to, because they did not have them.
  returned: success
  type: list
  elements: str
  sample: [node3.example.com]
problems:
  description: All that stands against the change. Nothing was changed.
  returned: when something does
  type: list
  elements: str
  sample: ["compression_tools lacks gzip, which Ganeti always needs: add gzip to the list."]
applied:
  description: The parameters that are in force although the change failed.
  returned: when a change failed
  type: list
  elements: str
  sample: []
"""

import typing as t

from ansible_collections.ganeti.cluster.plugins.module_utils import _argspec
from ansible_collections.ganeti.cluster.plugins.module_utils._errors import GanetiError
from ansible_collections.ganeti.cluster.plugins.module_utils.api import cluster_parameters, parameters


def argument_spec() -> _argspec.ArgumentSpec:
    """The options."""
    return _argspec.ArgumentSpec(parameters.argument_spec()).merge(_argspec.cluster_connection(), _argspec.timeouts())


def main() -> t.NoReturn:
    """Run the module."""
    module = argument_spec().create_module()
    try:
        result = cluster_parameters.ensure(module.params, module.check_mode)
    except GanetiError as error:
        module.fail_json(msg=error.message, **error.details)
    for text in result.pop("warnings"):
        module.warn(text)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
