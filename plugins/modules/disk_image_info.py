#!/usr/bin/python
# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tell what an image of a disk is."""

from __future__ import annotations

DOCUMENTATION = r"""
module: disk_image_info
short_description: Tell what an image of a disk on a node is, and whether it can be adopted
version_added: 0.2.0
author:
  - the ganeti.cluster authors (!UNKNOWN)
description:
  - Tells the format, the sizes and the snapshots of an image, the files that it consists of, those that it is built on, and whatever else it refers to.
  - Reads the image's headers by itself, within bounds, and opens nothing that they name but plain names beside the image.
    Only an image that stands that test is shown to C(qemu-img), which is confined by C(bwrap).
  - Tells for qcow2 what it costs to open the image when none of it is in memory, and whether a raw file would begin noticeably faster.
  - Run it on the node that has the image.
extends_documentation_fragment:
  - ganeti.cluster.attributes
  - ganeti.cluster.attributes.info_module
  - ganeti.cluster.connection.local
  - ganeti.cluster.timeouts.unused
requirements:
  - on the node, for other images than raw ones, C(qemu-img) (qemu-utils) and C(bwrap) 0.8 or newer (bubblewrap); without them RV(image.confirmed) is V(false)
options:
  path:
    description:
      - The image. A regular file, by its absolute path. A symbolic link is refused.
    type: str
    required: true
  format:
    description:
      - The format that the image must have. With V(auto) its bytes tell.
      - V(raw) takes anything. Say so for a disk that a guest has written, as a guest can put the marks of any format there.
    type: str
    choices: [auto, raw, qcow2, vmdk, vdi, vhdx, vpc]
    default: auto
seealso:
  - module: ganeti.cluster.disk_image
"""

EXAMPLES = r"""
- name: Look at an image
  ganeti.cluster.disk_image_info:
    path: /srv/images/debian-12.qcow2
  register: looked
  delegate_to: node1.example.com

- name: Refuse what cannot be adopted
  ansible.builtin.assert:
    that: looked.image.adoptable
    fail_msg: "{{ looked.image.outside + looked.image.problems }}"
"""

RETURN = r"""
image:
  description: What the image is.
  returned: success
  type: dict
  contains:
    path:
      description: The image.
      type: str
    format:
      description: Its format, as C(qemu-img) calls it.
      type: str
    kind:
      description: What the format calls its kind, as V(streamOptimized); none where it has no kinds.
      type: str
    virtual_size:
      description: Bytes of the disk; 0 where the headers could not be read.
      type: int
    size:
      description: Bytes of the image's files.
      type: int
    allocated:
      description: Bytes that these take on their file system.
      type: int
    extents:
      description:
        - The files beside a VMDK that hold its disk, each with its C(name), its C(kind) (V(sparse) or V(flat)), the C(size) of its piece of
          the disk in bytes, and the C(offset) of that in a flat file.
      type: list
      elements: dict
    snapshots:
      description:
        - Snapshots in the image, 100 at most, each with its C(id), its C(name), the C(size) of the memory that it holds, and when it was C(taken), in
          seconds since the epoch.
      type: list
      elements: dict
    snapshot_count:
      description: How many snapshots there are.
      type: int
    backing_chain:
      description:
        - The images that it is built on, the nearest first, each with its C(name), C(format) and C(virtual_size), and the C(reason) why it was not
          looked at, if so. Only those in the same directory are.
      type: list
      elements: dict
    outside:
      description: What the image refers to outside of itself and of plain names beside it. An image with any of these is not adopted.
      type: list
      elements: str
    problems:
      description: What else is wrong with it.
      type: list
      elements: str
    tables:
      description: What it costs to read its tables; none but for qcow2.
      type: dict
      contains:
        reads_to_open:
          description: Tables that are read whenever it is opened.
          type: int
        reads:
          description: All tables.
          type: int
        jumps:
          description: How many of these reads do not go on where the one before has ended.
          type: int
        bytes:
          description: How much all tables have.
          type: int
        span:
          description: Bytes from the first table to the end of the last.
          type: int
        seconds:
          description: What the jumps take on a disk that turns.
          type: float
        converting_pays:
          description: Whether that is noticeable, a second or more.
          type: bool
        reason:
          description: The same in a sentence.
          type: str
    confirmed:
      description: Whether C(qemu-img) says the same as the headers.
      type: bool
    unconfirmed_reason:
      description: Why it was not asked, or what it said; none if it is confirmed.
      type: str
    adoptable:
      description: Whether M(ganeti.cluster.disk_image) would take it on this node.
      type: bool
  sample:
    path: /srv/images/debian-12.qcow2
    format: qcow2
    kind: version 3
    virtual_size: 2147483648
    size: 347287552
    allocated: 347291648
    extents: []
    snapshots: []
    snapshot_count: 0
    backing_chain: []
    outside: []
    problems: []
    tables:
      reads_to_open: 3
      reads: 8
      jumps: 6
      bytes: 458784
      span: 344981504
      seconds: 0.05
      converting_pays: false
      reason: "8 tables with 6 jumps between them take 0.05 s on a disk that turns, after each boot of the node anew: nobody notices."
    confirmed: true
    unconfirmed_reason: null
    adoptable: true
"""

import typing as t

from ansible_collections.ganeti.cluster.plugins.module_utils import _argspec
from ansible_collections.ganeti.cluster.plugins.module_utils._errors import GanetiError
from ansible_collections.ganeti.cluster.plugins.module_utils._here import check_cluster
from ansible_collections.ganeti.cluster.plugins.module_utils.images.adopt import FORMATS
from ansible_collections.ganeti.cluster.plugins.module_utils.images.tell import tell


def argument_spec() -> _argspec.ArgumentSpec:
    """The options."""
    options = dict(path=dict(type="str", required=True), format=dict(type="str", choices=list(FORMATS), default="auto"))
    return _argspec.ArgumentSpec(options).merge(_argspec.local(), _argspec.timeouts())


def main() -> t.NoReturn:
    """Run the module."""
    module = argument_spec().create_module()
    try:
        check_cluster(module.params["cluster_name"])
        result = tell(module.params)
    except GanetiError as error:
        module.fail_json(msg=error.message, **error.details)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
