# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of how modules on the controller reach hosts by SSH."""

from __future__ import annotations


class ModuleDocFragment:
    """The options of ``_argspec.ssh_options``."""

    DOCUMENTATION = r"""
options:
  ssh:
    description:
      - How to reach hosts by SSH. The user's SSH configuration is honoured, C(ProxyJump) included.
      - Host keys must be known. There is no way to skip that.
    type: dict
    default: {}
    suboptions:
      user:
        description:
          - The user. What the configuration says, or else C(root).
        type: str
      port:
        description:
          - The port. What the configuration says, or else 22.
        type: int
      private_key_file:
        description:
          - A private key to log in with, beside those of the configuration and the agent.
        type: path
      known_hosts_file:
        description:
          - The file with the host keys. What the configuration says, or else the user's own.
        type: path
      config_file:
        description:
          - The configuration of SSH to honour. C(~/.ssh/config) if it is not set.
        type: path
      agent:
        description:
          - Whether to ask the SSH agent for keys.
        type: bool
        default: true
      password:
        description:
          - A password to log in with where keys do not do.
        type: str
      connect_timeout:
        description:
          - How long, in seconds, connecting may take.
        type: int
        default: 20
"""
