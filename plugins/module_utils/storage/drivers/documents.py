# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What a cluster's configuration and jobs are as documents of a database, and back again.

An object of the configuration is a document ``{_id, serial, info}``: its UUID, the serial number that the whole configuration
had when the object was written, and the object itself. The rest of the configuration is one document, ``config_data``, which is
written last and holds for every kind of objects how many there are and a digest of them all. So a set of documents is known to be
whole, and which of them are too new, without a list of all: the cost of recording a change does not grow with the configuration.

Jobs are ``{_id, info}``, archived ones with ``archive_index`` beside, as in the thesis (chapter 4). Nothing here talks to anybody.
"""

from __future__ import annotations

import hashlib
import json
import typing as t

from ..._errors import StorageFailed, StorageIncomplete, StorageRefused

Json = t.Dict[str, t.Any]
Documents = t.Dict[str, Json]
"""Documents by their ids."""

CONFIG = "config_data"
"""The database, and the id of the one document in it."""
CONTAINERS = ("nodes", "nodegroups", "instances", "networks", "disks", "filters")
"""The parts of config.data that hold objects by UUID (Ganeti 3.0: Objects.hs, ConfigData); each has a database of its name."""
QUEUE, ARCHIVE, SSCONF = "queue", "archive", "ssconf"
DATABASES = (*CONTAINERS, CONFIG, QUEUE, ARCHIVE, SSCONF)

SERIAL = "serial"
"""The document of the queue's database that holds the last job id given out."""
JOBS_PER_DIRECTORY = 10000
"""Archived jobs are kept in directories of this many (Ganeti: constants.JSTORE_JOBS_PER_ARCHIVE_DIRECTORY)."""

_MODULUS = 1 << 256
Item = t.TypeVar("Item")


def batches(items: t.Sequence[Item], size: int) -> t.Iterator[t.Sequence[Item]]:
    """The items in parts of so many, as a request takes them."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def canonical(value: t.Any) -> bytes:
    """The one way to write a value: sorted keys, no spaces, UTF-8. Equal values are equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode("utf-8")


def encoded(value: t.Any) -> bytes:
    """JSON as databases take it, keys in the order they have; raise StorageRefused where there is none.

    Python also knows numbers beyond all bounds and halves of characters, which are neither JSON nor UTF-8.
    """
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise StorageRefused(f"It cannot be written as JSON in UTF-8 ({str(error)[:200]}): a number or a text in it is none that could be stored.") from error


def digest(name: str, info: t.Any) -> int:
    """A number that stands for an object of this name and content."""
    return int.from_bytes(hashlib.sha256(canonical([name, info])).digest(), "big")


def fingerprint(document: Json) -> int:
    """A number that stands for what has to be written anew when it changes; the serial number alone is no reason."""
    content = document["info"] if "manifest" not in document else [document["info"], document["manifest"]]
    return digest(document["_id"], content)


def summary(numbers: t.Collection[int]) -> Json:
    """How many objects there are, and a digest of all of them that does not depend on their order."""
    return _summary(len(numbers), sum(numbers))


def _summary(count: int, total: int) -> Json:
    return {"count": count, "digest": f"{total % _MODULUS:064x}"}


class Read(t.Dict[str, t.Any]):
    """A configuration as it was read, which knows in what it differs from the one that was read *before* (reread.py). Nobody may change it."""

    def __init__(self, values: Json, before: t.Optional[Read] = None, changed: t.Optional[t.Mapping[str, t.FrozenSet[str]]] = None) -> None:
        super().__init__(values)
        self.mark = object()
        self._before = before.mark if before else None
        self._changed = changed or {}

    def since(self, other: Json) -> t.Optional[t.Mapping[str, t.FrozenSet[str]]]:
        """By container the ids of the objects in which it differs from another configuration; None where that is not known."""
        return self._changed if isinstance(other, Read) and other.mark is self._before else None


class Parts(t.NamedTuple):
    """A configuration, its documents by database, the documents' fingerprints, and by container their sum."""

    configuration: Json
    documents: t.Dict[str, Documents]
    fingerprints: t.Dict[str, t.Dict[str, int]]
    sums: t.Dict[str, int]
    touched: t.Optional[t.Mapping[str, t.FrozenSet[str]]] = None
    """By container the ids of all objects that may differ from those of the last one; None where all may."""


def split(configuration: Json, last: t.Optional[Parts] = None) -> Parts:
    """The documents of a configuration; raise StorageFailed for what is no configuration.

    What is as it was in *last* is taken from there: to compare objects takes a tenth of the time that digests do, and where *configuration* itself knows
    in what it differs, nothing else is looked at.
    """
    serial = configuration.get("serial_no")
    if not isinstance(serial, int) or not isinstance(configuration.get("cluster"), dict):
        raise StorageFailed("This is not a configuration of Ganeti's: it lacks the cluster or its serial number.")
    touched = configuration.since(last.configuration) if last and isinstance(configuration, Read) else None
    parts = Parts(configuration, {}, {}, {}, touched)
    for container in CONTAINERS:
        if last and touched is not None:
            _split_touched(parts, container, serial, last, touched.get(container, ()))
        else:
            _split_objects(parts, container, serial, last)
    manifest = {container: _summary(len(parts.fingerprints[container]), parts.sums[container]) for container in CONTAINERS}
    rest = {key: value for key, value in configuration.items() if key not in CONTAINERS}
    head = {"_id": CONFIG, "serial": serial, "info": rest, "manifest": manifest, "containers": [each for each in CONTAINERS if each in configuration]}
    parts.documents[CONFIG], parts.fingerprints[CONFIG] = {CONFIG: head}, {CONFIG: fingerprint(head)}
    return parts


def _split_touched(parts: Parts, container: str, serial: int, last: Parts, touched: t.Collection[str]) -> None:
    """Only what may differ is looked at. What is of *last* stays as it is there."""
    documents, numbers, total = last.documents[container], last.fingerprints[container], last.sums[container]
    if touched:
        documents, numbers = dict(documents), dict(numbers)
        for name in touched:
            documents.pop(name, None)
            total -= numbers.pop(name, 0)
            info = parts.configuration[container].get(name)
            if info is not None:
                documents[name] = {"_id": name, "serial": serial, "info": info}
                numbers[name] = fingerprint(documents[name])
                total += numbers[name]
    parts.documents[container], parts.fingerprints[container], parts.sums[container] = documents, numbers, total


def _split_objects(parts: Parts, container: str, serial: int, last: t.Optional[Parts]) -> None:
    found = parts.configuration.get(container, {})
    if not isinstance(found, dict) or not all(isinstance(each, dict) for each in found.values()):
        raise StorageFailed(f"This is not a configuration of Ganeti's: {container} does not hold objects.")
    older, numbers = (last.documents[container], last.fingerprints[container]) if last else ({}, {})
    parts.documents[container], parts.fingerprints[container] = {}, {}
    for name, info in found.items():
        same = name in older and older[name]["info"] == info
        document = older[name] if same else {"_id": name, "serial": serial, "info": info}
        parts.documents[container][name] = document
        parts.fingerprints[container][name] = numbers[name] if same else fingerprint(document)
    parts.sums[container] = sum(parts.fingerprints[container].values())


def join(documents: t.Mapping[str, t.Mapping[str, Json]]) -> Json:
    """The configuration that documents make, by database; raise StorageIncomplete where they are not all of one state."""
    head = documents.get(CONFIG, {}).get(CONFIG)
    if head is None:
        raise StorageIncomplete("There is no configuration: its document config_data is not there.")
    wrong = mismatches(head, documents)
    if wrong:
        raise StorageIncomplete(f"The configuration with serial number {head['serial']} is not complete: {', '.join(wrong)} do not fit it.", containers=wrong)
    objects = {container: {name: each["info"] for name, each in documents.get(container, {}).items()} for container in head["containers"]}
    return {**head["info"], **objects}


def mismatches(head: Json, documents: t.Mapping[str, t.Mapping[str, Json]]) -> t.List[str]:
    """The containers whose documents are not those that the document *head* was written for."""
    found = {container: summary([fingerprint(each) for each in documents.get(container, {}).values()]) for container in CONTAINERS}
    return [container for container in CONTAINERS if found[container] != head["manifest"].get(container)]


def changes(before: t.Mapping[str, int], after: t.Mapping[str, int]) -> t.Tuple[t.List[str], t.List[str]]:
    """The ids of documents to write and to delete, to come from some fingerprints to others."""
    return [name for name, number in after.items() if before.get(name) != number], [name for name in before if name not in after]


def of_job(number: int, job: Json, archived: bool) -> Json:
    """The document of a job."""
    document: Json = {"_id": str(number), "info": job}
    if archived:
        document["archive_index"] = number // JOBS_PER_DIRECTORY
    return document


def job_number(document: Json) -> int:
    """The job's id; raise StorageFailed where the document is none of a job, or of another one than it says."""
    name = document["_id"]
    info = document.get("info")
    if not (name.isascii() and name.isdigit() and isinstance(info, dict) and str(info.get("id")) == name):
        raise StorageFailed(f"The document {name} does not hold the job of this number: somebody else than Ganeti's storage wrote it.")
    return int(name)
