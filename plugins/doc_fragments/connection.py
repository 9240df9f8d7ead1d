# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the options by which modules reach a cluster, each option written once."""

from __future__ import annotations

import textwrap

_TRANSPORT = r"""
type: str
choices: [luxi, ssh, rapi]
default: luxi
"""

_ADDRESS = r"""
type: str
"""

_CLUSTER_NAME = r"""
description:
  - Name of the cluster. Where it is set and another cluster answers, nothing is done.
type: str
"""

_SSH_TEXT = r"""
  - How to reach hosts by SSH. OpenSSH makes the connection, with all that the user's configuration says. Where it is missing on the
    controller, or a password is used, C(paramiko) does.
  - Host keys must be known, on jump hosts too. There is no way to skip that, and C(StrictHostKeyChecking) in a configuration is none.
"""

_SSH = r"""
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

_RAPI = r"""
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

_SSH_ENVIRONMENT = r"""
  - What is not set here is taken from the environment, if it is there, from E(GANETI_SSH_USER), E(GANETI_SSH_PORT), E(GANETI_SSH_PRIVATE_KEY_FILE),
    E(GANETI_SSH_KNOWN_HOSTS_FILE), E(GANETI_SSH_CONFIG_FILE), E(GANETI_SSH_AGENT), E(GANETI_SSH_PASSWORD) and E(GANETI_SSH_CONNECT_TIMEOUT).
"""

_RAPI_ENVIRONMENT = r"""
  - What is not set here is taken from the environment, if it is there, from E(GANETI_RAPI_PORT), E(GANETI_RAPI_USERNAME), E(GANETI_RAPI_PASSWORD),
    E(GANETI_RAPI_CA_PATH), E(GANETI_RAPI_FINGERPRINT) and E(GANETI_RAPI_TIMEOUT).
"""


def _description(*parts: str) -> str:
    return "description:\n" + "".join(part.strip("\n") + "\n" for part in parts)


def _options(options: dict[str, str]) -> str:
    """Options as YAML, each with what its parts say."""
    return "options:\n" + "".join(f"  {name}:\n{textwrap.indent(text.strip(chr(10)), ' ' * 4)}\n" for name, text in options.items())


_SHARED = "It is an option of all modules, so that defaults of the action group break none."
_LOCAL = f"  - Not used, as this module works on the host that the task runs on. {_SHARED}\n"
_SIDES = f"  - Not used, as O(source) and O(destination) say it of each cluster. {_SHARED}\n"
_NODE = f"  - Not used, as this module asks the nodes themselves, by SSH. {_SHARED}\n"
_NAMED = _CLUSTER_NAME.replace("type: str", "  - Where it is not set, E(GANETI_CLUSTER_NAME) of the environment is taken, if it is there.\ntype: str")
_SSH_USED = _description(_SSH_TEXT, _SSH_ENVIRONMENT) + _SSH


def _unused(why: str) -> dict[str, str]:
    """The options of a module that has no use for them."""
    parts = {"transport": _TRANSPORT, "address": _ADDRESS, "cluster_name": _NAMED, "ssh": _SSH, "rapi": _RAPI}
    return {name: text if name == "cluster_name" else _description(why) + text for name, text in parts.items()}


def _side(description: str, required: bool) -> str:
    """One of the two clusters of a move."""
    suboptions = {
        "address": _description("  - Name or address of the cluster's master node, or of the cluster itself.") + "type: str\nrequired: true",
        "cluster_name": _CLUSTER_NAME,
        "transport": _description(
            "  - How jobs reach the cluster.",
            "  - V(ssh) speaks to Ganeti on the master through SSH and needs no further credentials. V(rapi) uses the remote API.",
            "  - The nodes that hold the disks are reached by SSH in both cases.",
        )
        + "type: str\nchoices: [ssh, rapi]\ndefault: ssh",
        "ssh": _description(_SSH_TEXT) + _SSH,
        "rapi": _description("  - How to reach the remote API, where that is the transport.") + _RAPI,
    }
    nested = _options(suboptions).replace("options:", "suboptions:", 1)
    return _description(f"  - {description}", "  - Nothing of it is taken from the environment.") + f"type: dict\nrequired: {str(required).lower()}\n{nested}"


class ModuleDocFragment:
    """The options of ``_argspec.cluster_connection``, ``local``, ``nodes_by_ssh`` and ``move_sides``."""

    # Annotated, as ansible-test wants plain texts where it sees an assignment; test_all_modules.py compares what comes of these with the options.
    DOCUMENTATION: str = _options({
        "transport": _description(
            "  - How to reach the cluster.",
            "  - V(luxi) speaks to Ganeti on the host that the task runs on, which has to be the master, as root. Nothing but Python is needed there.",
            "  - V(ssh) does the same from anywhere, through SSH to the master. The host that the task runs on needs OpenSSH, or C(paramiko).",
            "  - V(rapi) uses the remote API.",
            "  - Where it is not set, E(GANETI_TRANSPORT) of the environment is taken, if it is there. The environment is that of the host that the task",
            "    runs on, always; P(ansible.builtin.env#lookup) reads the controller's.",
        ) + _TRANSPORT,
        "address": _description(
            "  - Name or address of the master node, or of the cluster itself. Required for O(transport=ssh) and O(transport=rapi), not allowed for",
            "    O(transport=luxi).",
            "  - Where it is not set, E(GANETI_ADDRESS) of the environment is taken, if it is there.",
        ) + _ADDRESS,
        "cluster_name": _NAMED,
        "ssh": _SSH_USED,
        "rapi": _description("  - How to reach the remote API, with O(transport=rapi).", _RAPI_ENVIRONMENT) + _RAPI,
    })  # fmt: skip

    LOCAL: str = _options(_unused(_LOCAL))
    """Of modules that work where the task runs."""

    NODES: str = _options({**_unused(_NODE), "ssh": _SSH_USED})
    """Of modules on the controller that work on nodes."""

    SIDES: str = _options({
        **_unused(_SIDES),
        "cluster_name": _description(_SIDES) + "type: str",
        "source": _side("The cluster where the instance is.", True),
        "destination": _side(
            "The cluster where the instance is to be. Without it, the instance moves within its cluster, and O(primary_node) is needed.", False
        ),
    })  # fmt: skip
    """Of moves, which have two clusters."""
