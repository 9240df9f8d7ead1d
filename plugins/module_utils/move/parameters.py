# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Parameters of an instance on a cluster with other defaults: what to state so that the values that are in effect arrive.

What the user once set stays set. What was inherited is stated only where the destination would inherit another value, so that it
goes on following the defaults where they agree. What cannot arrive is told.
"""

from __future__ import annotations

import typing as t

from .facts import Instance

Parameters = t.Dict[str, t.Any]
Values = t.Mapping[str, t.Any]

_OF_CLUSTER = frozenset(("migration_bandwidth", "migration_mode", "migration_port", "xen_cmd"))
"""Hypervisor parameters that belong to the cluster and are refused for an instance (Ganeti: HVC_GLOBALS)."""

_SAME: t.Mapping[str, t.Mapping[t.Any, t.Any]] = {"disk_discard": {"default": "ignore"}}
"""Values that a cluster may not take any more, and what has the same effect on every release. Ganeti 3.1 dropped disk_discard's "default", which passed
nothing to QEMU, and QEMU ignores discards then."""

_ALIASES = frozenset(("memory",))
"""Backend parameters that stand for others (Ganeti: BE_MEMORY)."""


class Stated(t.NamedTuple):
    """Parameters of one kind: in effect at the source, stated at the destination, in effect there, and what is to be known about it."""

    before: Values
    values: Parameters
    after: Parameters
    notes: t.Tuple[str, ...] = ()


def explicit(custom: Values, effective: Values, defaults: Values) -> Parameters:
    """The parameters to state so that they have the *effective* values on a cluster with other *defaults*.

    Parameters that the destination does not have by default are left out unless they were set.
    """
    differing = {name: value for name, value in effective.items() if name in defaults and defaults[name] != value}
    return {**differing, **custom}


def hypervisor(instance: Instance, info: Values, wanted: Values) -> Stated:
    """Hypervisor parameters on the cluster that *info* describes; *wanted* are the user's own, None for the cluster's default."""
    known = {name: value for name, value in info.get("hvparams", {}).get(instance.hypervisor, {}).items() if name not in _OF_CLUSTER}
    defaults = {**known, **info.get("os_hvp", {}).get(instance.os, {}).get(instance.hypervisor, {})}
    before = {name: value for name, value in instance.hv.items() if name not in _OF_CLUSTER}
    before.update({name: value for name, value in instance.custom_hv.items() if name not in _OF_CLUSTER})
    effective = {name: _translated(name, value, defaults) for name, value in before.items()}
    custom = {name: effective[name] for name in instance.custom_hv if name in effective}
    return _finish("hypervisor", info, before, effective, custom, defaults, known, wanted)


def backend(instance: Instance, info: Values) -> Stated:
    """Backend parameters on the cluster that *info* describes."""
    defaults = info.get("beparams", {}).get("default", {})
    before = {name: value for name, value in {**instance.be, **instance.custom_be}.items() if name not in _ALIASES}
    custom = {name: value for name, value in instance.custom_be.items() if name not in _ALIASES}
    return _finish("backend", info, before, before, custom, defaults, defaults, {})


def operating_system(instance: Instance, there: Values, here: Values) -> Stated:
    """OS parameters on the cluster *there*, with those that the instance inherits from its own, *here*.

    A cluster's defaults are an open set, so what the destination does not have is stated too.
    """
    effective = {**os_defaults(here, instance.os), **instance.custom_os}
    defaults = os_defaults(there, instance.os)
    absent = object()
    values = {name: value for name, value in effective.items() if name in instance.custom_os or defaults.get(name, absent) != value}
    added = sorted(set(defaults) - set(effective))
    notes = [f"{there['name']} sets the OS parameter {name} to {defaults[name]!r}, which {instance.name} does not have now." for name in added]
    return Stated(effective, values, {**defaults, **effective}, tuple(notes))


def os_defaults(info: Values, os_name: str) -> Parameters:
    """The OS parameters that instances of an OS inherit: those of the OS, and above them those of its variant (Ganeti: SimpleFillOS)."""
    osparams = info.get("osparams") or {}
    return {**osparams.get(os_name.partition("+")[0], {}), **osparams.get(os_name, {})}


def unknown(instance: Instance, info: Values, wanted: Values) -> t.List[str]:
    """The names among *wanted* hypervisor parameters that the cluster does not know, or does not let an instance have."""
    known = info.get("hvparams", {}).get(instance.hypervisor, {})
    return sorted(name for name in wanted if name not in known or name in _OF_CLUSTER)


def _translated(name: str, value: t.Any, defaults: Values) -> t.Any:
    """*value*, or what means the same where the destination's own default shows that it may not know it."""
    return value if defaults.get(name) == value else _SAME.get(name, {}).get(value, value)


def _finish(kind: str, info: Values, before: Values, effective: Values, custom: Values, defaults: Values, known: Values, wanted: Values) -> Stated:
    lost = sorted(name for name in before if known and name not in known)
    stated = {name: value for name, value in explicit(custom, effective, defaults).items() if name not in lost}
    for name, value in wanted.items():
        if value is None:
            stated.pop(name, None)
        else:
            stated[name] = value
    notes = [f"{info['name']} does not know the {kind} parameter {name}, which is {before[name]!r} now: it is left out." for name in lost]
    return Stated(before, stated, {**defaults, **stated}, tuple(notes))
