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
      - How to reach hosts by SSH. OpenSSH makes the connection, with all that the user's configuration says. Where it is missing on the
        controller, or a password is used, C(paramiko) does.
      - Host keys must be known, on jump hosts too. There is no way to skip that, and C(StrictHostKeyChecking) in a configuration is none.
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
          - A private key to log in with, with its certificate where C(-cert.pub) lies beside it. Other keys of an agent are not tried then.
          - It is for the host itself; jump hosts have what the configuration says.
        type: path
      known_hosts_file:
        description:
          - The file with the host keys, and the only one, for jump hosts too. What the configuration says, or else the user's own.
        type: path
      config_file:
        description:
          - The configuration of SSH to honour, and the only one. C(~/.ssh/config) and C(/etc/ssh/ssh_config) if it is not set.
        type: path
      agent:
        description:
          - Whether to ask the SSH agent for keys.
        type: bool
        default: true
      password:
        description:
          - A password to log in with where keys do not do. It needs C(paramiko), and is shown to the host itself only, never to a jump host.
        type: str
      connect_timeout:
        description:
          - How long, in seconds, each host on the way may take to answer.
        type: int
        default: 20
"""
