# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""The start of an SSH connection: being sure of the host, and being let in."""

from __future__ import annotations

import base64
import hashlib
import os
from typing import Any, Iterator, List, Optional, Sequence, Tuple

from .._errors import AuthenticationFailed, HostKeyUnknown, InvalidInput
from .ssh_target import KnownKey, Target

try:
    import paramiko
except ImportError:
    pass

_DEFAULT_KEYS = ("~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa")
#: Keys of the type ssh-rsa sign with these (RFC 8332).
_RSA_SIGNATURES = ("rsa-sha2-512", "rsa-sha2-256", "ssh-rsa")


def words(error: Optional[BaseException]) -> str:
    """An exception's text in one line; its kind where it has none."""
    text = (getattr(error, "strerror", None) or str(error or "")).strip()
    return " ".join(text.split()) or ("the connection was closed" if isinstance(error, EOFError) else type(error).__name__)


def prefer_key_types(transport: Any, known_types: Sequence[str]) -> None:
    """Ask for the types of host key that are known first: a host has several, any of which it may show."""
    wanted = set(known_types)
    if "ssh-rsa" in wanted:
        wanted.update(_RSA_SIGNATURES)
    offered = transport.get_security_options()
    offered.key_types = tuple(sorted(offered.key_types, key=lambda key_type: key_type not in wanted))


def check_host_key(target: Target, key: Any, known: Sequence[KnownKey]) -> None:
    """Raise HostKeyUnknown unless the key that the host showed is one that is known to be its own."""
    blob = key.asbytes()
    shown = f"{key.get_name()} {fingerprint(blob)}"
    file = target.known_hosts[0]
    name = target.key_names[0]
    if any(one.revoked and one.blob == blob for one in known):
        raise HostKeyUnknown(f"The host key of {target.name} ({shown}) is marked as revoked: do not trust this host")
    trusted = [one for one in known if not one.revoked]
    if any(one.blob == blob for one in trusted):
        return
    if trusted:
        raise HostKeyUnknown(
            f"The host key of {target.name} ({shown}) is not the one in {file}: the host was installed anew, or "
            f"somebody else answers. Verify it, then remove the old one with: ssh-keygen -R '{name}' -f {file}"
        )
    scan = f"ssh-keyscan -p {target.port} {target.hostname}" if target.port != 22 else f"ssh-keyscan {target.hostname}"
    raise HostKeyUnknown(f"The host key of {target.name} ({shown}) is not in {file}: verify it and add it with: {scan} >> {file}")


def fingerprint(blob: bytes) -> str:
    """A key's fingerprint as ssh-keygen -l shows it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode("ascii").rstrip("=")


def authenticate(transport: Any, target: Target, use_agent: bool, password: Optional[str]) -> None:
    """Log in with keys, then with the password where there is one. Raises AuthenticationFailed.

    Keys that were named come first: a server lets one try only so many (sshd: MaxAuthTries, 6 by default).
    """
    tried: List[str] = []
    keys = _Keys(target, use_agent)
    try:
        for label, key in keys:
            tried.append(label)
            if _try(transport.auth_publickey, target.user, key):
                return
        if password:
            tried.append("the password")
            if _try(transport.auth_password, target.user, password):
                return
    except (paramiko.SSHException, EOFError, OSError) as error:
        raise AuthenticationFailed(
            f"{target.name} closed the connection while {target.user} was logging in, after {', '.join(tried) or 'no key'}: {words(error)}"
        ) from error
    finally:
        keys.close()
    skipped = "".join(f"; {note}" for note in keys.skipped)
    raise AuthenticationFailed(
        f"{target.name} does not let {target.user} in with {', '.join(tried) or 'no key at all'}{skipped}: "
        f"add a public key to {target.user}'s authorized_keys there, or name the right user and private key"
    )


def _try(method: Any, user: str, credential: Any) -> bool:
    """Whether this credential is enough."""
    try:
        return not method(user, credential)
    except paramiko.AuthenticationException as error:
        # A server that has closed the connection will not look at another one.
        if isinstance(error, paramiko.BadAuthenticationType) or method.__self__.is_active():
            return False
        raise


class _Keys:
    """The private keys to try, in order, each with words for messages; ``skipped`` says which were of no use and why."""

    def __init__(self, target: Target, use_agent: bool) -> None:
        self._target = target
        self._use_agent = use_agent
        self._agent: Any = None
        self.skipped: List[str] = []

    def __iter__(self) -> Iterator[Tuple[str, Any]]:
        target = self._target
        yield from self._files(target.key_files, target.required_key)
        if self._use_agent and not target.identities_only:
            yield from self._from_agent()
        if not target.key_files and not target.identities_only:
            yield from self._files([os.path.expanduser(path) for path in _DEFAULT_KEYS], None)

    def close(self) -> None:
        if self._agent is not None:
            self._agent.close()

    def _files(self, paths: Sequence[str], required: Optional[str]) -> Iterator[Tuple[str, Any]]:
        for path in dict.fromkeys(paths):
            if path == required and not os.path.exists(path):
                raise InvalidInput(f"The private key file {path} does not exist")
            if os.path.exists(path):
                key = self._load(path)
                if key is not None:
                    yield f"the key {path}", key

    def _load(self, path: str) -> Optional[Any]:
        for kind in (paramiko.Ed25519Key, paramiko.RSAKey, paramiko.ECDSAKey):
            try:
                return kind.from_private_key_file(path)
            except paramiko.PasswordRequiredException:
                self.skipped.append(f"the key {path} is encrypted, load it into an agent (ssh-add)")
                return None
            except OSError as error:
                self.skipped.append(f"the key {path} cannot be read ({error.strerror})")
                return None
            except (paramiko.SSHException, ValueError):
                continue
        self.skipped.append(f"{path} is no private key of a kind that is supported")
        return None

    def _from_agent(self) -> Iterator[Tuple[str, Any]]:
        try:
            self._agent = paramiko.Agent()
            for number, key in enumerate(self._agent.get_keys(), 1):
                yield f"the agent's key {number}", key
        except (paramiko.SSHException, OSError) as error:
            self.skipped.append(f"the SSH agent does not answer ({words(error)})")
