#!/usr/bin/python
# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compare compression tools on an instance's disk."""

from __future__ import annotations

DOCUMENTATION = r"""
module: compression_benchmark_info
short_description: Find the compression tool that makes moves of an instance fastest
version_added: 0.2.0
author:
  - the ganeti.cluster authors (!UNKNOWN)
description:
  - Measures compression tools on the primary node of an instance, on a sample of one of its disks, as many processes side by side as a move has lanes.
  - Measures, or is told, what the network carries, and measures what the encryption lets through.
  - Ranks the tools by the arithmetic of Ganeti's design for faster instance moves. Network, encryption, compression and decompression run
    side by side, and the slowest of them decides. What comes before the network in a compressed form counts for as much as it is compressed.
  - Decompression is measured on the same node, which stands for one like it.
  - Reads a disk that may be in use, and writes nothing. It loads the node for some seconds, as a move would.
  - M(ganeti.cluster.instance_move) does the same by itself with C(compress=auto).
extends_documentation_fragment:
  - ganeti.cluster.attributes
  - ganeti.cluster.attributes.info_module
  - ganeti.cluster.connection
  - ganeti.cluster.timeouts.unused
attributes:
  platform:
    platforms: posix
requirements:
  - OpenSSH or paramiko, and cryptography >= 3.3, on the host that the task runs on
  - SSH access as root from there to the nodes, which O(ssh) tells about
options:
  name:
    description:
      - Name of the instance, in full.
    type: str
    required: true
  disk:
    description:
      - The disk to take the sample of, counted from 0. It has to be kept in a file.
    type: int
    default: 0
  tools:
    description:
      - The tools to compare, all of which must be in the cluster parameter C(compression_tools). All that are in it if it is not set.
    type: list
    elements: str
  peer:
    description:
      - The node to measure the network to, needed if O(network_rate) is not set. For the second that it takes nothing else should use the network.
    type: str
  network_rate:
    description:
      - What the network carries, in MiB a second; 112 for one of 1 Gbit/s. Takes precedence over what is measured to O(peer), and is needed without it.
    type: float
  data_network:
    description:
      - Which addresses of the nodes the data takes, for O(peer).
    type: str
    choices: [primary, secondary]
    default: primary
  lanes:
    description:
      - How many processes of a tool run side by side. One for each core of the node, four at most, if it is not set.
    type: int
  sample_mib:
    description:
      - How many MiB to take from the disk at most, spread over its length, zeros left out. 1 to 1024.
    type: int
    default: 32
seealso:
  - module: ganeti.cluster.compression_tool
  - module: ganeti.cluster.instance_move
"""

EXAMPLES = r"""
- name: Find the best tool for moves of web1 to the other cluster, over a network of 1 Gbit/s
  ganeti.cluster.compression_benchmark_info:
    transport: ssh
    address: alpha.example.com
    name: web1.example.com
    network_rate: 112
  delegate_to: localhost
  register: benchmark

- name: Show why
  ansible.builtin.debug:
    var: benchmark.explanation

- name: Compare two tools for moves to another node of the cluster
  ganeti.cluster.compression_benchmark_info:
    transport: ssh
    address: alpha.example.com
    name: web1.example.com
    tools: [lzop, zstd-fast]
    peer: node2.example.com
    data_network: secondary
  delegate_to: localhost
"""

RETURN = r"""
recommended:
  description: The tool that makes a move fastest, or V(none).
  returned: success
  type: str
  sample: lzop
explanation:
  description: Why, in a sentence.
  returned: success
  type: str
  sample: "lzop: 71.9 MiB/s of disk, decided by compression, 80 % more than the 40.0 MiB/s without a tool."
node:
  description: The node on which was measured.
  returned: success
  type: str
  sample: node1.example.com
lanes:
  description: How many processes of a tool ran side by side.
  returned: success
  type: int
  sample: 4
sample_bytes:
  description: The size of the sample.
  returned: success
  type: int
  sample: 33554432
network_rate:
  description: What the network carries, in MiB a second.
  returned: success
  type: float
  sample: 112.0
encryption_rate:
  description: What arrives encrypted, in MiB a second; at O(peer), or with both ends on the instance's node where it is not set.
  returned: success
  type: float
  sample: 640.2
tools:
  description:
    - The tools and V(none), the fastest first. RV(ignore:speed) is what a move would make, RV(ignore:slowest) what decides it.
    - RV(ignore:compress) and RV(ignore:decompress) are of all lanes together. All are in MiB of the disk a second.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The tool.
      type: str
    speed:
      description: MiB of the disk a second that a move would make.
      type: float
    slowest:
      description: What decides it.
      type: str
    ratio:
      description: How many times smaller the sample became. Not for V(none).
      type: float
    compress:
      description: MiB of the disk a second that the tool compresses, in all lanes. Not for V(none).
      type: float
    decompress:
      description: MiB of the disk a second that the tool decompresses, in all lanes. Not for V(none).
      type: float
  sample: [{name: lzop, speed: 71.9, slowest: compression, ratio: 2.559, compress: 71.9, decompress: 310.4}]
"""

import typing as t

from ansible_collections.ganeti.cluster.plugins.module_utils import _argspec
from ansible_collections.ganeti.cluster.plugins.module_utils._errors import GanetiError
from ansible_collections.ganeti.cluster.plugins.module_utils.move.benchmark import benchmark


def argument_spec() -> _argspec.ArgumentSpec:
    """The options."""
    options = dict(
        name=dict(type="str", required=True),
        disk=dict(type="int", default=0),
        tools=dict(type="list", elements="str"),
        peer=dict(type="str"),
        network_rate=dict(type="float"),
        data_network=dict(type="str", choices=["primary", "secondary"], default="primary"),
        lanes=dict(type="int"),
        sample_mib=dict(type="int", default=32),
    )
    return _argspec.ArgumentSpec(options).merge(_argspec.cluster_connection(), _argspec.timeouts())


def main() -> t.NoReturn:
    """Run the module."""
    module = argument_spec().create_module()
    try:
        result = benchmark(module.params)
    except GanetiError as error:
        module.fail_json(msg=error.message, **error.details)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
