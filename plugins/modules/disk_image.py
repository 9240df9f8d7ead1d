#!/usr/bin/python
# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Adopt an image of a disk."""

from __future__ import annotations

DOCUMENTATION = r"""
module: disk_image
short_description: Make a raw file, as Ganeti uses them, of an image of a disk on a node
version_added: 0.2.0
author:
  - the ganeti.cluster authors (!UNKNOWN)
description:
  - Makes a raw file of an image (raw, qcow2, VMDK, VDI, VHDX or VHD) that is on the same node. What is empty in the image takes no room in the file.
    Its size is rounded up to whole MiB, as Ganeti counts disks.
  - The file is made under a name beside O(dest), and gets its own once it is whole and on stable storage. A file that is there already is never written over.
  - An image that refers to anything outside of itself is refused, be it a backing file, a data file, or an extent that is no plain name beside it.
    Its headers are judged by this module before C(qemu-img) sees them, which then runs in a sandbox with the image's files and O(dest) and nothing else.
    On a node that lacks what makes the sandbox, other images than raw ones are refused.
  - Ganeti itself makes instances with disks of its own, and does not take a file over as a disk. See the collection's page on images.
extends_documentation_fragment:
  - ganeti.cluster.attributes
  - ganeti.cluster.connection.local
  - ganeti.cluster.timeouts.unused
attributes:
  check_mode:
    support: full
    details:
      - Reads and judges the image, and compares, as without it. The room is not checked where O(src) and O(dest) may share blocks.
  diff_mode:
    support: full
  idempotent:
    support: full
    details:
      - A O(dest) that is there is compared with O(src), which reads both. Once a guest has written it, it differs, and the task fails unless O(compare=false).
requirements:
  - on the node, for other images than raw ones, C(qemu-img) (qemu-utils) and C(bwrap) 0.8 or newer (bubblewrap), and root
options:
  src:
    description:
      - The image. A regular file, by its absolute path. A symbolic link is refused. It is left as it is, but for O(method=rename).
    type: str
    required: true
  dest:
    description:
      - The file to make, by its absolute path. Its directory has to be there.
    type: str
    required: true
  format:
    description:
      - The format that the image must have. With V(auto) its bytes tell; what is known to be something else than a disk, as an archive, is refused then.
      - V(raw) takes anything. Say so for a disk that a guest has written, as a guest can put the marks of any format there.
    type: str
    choices: [auto, raw, qcow2, vmdk, vdi, vhdx, vpc]
    default: auto
  method:
    description:
      - How a raw image becomes O(dest). Images of other formats are converted, which only V(auto) allows.
      - V(auto) shares the blocks of O(src) where the file system can (reflinks of XFS and btrfs), and copies them elsewhere.
      - V(copy) copies them. V(reflink) shares them, or fails.
      - V(rename) gives the file the name O(dest), within a file system. Nothing is left at O(src).
    type: str
    choices: [auto, rename, reflink, copy]
    default: auto
  checksum:
    description:
      - What the image must have, as V(sha256:) and 64 hexadecimal digits. For images of one file.
    type: str
  compare:
    description:
      - Whether a O(dest) that is there is compared with O(src). If it differs, the task fails.
      - With V(false), whatever is there is kept without a look at its contents, and O(src) need not be there any more.
    type: bool
    default: true
  mode:
    description:
      - The rights of O(dest), as an octal number in quotes.
    type: str
    default: '0600'
  owner:
    description:
      - The user that O(dest) belongs to, by name or number. Left as it is if not set.
    type: str
  group:
    description:
      - The group that O(dest) belongs to, by name or number. Left as it is if not set.
    type: str
seealso:
  - module: ganeti.cluster.disk_image_info
  - module: ganeti.cluster.instance
"""

EXAMPLES = r"""
- name: Have a raw file of Debian's image
  ganeti.cluster.disk_image:
    src: /srv/images/debian-12.qcow2
    dest: /srv/ganeti/shared-file-storage/images/debian-12.raw
    format: qcow2
    checksum: sha256:9d1c1f9e2d6a5b0b3f8f5e0a4d2c7b6a1e3f4d5c6b7a8990a1b2c3d4e5f60718
  delegate_to: node1.example.com

- name: Take a disk over that another system has written, without copying it
  ganeti.cluster.disk_image:
    src: /srv/old/web1/sda.img
    dest: /srv/ganeti/file-storage/imported/web1.raw
    format: raw
    method: rename
    checksum: sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae
  delegate_to: node1.example.com

- name: Convert once, and leave what is there alone, as a guest may have written it
  ganeti.cluster.disk_image:
    src: /srv/images/appliance.vmdk
    dest: /srv/ganeti/file-storage/imported/appliance.raw
    compare: false
  delegate_to: node1.example.com
"""

RETURN = r"""
dest:
  description: The file.
  returned: success
  type: str
  sample: /srv/ganeti/file-storage/imported/web1.raw
format:
  description: The format of the image; none if that was not looked at.
  returned: success
  type: str
  sample: qcow2
virtual_size:
  description: Bytes of the disk in the image; none if that was not looked at.
  returned: success
  type: int
  sample: 2147483648
size:
  description: Bytes of O(dest).
  returned: success
  type: int
  sample: 2147483648
allocated:
  description: Bytes that O(dest) takes on its file system, which with reflinks are shared with O(src); 0 in check mode, if it is not there.
  returned: success
  type: int
  sample: 901775360
method:
  description: How it was made, V(convert), V(copy), V(reflink) or V(rename); none if it was there. In check mode V(auto) stands for V(reflink) or V(copy).
  returned: success
  type: str
  sample: convert
compared:
  description: Whether O(dest) was there and has the contents of the image.
  returned: success
  type: bool
  sample: false
gpt:
  description: The partition table (GPT) in O(dest); none if there is none.
  returned: success
  type: dict
  contains:
    backup:
      description: Where its second copy is, in bytes from the beginning.
      type: int
    is_at_end:
      description: Whether that is the last sector of O(dest). It is not if the size was rounded up.
      type: bool
  sample: {backup: 2147483136, is_at_end: true}
"""

import typing as t

from ansible_collections.ganeti.cluster.plugins.module_utils import _argspec
from ansible_collections.ganeti.cluster.plugins.module_utils._errors import GanetiError
from ansible_collections.ganeti.cluster.plugins.module_utils._here import check_cluster
from ansible_collections.ganeti.cluster.plugins.module_utils.images.adopt import FORMATS, METHODS, adopt


def argument_spec() -> _argspec.ArgumentSpec:
    """The options."""
    return _argspec.ArgumentSpec(
        dict(
            src=dict(type="str", required=True),
            dest=dict(type="str", required=True),
            format=dict(type="str", choices=list(FORMATS), default="auto"),
            method=dict(type="str", choices=list(METHODS), default="auto"),
            checksum=dict(type="str"),
            compare=dict(type="bool", default=True),
            mode=dict(type="str", default="0600"),
            owner=dict(type="str"),
            group=dict(type="str"),
        )
    ).merge(_argspec.local(), _argspec.timeouts())


def main() -> t.NoReturn:
    """Run the module."""
    module = argument_spec().create_module()
    try:
        check_cluster(module.params["cluster_name"])
        result = adopt(module.params, module.check_mode)
    except GanetiError as error:
        module.fail_json(msg=error.message, **error.details)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
