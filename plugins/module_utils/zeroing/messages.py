# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What the helper says on the serial console: lines of JSON, of which nothing is believed but their form.

The kernel's own lines are between them, and whatever else has got at the console may speak too. So a line counts only if it carries the identifier of
this start and has the members and the bounds that it should; all else is left out. Nothing that is decided depends on what they say.
"""

from __future__ import annotations

import json
import typing as t

_MOST_BYTES = 1 << 60
_MOST_TEXT = 200
_MOST_PLACES = 1000
"""File systems that are listed; further ones are only counted."""


class Message(t.NamedTuple):
    """One message. ``device`` and ``fs`` say where; ``disk`` is None for a volume that may be on several."""

    event: str
    disk: t.Optional[int] = None
    device: str = ""
    fs: str = ""
    percent: int = 0
    bytes: int = 0
    why: str = ""

    @property
    def where(self) -> str:
        """The device and its file system, for people."""
        return f"{self.device} ({self.fs})" if self.fs else self.device


_PLACE = ("disk", "device", "fs")
_EVENTS: t.Mapping[str, t.Tuple[str, ...]] = {
    "started": (),
    "progress": (*_PLACE, "percent", "bytes"),
    "zeroed": (*_PLACE, "bytes"),
    "left": (*_PLACE, "why"),
    "asleep": (),
    "interrupted": (),
    "finished": ("bytes",),
}
"""The events, and the members that each must have beside those that nobody looks at."""


def _is_text(value: t.Any) -> bool:
    return isinstance(value, str) and len(value) <= _MOST_TEXT and (value.isprintable() or not value)


def _is_number(value: t.Any, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most


_CHECKS: t.Mapping[str, t.Callable[[t.Any], bool]] = {
    "disk": lambda value: value is None or _is_number(value, 1000),
    "device": _is_text,
    "fs": _is_text,
    "why": _is_text,
    "percent": lambda value: _is_number(value, 100),
    "bytes": lambda value: _is_number(value, _MOST_BYTES),
}


def parse(line: str, identifier: str) -> t.Optional[Message]:
    """The message in a line of the console, or None where it is none of the helper that *identifier* names."""
    if not line.startswith("{"):
        return None
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or said.get("zeroing") != identifier or not isinstance(said.get("event"), str):
        return None
    members = _EVENTS.get(said["event"])
    if members is None or not all(name in said and _CHECKS[name](said[name]) for name in members):
        return None
    return Message(said["event"], **{name: said[name] for name in members})


class Account:
    """What the helper has said so far."""

    def __init__(self) -> None:
        self.places: t.List[Message] = []
        """The last word on each file system: zeroed, or left."""
        self.further = 0
        """Those that are not listed, as there are too many."""
        self.ended = ""
        """How it says that it ended: finished, interrupted, asleep; nothing where it does not."""

    def add(self, message: Message) -> None:
        """Take note of a message."""
        if message.event in ("zeroed", "left"):
            if len(self.places) < _MOST_PLACES:
                self.places.append(message)
            else:
                self.further += 1
        elif message.event in ("interrupted", "asleep") or (message.event == "finished" and not self.ended):
            self.ended = message.event

    def listed(self) -> t.List[t.Dict[str, t.Any]]:
        """The file systems, for a module's result."""
        return [
            {"disk": each.disk, "device": each.device, "filesystem": each.fs or None, "zeroed": each.event == "zeroed", "reason": each.why or None}
            for each in self.places
        ]
