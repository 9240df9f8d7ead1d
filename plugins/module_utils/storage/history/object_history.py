# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The history of an object of the configuration, for people: its revisions, what changed in each, and the object as it was."""

from __future__ import annotations

import typing as t

from ..._errors import InvalidInput
from ..._here import check_cluster
from ..drivers.documents import CONFIG, Json
from ..drivers.interface import History, Revision
from ..service import settings
from . import secrets

KINDS = {
    "cluster": CONFIG, "node": "nodes", "nodegroup": "nodegroups", "instance": "instances", "network": "networks", "disk": "disks", "filter": "filters",
}  # fmt: skip
"""What an object can be, and the database of its kind."""


def tell(params: t.Mapping[str, t.Any]) -> Json:
    """What the module config_history_info returns. Raises GanetiError."""
    if (params["kind"] == "cluster") == (params["name"] is not None):
        raise InvalidInput("name is needed for every kind but cluster, and not allowed there: there is one cluster.")
    check_cluster(params["cluster_name"])
    identity, found = look_up(settings.read(params["settings_file"]), params["kind"], params["name"])
    result: Json = {"id": identity, "revisions": listing(found), "object": None, "difference": {"before": {}, "after": {}}}
    if params["serial"] is not None:
        result["object"] = secrets.masked(at(found, params["serial"]))
    if params["since"] is not None:
        before = secrets.masked(at(found, params["since"]))
        after = result["object"] if params["serial"] is not None else secrets.masked(found[0].info)
        result["difference"] = compare(before, after)
    return result


def look_up(chosen: settings.Settings, kind: str, name: str) -> t.Tuple[str, t.List[Revision]]:
    """The UUID of an object, and its revisions, the newest first. The cluster needs no name."""
    with chosen.open() as storage:
        history = storage.history
        if history is None:
            raise InvalidInput(f"The storage {storage.name} keeps no history: restore a snapshot elsewhere to see what was.")
        identity = CONFIG if kind == "cluster" else identify(history, kind, name)
        return identity, list(history.revisions(KINDS[kind], identity))


def identify(history: History, kind: str, name: str) -> str:
    """The UUID of an object that has this name, or is this UUID; raise InvalidInput where there is none or where there are several."""
    found = history.named(KINDS[kind], name)
    if not found and any(history.revisions(KINDS[kind], name)):  # deleted, and named by its UUID
        return name
    if len(found) != 1:
        what = f"There is no {kind} {name}" if not found else f"There are {len(found)} objects named {name}"
        raise InvalidInput(f"{what}: give its name, or its UUID if it was removed since.")
    return str(found[0])


def listing(found: t.Sequence[Revision]) -> t.List[Json]:
    """The revisions, the newest first; the parts of the object that changed since the one before, and how many revisions in between are not known."""
    older: t.Sequence[t.Optional[Revision]] = [*found[1:], None]
    return [
        {
            "rev": each.rev,
            "serial": each.serial,
            "removed": each.info is None,
            "changed": _changed(before.info if before else None, each.info),
            "missing": missing(each, before),
        }
        for each, before in zip(found, older)
    ]


def at(found: t.Sequence[Revision], serial: int) -> t.Optional[Json]:
    """The object when the configuration had a serial number; None where it was not there then, InvalidInput where that is not known.

    Between two revisions there may have been others that the server does not have; one of them may be that of the serial number.
    """
    newer: t.Optional[Revision] = None
    for each in found:
        if each.serial <= serial:
            count = missing(newer, each) if newer and each.serial < serial else 0
            if newer and count:
                gap = f"the object changed {count} times between serial numbers {each.serial} and {newer.serial}, and what it was in between is not there"
                raise InvalidInput(f"Nobody knows how the object was at serial number {serial}: {gap}. Name {each.serial} or less, or {newer.serial} or more.")
            return each.info
        newer = each
    if newer and missing(newer, None):
        oldest = f"the oldest revision that this server has is of {newer.serial}, and there were others before it"
        raise InvalidInput(f"Nobody knows how the object was at serial number {serial}: {oldest}. Name {newer.serial} or more.")
    return None


def missing(newer: Revision, older: t.Optional[Revision]) -> int:
    """How many revisions there were between two that are not known; or before one that is the oldest that is."""
    return newer.number - (older.number if older else 0) - 1


def compare(before: t.Optional[Json], after: t.Optional[Json]) -> Json:
    """The parts that differ, before and after."""
    keys = _changed(before, after)
    return {"before": {key: (before or {}).get(key) for key in keys}, "after": {key: (after or {}).get(key) for key in keys}}


def _changed(before: t.Optional[Json], after: t.Optional[Json]) -> t.List[str]:
    one, other = before or {}, after or {}
    return sorted(key for key in {*one, *other} if one.get(key) != other.get(key))
