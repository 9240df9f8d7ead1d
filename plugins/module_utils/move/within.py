# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Moves within a cluster: a twin is made, and takes over the name and the hardware addresses when its disks are complete.

Two instances of a cluster cannot have the same name, hardware address or address in a network. So the twin is made with
names and addresses of its own; the source's are noted on it as tags before it gives them up, so that any run can finish or
undo the exchange.
"""

from __future__ import annotations

import typing as t

from ..api.naming import RELATED
from ..api.opcodes import opcode
from . import interfaces, tags
from .facts import Instance, Nic
from .options import Options

Opcodes = t.List[t.Dict[str, t.Any]]
Parameters = t.Dict[str, t.Any]


class InstanceNames(t.NamedTuple):
    """What the two instances are called: the source before and after the move, the destination before and after its release."""

    source: str
    retired: str
    made: str
    final: str


def names(options: Options, within: bool, move_id: str) -> InstanceNames:
    """The names that move *move_id* uses."""
    if within:
        return InstanceNames(options.name, retired(options.name, move_id), f"{options.name}.{move_id}.twin", options.name)
    return InstanceNames(options.name, options.name, options.destination_name, options.destination_name)


def source_of(name: str, tagged: t.Mapping[str, t.Sequence[str]], uuids: t.Mapping[str, str]) -> t.Optional[str]:
    """The present name of the source of a move of *name*, where it may have been renamed; None where there is none.

    *tagged* are the tags of all instances by name, *uuids* their UUIDs.
    """
    names_ = {uuid: each for each, uuid in uuids.items()}
    for marks in tags.marks(tagged.get(name, ())).values():
        if "destination" in marks:
            return names_.get(marks["destination"] or "")
    for other in sorted(each for each in tagged if is_related(each, name)):
        for move_id, marks in tags.marks(tagged[other]).items():
            unfinished = "source" in marks and other == retired(name, move_id)
            if unfinished and (name not in tagged or marks.get("moved-to") == uuids[name]):
                return other
    if name in tagged:
        return name
    return next((names_[uuid] for each in sorted(tagged) if is_related(each, name) for uuid in _sources(tagged[each]) if uuid in names_), None)


def _sources(noted: t.Sequence[str]) -> t.List[str]:
    """The UUIDs of the sources that a twin with the tags *noted* remembers: Ganeti lets anybody rename one while it is stopped."""
    return [str(marks["destination"]) for marks in tags.marks(noted).values() if marks.get("destination")]


def replaced_by(uuid: str, name: str, tagged: t.Mapping[str, t.Sequence[str]]) -> t.List[str]:
    """The names of the kept sources of moves whose outcome is the instance *name* with this UUID."""
    related = sorted(each for each in tagged if is_related(each, name))
    return [each for each in related if any(marks.get("moved-to") == uuid for marks in tags.marks(tagged[each]).values())]


def is_related(other: str, name: str) -> bool:
    """Whether *other* is a name that a move of *name* gives to one of its instances."""
    return other.startswith(name) and bool(RELATED.match(other[len(name):]))


def retired(name: str, move_id: str) -> str:
    """The name of the source after the move."""
    return f"{name}.{move_id}.old"


def is_in_place(instance: Instance, primary_node: t.Optional[str], disk_template: t.Optional[str]) -> bool:
    """Whether the instance is where it is wanted."""
    return instance.node == primary_node and disk_template in (None, instance.disk_template)


def of_twin(nic: Parameters) -> Parameters:
    """The interface *nic* of an instance to be made, without what its source still has.

    An address outside of networks may be there twice, and a routed interface must have one from the beginning.
    """
    result = {**nic, "mac": "generate"}
    if "network" in nic:
        result.pop("ip", None)
    return result


def exchange(source: Instance, twin: Instance, names_: InstanceNames, options: Options, move_id: str) -> Opcodes:
    """What is left to do so that *twin* has the name and addresses that are noted on *source*, and *source* has others.

    Nothing of it is done twice: a run that takes up another's work begins where that ended.
    """
    noted = tags.addresses(source.tags, move_id)
    planned = interfaces.planned(source.nics, options)
    wanted: t.Dict[int, Parameters] = {}
    for index, (mac, ip) in noted.items():
        changed = planned[index].changed if index < len(planned) else frozenset()
        wanted[index] = {} if "mac" in changed else {"mac": mac}
        ip = planned[index].ip if "ip" in changed else ip
        if ip:
            wanted[index]["ip"] = ip
    given_up = {index: _given_up(nic, wanted.get(index, {})) for index, nic in enumerate(source.nics)}
    taken = {index: _differing(nic, wanted.get(index, {})) for index, nic in enumerate(twin.nics)}
    return [
        *_modify(source, source.name, given_up),
        *_rename(source, names_.retired),
        *_rename(twin, names_.final),
        *_modify(twin, names_.final, taken),
    ]


def give_back(source: Instance, names_: InstanceNames, move_id: str) -> Opcodes:
    """What is left to do so that *source* has the name and addresses again that are noted on it; the twin must be gone."""
    noted = tags.addresses(source.tags, move_id)
    lost = {index: _differing(nic, _parameters(*noted.get(index, (nic.mac, nic.ip)))) for index, nic in enumerate(source.nics)}
    return [*_rename(source, names_.source), *_modify(source, names_.source, lost)]


def _parameters(mac: str, ip: t.Optional[str]) -> Parameters:
    return {"mac": mac, "ip": ip} if ip else {"mac": mac}


def _given_up(nic: Nic, wanted: Parameters) -> Parameters:
    """What interface *nic* of the source has to give up for *wanted*."""
    result: Parameters = {}
    if nic.mac == wanted.get("mac"):
        result["mac"] = "generate"
    if nic.network and nic.ip and nic.ip == wanted.get("ip"):
        result["ip"] = "none"
    return result


def _differing(nic: Nic, wanted: Parameters) -> Parameters:
    """The part of *wanted* that interface *nic* does not have."""
    return {field: value for field, value in wanted.items() if getattr(nic, field) != value}


def _rename(instance: Instance, wanted: str) -> Opcodes:
    if instance.name == wanted:
        return []
    return [opcode("OP_INSTANCE_RENAME", instance_name=instance.name, instance_uuid=instance.uuid, new_name=wanted, name_check=False, ip_check=False)]


def _modify(instance: Instance, name: str, changes: t.Mapping[int, Parameters]) -> Opcodes:
    """Changes of interfaces, by the name that *instance* has then; by the UUID, so that they miss whoever has the name if they come late."""
    nics = [["modify", index, parameters] for index, parameters in changes.items() if parameters]
    return [opcode("OP_INSTANCE_SET_PARAMS", instance_name=name, instance_uuid=instance.uuid, nics=nics)] if nics else []
