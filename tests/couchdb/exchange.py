# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A request and its answer, as the parts of the server see them."""

from __future__ import annotations

import dataclasses
import typing as t

from .accounts import User
from .errors import BadRequest, HttpError, MethodNotAllowed, NotImplementedHere
from .json_text import loads


class Answer(t.NamedTuple):
    """What is sent back; *value* becomes JSON."""

    status: int
    value: t.Any
    headers: tuple[tuple[str, str], ...] = ()


@dataclasses.dataclass
class Request:
    """What a client sent. A HEAD is a GET here; what is sent back loses its body at the end."""

    method: str
    parts: list[str]  # of the path, decoded
    query: dict[str, str]
    headers: t.Mapping[str, str]
    body: bytes
    user: User
    proof: t.Optional[str]  # how the user proved who they are
    base: str  # the URL of this server
    address: str  # of the client
    used: bool = False  # whether the body was looked at

    def json(self) -> t.Any:
        """The body."""
        self.used = True
        try:
            return loads(self.body)
        except (ValueError, RecursionError):
            raise BadRequest("invalid UTF-8 JSON") from None

    def json_object(self) -> dict[str, t.Any]:
        """The body, which must be an object."""
        value = self.json()
        if not isinstance(value, dict):
            raise BadRequest("Request body must be a JSON object")
        return value

    def require_json_type(self) -> None:
        """Refuse a body that does not say to be JSON."""
        if self.headers.get("Content-Type", "").split(";")[0].strip() != "application/json":
            raise HttpError(415, "bad_content_type", "Content-Type must be application/json")

    def require_method(self, *methods: str) -> None:
        """Refuse other methods."""
        if self.method not in methods:
            raise MethodNotAllowed(",".join(methods))

    def only(self, *names: str) -> None:
        """Refuse parameters that this server does not know: to ignore one would be to pretend."""
        for name in self.query:
            if name not in names:
                raise NotImplementedHere(f"parameter {name!r} for this request")

    def flag(self, name: str, default: bool = False) -> bool:
        """A parameter that is true or false."""
        value = self.query.get(name)
        if value is None:
            return default
        if value not in ("true", "false"):
            raise BadRequest(f'Invalid boolean parameter: "{value}"', "query_parse_error")
        return value == "true"

    def number(self, name: str) -> t.Optional[int]:
        """A parameter that is a number and not negative."""
        value = self.query.get(name)
        if value is None:
            return None
        if not value.isascii() or not value.isdigit():
            raise BadRequest(f'Invalid value for integer: "{value}"', "query_parse_error")
        return int(value)

    def json_parameter(self, *names: str) -> t.Any:
        """A parameter whose value is JSON, under any of its names; None if it is not there."""
        for name in names:
            if name in self.query:
                try:
                    return loads(self.query[name])
                except ValueError:
                    raise BadRequest("invalid UTF-8 JSON") from None
        return None
