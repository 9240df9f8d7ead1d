# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a module zeroes free space beside something else."""

from __future__ import annotations


class ModuleDocFragment:
    """The options of ``_argspec.zeroing_helper``."""

    DOCUMENTATION = r"""
options:
  zeroing_method:
    description:
      - As O(ganeti.cluster.instance_zero#module:method).
    type: str
    choices: [auto, discard, write]
    default: auto
  zeroing_kernel_path:
    description:
      - The zeroing helper's kernel, on the nodes of the instance.
    type: str
    default: /var/lib/ganeti-zeroing/vmlinuz
  zeroing_initrd_path:
    description:
      - The zeroing helper's initial RAM disk, on the nodes of the instance.
    type: str
    default: /var/lib/ganeti-zeroing/initrd.img
"""
