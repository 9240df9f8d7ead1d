# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the option that picks out of what a module tells."""

from __future__ import annotations


class ModuleDocFragment:
    """The option of ``_argspec.query``."""

    DOCUMENTATION = r"""
requirements:
  - jmespath, for O(query), on the host that the task runs on
options:
  query:
    description:
      - A JMESPath expression for what to pick out of the returned values, put into RV(result).
      - The host that the task runs on evaluates it, which with O(transport=luxi) is the master. To need nothing there, run the task on the controller
        with another transport, or have the controller pick from the registered result, as with the filter C(community.general.json_query).
    type: str
"""
