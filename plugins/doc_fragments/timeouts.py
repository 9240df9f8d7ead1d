# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the options about time limits."""

from __future__ import annotations


class ModuleDocFragment:
    """The options of ``_argspec.timeouts``."""

    DOCUMENTATION = r"""
options:
  lock_timeout:
    description:
      - How long, in seconds, a job may wait for locks that others hold, before it is cancelled and the task fails.
    type: int
    default: 300
  job_timeout:
    description:
      - How long, in seconds, a single Ganeti job may take in all.
    type: int
    default: 3600
"""

    UNUSED = r"""
options:
  lock_timeout:
    description:
      - Not used, as this module starts no jobs of Ganeti's. It is an option of all modules, so that defaults of the action group break none.
    type: int
    default: 300
  job_timeout:
    description:
      - Not used, as this module starts no jobs of Ganeti's. It is an option of all modules, so that defaults of the action group break none.
    type: int
    default: 3600
"""
    """Of modules that start no jobs."""

    ZEROING = r"""
options:
  zeroing_timeout_fixed:
    description:
      - How long, in seconds, the zeroing helper may take in any case. O(zeroing_timeout_per_mib) comes on top.
      - A helper that takes longer is stopped, and the zeroing has failed, with the instance as it was.
    type: float
    default: 300
  zeroing_timeout_per_mib:
    description:
      - How long, in seconds, it may take more for each MiB of the instance's disks.
    type: float
    default: 0.05
"""
    """The options of ``_argspec.zeroing_limits``."""
