# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""JSON as CouchDB reads and writes it: compact UTF-8, the order of keys kept, integers of any size."""

from __future__ import annotations

import json
import math
import re
import typing as t

SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def _number(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text} is too large")
    return value


def _constant(text: str) -> t.NoReturn:
    raise ValueError(f"{text} is not JSON")


def _object(pairs: list[tuple[str, t.Any]]) -> dict[str, t.Any]:
    value = dict(pairs)
    if len(value) == len(pairs):
        return value
    value = {}
    for name, member in pairs:  # of members with the same name the last counts, and where it stands
        value.pop(name, None)
        value[name] = member
    return value


_DECODER = json.JSONDecoder(parse_float=_number, parse_constant=_constant, object_pairs_hook=_object)
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def loads(data: t.Union[bytes, str]) -> t.Any:
    """The value of a JSON text; ValueError if it is none."""
    text = data.decode("utf-8") if isinstance(data, bytes) else data
    value = _DECODER.decode(text)
    if SURROGATE.search(text):
        dumps(value).encode("utf-8")  # half a pair is no text
    return value


def dumps(value: t.Any) -> str:
    """The value as text on one line."""
    return _ENCODER.encode(value)
