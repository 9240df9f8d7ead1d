# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Parameters of an instance: what is given is merged into what it has of its own; default makes it inherit again."""

from __future__ import annotations

import typing as t

from ..api.parameter_kinds import DEFAULT, Problem, as_size, like

Values = t.Mapping[str, t.Any]

FREE = frozenset(("osparams", "osparams_private"))
"""Those that may have any name, and are texts."""
_ALIASES: t.Mapping[str, t.Sequence[str]] = {"memory": ("maxmem", "minmem")}
_SIZES = frozenset(("maxmem", "minmem"))
_AT_START = frozenset(("maxmem", "minmem", "vcpus"))
"""The backend parameters that an instance gets when it starts; the others are for Ganeti alone."""
_TELLING = frozenset(("fake", "kvm", "xen-hvm", "xen-pvm"))
"""The hypervisors that tell memory and processors of a running instance as its parameters had them when it was started."""


class Merged(t.NamedTuple):
    """What an opcode takes, and what the instance has of its own, before and after, as far as it differs; None for what it does not have."""

    send: t.Dict[str, t.Any]
    before: t.Dict[str, t.Any]
    after: t.Dict[str, t.Any]
    at_start: t.Tuple[str, ...]
    """Those that a running instance does not have yet."""


def merge(kind: str, given: Values, own: Values, effective: Values) -> Merged:
    """What has to change so that *given* is among the instance's own. Raises Problem, in words that follow the option's name."""
    wanted = _normal(kind, given, effective)
    changes = {name: value for name, value in wanted.items() if (name in own if value == DEFAULT else own.get(name) != value or name not in own)}
    after = {name: None if value == DEFAULT else value for name, value in changes.items()}
    noticed = [name for name, value in after.items() if value is None or effective.get(name) != value]
    starts = kind == "hvparams" or kind == "beparams"
    at_start = tuple(sorted(name for name in noticed if starts and (kind == "hvparams" or name in _AT_START)))
    return Merged(changes, {name: own.get(name) for name in changes}, after, at_start)


def _normal(kind: str, given: Values, effective: Values) -> t.Dict[str, t.Any]:
    """The given values as Ganeti would store them."""
    aliases = _ALIASES if kind == "beparams" else {}
    for alias, names in aliases.items():
        if alias in given and set(names) & set(given):
            raise Problem(f"has {alias} beside {' or '.join(names)}: it stands for both, so give either")
    result: t.Dict[str, t.Any] = {}
    for given_name, value in given.items():
        for name in aliases.get(str(given_name), (str(given_name),)):
            result[name] = _value(kind, name, value, effective)
    return result


def _value(kind: str, name: str, value: t.Any, effective: Values) -> t.Any:
    if isinstance(value, (dict, list, tuple)):
        raise Problem(f"has more than one value for {name}")
    if kind in FREE:
        return DEFAULT if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    if value is None:
        raise Problem(f"has no value for {name}: give one, or default for the cluster's")
    if effective and name not in effective:
        raise Problem(f"has {name}, which an instance does not have here: use one of {', '.join(sorted(effective))}")
    if value == DEFAULT:
        return DEFAULT
    return as_size(value, (name,)) if kind == "beparams" and name in _SIZES else like(effective.get(name), value, (name,))


def lag(hypervisor: str, effective: Values, memory: t.Optional[int], processors: t.Optional[int]) -> t.List[str]:
    """Which backend parameters a running instance shows not to have yet, by the *memory* and *processors* that it has."""
    if hypervisor not in _TELLING:
        return []
    found = []
    low, high = effective.get("minmem"), effective.get("maxmem")
    if memory is not None and low is not None and high is not None and not low <= memory <= high:
        found.append("maxmem" if memory > high else "minmem")
    if processors is not None and effective.get("vcpus") not in (None, processors):
        found.append("vcpus")
    return found
