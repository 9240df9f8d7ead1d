# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of how modules find the databases of a cluster's storage."""

from __future__ import annotations


class ModuleDocFragment:
    """The options of ``_argspec.storage_settings``."""

    DOCUMENTATION = r"""
options:
  settings_file:
    description:
      - The settings of the service, which M(ganeti.cluster.backend_storage) writes.
    type: path
    default: /etc/ganeti/couchdb.json
"""
