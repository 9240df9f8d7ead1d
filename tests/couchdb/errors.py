# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the server refuses, in the words of CouchDB."""

from __future__ import annotations


class HttpError(Exception):
    """An answer that is not a success."""

    def __init__(self, status: int, error: str, reason: str) -> None:
        super().__init__(f"{status} {error}: {reason}")
        self.status = status
        self.error = error
        self.reason = reason


class BadRequest(HttpError):
    """The request makes no sense."""

    def __init__(self, reason: str, error: str = "bad_request") -> None:
        super().__init__(400, error, reason)


class Unauthorized(HttpError):
    """Nobody has logged in, or not with the right password."""

    def __init__(self, reason: str) -> None:
        super().__init__(401, "unauthorized", reason)


class Forbidden(HttpError):
    """Who has logged in may not do this."""

    def __init__(self, reason: str) -> None:
        super().__init__(403, "forbidden", reason)


class NotFound(HttpError):
    """There is no such thing."""

    def __init__(self, reason: str = "missing") -> None:
        super().__init__(404, "not_found", reason)


class MethodNotAllowed(HttpError):
    """There is such a thing, but not with this method."""

    def __init__(self, allowed: str) -> None:
        super().__init__(405, "method_not_allowed", f"Only {allowed} allowed")


class Conflict(HttpError):
    """The document has changed meanwhile."""

    def __init__(self) -> None:
        super().__init__(409, "conflict", "Document update conflict.")


class NotImplementedHere(HttpError):
    """CouchDB has it and this server has not. It says so instead of pretending."""

    def __init__(self, what: str) -> None:
        super().__init__(501, "not_implemented", f"The stand-in for CouchDB has no {what}; use a real server.")
