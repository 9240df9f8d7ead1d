#!/usr/bin/python
# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read the parameters of a cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_info
short_description: Read the parameters of a Ganeti cluster
version_added: 0.2.0
author:
  - the ganeti.cluster authors (!UNKNOWN)
description:
  - Returns all parameters of a cluster in the form that M(ganeti.cluster.cluster) takes, and what Ganeti tells of the cluster beside them.
  - Over the remote API a user who may only read is enough. What only the master's files tell is then left out and named in RV(unreadable).
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
seealso:
  - module: ganeti.cluster.cluster
  - module: ganeti.cluster.backend_storage_info
"""

EXAMPLES = r"""
- name: Read the parameters (on the master)
  ganeti.cluster.cluster_info:
  register: cluster

- name: Read one thing through the remote API, as a user who may only read
  ganeti.cluster.cluster_info:
    transport: rapi
    address: alpha.example.com
    rapi:
      username: reader
      password: "{{ vault_rapi_reader_password }}"
      ca_path: /etc/ssl/alpha-rapi.pem
    query: parameters.ipolicy.minmax[0].max."memory-size"
  delegate_to: localhost
  register: largest
"""

RETURN = r"""
name:
  description: The cluster's name.
  returned: success
  type: str
  sample: alpha.example.com
master:
  description: The master node.
  returned: success
  type: str
  sample: node1.example.com
version:
  description: The version of Ganeti.
  returned: success
  type: str
  sample: 3.0.2
parameters:
  description: All parameters that can be read, as M(ganeti.cluster.cluster) takes them. Values of private ones are masked.
  returned: success
  type: dict
  sample: {compression_tools: [gzip, gzip-fast, gzip-slow], allow_cipher_bypassing: false}
unreadable:
  description: The parameters that this transport cannot read.
  returned: success
  type: list
  elements: str
  sample: [allow_cipher_bypassing, backend_storage]
info:
  description: What Ganeti tells of the cluster, as it does (C(QueryClusterInfo), or C(GET /2/info)).
  returned: success
  type: dict
  sample: {uuid: 0b7d5c36-0000-0000-0000-000000000000, primary_ip_version: 4}
result:
  description: What O(query) picked out.
  returned: when O(query) is set
  type: raw
  sample: 32768
"""

import typing as t

from ansible_collections.ganeti.cluster.plugins.module_utils import _argspec, _query
from ansible_collections.ganeti.cluster.plugins.module_utils._errors import GanetiError
from ansible_collections.ganeti.cluster.plugins.module_utils.api import cluster_parameters


def argument_spec() -> _argspec.ArgumentSpec:
    """The options."""
    return _argspec.query().merge(_argspec.cluster_connection(), _argspec.timeouts())


def main() -> t.NoReturn:
    """Run the module."""
    module = argument_spec().create_module()
    try:
        result = _query.told(module.params["query"], lambda: cluster_parameters.describe(module.params))
    except GanetiError as error:
        module.fail_json(msg=error.message, **error.details)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
