# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of how modules find the database of a cluster's storage."""

from __future__ import annotations

import textwrap

_SERVER = r"""
  url:
    description:
      - The server's address, as V(https://node1.example.com:6984). Without encryption only on the loopback interface.
    type: str
    required: true
  username:
    description:
      - A user of the server.
    type: str
    required: true
  password:
    description:
      - The user's password.
    type: str
    required: true
  ca_path:
    description:
      - A file with the certificates that the server's certificate is verified with. The system's store if it is not set.
    type: path
"""

_NODE = r"""
  node:
    description:
      - The name of the server's node, as Ganeti knows it.
    type: str
    required: true
  outside:
    description:
      - That the server is of no node of the cluster, as one of a pool of copies elsewhere; O(servers[].node) is a name for it then. It gets all that a
        standby gets, counts for O(acknowledge), and no node becomes the master from it.
    type: bool
    default: false
"""

_MEMBERS = r"""
  endpoints:
    description:
      - The addresses of all members, as V(https://node1.example.com:2379). Without encryption only on the loopback interface.
    type: list
    elements: str
    required: true
  username:
    description:
      - A user of etcd, where its authentication is enabled.
    type: str
  password:
    description:
      - The user's password.
    type: str
  ca_path:
    description:
      - A file with the certificates that the members' are verified with. The system's store if it is not set.
    type: path
  cert_path:
    description:
      - A file with the certificate that is shown to the members.
    type: path
  key_path:
    description:
      - A file with its key, without a passphrase. Not needed where O(etcd.cert_path) holds it.
    type: path
"""

_CLUSTER = r"""
  cluster:
    description:
      - The UUID of the Ganeti cluster, as C(gnt-cluster info) shows it; an etcd may hold several.
    type: str
    required: true
"""


def _suboptions(*parts: str) -> str:
    return textwrap.indent("suboptions:\n" + "".join(part.lstrip("\n") for part in parts), " " * 4)


class ModuleDocFragment:
    """The options of ``_argspec.storage_settings``, ``server``, ``servers`` and ``etcd``. Annotated are those that are put together, for ansible-test."""

    DOCUMENTATION = r"""
options:
  settings_file:
    description:
      - The settings of the service, which M(ganeti.cluster.backend_storage) writes.
    type: path
    default: /etc/ganeti/couchdb.json
"""

    SERVER: str = r"""
options:
  server:
    description:
      - The CouchDB server to ask, instead of that of O(settings_file). For hosts without that file, as standbys have no need of it.
      - The user has to be one who can read the databases.
    type: dict
""" + _suboptions(_SERVER)

    SERVERS: str = r"""
options:
  servers:
    description:
      - The CouchDB servers, that of the master and those of the standbys. Needed with O(storage=couchdb).
      - The replications use their addresses too, from the server of whichever node is the master. The user has to be an administrator, and the
        file with certificates to be on every node.
      - Passwords are kept in C(/etc/ganeti/couchdb.json), for root only, and in the replications.
    type: list
    elements: dict
    default: []
""" + _suboptions(_NODE, _SERVER)

    ETCD: str = r"""
options:
  etcd:
    description:
      - The etcd. Needed with O(storage=etcd).
      - The members may be nodes of the cluster or other hosts. Every node that may become the master has to reach them by these addresses, and to
        have the files with certificates and key in the same places.
      - The password is kept in C(/etc/ganeti/couchdb.json), for root only.
    type: dict
""" + _suboptions(_MEMBERS)

    ETCD_OF_CLUSTER: str = r"""
options:
  etcd:
    description:
      - The etcd to ask, instead of that of O(settings_file). For hosts without that file.
    type: dict
""" + _suboptions(_MEMBERS, _CLUSTER)
