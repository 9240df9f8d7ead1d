#!/usr/bin/python
# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tell of the instances of a cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: instance_info
short_description: Tell of the instances of a Ganeti cluster
version_added: 0.2.0
author:
  - the ganeti.cluster authors (!UNKNOWN)
description:
  - Tells how instances are, what they have of their own and what they inherit, and their disks and network interfaces.
  - What is not known is none. Of an instance whose node does not answer, nobody knows whether it runs, so RV(instances[].oper_state) is none and not false.
  - Private OS parameters are never told.
  - Over the remote API a user who may only read is enough.
extends_documentation_fragment:
  - ganeti.cluster.attributes
  - ganeti.cluster.attributes.info_module
  - ganeti.cluster.connection
  - ganeti.cluster.timeouts.unused
  - ganeti.cluster.query
attributes:
  platform:
    platforms: posix
requirements:
  - OpenSSH or paramiko, for O(transport=ssh)
options:
  name:
    description:
      - The instances to tell of. If it is not set, all.
      - A name may be given by its first labels, if these fit one instance only.
      - One that there is not is named in RV(missing), and is no failure.
    type: list
    elements: str
  filter:
    description:
      - Which instances to tell of, in Ganeti's query language, as V(["=", "admin_state", "up"]). With O(name), both have to fit.
    type: list
    elements: raw
  fields:
    description:
      - Further fields of Ganeti's own, as C(gnt-instance list-fields) names them, put into RV(instances[].fields).
    type: list
    elements: str
    default: []
seealso:
  - module: ganeti.cluster.instance
  - module: ganeti.cluster.cluster_info
"""

EXAMPLES = r"""
- name: Tell of all instances (on the master)
  ganeti.cluster.instance_info:
  register: all

- name: Tell of one instance, and how much space its disks take as Ganeti counts (from anywhere, through SSH)
  ganeti.cluster.instance_info:
    transport: ssh
    address: alpha.example.com
    name: [web1.example.com]
    fields: [disk_usage]
  delegate_to: localhost
  register: web1

- name: Tell which instances have more than one disk (through SSH, so that the controller's jmespath picks them out)
  ganeti.cluster.instance_info:
    transport: ssh
    address: alpha.example.com
    query: instances[?length(disks) > `1`].name
  delegate_to: localhost
  register: larger

- name: Tell of the instances that should run on one node (through the remote API, as a user who may only read)
  ganeti.cluster.instance_info:
    transport: rapi
    address: alpha.example.com
    rapi:
      username: reader
      password: "{{ vault_rapi_reader_password }}"
      ca_path: /etc/ssl/alpha-rapi.pem
    filter: ["&", ["=", "pnode", "node2.example.com"], ["=", "admin_state", "up"]]
  delegate_to: localhost
"""

RETURN = r"""
instances:
  description: The instances, by name.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The instance's name.
      type: str
    uuid:
      description: What it is known by whatever its name is.
      type: str
    primary_node:
      description: The node that it is on.
      type: str
    secondary_nodes:
      description: The nodes that its disks are mirrored to.
      type: list
      elements: str
    group:
      description: The group of its primary node.
      type: str
    admin_state:
      description: What it should be, V(up), V(down) or V(offline).
      type: str
    oper_state:
      description: Whether it runs; none where its node does not tell.
      type: bool
    status:
      description: Both in one word, as C(gnt-instance list) shows it.
      type: str
    os:
      description: The operating system that was installed.
      type: str
    hypervisor:
      description: The hypervisor.
      type: str
    disk_template:
      description: The disk template.
      type: str
    disks:
      description: Its disks in order, each with C(index), C(name), C(uuid), C(size) in MiB, C(spindles), C(mode) and C(access).
      type: list
      elements: dict
    nics:
      description:
        - Its network interfaces in order, each with C(index), C(name), C(uuid), C(mac), C(ip), C(network), and C(mode), C(link) and C(vlan) as they are
          in effect. C(own) has those of the last three that are not inherited.
      type: list
      elements: dict
    beparams:
      description: Backend parameters, C(own) and in effect (C(effective)).
      type: dict
    hvparams:
      description: Hypervisor parameters, likewise.
      type: dict
    osparams:
      description: OS parameters that are not private, likewise.
      type: dict
    tags:
      description: Its tags.
      type: list
      elements: str
    memory:
      description: The memory, in MiB, that it has now; none unless it runs.
      type: int
    vcpus:
      description: The processors that it has now; none unless it runs.
      type: int
    console:
      description: How to reach its console, as Ganeti tells it; none where it does not.
      type: dict
    network_port:
      description: The port that Ganeti has given it, as for VNC.
      type: int
    created:
      description: When it was made, in seconds since the epoch.
      type: float
    modified:
      description: When it was changed last, in seconds since the epoch.
      type: float
    serial_no:
      description: How often it was changed.
      type: int
    fields:
      description: The further fields that were asked for.
      returned: when O(fields) is set
      type: dict
  sample:
    - name: web1.example.com
      primary_node: node2.example.com
      admin_state: up
      oper_state: true
      beparams: {own: {vcpus: 2}, effective: {vcpus: 2, minmem: 128, maxmem: 128}}
      disks: [{index: 0, name: root, size: 10240, mode: rw}]
missing:
  description: The names for which there is no instance, or none that fits O(filter).
  returned: success
  type: list
  elements: str
  sample: []
unreadable:
  description: What this transport cannot read, which is none everywhere.
  returned: success
  type: list
  elements: str
  sample: [disks.mode, disks.access]
result:
  description: What O(query) picked out.
  returned: when O(query) is set
  type: raw
  sample: [web1.example.com]
"""

import typing as t

from ansible_collections.ganeti.cluster.plugins.module_utils import _argspec, _query
from ansible_collections.ganeti.cluster.plugins.module_utils._errors import GanetiError
from ansible_collections.ganeti.cluster.plugins.module_utils.api import instance_facts


def argument_spec() -> _argspec.ArgumentSpec:
    """The options."""
    options = dict(
        name=dict(type="list", elements="str"),
        filter=dict(type="list", elements="raw"),
        fields=dict(type="list", elements="str", default=[]),
    )
    return _argspec.ArgumentSpec(options).merge(_argspec.cluster_connection(), _argspec.timeouts(), _argspec.query())


def main() -> t.NoReturn:
    """Run the module."""
    module = argument_spec().create_module()
    try:
        result = _query.told(module.params["query"], lambda: instance_facts.tell(module.params))
    except GanetiError as error:
        module.fail_json(msg=error.message, **error.details)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
