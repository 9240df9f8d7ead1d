# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Taking a node for a master candidate that was elected, on a node that has voted: what master_failover does by SSH, each node does here for itself.

Stock Ganeti trusts master candidates alone, by certificate and key (admit_candidate.py). Who is taken for one is not decided by what the node says of itself:
1. this node's own server says that it was elected, for the epoch above that of the configuration that this node has;
2. name and address are those of this configuration; of the node's own words only its certificate's digest and its key are taken.
"""

from __future__ import annotations

import typing as t

from ...._errors import StorageFailed
from ...drivers.documents import Json
from ...drivers.epochs import EPOCH
from ...drivers.interface import Storage
from .. import admit_candidate
from .messages import Candidate

AUTHORIZED = "/root/.ssh/authorized_keys"


def refusal(configuration: Json, name: str, storage: Storage) -> t.Optional[str]:
    """Why a node is not to be taken for one, in words; None where it is."""
    uuid = find(configuration, name)[0]
    elected = storage.elected()
    if elected is None or elected.master != uuid or elected.epoch != configuration["serial_no"] // EPOCH + 1:
        return f"{name} was not elected, as the server of this node says"
    return None


def admit(directory: str, configuration: Json, name: str, candidate: Candidate, authorized: str = AUTHORIZED) -> t.List[str]:
    """Write what the node's daemons look at; the files that were changed."""
    uuid, node = find(configuration, name)
    lines = {"master_candidates": name, "master_candidates_ips": node["primary_ip"], "master_candidates_certs": f"{uuid}={candidate.digest}"}
    keys = {authorized: candidate.key} if candidate.key else {}
    return admit_candidate.admit({"directory": directory, "lines": {f"ssconf_{key}": line for key, line in lines.items()}, "keys": keys})


def find(configuration: Json, name: str) -> t.Tuple[str, Json]:
    """UUID and node of a name."""
    found = [(uuid, node) for uuid, node in configuration["nodes"].items() if node["name"] == name]
    if len(found) != 1:
        raise StorageFailed(f"The configuration in the database knows no node {name}.")
    return found[0]
