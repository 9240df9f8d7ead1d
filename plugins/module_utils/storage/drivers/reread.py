# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Reading a configuration of which an earlier text is known, by reading only what differs. Nothing here talks to anybody.

Why what comes out is what json.loads would make of the text:
1. A parser of JSON goes from left to right, and what it makes of the rest depends on the rest and on where it is: before a member's name, a value, a
   comma, and in which object. Nothing else is remembered.
2. Old and new text are compared from positions at which it is in the same place. As long as the texts are the same, it stays so, and makes the same.
3. A value counts as the same only where the character behind it is the same too, as "20" begins "201" as well; but for objects, which end themselves.
4. Where they differ in a value, that value is read anew, and afterwards both are behind a value of the same object. Where they differ in which objects
   a container has, the new ones are read one by one from behind the last that is the same, until a name comes that the old one has, or the end.
5. Any other difference is a doubt, and so is a name that comes twice, an order that has changed, or very much that differs: all is read then.
"""

from __future__ import annotations

import bisect
import json
import re
import typing as t

from .documents import CONTAINERS, Json, Read

_TOP = ""
"""Stands for the object that is the whole configuration, as the names of containers do for those."""
_SPACES = re.compile(r"[ \t\n\r]*")
_scan: t.Callable[[str, int], t.Tuple[t.Any, int]] = json.JSONDecoder().scan_once  # type: ignore[attr-defined]
"""What json.loads reads a value with, and where that ends. It raises StopIteration where none begins."""
_FEW = 64
"""Differences that are always worth it; beyond, one in so many objects is."""
_CHUNK = (256, 1 << 16)


class _Doubt(Exception):
    """It has to be read as a whole."""


_UNREADABLE = (_Doubt, StopIteration, ValueError, RecursionError)


class _Entries:
    """Values in the order of the text: the objects of containers, and what is beside them. Where their names, they and what is behind them begin."""

    def __init__(self) -> None:
        self.starts: t.List[int] = []
        self.values: t.List[int] = []
        self.ends: t.List[int] = []
        self.where: t.List[str] = []
        self.names: t.List[str] = []

    def add(self, start: int, value: int, end: int, where: str, name: str) -> None:
        """One more."""
        self.starts.append(start)
        self.values.append(value)
        self.ends.append(end)
        self.where.append(where)
        self.names.append(name)

    def take(self, other: _Entries, first: int, last: int, shift: int) -> None:
        """Some of another text, which are elsewhere in this one."""
        for mine, theirs in ((self.starts, other.starts), (self.values, other.values), (self.ends, other.ends)):
            mine += [each + shift for each in theirs[first:last]] if shift else theirs[first:last]
        self.where += other.where[first:last]
        self.names += other.names[first:last]


class _Text(t.NamedTuple):
    """A text, what it means, and where in it that is; of each container where its braces are."""

    text: str
    value: Read
    entries: _Entries
    bounds: t.Dict[str, t.Tuple[int, int]]


class Reader:
    """Reads texts one after the other. What it gives shares what has not changed with what it gave before: nobody may change anything in it."""

    def __init__(self) -> None:
        self._last: t.Optional[_Text] = None

    def read(self, text: str) -> Json:
        """What json.loads makes of a text; raises what that does."""
        found = self._follow(text) or _whole(text)
        self._last = found
        return t.cast(Json, json.loads(text)) if found is None else found.value

    def _follow(self, text: str) -> t.Optional[_Text]:
        try:
            return _Step(self._last, text).run() if self._last else None
        except _UNREADABLE:
            return None


def _whole(text: str) -> t.Optional[_Text]:
    """A text with all places; None where it is none of a configuration as Ganeti writes it, whatever else it may be."""
    entries, bounds, value = _Entries(), {}, {}
    try:
        position, more = _open(text, _space(text, 0)), True
        while more:
            start, (name, position) = position, _name(text, position)
            if name in value:
                return None
            if name in CONTAINERS and text.startswith("{", position):
                close, value[name] = _container(text, position, name, entries)
                bounds[name], position = (position, close), close + 1
            else:
                value[name], end = _scan(text, position)
                entries.add(start, position, end, _TOP, name)
                position = end
            more, position = _next(text, position)
        if _space(text, position + 1) != len(text):
            return None
    except _UNREADABLE:
        return None
    return _Text(text, Read(value), entries, bounds)


def _container(text: str, brace: int, container: str, entries: _Entries) -> t.Tuple[int, Json]:
    """The objects in a container that begins with this brace, and where it ends."""
    objects: Json = {}
    position = _space(text, brace + 1)
    more = not text.startswith("}", position)
    while more:
        start, (name, value) = position, _name(text, position)
        if name in objects:
            raise _Doubt
        objects[name], end = _object(text, value)
        entries.add(start, value, end, container, name)
        more, position = _next(text, end)
    return position, objects


def _object(text: str, position: int) -> t.Tuple[Json, int]:
    """The object that begins here, and where it ends."""
    value, end = _scan(text, position)
    if not isinstance(value, dict):
        raise _Doubt
    return value, end


def _space(text: str, position: int) -> int:
    """Where what follows begins."""
    match = _SPACES.match(text, position)
    return match.end() if match else position


def _open(text: str, position: int) -> int:
    """Where the first member's name is of the object that begins here."""
    if not text.startswith("{", position):
        raise _Doubt
    return _space(text, position + 1)


def _name(text: str, position: int) -> t.Tuple[str, int]:
    """The name of the member that begins here, and where its value does."""
    if not text.startswith('"', position):
        raise _Doubt
    name, end = json.decoder.scanstring(text, position + 1, True)  # type: ignore[attr-defined]
    end = _space(text, end)
    if not text.startswith(":", end):
        raise _Doubt
    return name, _space(text, end + 1)


def _next(text: str, position: int) -> t.Tuple[bool, int]:
    """Behind a value: whether another member follows and where, or where the object ends."""
    position = _space(text, position)
    if text.startswith("}", position):
        return False, position
    if not text.startswith(",", position):
        raise _Doubt
    return True, _space(text, position + 1)


class _Step:
    """From one text to the next. *_here* and *_there* are positions in the old and in the new one at which a parser is in the same place."""

    def __init__(self, old: _Text, text: str) -> None:
        self._old = old
        self._text = text
        self._here = self._there = 0
        self._done = 0
        """How many of the old entries are in the new text, changed, or gone."""
        self._entries = _Entries()
        self._runs: t.Tuple[t.List[int], t.List[int]] = ([], [])
        """Where in the old text it is the same as the new one, from there on, and by how much it is shifted."""
        self._changed: t.Dict[str, t.Dict[str, t.Any]] = {}
        self._gone: t.Dict[str, t.Set[str]] = {}

    def run(self) -> _Text:
        """The new text; raises one of _UNREADABLE where it is to be read as a whole."""
        entries = self._old.entries
        for _each in range(_FEW + len(entries.ends) // _FEW):
            differ = self._skip()
            if differ == len(self._old.text):
                if self._there + differ - self._here != len(self._text):
                    raise _Doubt
                return self._result()
            if self._done < len(entries.ends) and differ >= entries.values[self._done]:
                self._change()
            else:
                self._restructure(differ)
        raise _Doubt

    def _skip(self) -> int:
        """Take what is the same; where in the old text it ends."""
        differ = self._here + _same(self._old.text, self._here, self._text, self._there)
        shift = self._there - self._here
        self._runs[0].append(self._here)
        self._runs[1].append(shift)
        ends = self._old.entries.ends
        last = bisect.bisect_left(ends, differ, self._done)
        if last < len(ends) and ends[last] == differ and self._old.entries.where[last]:
            last += 1
        self._entries.take(self._old.entries, self._done, last, shift)
        self._done = last
        return differ

    def _change(self) -> None:
        """A value is another one."""
        entries, number, shift = self._old.entries, self._done, self._there - self._here
        where, name, position = entries.where[number], entries.names[number], entries.values[number] + shift
        value, end = _object(self._text, position) if where else _scan(self._text, position)
        self._note(entries.starts[number] + shift, position, end, where, name, value)
        self._here, self._there, self._done = entries.ends[number], end, number + 1

    def _restructure(self, differ: int) -> None:
        """A container has more objects, or fewer. Read from behind the last that is the same."""
        entries, first = self._old.entries, False
        container = next((name for name, (brace, close) in self._old.bounds.items() if brace < differ <= close), None)
        if container is None:
            raise _Doubt
        if self._done and entries.where[self._done - 1] == container:
            behind = entries.ends[self._done - 1]
        else:
            behind, first = self._old.bounds[container][0] + 1, True
        if behind < self._here:
            raise _Doubt
        position = behind + self._there - self._here
        while True:
            more, position = self._member(position, first)
            if not more:
                self._drop(container, None)
                self._here, self._there = self._old.bounds[container][1], position
                return
            name, value = _name(self._text, position)
            if name in self._old.value[container]:
                self._drop(container, name)
                self._here, self._there = entries.starts[self._done], position
                return
            if name in self._changed.get(container, {}):
                raise _Doubt
            found, end = _object(self._text, value)
            self._note(position, value, end, container, name, found)
            position, first = end, False

    def _member(self, position: int, first: bool) -> t.Tuple[bool, int]:
        """Whether a member follows, and where; or where the object ends."""
        if not first:
            return _next(self._text, position)
        position = _space(self._text, position)
        return not self._text.startswith("}", position), position

    def _drop(self, container: str, until: t.Optional[str]) -> None:
        """The objects are gone from here to one of this name, or to the end."""
        entries = self._old.entries
        while self._done < len(entries.ends) and entries.where[self._done] == container:
            if entries.names[self._done] == until:
                return
            self._gone.setdefault(container, set()).add(entries.names[self._done])
            self._done += 1
        if until is not None:  # it was before: the order is another one, or it comes twice
            raise _Doubt

    def _note(self, start: int, position: int, end: int, where: str, name: str, value: t.Any) -> None:
        self._entries.add(start, position, end, where, name)
        self._changed.setdefault(where, {})[name] = value

    def _result(self) -> _Text:
        value = dict(self._old.value)
        value.update(self._changed.get(_TOP, {}))
        touched = {}
        for container in CONTAINERS:
            gone, new = self._gone.get(container, set()), self._changed.get(container, {})
            if gone or new:
                value[container] = {name: each for name, each in value[container].items() if name not in gone} if gone else dict(value[container])
                value[container].update(new)
                touched[container] = frozenset({*gone, *new})
        bounds = {name: (self._moved(brace), self._moved(close)) for name, (brace, close) in self._old.bounds.items()}
        return _Text(self._text, Read(value, self._old.value, touched), self._entries, bounds)

    def _moved(self, position: int) -> int:
        """Where what is here in the old text is in the new one."""
        return position + self._runs[1][bisect.bisect_right(self._runs[0], position) - 1]


def _same(old: str, here: int, new: str, there: int) -> int:
    """How many characters are the same from these positions on."""
    length, size, most = 0, _CHUNK[0], min(len(old) - here, len(new) - there)
    while length < most:
        step = min(size, most - length)
        if not new.startswith(old[here + length : here + length + step], there + length):
            return length + _first(old[here + length : here + length + step], new[there + length : there + length + step])
        length, size = length + step, min(2 * size, _CHUNK[1])
    return length


def _first(one: str, other: str) -> int:
    """Where two texts of one length that are not the same differ first."""
    low, high = 0, len(one)
    while high - low > 1:
        middle = (low + high) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle
    return low
