# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What endpoints may say: one line of JSON an event, of a bounded length, with fields of the types that stand here.

A node is trusted with an instance, not with the controller: whatever else it sends raises StreamFailed before anybody uses it.
"""

from __future__ import annotations

import json
import re
import typing as t

from .._errors import StreamFailed

LONGEST = 1024 * 1024
"""Bytes of a line; a message about a bug with its trace is the longest there is, an answer about a hundred disks the next."""

Event = t.Dict[str, t.Any]
Check = t.Callable[[t.Any], bool]

_MOST = 2**63
_TEXT = 64 * 1024
_ITEMS = 4096
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")


def _whole(value: t.Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST


def _number(value: t.Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < _MOST


def _port(value: t.Any) -> bool:
    return _whole(value) and 0 < value < 65536


def _flag(value: t.Any) -> bool:
    return isinstance(value, bool)


def _text(value: t.Any) -> bool:
    return isinstance(value, str) and len(value) <= _TEXT


def _digest(value: t.Any) -> bool:
    return isinstance(value, str) and _DIGEST.match(value) is not None


def _one_of(*values: str) -> Check:
    return lambda value: isinstance(value, str) and value in values


def _maybe(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _list(check: Check) -> Check:
    return lambda value: isinstance(value, list) and len(value) <= _ITEMS and all(map(check, value))


def _map(check: Check) -> Check:
    return lambda value: isinstance(value, dict) and len(value) <= _ITEMS and all(map(check, value.values()))


def _tuple(*checks: Check) -> Check:
    return lambda value: isinstance(value, list) and len(value) == len(checks) and all(check(each) for check, each in zip(checks, value))


def _record(**checks: Check) -> Check:
    return lambda value: isinstance(value, dict) and all(name in value and check(value[name]) for name, check in checks.items())


PHASES = ("clear", "map", "copy", "receive", "sync", "readback", "rate")

_COPIED = {"digests": _list(_digest), "payload": _whole, "wire": _whole, "tls": _list(_tuple(_text, _text, _whole))}
_PART = _record(partition=_text, file_system=_maybe(_text), size=_whole, skipped=_whole, reason=_maybe(_text))
_DISK = _record(
    path=_text, recorded=_whole, size=_maybe(_whole), kind=_maybe(_one_of("file", "device")), data=_maybe(_whole), error=_maybe(_text)
)  # fmt: skip

EVENTS: t.Mapping[str, t.Mapping[str, Check]] = {
    "progress": {"phase": _one_of(*PHASES), "done": _whole, "wire": _whole, "work": _whole, "total": _whole},
    "listening": {"port": _port},
    "started": {},
    "ready": {},
    "failed": {"message": _text, "secondary": _flag, "clock": _maybe(_number)},
    "finished": {},
}
"""The fields that each event must have; others are ignored."""

ANSWERS: t.Mapping[str, t.Mapping[str, Check]] = {
    "send": {**_COPIED, "free_space": _list(_list(_PART))},
    "receive": _COPIED,
    "examine": {
        "python": _tuple(_whole, _whole, _whole), "tls13": _flag, "openssl": _text, "cpus": _whole, "root": _flag, "clock": _number,
        "cluster": _maybe(_text), "tools": _map(_flag), "cipher_bypassing": _maybe(_flag), "cipher_problems": _list(_text),
        "free": _maybe(_whole), "disks": _maybe(_list(_DISK)),
    },
    "count_free": {"data": _whole, "idle": _whole, "free_space": _list(_list(_PART))},
    "echo": {},
    "ping": {},
    "measure_tools": {"sample": _whole, "tools": _map(_tuple(_number, _number, _number))},
    "flood": {"rate": _number},
    "sink": {"bytes": _whole},
}  # fmt: skip
"""What the event ``finished`` holds, by the command that was asked."""


def parse(line: bytes, command: str, node: str) -> Event:
    """The event in a line of *node*'s endpoint, which serves *command*; raise StreamFailed, naming the node, for anything else."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        raise StreamFailed(f"Node {node} answered with something else than JSON: {_shown(line)} Does a login script print that?") from None
    kind = event.get("event") if isinstance(event, dict) else None
    if not isinstance(kind, str) or kind not in EVENTS:
        raise StreamFailed(f"Node {node} answered with something that no endpoint says: {_shown(line)}")
    for name, check in {**EVENTS[kind], **(ANSWERS[command] if kind == "finished" else {})}.items():
        if name not in event or not check(event[name]):
            raise StreamFailed(f"Node {node} answered with a wrong {name} in its event {kind}: {_shown(line)}")
    if kind == "failed":
        event["message"] = printable(event["message"])
    return t.cast(Event, event)


def printable(text: str) -> str:
    """*text* without anything that a terminal would act on."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text)


def _shown(line: bytes) -> str:
    text = printable(line[:120].decode("utf-8", "replace")).replace("\n", " ").strip()
    return f"{text}{' ...' if len(line) > 120 else ''}".rstrip(".") + "."
