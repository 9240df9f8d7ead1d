# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""Where and as whom to connect by SSH: the options, the user's configuration, and the host keys that are known.

Reads files, opens no connection. As ssh(1) does, with these limits: ``Include`` works before the first ``Host`` or
``Match``, and ``StrictHostKeyChecking`` is always yes.
"""

from __future__ import annotations

import base64
import binascii
import fnmatch
import getpass
import glob
import hashlib
import hmac
import os
import re
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from .._errors import GanetiError, InvalidInput

try:
    import paramiko
except ImportError:
    HAS_PARAMIKO = False
else:
    HAS_PARAMIKO = True

_MAX_JUMPS = 8
_MAX_INCLUDES = 16
_GLOBAL_KNOWN_HOSTS = "/etc/ssh/ssh_known_hosts"
#: Names of hosts and users, IP addresses; nothing that means something in a configuration file.
_NAME = re.compile(r"[\w.:%@+-]+")
_JUMP = re.compile(r"(?:ssh://)?(?:(?P<user>[^@\s]+)@)?(?P<host>\[[^\]]+\]|[^:@\s]+)(?::(?P<port>\d+))?")


def require_paramiko() -> None:
    """Raise GanetiError where the library is missing."""
    if not HAS_PARAMIKO:
        raise GanetiError("paramiko is missing on the controller: pip install paramiko")


class Target(NamedTuple):
    """One host and the way to it. ``key_names`` are the names that its host key may be known under,
    ``required_key`` is the one of the key files that the caller named and that must therefore exist."""

    name: str
    hostname: str
    port: int
    user: str
    key_files: Tuple[str, ...]
    required_key: Optional[str]
    known_hosts: Tuple[str, ...]
    key_names: Tuple[str, ...]
    identities_only: bool
    via: Optional[Target]
    proxy_command: Optional[str]


class KnownKey(NamedTuple):
    """A line of a known_hosts file that speaks of a host."""

    key_type: str
    blob: bytes
    revoked: bool


def load_config(path: Optional[str]) -> str:
    """The text of the user's SSH configuration; without a path ~/.ssh/config, if there is one.

    Raises InvalidInput for a file that cannot be read.
    """
    file = os.path.expanduser(path or "~/.ssh/config")
    if not path and not os.path.exists(file):
        return ""
    try:
        return "\n".join(_config_lines(file, os.path.dirname(file), 0))
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"The SSH configuration {file} cannot be read: {error}") from error


def _config_lines(file: str, base: str, depth: int) -> Iterator[str]:
    """The file's lines with its leading Include directives carried out (paramiko knows none)."""
    if depth > _MAX_INCLUDES:
        raise InvalidInput(f"The SSH configuration {file} includes itself")
    top = True
    with open(file, encoding="utf-8") as lines:
        for line in lines:
            words = line.replace("=", " ", 1).split()
            keyword = words[0].lower() if words else ""
            top = top and keyword not in ("host", "match")
            if top and keyword == "include":
                for pattern in words[1:]:
                    for path in sorted(glob.glob(os.path.join(base, os.path.expanduser(pattern)))):
                        yield from _config_lines(path, base, depth + 1)
                # What follows belongs to all hosts again, whatever the included file ended with.
                yield "Host *"
            elif keyword != "include":
                yield line.rstrip("\n")


def resolve(name: str, options: Mapping[str, Any], config: str) -> Target:
    """The target for a host's name: options first, then the configuration, then defaults (user root).

    Options for user, port and password are meant for the host itself, not for jump hosts on the way.
    """
    return _resolve(name, options, config, options.get("user"), options.get("port"), None, 0)


def _resolve(
    name: str, options: Mapping[str, Any], config: str, user: Optional[str], port: Optional[int], jumps: Optional[List[str]], depth: int
) -> Target:
    if depth > _MAX_JUMPS:
        raise InvalidInput(f"The SSH configuration sends the way to {name} in a circle, or over more than {_MAX_JUMPS} jump hosts")
    entry = _lookup(config, name, user, port)
    hostname = str(entry.get("hostname", name))
    number = int(port or entry.get("port") or 22)
    proxy_command = None
    if jumps is None:
        jumps = _jump_list(entry.get("proxyjump"))
        if not jumps and str(entry.get("proxycommand", "none")).lower() != "none":
            proxy_command = str(entry["proxycommand"])
    via = _jump(jumps, options, config, depth) if jumps else None
    key_file = os.path.expanduser(options.get("private_key_file") or "") or None
    keys = ([key_file] if key_file else []) + list(entry.get("identityfile", []))
    default_user = "root" if depth == 0 else getpass.getuser()
    return Target(
        name=name,
        hostname=hostname,
        port=number,
        user=str(user or entry.get("user") or default_user),
        key_files=tuple(os.path.expanduser(key) for key in keys),
        required_key=key_file,
        known_hosts=_known_hosts_files(options, entry),
        key_names=_key_names(name, hostname, number, entry.get("hostkeyalias")),
        identities_only=str(entry.get("identitiesonly", "no")).lower() == "yes",
        via=via,
        proxy_command=proxy_command,
    )


def _lookup(config: str, name: str, user: Optional[str], port: Optional[int]) -> Dict[str, Any]:
    """What the configuration says about a host, with user and port put first so that %r and %p mean them."""
    if not _NAME.fullmatch(name) or (user and not _NAME.fullmatch(user)):
        raise InvalidInput(f"{name if not _NAME.fullmatch(name) else user!r} is no name for SSH: it has spaces or other characters in it")
    first = [f"Host {name}"] + ([f"User {user}"] if user else []) + ([f"Port {port}"] if port else []) + ["Host *"]
    try:
        return dict(paramiko.SSHConfig.from_text("\n".join(first) + "\n" + config).lookup(name))
    except (paramiko.SSHException, ImportError) as error:
        # ImportError: paramiko runs "Match exec" with a library of its own.
        raise InvalidInput(f"The SSH configuration cannot be applied to {name}: {error}") from error


def _jump_list(value: Optional[str]) -> List[str]:
    if not value or value.lower() == "none":
        return []
    return [jump.strip() for jump in value.split(",")]


def _jump(jumps: Sequence[str], options: Mapping[str, Any], config: str, depth: int) -> Target:
    """The last of the jump hosts, reached through those before it; only the first may have a jump of its own."""
    match = _JUMP.fullmatch(jumps[-1])
    if match is None:
        raise InvalidInput(f"{jumps[-1]} is no jump host: user@host:port")
    before = list(jumps[:-1])
    port = int(match["port"]) if match["port"] else None
    return _resolve(match["host"].strip("[]"), options, config, match["user"], port, before or None, depth + 1)


def _known_hosts_files(options: Mapping[str, Any], entry: Mapping[str, Any]) -> Tuple[str, ...]:
    given = options.get("known_hosts_file")
    if given:
        return (os.path.expanduser(str(given)),)
    own = str(entry.get("userknownhostsfile", "~/.ssh/known_hosts ~/.ssh/known_hosts2")).split()
    everybodys = str(entry.get("globalknownhostsfile", _GLOBAL_KNOWN_HOSTS)).split()
    return tuple(os.path.expanduser(file.strip('"')) for file in own + everybodys)


def _key_names(name: str, hostname: str, port: int, alias: Optional[str]) -> Tuple[str, ...]:
    if alias:
        return (alias.lower(),)
    names = dict.fromkeys((hostname.lower(), name.lower()))
    return tuple(one if port == 22 else f"[{one}]:{port}" for one in names)


def known_keys(files: Sequence[str], names: Sequence[str]) -> List[KnownKey]:
    """What the files say about a host: all lines that match one of its names. Missing files say nothing."""
    found: List[KnownKey] = []
    for file in files:
        try:
            with open(file, "rb") as lines:
                for line in lines:
                    key = _known_key(line.decode("utf-8", "replace").split(), names)
                    if key is not None:
                        found.append(key)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise InvalidInput(f"The file of known hosts {file} cannot be read: {error.strerror}") from error
    return found


def _known_key(words: List[str], names: Sequence[str]) -> Optional[KnownKey]:
    """One line (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT), or None where it is about others or about no key."""
    marker = words.pop(0) if words and words[0].startswith("@") else ""
    if len(words) < 3 or words[0].startswith("#") or marker not in ("", "@revoked"):
        return None
    if not any(_names_host(words[0], name) for name in names):
        return None
    try:
        return KnownKey(words[1], base64.b64decode(words[2], validate=True), bool(marker))
    except binascii.Error:
        return None


def _names_host(pattern: str, name: str) -> bool:
    """Whether a host field matches: hashed names, or comma separated patterns of which "!" ones exclude."""
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
