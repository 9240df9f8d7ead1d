# Copyright (c) 2026, the ganeti.cluster authors
# Simplified BSD License (see LICENSES/BSD-2-Clause.txt or https://opensource.org/licenses/BSD-2-Clause)
# SPDX-License-Identifier: BSD-2-Clause

"""What OpenSSH wrote when it could not connect, as one sentence: what happened, to which host, what to do.

The text is all that OpenSSH and the OpenSSH of the jump hosts wrote, with ``LogLevel DEBUG1``. Where a jump fails, the host behind it only
says that its connection was closed; so kinds of failure are tried in an order, and the first that fits is the cause.
"""

from __future__ import annotations

import re
import shlex
import typing as t

from .._errors import AuthenticationFailed, ConnectionFailed, GanetiError, HostKeyUnknown, InvalidInput
from .ssh_settings import HostSettings

_LONGEST = 300
_SECONDARY = re.compile(r"kex_exchange_identification: |ssh_exchange_identification: |banner exchange: |Connection (?:closed|reset) by ")
"""What OpenSSH says because somebody else ended the connection, who may have said why."""
_NEWS = re.compile(r"debug\d: |Killed by signal |Transferred: |Bytes per second: |Authenticated to ")
"""What it says of connections that work, and of the one that we end."""


class NameUnresolved(ConnectionFailed):
    """A host's name has no address, here or where the last jump host is."""


def explain(settings: HostSettings, text: str) -> GanetiError:
    """The error for a connection to ``settings.name`` that OpenSSH could not make."""
    said = text.replace("\r", "")
    for pattern, make in _KINDS:
        match = re.search(pattern, said, re.MULTILINE)
        if match is not None:
            return make(settings, match, said)
    return ConnectionFailed(f"{_host(settings)} cannot be reached by SSH: {last_words(said) or 'OpenSSH does not say why'}.")


def last_words(text: str) -> str:
    """The last line that says why something ended, without its full stop."""
    lines = [line.strip() for line in text.replace("\r", "").splitlines() if line.strip() and not _NEWS.match(line)]
    causes = [line for line in lines if not _SECONDARY.match(line)] or lines
    return causes[-1][-_LONGEST:].rstrip(".") if causes else ""


def reason(error: BaseException) -> str:
    """Why something failed, in one line without a full stop; the kind of exception where it does not say."""
    text = str(getattr(error, "strerror", None) or error).strip()
    return " ".join(text.split()).rstrip(".") or ("the connection was closed" if isinstance(error, EOFError) else type(error).__name__)


def scan(settings: HostSettings) -> str:
    """The command that shows a host's keys, as they are seen from where its connection comes from."""
    argv = ["ssh-keyscan"] + (["-p", str(settings.port)] if settings.port != 22 else []) + [settings.hostname]
    if settings.proxy_jump:
        argv = ["ssh", settings.proxy_jump.rpartition(",")[2], *argv]
    return shlex.join(argv)


def _host(settings: HostSettings) -> str:
    return settings.name if settings.hostname == settings.name else f"{settings.name} ({settings.hostname})"


def _is_target(settings: HostSettings, name: str) -> bool:
    return name.lower() in (settings.key_name.lower(), settings.hostname.lower(), settings.name.lower())


def _on_the_way(settings: HostSettings, name: str) -> str:
    """A host as OpenSSH calls it, in words; it may be a jump host."""
    return settings.name if _is_target(settings, name) else f"{name} (on the way to {settings.name})"


def _shown_key(said: str) -> str:
    """The last key that a host showed: the one that was not accepted."""
    keys = re.findall(r"^debug1: Server host (?:key|certificate): (\S+) (\S+?),?(?:\s|$)", said, re.MULTILINE)
    return f" ({' '.join(keys[-1])})" if keys else ""


def _changed(settings: HostSettings, match: t.Match[str], said: str) -> GanetiError:
    name = match[1]
    where = re.search(r"^Offending \S+ key in (.+):(\d+)$", said, re.MULTILINE)
    file = where[1] if where else settings.known_hosts[0]
    line = f", line {where[2]}" if where else ""
    return HostKeyUnknown(
        f"The host key of {_on_the_way(settings, name)}{_shown_key(said)} is not the one in {file}{line}: the host was installed anew, or somebody "
        f"else answers. Verify it, then remove the old one with: {shlex.join(['ssh-keygen', '-R', name, '-f', file])}"
    )


def _revoked(settings: HostSettings, match: t.Match[str], said: str) -> GanetiError:
    return HostKeyUnknown(f"The host key of {settings.name}{_shown_key(said)} is marked as revoked: do not trust this host.")


def _unknown(settings: HostSettings, match: t.Match[str], said: str) -> GanetiError:
    name = match[1]
    start = f"The host key of {_on_the_way(settings, name)}{_shown_key(said)}"
    file = settings.known_hosts[0] if settings.known_hosts else "none"
    if file in ("/dev/null", "none"):
        return HostKeyUnknown(f"{start} is not known, and the SSH configuration keeps none (UserKnownHostsFile {file}): name one with known_hosts_file.")
    if not _is_target(settings, name):
        return HostKeyUnknown(f"{start} is not in {file}: verify it and add it.")
    if settings.proxy_command:
        return HostKeyUnknown(f"{start} is not in {file}: verify it on the host, in /etc/ssh, and add it under the name {settings.key_name}.")
    return HostKeyUnknown(f"{start} is not in {file}: verify it and add it with: {scan(settings)} >> {shlex.quote(file)}")


def _certificate(settings: HostSettings, match: t.Match[str], said: str) -> GanetiError:
    return HostKeyUnknown(
        f"The host certificate of {settings.name}{_shown_key(said)} does not hold: {match[1].strip()}. Have the authority sign a new one for this name."
    )


def _not_verified(settings: HostSettings, match: t.Match[str], said: str) -> GanetiError:
    return HostKeyUnknown(f"The host key of {settings.name}{_shown_key(said)} was not accepted: {match[0].rstrip('.')}.")


def _denied(settings: HostSettings, match: t.Match[str], said: str) -> GanetiError:
    who = re.match(r"(\S+)@(\S+): ", match[0])
    user, name = (who[1], _on_the_way(settings, who[2])) if who else (settings.user, settings.name)
    offered = list(dict.fromkeys(re.findall(r"^debug1: Offering public key: (.+?) \S+ SHA256:", said, re.MULTILINE)))
    unprotected = re.search(r"Permissions \S+ for '(.+)' are too open", said)
    if unprotected:
        return AuthenticationFailed(f"The private key {unprotected[1]} can be read by others, so OpenSSH does not use it: chmod 600 it.")
    accepted = re.findall(r"^debug1: Server accepts key: (.+?) \S+ SHA256:", said, re.MULTILINE)
    if accepted and "Authenticated to" not in said.rpartition("debug1: Server accepts key: ")[2]:
        return AuthenticationFailed(
            f"{name} would let {user} in with the key {accepted[-1]}, but it cannot be used without its passphrase: load it into an agent with: ssh-add"
        )
    keys = "no key at all" if not offered else "the " + ("key " if len(offered) == 1 else "keys ") + ", ".join(offered[:8])
    return AuthenticationFailed(
        f"{name} does not let {user} in with {keys}: add a public key to {user}'s authorized_keys there, or name the right user and private key."
    )


def _unresolved(settings: HostSettings, match: t.Match[str], said: str) -> GanetiError:
    return NameUnresolved(f"The name {match[1]} does not resolve: correct it, or add it to DNS, /etc/hosts or, as HostName, to the SSH configuration.")


def _behind_jump(settings: HostSettings, match: t.Match[str], said: str) -> GanetiError:
    kind = NameUnresolved if re.search("name|resol|address associated", match[1], re.IGNORECASE) else ConnectionFailed
    way = f"The jump host {settings.proxy_jump}" if settings.proxy_jump else "The host in between"
    return kind(f"{way} does not reach {_host(settings)} port {settings.port}: {match[1].strip()}.")


def _no_way(settings: HostSettings, match: t.Match[str], said: str) -> GanetiError:
    name, port, why = match[1], match[2], match[3].strip()
    return ConnectionFailed(f"{_on_the_way(settings, name)} cannot be reached by SSH on {name} port {port}: {why}.")


def _configured(settings: HostSettings, match: t.Match[str], said: str) -> GanetiError:
    return InvalidInput(f"OpenSSH does not take its configuration for {settings.name}: {match[0].strip()}.")


def _no_agreement(settings: HostSettings, match: t.Match[str], said: str) -> GanetiError:
    return ConnectionFailed(f"OpenSSH and {settings.name} have no {match[1]} in common; the host offers {match[2]}: allow one of them on either side.")


_Make = t.Callable[[HostSettings, t.Match[str], str], GanetiError]
_KINDS: t.Tuple[t.Tuple[str, _Make], ...] = (
    (r"^.*REVOKED HOST KEY DETECTED|^.*(?:is marked as|: )revoked", _revoked),
    (r"^Host key for (\S+) has changed and you have requested strict checking", _changed),
    (r"^Certificate invalid: (.+)$", _certificate),
    (r"^No \S+ host key is known for (\S+) and you have requested strict checking", _unknown),
    (r"^Host key verification failed\.?$", _not_verified),
    (r"^\S+@\S+: Permission denied \(.*\)|^.*Too many authentication failures.*$", _denied),
    (r"^ssh: Could not resolve hostname (\S+): ", _unresolved),
    (r"^channel \d+: open failed: (?:connect failed: )?(.+)$", _behind_jump),
    (r"^ssh: connect to host (\S+) port (\d+): (.+)$", _no_way),
    (r"^Bad owner or permissions on .+$|^.*[Bb]ad configuration option.*$", _configured),
    (r"no matching (.+) found\. Their offer: (.+)$", _no_agreement),
)
