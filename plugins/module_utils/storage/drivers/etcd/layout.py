# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Where a cluster's things are in etcd: keys below a prefix that ends in the cluster's UUID, values in JSON as Ganeti has them.

=============================  ==========================================================================================
``fence``                      who writes: see fence.py
``config/head``                ``{epoch, serial, info, manifest, containers}``, and ``staged`` while it stands on staged objects: see changes.py
``config/nodes/UUID`` ...      ``{serial, info}``: an object of the configuration, and the serial number with which it was written
``staged/GENERATION/nodes/U``  the same on its way, ``info`` being null for an object that is removed
``removed/nodes/UUID``         ``{serial}``: the last removal of an object, so that its history is found
``queue/ID``                   ``{info}``: a job
``queue-serial``               the last job id that was given out
``archive/DIRECTORY/ID``       ``{info, archive_index}``: an archived job, in directories as Ganeti's
``ssconf/NAME``                a text
``notes/NODE/PART``            what a node has written for the others (service/watchdog); by no claim, and in no history
=============================  ==========================================================================================

Nothing here talks to anybody.
"""

from __future__ import annotations

import json
import re
import typing as t

from ...._errors import InvalidInput, StorageRefused
from ..documents import CONTAINERS, JOBS_PER_DIRECTORY, Json, encoded

FENCE, HEAD, SERIAL = "fence", "config/head", "queue-serial"
CONFIG, STAGED, REMOVED, QUEUE, ARCHIVE, SSCONF, NOTES = "config/", "staged/", "removed/", "queue/", "archive/", "ssconf/", "notes/"

_CLUSTER = re.compile(r"[0-9a-zA-Z][-0-9a-zA-Z]*\Z")
_PREFIX = re.compile(r"[!-.0-~]+(/[!-.0-~]+)*/\Z")
_JOB = re.compile(r"[1-9][0-9]*\Z")


def root(prefix: str, cluster: str) -> str:
    """What all keys of a cluster begin with; raise InvalidInput where it would not keep clusters apart."""
    if not _PREFIX.match(prefix):
        raise InvalidInput(f"prefix {prefix!r} is none for keys of etcd: give one as ganeti/, of printable ASCII characters, ending in a slash.")
    if not _CLUSTER.match(cluster):
        raise InvalidInput(f"cluster {cluster!r} is not the UUID of a cluster: give what ganeti.cluster.cluster_info returns as uuid.")
    return f"{prefix}{cluster}/"


def job(number: int, archived: bool) -> str:
    """The key of a job."""
    return f"{ARCHIVE}{number // JOBS_PER_DIRECTORY}/{number}" if archived else f"{QUEUE}{number}"


def job_id(key: str, archived: bool) -> t.Optional[int]:
    """The id of the job whose key this is; None where it is none of a job's."""
    last = key.rpartition("/")[2]
    if not _JOB.match(last):
        return None
    return int(last) if key == job(int(last), archived) else None


def job_value(number: int, info: Json, archived: bool) -> bytes:
    """A job as it is stored; raise StorageRefused where it cannot be."""
    return encoded({"info": info, "archive_index": number // JOBS_PER_DIRECTORY} if archived else {"info": info})


def read_job(value: bytes, number: int) -> t.Optional[Json]:
    """A job as it was stored; None where the value is none of this job's."""
    found = decoded(value)
    info = found.get("info") if isinstance(found, dict) else None
    return info if isinstance(info, dict) and str(info.get("id")) == str(number) else None


def place(key: str) -> t.Optional[t.Tuple[str, str]]:
    """Container and id of the object whose key this is, behind ``config/`` or a generation; None where it is none of an object's."""
    container, _slash, name = key.partition("/")
    return (container, name) if container in CONTAINERS and name and "/" not in name else None


def text(value: str) -> bytes:
    """A text as it is stored; raise StorageRefused where it is none."""
    try:
        return value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise StorageRefused(f"It cannot be written in UTF-8 ({error.reason}): it holds half a character.") from error


def decoded(value: bytes) -> t.Any:
    """What was encoded; None where it is no JSON."""
    try:
        return json.loads(value.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
