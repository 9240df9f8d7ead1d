#!/usr/bin/python
# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Declare a compression tool on a node."""

from __future__ import annotations

DOCUMENTATION = r"""
module: compression_tool
short_description: Put a compression tool for Ganeti on a node and prove that it works
version_added: 0.2.0
author:
  - the ganeti.cluster authors (!UNKNOWN)
description:
  - Makes a compression tool available where Ganeti's node daemon and this collection's moves find it. Run it on every node.
  - A tool is a program that compresses standard input to standard output, decompresses with C(-d), and tells with C(-h) that it is there.
    A command with options becomes such a tool by a script, which this module writes; no options can be given when a tool is used.
  - The tool is proved each time, before a new script is put in place. C(-h) must succeed quickly, an empty input, zeros and random bytes must
    come back as they were, and an input that was cut off must be noticed.
  - The tool can be used once it is among the cluster's C(compression_tools), which M(ganeti.cluster.cluster) sets.
extends_documentation_fragment:
  - ganeti.cluster.attributes
  - ganeti.cluster.connection.local
  - ganeti.cluster.timeouts.unused
attributes:
  check_mode:
    support: full
    details:
      - Proves the tool, too, where its program is known to do nothing but compress and its options name no files. Nothing else is run.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  name:
    description:
      - The tool's name. Letters, digits, dashes and underscores, no dash in front; neither V(none) nor V(auto).
    type: str
    required: true
  command:
    description:
      - The command that compresses, with its options, for which a script is written. It is split into words as a shell does, and nothing else of a
        shell is in it.
      - Without it, the tool is a program that needs no script, as V(gzip), V(gzip-fast), V(gzip-slow), V(lzop), V(lz4) or V(zstd).
      - Another program that keeps the contract by itself is declared by its own path, as V(/usr/local/bin/my-tool) for O(name=my-tool).
        Without that it is not run, as it may be anything.
    type: str
  decompress_command:
    description:
      - The command that decompresses. The program of O(command) with C(-d) if it is not set.
    type: str
  directory:
    description:
      - Where the script is. It must be among the directories in which the node daemon looks.
    type: path
    default: /usr/local/bin
  state:
    description:
      - Whether the tool is to be there. V(absent) removes a script of this module and never a program.
    type: str
    choices: [present, absent]
    default: present
  measure:
    description:
      - Whether to measure the tool.
    type: bool
    default: true
  sample:
    description:
      - What to measure it with. A directory with files, a file or a device, as an instance's disk.
    type: path
    default: /usr/lib
  sample_mib:
    description:
      - How much of it to use, in MiB.
    type: int
    default: 16
seealso:
  - module: ganeti.cluster.cluster
  - module: ganeti.cluster.compression_benchmark_info
  - module: ganeti.cluster.instance_move
"""

EXAMPLES = r"""
- name: Have a fast variant of zstd on all nodes
  ganeti.cluster.compression_tool:
    name: zstd-fast
    command: zstd -1 -T0

- name: Prove and measure lzop with an instance's disk
  ganeti.cluster.compression_tool:
    name: lzop
    sample: /dev/xenvg/disk0

- name: Remove a variant
  ganeti.cluster.compression_tool:
    name: zstd-fast
    state: absent
"""

RETURN = r"""
ratio:
  description: How many times smaller the tool makes the sample.
  returned: when it was measured
  type: float
  sample: 2.31
compress_mib_per_second:
  description: MiB of the sample that it compresses in a second.
  returned: when it was measured
  type: float
  sample: 320.5
decompress_mib_per_second:
  description: MiB of the sample that it decompresses in a second.
  returned: when it was measured
  type: float
  sample: 610.2
"""

import typing as t

from ansible_collections.ganeti.cluster.plugins.module_utils import _argspec
from ansible_collections.ganeti.cluster.plugins.module_utils._errors import GanetiError
from ansible_collections.ganeti.cluster.plugins.module_utils._here import check_cluster
from ansible_collections.ganeti.cluster.plugins.module_utils.compression.declare import declare


def argument_spec() -> _argspec.ArgumentSpec:
    """The options of a tool."""
    return _argspec.ArgumentSpec(
        dict(
            name=dict(type="str", required=True),
            command=dict(type="str"),
            decompress_command=dict(type="str"),
            directory=dict(type="path", default="/usr/local/bin"),
            state=dict(type="str", choices=["present", "absent"], default="present"),
            measure=dict(type="bool", default=True),
            sample=dict(type="path", default="/usr/lib"),
            sample_mib=dict(type="int", default=16),
        )
    ).merge(_argspec.local(), _argspec.timeouts())


def main() -> t.NoReturn:
    """Run the module."""
    module = argument_spec().create_module()
    try:
        check_cluster(module.params["cluster_name"])
        result = declare(module.params, module.check_mode)
    except GanetiError as error:
        module.fail_json(msg=error.message, **error.details)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
