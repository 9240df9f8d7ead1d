# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Files of known hosts, read for connections that paramiko carries; OpenSSH reads its own.

The format is that of sshd(8), SSH_KNOWN_HOSTS FILE FORMAT, without certificate authorities, which paramiko cannot make use of: a host that is
known by nothing but its authority is not known here.
"""

from __future__ import annotations

import base64
import binascii
import fnmatch
import hashlib
import hmac
import typing as t

from .._errors import InvalidInput


class KnownKey(t.NamedTuple):
    """A line that speaks of a host."""

    key_type: str
    blob: bytes
    revoked: bool


def known_keys(files: t.Sequence[str], name: str) -> t.List[KnownKey]:
    """What the files say about a host: all lines that match its name, ``[name]:port`` for another port than 22. Missing files say nothing."""
    found: t.List[KnownKey] = []
    for file in files:
        try:
            with open(file, "rb") as lines:
                for line in lines:
                    key = _known_key(line.decode("utf-8", "replace").split(), name.lower())
                    if key is not None:
                        found.append(key)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise InvalidInput(f"The file of known hosts {file} cannot be read: {error.strerror}.") from error
    return found


def _known_key(fields: t.List[str], name: str) -> t.Optional[KnownKey]:
    """One line, or None where it is about others or about no key."""
    marker = fields.pop(0) if fields and fields[0].startswith("@") else ""
    if len(fields) < 3 or fields[0].startswith("#") or marker not in ("", "@revoked"):
        return None
    if not _names_host(fields[0], name):
        return None
    try:
        return KnownKey(fields[1], base64.b64decode(fields[2], validate=True), bool(marker))
    except binascii.Error:
        return None


def _names_host(pattern: str, name: str) -> bool:
    """Whether a host field matches: a hashed name, or comma separated patterns of which "!" ones exclude."""
    if pattern.startswith("|1|"):
        return _hash_matches(pattern, name)
    matched = False
    for part in pattern.lower().split(","):
        wanted = part.lstrip("!")
        # Square brackets are part of "[host]:port" here, not of a pattern.
        if fnmatch.fnmatchcase(name, wanted.replace("[", "[[]")):
            if part.startswith("!"):
                return False
            matched = True
    return matched


def _hash_matches(pattern: str, name: str) -> bool:
    try:
        salt, digest = (base64.b64decode(part, validate=True) for part in pattern.split("|")[2:4])
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(hmac.new(salt, name.encode("utf-8"), hashlib.sha1).digest(), digest)
