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
