# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the options by which modules reach a cluster."""

from __future__ import annotations


class ModuleDocFragment:
    """The options of ``_argspec.cluster_connection``."""

    DOCUMENTATION = r"""
options:
  transport:
    description:
      - How to reach the cluster.
      - V(luxi) speaks to Ganeti on the host that the task runs on, which has to be the master, as root. Nothing but Python is needed there.
      - V(ssh) does the same from anywhere, through SSH to the master. The host that the task runs on needs OpenSSH, or C(paramiko).
      - V(rapi) uses the remote API.
    type: str
    choices: [luxi, ssh, rapi]
    default: luxi
  address:
    description:
      - Name or address of the master node, or of the cluster itself. Required for O(transport=ssh) and O(transport=rapi), not allowed for O(transport=luxi).
    type: str
  cluster_name:
    description:
      - Name of the cluster. Where it is set and another cluster answers, nothing is done.
    type: str
  rapi:
    description:
      - How to reach the remote API, with O(transport=rapi).
    type: dict
    default: {}
    suboptions:
      port:
        description:
          - The port of the remote API.
        type: int
        default: 5080
      username:
        description:
          - A user of the remote API. Changing something takes one who may write.
        type: str
      password:
        description:
          - The user's password.
        type: str
      ca_path:
        description:
          - A file with the certificates that the API's certificate is verified with. The system's store if it is not set.
        type: path
      fingerprint:
        description:
          - The SHA-256 fingerprint of the API's certificate. Where it is set, this very certificate is accepted and no other,
            whatever name it carries. Meant for the certificate that Ganeti makes itself.
        type: str
      timeout:
        description:
          - How long, in seconds, to wait for an answer.
        type: int
        default: 60
"""
