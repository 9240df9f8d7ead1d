# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of what modules support."""

from __future__ import annotations


class ModuleDocFragment:
    """The attributes that modules share."""

    DOCUMENTATION = r"""
attributes:
  action_group:
    description: Use C(group/ganeti.cluster.ganeti) in C(module_defaults) to set defaults for this module.
    support: full
    membership:
      - ganeti.cluster.ganeti
  async:
    description: Can be run with C(async) and C(poll).
    support: full
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in C(check_mode)), when in diff mode.
  idempotent:
    description: When run twice in a row outside check mode, with the same arguments, the second invocation indicates no change.
  platform:
    description: Systems that the task can run on.
    support: full
    platforms: linux
"""

    INFO_MODULE = r"""
attributes:
  check_mode:
    support: full
    details:
      - Reads only.
  diff_mode:
    support: N/A
    details:
      - Changes nothing.
  idempotent:
    support: full
    details:
      - Changes nothing.
"""

    ACTION = r"""
attributes:
  action:
    description: Has an action plugin of the same name, which runs on the controller.
    support: full
  delegation:
    description: Can be used with C(delegate_to).
    support: full
"""
    """Of modules that an action plugin of the same name runs."""
