# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Disks and network interfaces: which one is meant, what is to be done with it, and what cannot be done.

One is meant by its index, or by its name, or by its place in the list. What is not named stays as it is. Where one is removed, all are meant by their names:
the next one has its index then, and a second run of the same task would take that.
"""

from __future__ import annotations

import ipaddress
import re
import typing as t

from ..api.instances import vlan
from ..api.parameter_kinds import Problem, as_size

Device = t.Mapping[str, t.Any]
Params = t.Dict[str, t.Any]

ABSENT, NONE, POOL = "absent", "none", "pool"
_GENERATED = ("auto", "generate")
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}\Z")
_NAME = re.compile(r"(?!\d+\Z)[\w.+:@-]{1,64}\Z", re.ASCII)
_STEP = 4
"""The MiB to a multiple of which sizes are rounded up (api/parameter_kinds.py)."""
_SET_ONCE = ("spindles", "access")
"""What a disk is made with and keeps, and what can be read of it."""
_MADE_WITH = ("vg", "metavg", "provider", "adopt")
"""What a disk is made with and nobody compares: Ganeti tells it only as part of an address."""
OWN_OPTIONS = frozenset(("size", "name", "mode", *_SET_ONCE, *_MADE_WITH))
"""What is no parameter of a provider's own."""


class Work(t.NamedTuple):
    """What is to be done. Those that are there are meant by their UUIDs: an index would be another one's when somebody else's job has come before."""

    changed: t.List[t.Tuple[str, Params]]
    removed: t.List[str]
    added: t.List[Params]
    grown: t.List[t.Tuple[str, int, int]]
    """UUID, index when all else is done, and size."""
    noted: t.List[t.Tuple[str, t.Any, t.Any]]
    """What to show: where, and what was and will be there."""

    @property
    def modifications(self) -> t.List[t.List[t.Any]]:
        """As a field of OP_INSTANCE_SET_PARAMS takes them. Ganeti wants what tells them apart to be numbers in all, or texts in all."""
        removed = [["remove", uuid, {}] for uuid in self.removed]
        end = "-1" if self.changed or removed else -1
        return [["modify", uuid, params] for uuid, params in self.changed] + removed + [["add", end, params] for params in self.added]


def disks(given: t.Sequence[Device], there: t.Sequence[Device], template: t.Optional[str], problems: t.List[str]) -> Work:
    """What to do with disks; whatever stands against it is put into *problems*."""
    return _work("disk", given, there, problems, lambda item: _new_disk(item, template), _change_disk)


def nics(given: t.Sequence[Device], there: t.Sequence[Device], problems: t.List[str]) -> Work:
    """What to do with network interfaces; whatever stands against it is put into *problems*."""
    return _work("nic", given, there, problems, _new_nic, _change_nic)


class Change(t.NamedTuple):
    """What to do with one that is there: what is to be modified, what was there, and the size to grow to."""

    params: Params
    before: Device
    size: t.Optional[int] = None


def _work(
    kind: str,
    given: t.Sequence[Device],
    there: t.Sequence[Device],
    problems: t.List[str],
    new: t.Callable[[Device], Params],
    change: t.Callable[[Device, Device], Change],
) -> Work:
    work = Work([], [], [], [], [])
    grown: t.Dict[int, t.Tuple[str, int]] = {}
    gone: t.List[int] = []
    for label, item, found in _matched(kind, given, there, problems):
        try:
            if item["state"] == ABSENT:
                if found is not None:
                    work.removed.append(found["uuid"])
                    gone.append(found["index"])
                    work.noted.append((f"{kind}s.{label}", _shown(found), None))
            elif found is None:
                params = new(item)
                work.added.append(params)
                work.noted.append((f"{kind}s.{label}", None, params))
            else:
                done = change(item, found)
                if done.params:
                    work.changed.append((found["uuid"], done.params))
                if done.size is not None:
                    grown[found["index"]] = found["uuid"], done.size
                    work.noted.append((f"{kind}s.{label}.size", found["size"], done.size))
                work.noted.extend((f"{kind}s.{label}.{name}", done.before.get(name), value) for name, value in done.params.items())
        except Problem as problem:
            problems.append(f"{kind} {label} {problem}.")
    work.grown.extend((uuid, index - sum(each < index for each in gone), size) for index, (uuid, size) in sorted(grown.items()))
    return work


def _matched(
    kind: str, given: t.Sequence[Device], there: t.Sequence[Device], problems: t.List[str]
) -> t.Iterator[t.Tuple[str, Device, t.Optional[Device]]]:
    """Each that is given with what it is called and the one that it means, None for one that is not there."""
    taken: t.Set[int] = set()
    names: t.Set[str] = set()
    removing = any(item["state"] == ABSENT for item in given)
    added = 0
    for position, item in enumerate(given):
        name, index = item["name"], item["index"]
        label = name or str(position if index is None else index)
        if name is not None and (not _NAME.match(name) or name == NONE):
            problems.append(f"{kind} {label!r} has no name that Ganeti takes: use letters, digits and . + : @ - _, and not digits alone.")
            continue
        if removing and (name is None or index is not None):
            problems.append(f"{kind} {label} is meant by its place, and another one has that when one is removed: beside absent ones, give names alone.")
            continue
        found = _meant(there, name, index, position)
        if found is None and item["state"] != ABSENT:
            if index is not None and index != len(there) + added:
                problems.append(f"{kind} {label} has index {index}, and there are {len(there)}: the next one has index {len(there) + added}.")
                continue
            if _may_be_meant(there, name, index, position):
                problems.append(
                    f"{kind} {name} is not there, and {kind} {position} has no name: give it this one (index {position} beside the name), "
                    f"or add another (index {len(there) + added} beside the name)."
                )
                continue
            added += 1
        if found is not None and found["index"] in taken or name is not None and name in names:
            problems.append(f"{kind} {label} is given twice: name each once.")
            continue
        taken |= {found["index"]} if found is not None else set()
        names |= {name} if name is not None else set()
        yield label, item, found


def _meant(there: t.Sequence[Device], name: t.Optional[str], index: t.Optional[int], position: int) -> t.Optional[Device]:
    if index is None and name is not None:
        return next((each for each in there if each["name"] == name), None)
    wanted = position if index is None else index
    return there[wanted] if 0 <= wanted < len(there) else None


def _may_be_meant(there: t.Sequence[Device], name: t.Optional[str], index: t.Optional[int], position: int) -> bool:
    """Whether one that has no name stands where one with a name is given, so that nobody knows whether another one is to be added."""
    return name is not None and index is None and position < len(there) and there[position]["name"] is None


def _shown(device: Device) -> Params:
    return {name: value for name, value in device.items() if value is not None and name not in ("index", "own")}


# --- Disks ------------------------------------------------------------------------------------------------------------


def _size(item: Device) -> t.Optional[int]:
    if item["size"] is None:
        return None
    size = as_size(item["size"], ("size",))
    if size < 1:
        raise Problem("has no size: give one above zero")
    return size


def _new_disk(item: Device, template: t.Optional[str]) -> Params:
    size = _size(item)
    if item["adopt"] is not None:
        if size is not None:
            raise Problem("is adopted, which says its size: leave size out")
        size = 0  # Ganeti puts the volume's in its place, and wants the field
    if size is None:
        raise Problem("is not there, and has no size: give one, or the name or index of a disk that is there")
    if template == "diskless":
        raise Problem("cannot be made: the disk template is diskless")
    if item["params"] and template not in (None, "ext"):
        raise Problem(f"has params, which only disks of template ext have, not {template}")
    known = {name: item[name] for name in ("name", "mode", *_SET_ONCE, *_MADE_WITH) if item[name] is not None}
    clash = sorted(set(item["params"]) & OWN_OPTIONS)
    if clash:
        raise Problem(f"has {', '.join(clash)} among its params: these are options of their own")
    return {"size": size, **known, **{name: str(value) for name, value in item["params"].items()}}


def _change_disk(item: Device, found: Device) -> Change:
    size, now = _size(item), found["size"]
    if size is not None and now is not None and size < now:
        raise Problem(f"has {now} MiB and is to have {size}: a disk is never made smaller, as what is in it would be lost")
    for name in _SET_ONCE:
        if item[name] is not None and found[name] is not None and item[name] != found[name]:
            raise Problem(f"has {name} {found[name]} and is to have {item[name]}: a disk keeps what it was made with; add another one")
    params = {name: item[name] for name in ("name", "mode") if item[name] is not None and item[name] != found[name]}
    # A volume that was adopted need not have a size that can be divided by four, to which a size is rounded up.
    grows = size is not None and (now is None or size - now >= _STEP)
    return Change(params, found, size if grows else None)


# --- Network interfaces -----------------------------------------------------------------------------------------------


def _nic(item: Device) -> Params:
    """What is given of an interface, in Ganeti's form."""
    given = {name: item[name] for name in ("name", "mac", "ip", "network", "mode", "link", "vlan") if item[name] is not None}
    if given.get("network", NONE) != NONE and ("mode" in given or "link" in given):
        raise Problem("has a network, which says its mode and link: give either, not both")
    if "mac" in given:
        given["mac"] = given["mac"].lower()
        if given["mac"] not in _GENERATED and not _MAC.match(given["mac"]):
            raise Problem(f"has the hardware address {item['mac']!r}: use one as aa:00:00:12:34:56, or generate")
    if "ip" in given and given["ip"] not in (NONE, POOL):
        try:
            given["ip"] = str(ipaddress.ip_address(given["ip"]))
        except ValueError:
            raise Problem(f"has the address {item['ip']!r}: use an IP address, pool or none") from None
    if "vlan" in given:
        given["vlan"] = vlan(given["vlan"])
    return given


def _new_nic(item: Device) -> Params:
    given = {name: value for name, value in _nic(item).items() if value != NONE}
    if given.get("ip") == POOL and "network" not in given:
        raise Problem("has the address pool, but no network that it could come from")
    return given


def _change_nic(item: Device, found: Device) -> Change:
    now = {**found, "ip": found["ip"] or NONE, "network": found["network"] or NONE, "vlan": vlan(found["vlan"] or (found["own"] or {}).get("vlan"))}
    given = _nic(item)
    if given.get("mac") in _GENERATED:
        del given["mac"]  # it has one
    if given.get("ip") == POOL:
        network = given.get("network", now["network"])
        if network == NONE:
            raise Problem("has the address pool, but no network that it could come from")
        if now["ip"] != NONE and network == now["network"]:
            del given["ip"]  # it has one
    params = {name: value for name, value in given.items() if value != now[name]}
    if now["network"] != NONE and "network" not in given and {"mode", "link"} & set(params):
        raise Problem(f"is in the network {now['network']}, which says its mode and link: take it out with network none, or leave these")
    return Change(params, now)
