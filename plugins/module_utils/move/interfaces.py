# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Network interfaces at the destination: as they are, with what the user changes, on a cluster with other defaults.

Two layers change an interface, field by field: the first entry of ``nic_map`` that fits it, and above that the entry of ``nics`` with its
number. A network brings its mode, link and VLAN along, so who sets one of these leaves the network.
"""

from __future__ import annotations

import typing as t

from ..api.instances import vlan
from .facts import Nic
from .options import NicOverride, NicRule, Options

Parameters = t.Dict[str, t.Any]

_OWN = ("mode", "link", "vlan")
"""What a network brings along."""

_NONE = "none"
"""Ganeti's word for no address, no network, no VLAN."""


class Interface(t.NamedTuple):
    """An interface as it is to be; mode, link and VLAN are its network's where it is in one. ``changed`` are the fields that the user sets."""

    mac: str
    name: t.Optional[str]
    ip: t.Optional[str]
    network: t.Optional[str]
    mode: str
    link: str
    vlan: str
    changed: t.FrozenSet[str] = frozenset()

    def shown(self) -> Parameters:
        """What matters of it, for a diff."""
        fields = ("mac", "name", "ip", "network") if self.network else ("mac", "name", "ip", *_OWN)
        return {field: getattr(self, field) for field in fields if getattr(self, field)}


def of_source(nic: Nic) -> Interface:
    """The interface as it is now."""
    return Interface(nic.mac, nic.name, nic.ip, nic.network, nic.mode or "", nic.link or "", vlan(nic.vlan))


def planned(nics: t.Sequence[Nic], options: Options) -> t.List[Interface]:
    """The interfaces at the destination."""
    overrides = {override.number: override for override in options.nics}
    return [_layered(nic, next(filter(None, (_fitting(rule, nic) for rule in options.nic_map)), None), overrides.get(n)) for n, nic in enumerate(nics)]


def stated(nic: Nic, wanted: Interface, defaults: t.Mapping[str, t.Any]) -> Parameters:
    """One interface of the destination as OP_INSTANCE_CREATE takes it; *defaults* are the destination's interface parameters."""
    result: Parameters = {"mac": wanted.mac}
    for field in ("name", "ip", "network"):
        if getattr(wanted, field):
            result[field] = getattr(wanted, field)
    if wanted.network:
        return result
    for field in _OWN:
        value = getattr(wanted, field)
        if value and (field in wanted.changed or field in nic.custom or nic.network or value != defaults.get(field)):
            result[field] = value
    return result


def notes(wanted: t.Sequence[Interface], info: t.Mapping[str, t.Any]) -> t.List[str]:
    """What cannot arrive, a sentence each: Ganeti takes no empty VLAN."""
    default = vlan(_defaults(info).get("vlan"))
    return [
        f"Interface {index} has no VLAN, but gets {default}, the default of {info['name']}: set its vlan, network or mode."
        for index, each in enumerate(wanted)
        if default and not each.vlan and not each.network
    ]


def all_stated(nics: t.Sequence[Nic], options: Options, info: t.Mapping[str, t.Any]) -> t.List[Parameters]:
    """The interfaces of the destination as OP_INSTANCE_CREATE takes them."""
    return [stated(nic, wanted, _defaults(info)) for nic, wanted in zip(nics, planned(nics, options))]


def _defaults(info: t.Mapping[str, t.Any]) -> t.Mapping[str, t.Any]:
    return t.cast("t.Mapping[str, t.Any]", info.get("nicparams", {}).get("default", {}))


def _fitting(rule: NicRule, nic: Nic) -> t.Optional[NicOverride]:
    """What *rule* sets, if *nic* has all that it asks for."""
    fits = all(vlan(nic.vlan) == vlan(value) if field == "vlan" else getattr(nic, field) == value for field, value in rule.match.items())
    return rule.change if fits else None


def _layered(nic: Nic, *layers: t.Optional[NicOverride]) -> Interface:
    result = of_source(nic)
    changed: t.Set[str] = set()
    for layer in filter(None, layers):
        values = {field: getattr(layer, field) for field in ("ip", "network", *_OWN) if getattr(layer, field) is not None}
        if layer.mac == "generate":
            values["mac"] = "generate"
        if any(field in values for field in _OWN):
            values["network"] = None
        values = {field: (None if field in ("ip", "network") else "") if value == _NONE else value for field, value in values.items()}
        if "vlan" in values:
            values["vlan"] = vlan(values["vlan"])
        changed |= set(values)
        result = result._replace(**values)
    return result._replace(changed=frozenset(changed))
