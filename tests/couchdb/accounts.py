# Copyright (c) 2026, the ganeti.cluster authors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who a request comes from, and what they may do."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
import threading
import time
import typing as t
from pathlib import Path

from .errors import BadRequest, Forbidden, HttpError, NotFound, Unauthorized

if t.TYPE_CHECKING:
    from .database import Database

PREFIX = "org.couchdb.user:"
COOKIE = "AuthSession"
SESSION_SECONDS = 600
LOCK_FAILURES = 5
LOCK_SECONDS = 300
ITERATIONS = 1000  # fewer than in CouchDB: these passwords are of tests
HASHED = "-pbkdf2:sha256-"
DERIVED = ("password_scheme", "pbkdf2_prf", "salt", "iterations", "derived_key")


class User(t.NamedTuple):
    """Whoever sent a request; nobody has no name."""

    name: t.Optional[str]
    roles: tuple[str, ...]

    @property
    def is_admin(self) -> bool:
        """Whether this is an administrator of the server."""
        return "_admin" in self.roles


NOBODY = User(None, ())


def _derive(password: str, salt: str, iterations: int) -> str:
    return hashlib.pbkdf2_hmac("sha256", password.encode(), salt.encode(), iterations).hex()


def hash_password(body: dict[str, t.Any]) -> dict[str, t.Any]:
    """The document of a user with the password replaced by what checks it."""
    if body.get("password") is None:
        return body
    salt = os.urandom(16).hex()
    values = ("pbkdf2", "sha256", salt, ITERATIONS, _derive(body["password"], salt, ITERATIONS))
    return {**dict(zip(DERIVED, values)), **{key: value for key, value in body.items() if key not in DERIVED and key != "password"}}


def check_user_document(name: str, body: dict[str, t.Any]) -> None:
    """What CouchDB's validation function of ``_users`` demands."""
    if body.get("type") != "user":
        raise Forbidden("doc.type must be user")
    if not body.get("name"):
        raise Forbidden("doc.name is required")
    if not isinstance(body.get("roles"), list):
        raise Forbidden("doc.roles must be an array")
    if name != PREFIX + body["name"]:
        raise Forbidden("Doc ID must be of the form org.couchdb.user:name")
    if any(not isinstance(role, str) or role.startswith("_") for role in body["roles"]):
        raise Forbidden("No system roles (starting with underscore) in users db.")


def hash_admin(password: str) -> str:
    """What CouchDB puts in the place of an administrator's password in its configuration."""
    salt = os.urandom(16).hex()
    return f"{HASHED}{_derive(password, salt, ITERATIONS)},{salt},{ITERATIONS}"


class Accounts:
    """The administrators, the users of the ``_users`` database and their sessions."""

    def __init__(self, admins: t.Mapping[str, str], users: Database, secret: bytes, locks: bool = True) -> None:
        """*admins* holds passwords, or what `hash_admin` makes of them, by name; *locks* tells whether wrong passwords lock a user."""
        self._admins = admins
        self._locks = locks
        self._users = users
        self._secret = secret
        self._lock = threading.Lock()
        self._failures: dict[tuple[str, str], list[float]] = {}
        self._checked: set[tuple[str, str, str]] = set()  # so that a password is not derived anew for each request

    @staticmethod
    def secret(path: Path) -> bytes:
        """The key of cookies, made at the first start, so that they stay valid over a restart."""
        if not path.exists():
            with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
                file.write(os.urandom(32).hex().encode())
        return path.read_bytes()

    def _user_document(self, name: str) -> t.Optional[dict[str, t.Any]]:
        try:
            with self._users.changed:
                body = self._users.show(PREFIX + name)
        except NotFound:
            return None
        return None if body.get("_deleted") else body

    def check(self, name: str, password: str, address: str) -> User:
        """The user of that name, if that is their password. Five failures lock the name for that address."""
        with self._lock:
            recent = [when for when in self._failures.get((name, address), []) if when > time.monotonic() - LOCK_SECONDS]
            self._failures[name, address] = recent
        if self._locks and len(recent) >= LOCK_FAILURES:
            raise Forbidden("Account is temporarily locked due to multiple authentication failures")
        user = self._authenticate(name, password)
        if user is None:
            with self._lock:
                self._failures[name, address].append(time.monotonic())
            raise Unauthorized("Name or password is incorrect.")
        return user

    def _authenticate(self, name: str, password: str) -> t.Optional[User]:
        if name in self._admins:
            return User(name, ("_admin",)) if self._is_admin(name, password) else None
        body = self._user_document(name)
        if body is None or "derived_key" not in body or not self._matches(name, password, body):
            return None
        return User(name, tuple(body["roles"]))

    def _is_admin(self, name: str, password: str) -> bool:
        known = self._admins[name]
        if not known.startswith(HASHED):
            return hmac.compare_digest(password.encode(), known.encode())
        derived, salt, iterations = known[len(HASHED) :].split(",")
        return self._matches(name, password, {"derived_key": derived, "salt": salt, "iterations": int(iterations)})

    def _matches(self, name: str, password: str, body: dict[str, t.Any]) -> bool:
        key = (name, password, body["derived_key"])
        with self._lock:
            if key in self._checked:
                return True
        if not hmac.compare_digest(_derive(password, body["salt"], body["iterations"]), body["derived_key"]):
            return False
        with self._lock:
            self._checked.add(key)
        return True

    def identify(self, authorization: t.Optional[str], cookies: str, address: str) -> tuple[User, t.Optional[str]]:
        """Who sent a request, and by which means they proved it."""
        if authorization is not None:
            scheme, _space, encoded = authorization.partition(" ")
            if scheme.lower() != "basic":
                return NOBODY, None
            try:
                name, _colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                raise BadRequest("Authorization header has invalid base64 value") from None
            return self.check(name, password, address), "default"
        match = re.search(rf"(?:^|;\s*){COOKIE}=([^;]+)", cookies)
        if match:
            user = self._from_cookie(match[1])
            return user, "cookie" if user.name else None
        return NOBODY, None

    def _sign(self, name: str, stamp: str) -> str:
        document = self._user_document(name)
        salt = document["salt"] if document and "salt" in document else self._admins.get(name, "")
        return hmac.new(self._secret + salt.encode(), f"{name}:{stamp}".encode(), hashlib.sha256).hexdigest()

    def cookie(self, user: User) -> str:
        """A cookie for someone whose password was right."""
        stamp = f"{int(time.time()):X}"
        text = f"{user.name}:{stamp}:{self._sign(str(user.name), stamp)}"
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    def _from_cookie(self, value: str) -> User:
        try:
            text = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).decode()
            name, stamp, signature = text.rsplit(":", 2)
            age = time.time() - int(stamp, 16)
        except (binascii.Error, UnicodeDecodeError, ValueError):
            raise BadRequest("Malformed AuthSession cookie. Please clear your cookies.") from None
        if age > SESSION_SECONDS or not hmac.compare_digest(signature, self._sign(name, stamp)):
            return NOBODY
        if name in self._admins:
            return User(name, ("_admin",))
        document = self._user_document(name)
        return User(name, tuple(document["roles"])) if document else NOBODY


def _listed(user: User, group: t.Mapping[str, t.Any]) -> bool:
    return user.is_admin or user.name in group.get("names", []) or bool(set(user.roles) & set(group.get("roles", [])))


def is_database_admin(user: User, security: t.Mapping[str, t.Any]) -> bool:
    """Whether the user may administer a database."""
    return _listed(user, security.get("admins", {}))


def require_member(user: User, security: t.Mapping[str, t.Any]) -> None:
    """Refuse whoever may not read a database; one without members is open to all."""
    members = security.get("members", {})
    public = not members.get("names") and not members.get("roles")
    if not (public or is_database_admin(user, security) or _listed(user, members)):
        raise denied(user, "You are not authorized to access this db.", "You are not allowed to access this db.")


def require_admin(user: User) -> None:
    """Refuse whoever is not the administrator of the server."""
    if not user.is_admin:
        raise Unauthorized("You are not a server admin.")


def require_database_admin(user: User, security: t.Mapping[str, t.Any]) -> None:
    """Refuse whoever does not administer a database."""
    if not is_database_admin(user, security):
        raise Unauthorized("You are not a server or db admin.")


def denied(user: User, nobody: str, somebody: str) -> HttpError:
    """The refusal, which differs by whether someone has logged in at all."""
    return Unauthorized(nobody) if user.name is None else Forbidden(somebody)
