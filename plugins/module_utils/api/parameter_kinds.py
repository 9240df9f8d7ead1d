# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The kinds of cluster parameters: how a value is read, what a user's words make of it, and what an opcode takes.

Values have one form everywhere here, that of the module's option: `Kind.read` brings Ganeti's stored value into it,
`Kind.want` the user's, `Kind.send` turns it into what the opcode's field takes. Pure functions.
"""

from __future__ import annotations

import math
import re
import typing as t

DEFAULT = "default"
"""What a user writes to get Ganeti's default back."""

Default = t.Callable[[], t.Any]
"""Gives a parameter's default; raises Problem where there is none, or none is known."""

_UNITS = {"": 1, "m": 1, "mb": 1, "mib": 1, "g": 1024, "gb": 1024, "gib": 1024, "t": 1024**2, "tb": 1024**2, "tib": 1024**2}
_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_LARGEST_UID = 4294967295


class Problem(ValueError):
    """A value that cannot be meant, in words that follow the parameter's name."""


class Kind:
    """A single text, and the base of all others."""

    argument: t.Mapping[str, t.Any] = {"type": "str"}
    """The option's argument specification."""

    def read(self, stored: t.Any) -> t.Any:
        """Ganeti's stored value in the option's form."""
        return "" if stored is None else str(stored)

    def want(self, given: t.Any, current: t.Any, default: Default) -> t.Any:
        """The value that the user wants, in full. Raises Problem."""
        return default() if given == DEFAULT else self.parse(given)

    def parse(self, given: t.Any) -> t.Any:
        """The user's value, checked for its form."""
        return str(given)

    def send(self, current: t.Any, wanted: t.Any) -> t.List[t.Any]:
        """What the opcode's field takes to get from one to the other; several where it takes several opcodes, in order."""
        return [wanted]


class Directory(Kind):
    """An absolute path, or nothing."""

    def parse(self, given: t.Any) -> str:
        path = str(given)
        if path and (not path.startswith("/") or "/../" in path + "/" or "\n" in path):
            raise Problem(f"is {path!r}: use an absolute path without dots, or an empty text for none")
        return path.rstrip("/") or path


class MacPrefix(Kind):
    """The first three octets of hardware addresses."""

    def parse(self, given: t.Any) -> str:
        prefix = str(given).lower()
        if not re.fullmatch(r"[0-9a-f]{2}(:[0-9a-f]{2}){2}", prefix):
            raise Problem(f"is {given!r}: use three octets, as aa:00:00")
        return prefix


class Flag(Kind):
    """Yes or no."""

    argument = {"type": "bool"}

    def read(self, stored: t.Any) -> bool:
        return bool(stored)

    def parse(self, given: t.Any) -> bool:
        return bool(given)


class Number(Kind):
    """A whole number above zero; a text for Ansible, as it may be "default"."""

    def __init__(self, largest: int = 2**31 - 1) -> None:
        self._largest = largest

    def read(self, stored: t.Any) -> t.Any:
        return stored

    def parse(self, given: t.Any) -> int:
        text = str(given).strip()
        if not re.fullmatch(r"[0-9]{1,10}", text) or not 1 <= int(text) <= self._largest:
            raise Problem(f"is {given!r}: use a number from 1 to {self._largest}")
        return int(text)


class Names(Kind):
    """A list in which the order counts: the first is what Ganeti takes where nothing else is said."""

    argument = {"type": "list", "elements": "str"}

    def __init__(self, empty: bool = True) -> None:
        self._empty = empty

    def read(self, stored: t.Any) -> t.List[str]:
        return [str(name) for name in stored or ()]

    def want(self, given: t.Any, current: t.Any, default: Default) -> t.Any:
        return self.read(default()) if list(given) == [DEFAULT] else self.read(self.parse(given))

    def parse(self, given: t.Any) -> t.List[str]:
        names = [str(name) for name in given]
        if DEFAULT in names:
            raise Problem("has default beside other names: it stands alone, for the whole list")
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise Problem(f"names {', '.join(twice)} twice")
        if "" in names:
            raise Problem("has an empty name in it")
        if not names and not self._empty:
            raise Problem("is empty: Ganeti needs at least one; name those to keep")
        return names


class NameSet(Names):
    """A list in which the order does not count."""

    def read(self, stored: t.Any) -> t.List[str]:
        return sorted(super().read(stored))


class Tools(NameSet):
    """Compression tools: names that are safe on a command line, gzip always among them."""

    def parse(self, given: t.Any) -> t.List[str]:
        names = super().parse(given)
        unfit = [name for name in names if not re.fullmatch(r"(?!-)[-_a-zA-Z0-9]+", name)]
        if unfit:
            raise Problem(
                f"has {', '.join(map(repr, unfit))}: use letters, digits, dashes and underscores, no dash in front; "
                "tools take no parameters here, name a variant with a script of its own"
            )
        if "none" in names:
            raise Problem("has none in it: that name is reserved and means no compression; leave it out")
        if "gzip" not in names:
            raise Problem("lacks gzip, which Ganeti always needs: add gzip to the list")
        return names


class OsNames(NameSet):
    """Names of operating systems, which Ganeti takes as additions and removals."""

    def send(self, current: t.Any, wanted: t.Any) -> t.List[t.Any]:
        return [
            [["add", name] for name in wanted if name not in current] + [["remove", name] for name in current if name not in wanted],
        ]


class Uids(Kind):
    """Ranges of user ids, as "1000" or "1000-1999"."""

    argument = {"type": "list", "elements": "str"}

    def read(self, stored: t.Any) -> t.List[str]:
        return [str(low) if low == high else f"{low}-{high}" for low, high in sorted(tuple(pair) for pair in stored or ())]

    def want(self, given: t.Any, current: t.Any, default: Default) -> t.Any:
        return self.read(default() if list(given) == [DEFAULT] else self.parse(given))

    def parse(self, given: t.Any) -> t.List[t.Tuple[int, int]]:
        ranges = sorted(_uids(text) for text in given)
        for (_low, high), (low, _high) in zip(ranges, ranges[1:]):
            if low <= high:
                raise Problem(f"has {low} in two ranges")
        return ranges

    def send(self, current: t.Any, wanted: t.Any) -> t.List[t.Any]:
        return [[list(_uids(text)) for text in wanted]]


def _uids(text: t.Any) -> t.Tuple[int, int]:
    found = re.fullmatch(r"([0-9]{1,10})(?:-([0-9]{1,10}))?", str(text).strip())
    if not found:
        raise Problem(f"has {text!r}: use ranges of user ids, as 1000 or 1000-1999")
    low, high = int(found[1]), int(found[2] or found[1])
    if not low <= high <= _LARGEST_UID:
        raise Problem(f"has {text!r}: a range goes upwards, to {_LARGEST_UID} at most")
    return low, high


class Tree(Kind):
    """Nested parameters, all of them always there: what is given is merged into what is stored, default resets one.

    ``within`` is the key under which Ganeti stores them; ``sizes`` are those that Ganeti takes as sizes in MiB;
    ``aliases`` stand for several others.
    """

    argument = {"type": "dict"}
    free = False
    """Whether there may be any parameters, which then have no defaults: default removes one."""

    def __init__(self, within: str = "", sizes: t.Sequence[str] = (), aliases: t.Optional[t.Mapping[str, t.Sequence[str]]] = None) -> None:
        self._within = within
        self._sizes: t.FrozenSet[str] = frozenset(sizes)
        self._aliases = aliases or {}

    def read(self, stored: t.Any) -> t.Any:
        tree = stored or {}
        return _copy(tree.get(self._within) or {}) if self._within else _copy(tree)

    def want(self, given: t.Any, current: t.Any, default: Default) -> t.Any:
        given = {each: value for key, value in given.items() for each in self._aliases.get(key, (key,))}
        return self._merge(given, current, _Defaults(default), ())

    def _merge(self, given: t.Mapping[str, t.Any], current: t.Mapping[str, t.Any], defaults: _Defaults, path: t.Tuple[str, ...]) -> t.Dict[str, t.Any]:
        result = dict(current)
        for name, value in given.items():
            key = str(name)
            here = path + (key,)
            if self.free and (value is None or value == DEFAULT):
                result.pop(key, None)
            elif value is None:
                raise Problem(f"has no value for {'.'.join(here)}: give one, or default for Ganeti's own")
            elif value == DEFAULT:
                result[key] = _copy(defaults.at(here))
            elif isinstance(value, t.Mapping):
                result[key] = self._merge(value, self._below(current, key, here, defaults), defaults, here)
                if self.free and not result[key]:
                    del result[key]
            else:
                result[key] = self._leaf(value, current.get(key), defaults, here)
        return result

    def _below(self, current: t.Mapping[str, t.Any], key: str, path: t.Tuple[str, ...], defaults: _Defaults) -> t.Mapping[str, t.Any]:
        below = current.get(key)
        if below is None:
            below = {} if self.free else defaults.at(path)
        if not isinstance(below, t.Mapping):
            raise Problem(f"has parameters for {'.'.join(path)}, which takes one value")
        return below

    def _leaf(self, value: t.Any, stored: t.Any, defaults: _Defaults, path: t.Tuple[str, ...]) -> t.Any:
        if isinstance(value, (list, tuple)):
            raise Problem(f"has a list for {'.'.join(path)}, which takes one value")
        sample = stored
        if sample is None and not self.free:
            sample = defaults.at(path)
        if isinstance(sample, t.Mapping):
            raise Problem(f"has one value for {'.'.join(path)}, which takes parameters of its own")
        if self.free:
            return value if isinstance(value, str) else _text(value)
        return as_size(value, path) if path[-1] in self._sizes else like(sample, value, path)

    def send(self, current: t.Any, wanted: t.Any) -> t.List[t.Any]:
        return [delta(current, wanted)]


class FreeTree(Tree):
    """Nested parameters of any name, as those of operating systems."""

    free = True

    def send(self, current: t.Any, wanted: t.Any) -> t.List[t.Any]:
        """Ganeti takes a parameter out at its word "default"; null does the same, but not for private parameters."""
        return [_named(delta(current, wanted))]


class WholeTree(FreeTree):
    """Parameters of any name that Ganeti replaces as a whole."""

    def _leaf(self, value: t.Any, stored: t.Any, defaults: _Defaults, path: t.Tuple[str, ...]) -> t.Any:
        return value

    def send(self, current: t.Any, wanted: t.Any) -> t.List[t.Any]:
        return [wanted]


class OsHypervisors(FreeTree):
    """Hypervisor parameters of operating systems: Ganeti merges them and takes out a whole hypervisor, never one parameter."""

    def _leaf(self, value: t.Any, stored: t.Any, defaults: _Defaults, path: t.Tuple[str, ...]) -> t.Any:
        if len(path) != 3:
            raise Problem(f"has one value for {'.'.join(path)}: use system, hypervisor, parameter and value")
        return like(stored, value, path)

    def send(self, current: t.Any, wanted: t.Any) -> t.List[t.Any]:
        """Where a parameter goes, its hypervisor is taken out first and comes back with what is left."""
        out: t.Dict[str, t.Any] = {}
        back: t.Dict[str, t.Any] = {}
        for system in sorted(set(current) | set(wanted)):
            before, after = current.get(system, {}), wanted.get(system, {})
            for hypervisor in sorted(set(before) | set(after)):
                had, has = before.get(hypervisor, {}), after.get(hypervisor, {})
                if set(had) - set(has):
                    out.setdefault(system, {})[hypervisor] = None
                    had = {}
                if has != had:
                    back.setdefault(system, {})[hypervisor] = delta(had, has)
        return [each for each in (out, back) if each]


class Intervals(Tree):
    """Seconds by name, which Ganeti keeps in microseconds."""

    def read(self, stored: t.Any) -> t.Any:
        return {name: _whole(value / 1e6) for name, value in (stored or {}).items()}

    def _leaf(self, value: t.Any, stored: t.Any, defaults: _Defaults, path: t.Tuple[str, ...]) -> t.Any:
        seconds = like(1.0, value, path)
        if stored is None:
            defaults.at(path)
        if not 1e-6 <= seconds <= 1e9:
            raise Problem(f"has {value!r} for {path[0]}: use seconds, more than none")
        return _whole(round(seconds, 6))

    def send(self, current: t.Any, wanted: t.Any) -> t.List[t.Any]:
        return [{name: round(value * 1e6) for name, value in delta(current, wanted).items()}]


class Policy(Tree):
    """The instance policy: bounds in pairs, a standard, lists and ratios. Ganeti takes each of these as a whole."""

    def read(self, stored: t.Any) -> t.Any:
        policy = super().read(stored)
        if "disk-templates" in policy:
            policy["disk-templates"] = sorted(policy["disk-templates"])
        return policy

    def want(self, given: t.Any, current: t.Any, default: Default) -> t.Any:
        defaults = _Defaults(default)
        lists = {"minmax": self._bounds, "disk-templates": self._templates}
        plain = {key: value for key, value in given.items() if key not in lists or value == DEFAULT}
        wanted = self._merge(plain, current, defaults, ())
        for key, merge in lists.items():
            if key in given and given[key] != DEFAULT:
                wanted[key] = merge(given[key], current.get(key, []), defaults)
        return self.read(wanted)

    def _templates(self, given: t.Any, current: t.Any, defaults: _Defaults) -> t.Any:
        if not isinstance(given, (str, list, tuple)):
            raise Problem("has disk-templates that is no list of names")
        return Names(empty=False).parse([given] if isinstance(given, str) else given)

    def _bounds(self, given: t.Any, current: t.Any, defaults: _Defaults) -> t.Any:
        """Each pair is merged into the pair in its place, if there are as many."""
        pairs = [given] if isinstance(given, t.Mapping) else given
        if not isinstance(pairs, (list, tuple)) or not pairs or not all(isinstance(pair, t.Mapping) for pair in pairs):
            raise Problem("has minmax that is no list of pairs of min and max")
        base = list(current) if len(current) == len(pairs) else [{}] * len(pairs)
        sample = current[0] if current else {}
        merged = []
        for pair, stored in zip(pairs, base):
            if not set(pair) <= {"min", "max"}:
                raise Problem("has minmax with other keys than min and max")
            result = _copy(stored)
            for bound, values in pair.items():
                if not isinstance(values, t.Mapping):
                    raise Problem(f"has minmax.{bound} that is not specifications and their values")
                known = sample.get(bound, {})
                for name, value in values.items():
                    if known and name not in known:
                        raise Problem(f"has minmax.{bound}.{name}, which Ganeti does not have: use {', '.join(sorted(known))}")
                    result.setdefault(bound, {})[name] = like(0, value, ("minmax", bound, str(name)))
            merged.append(result)
        return merged

    def send(self, current: t.Any, wanted: t.Any) -> t.List[t.Any]:
        return [{key: value for key, value in wanted.items() if current.get(key) != value}]


class _Defaults:
    """The tree of defaults, asked for only when it is needed."""

    def __init__(self, default: Default) -> None:
        self._default = default

    def at(self, path: t.Sequence[str]) -> t.Any:
        tree = self._default()
        for depth, key in enumerate(path):
            if not isinstance(tree, t.Mapping) or key not in tree:
                known = f": use one of {', '.join(sorted(map(str, tree)))}" if isinstance(tree, t.Mapping) and tree else ""
                raise Problem(f"has {'.'.join(path[: depth + 1])}, which Ganeti does not have{known}")
            tree = tree[key]
        return tree


def like(sample: t.Any, value: t.Any, path: t.Sequence[str]) -> t.Any:
    """The value in the type that the sample has, as Ganeti would store it."""
    where = ".".join(path)
    if isinstance(sample, bool):
        word = str(value).strip().lower()
        if word not in _WORDS:
            raise Problem(f"has {value!r} for {where}: use true or false")
        return _WORDS[word]
    if isinstance(sample, (int, float)):
        try:
            if isinstance(value, bool):
                raise ValueError
            number = float(value) if isinstance(sample, float) else int(str(value).strip())
            if not math.isfinite(number):
                raise ValueError
        except (TypeError, ValueError):
            raise Problem(f"has {value!r} for {where}: use a number") from None
        return number
    if isinstance(value, bool) and sample is not None:
        # Ganeti takes false as no text, and nothing else.
        if value:
            raise Problem(f"has true for {where}, which takes a text: put it in quotes")
        return ""
    return _text(value) if isinstance(sample, str) else value


def as_size(value: t.Any, path: t.Sequence[str]) -> int:
    """A size in MiB, rounded up to a multiple of four as Ganeti does."""
    found = re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,6})?) *([a-zA-Z]*)", str(value).strip())
    if isinstance(value, bool) or not found or found[2].lower() not in _UNITS:
        raise Problem(f"has {value!r} for {'.'.join(path)}: use a size, as 512 (MiB) or 2G")
    return math.ceil(math.ceil(float(found[1]) * _UNITS[found[2].lower()]) / 4) * 4


def delta(before: t.Mapping[str, t.Any], after: t.Mapping[str, t.Any]) -> t.Dict[str, t.Any]:
    """What differs, as nested parameters; None for those that go."""
    result: t.Dict[str, t.Any] = {}
    for key in list(before) + [key for key in after if key not in before]:
        old, new = before.get(key), after.get(key)
        if isinstance(old, t.Mapping) or isinstance(new, t.Mapping):
            part = delta(old if isinstance(old, t.Mapping) else {}, new if isinstance(new, t.Mapping) else {})
            if part:
                result[key] = part
        elif old != new or (key in before) != (key in after):
            result[key] = new
    return result


def leaves(tree: t.Any, path: str = "") -> t.Iterator[t.Tuple[str, t.Any]]:
    """All single values of nested parameters, by their dotted paths."""
    if isinstance(tree, t.Mapping):
        for key, value in tree.items():
            yield from leaves(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, tree


def _named(changes: t.Mapping[str, t.Any]) -> t.Dict[str, t.Any]:
    return {key: _named(value) if isinstance(value, t.Mapping) else DEFAULT if value is None else value for key, value in changes.items()}


def _text(value: t.Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _whole(number: float) -> t.Any:
    return int(number) if number == int(number) else number


def _copy(tree: t.Any) -> t.Any:
    if isinstance(tree, t.Mapping):
        return {key: _copy(value) for key, value in tree.items()}
    return [_copy(item) for item in tree] if isinstance(tree, (list, tuple)) else tree
